"""Who visits the page: a browser that times answers, and viewers who only listen to what is new."""

import http.client
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import urlencode

from server.auth.forgery import session_token

HOST = "127.0.0.1"
TIMING = re.compile(r"app;dur=([\d.]+)")


@dataclass
class Times:
    """Milliseconds of one kind of request: the server's own, and the client's with the way there and back."""

    server: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    bytes: int = 0
    wrong: dict[int, int] = field(default_factory=dict)

    def p95(self) -> float:
        """Of the server's."""
        return percentile(self.server, 95)

    def line(self) -> str:
        """p50, p95 and max of the server's, p95 of the client's, kB of the largest answer."""
        if not self.server:
            return f"   no answer {self.wrong}"
        wrong = f"  not 200: {self.wrong}" if self.wrong else ""
        of_server = f"{median(self.server):8.1f}{self.p95():8.1f}{max(self.server):8.1f}"
        return f"{len(self.server):5}{of_server}{percentile(self.client, 95):9.1f}{self.bytes / 1000:8.0f}{wrong}"


def percentile(values: list[float], share: int) -> float:
    """The value that so many of a hundred are not above."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0.0


class Browser:
    """One browser of somebody who is logged in; keeps its connection. secret: of the session's cookie."""

    def __init__(self, port: int, secret: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)
        self._headers = {"Cookie": f"tigrillo={secret}", "Accept-Encoding": "identity", "Accept-Language": "es"}
        self._forms = {
            **self._headers,
            "x-csrf-token": session_token(secret),
            "hx-request": "true",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def get(self, path: str, times: Times | None = None) -> str:
        """The page's text, "" for one that is none; its time is noted."""
        return self._ask("GET", path, None, self._headers, times)

    def post(self, path: str, form: list[tuple[str, str]], times: Times | None = None) -> str:
        """The same of a form, sent as our scripts do."""
        return self._ask("POST", path, urlencode(form), self._forms, times)

    def _ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str], times: Times | None) -> str:
        began = time.perf_counter()
        self._connection.request(method, path, body, dict(headers))
        answer = self._connection.getresponse()
        content = answer.read()
        spent_ms = (time.perf_counter() - began) * 1000
        if times is not None:
            if answer.status != http.client.OK:
                times.wrong[answer.status] = times.wrong.get(answer.status, 0) + 1
            elif told := TIMING.search(answer.getheader("server-timing", "")):
                times.server.append(float(told[1]))
                times.client.append(spent_ms)
                times.bytes = max(times.bytes, len(content))
        is_text = answer.getheader("content-type", "").startswith(("text/", "application/json"))
        return content.decode("utf-8") if is_text and answer.status == http.client.OK else ""


@dataclass
class Viewers:
    """Event streams that are read as they come. news: events that came, over all of them. lost: streams that ended."""

    news: int = 0
    lost: int = 0


@contextmanager
def watching(port: int, secret: str, count: int) -> Iterator[Viewers]:
    """So many viewers with live updates, for as long as the context lasts."""
    seen, stop, chosen = Viewers(), threading.Event(), selectors.DefaultSelector()
    request = f"GET /events HTTP/1.1\r\nHost: {HOST}:{port}\r\nCookie: tigrillo={secret}\r\nAccept-Language: es\r\n\r\n"
    for _each in range(count):
        one = socket.create_connection((HOST, port), timeout=10)
        one.sendall(request.encode())
        chosen.register(one, selectors.EVENT_READ)

    def read() -> None:
        while not stop.is_set():
            for key, _mask in chosen.select(0.2):
                stream = key.fileobj
                assert isinstance(stream, socket.socket)
                if body := stream.recv(65_536):
                    seen.news += body.count(b"event:")
                else:
                    seen.lost += 1
                    chosen.unregister(stream)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()
        for key in list(chosen.get_map().values()):
            chosen.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]  # because they are sockets
        chosen.close()
