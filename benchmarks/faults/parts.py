"""The processes under test, started and ended by us alone: a mosquitto, `tigrillo run`, agents; and what they wrote."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from edge.link import Broker, Link, Message
from edge.tls import Tls
from edge.wire import ALL_UP, read_topic

REPO = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
HOST = "127.0.0.1"


class Missed(Exception):
    """What was waited for did not come; the text says what, and what was logged."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout_s: float, what: Callable[[], str] = lambda: "") -> float:
    """Seconds until the condition holds. Raises Missed."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > timeout_s:
            raise Missed(f"not within {timeout_s:.0f} s\n{what()[-3000:]}")
        time.sleep(0.02)
    return time.monotonic() - began_s


def still(seed: int, *, width: int = 200, height: int = 150) -> bytes:
    """A real JPEG of noise, about 30 KB for 200 x 150."""
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return bytes(simplejpeg.encode_jpeg(noise, quality=85, colorspace="BGR"))


@dataclass(slots=True)
class Process:
    """A process with a log file; `end` and `kill` touch only this one."""

    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPO), **self.environment}
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(list(self.command), cwd=REPO, stdout=log, stderr=log, env=environment)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.running is None:
            return 0
        if self.running.poll() is None:
            self.running.send_signal(number)
        try:
            code = self.running.wait(20)
        except subprocess.TimeoutExpired:
            self.running.kill()
            code = self.running.wait()
        self.running = None
        return code

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    @property
    def ended(self) -> bool:
        return self.running is not None and self.running.poll() is not None

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Mosquitto(Process):
    """A broker in memory only, without TLS, on every address of this machine."""

    def __init__(self, folder: Path, *, listen: str = HOST) -> None:
        assert MOSQUITTO is not None, "mosquitto is missing: apt-get install mosquitto"
        self.port = free_port()
        config = folder / "mosquitto.conf"
        listeners = "".join(f"listener {self.port} {each}\n" for each in dict.fromkeys([HOST, listen]))
        config.write_text(f"{listeners}allow_anonymous true\npersistence false\n")
        Process.__init__(self, [MOSQUITTO, "-c", str(config)], folder / "mosquitto.log")

    def start(self) -> None:
        Process.start(self)
        wait_until(self._listens, 10, self.said)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
            return True
        return False


class Daemon(Process):
    """`tigrillo run` on a site in `folder`, whose state is in folder/state."""

    def __init__(self, folder: Path, site: str, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "site.yaml").write_text(site)
        self.state = folder / "state"
        command = [sys.executable, "-m", "edge.cli", "run", str(folder / "site.yaml"), "--log-json"]
        Process.__init__(self, command, folder / "daemon.log", environment or {})

    def start(self, *, sign: str = "mqtt.connected") -> None:
        """Returns when it receives, or has said `sign`."""
        before = len(self.said())
        Process.start(self)
        wait_until(lambda: sign in self.said()[before:] or self.ended, 40, self.said)
        if self.ended:
            raise Missed(self.said()[before:])

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        found = [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return [each for each in found if each.get("event") == event]

    def status(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((self.state / "status.json").read_text()))
        return {}

    def rows(self, query: str = "select * from frames order by pk") -> list[dict[str, Any]]:
        """Rows of the database, read as any other program would."""
        path = self.state / "tigrillo.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]

    def count(self, state: str = "") -> int:
        with contextlib.suppress(sqlite3.Error):
            return int(self.rows(f"select count(*) n from frames where state like '{state or '%'}'")[0]["n"])
        return 0

    def damage(self) -> list[str]:
        """What is wrong with the rows: an unsound database, a file that is missing or not what its row says."""
        found = [str(row) for row in self.rows("pragma integrity_check") if row["integrity_check"] != "ok"]
        for row in self.rows():
            path = Path(row["path"])
            if not path.is_file():
                found.append(f"{row['id']}: no file")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                found.append(f"{row['id']}: another hash")
        return found


class Agent(Process):
    """An agent that photographs `pictures` over and over. more: further sections of its AGENT.yaml."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        pictures: Sequence[bytes],
        frames: int | None = None,
        every_s: float = 0.1,
        host: str = HOST,
        keepalive_s: int = 5,
        station: str = "cam-1",
        state: Path | None = None,
        tls: Tls | None = None,
        more: str = "",
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder = folder / station
        (folder / "pictures").mkdir(parents=True)
        for number, body in enumerate(pictures):
            name = "mp4" if len(body) > 1_000_000 else "jpg"
            (folder / "pictures" / f"{number:03}.{name}").write_bytes(body)
        self.state = state or folder / "state"
        self.station = station
        files = f", tls: {{ca: {tls.ca_file}, cert: {tls.cert_file}, key: {tls.key_file}}}" if tls else ""
        config = folder / "agent.yaml"
        config.write_text(
            f"station: {station}\nbroker: {{host: {host}, port: {port}, keepalive_s: {keepalive_s}{files}}}\n"
            f"state_dir: {self.state}\nspool: {{max_bytes: 500_000_000}}\n"
            "camera: {use: replay, path: pictures, loop: true}\n"
            f"trigger: {{use: interval, every_s: {every_s}}}\n" + (f"max_frames: {frames}\n" if frames else "") + more
        )
        command = [*prefix, sys.executable, "-m", "raspberry_pi.agent", str(config)]
        Process.__init__(self, command, folder / "agent.log", environment or {})

    def status(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((self.state / "status.json").read_text()))
        return {}

    def has_all(self) -> bool:
        return bool(self.status().get("done")) or self.ended


@dataclass(slots=True)
class Spy:
    """What the broker hands on of frames: all bytes, and those of distinct frames and pieces."""

    total: int = 0
    distinct: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)  # (station, what), in order
    _seen: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def duplicate_share(self) -> float:
        return (self.total - self.distinct) / max(self.distinct, 1)

    def hear(self, message: Message) -> None:
        with contextlib.suppress(ValueError):
            address = read_topic(message.topic)
            self.messages.append((address.station, address.what))
            if address.what in ("frame", "chunk"):
                said = dict(message.properties)
                key = (address.station, said.get("id", ""), said.get("offset", ""))
                self.total += len(message.body)
                self.distinct += 0 if key in self._seen else len(message.body)
                self._seen.add(key)


@contextmanager
def spying(port: int) -> Iterator[Spy]:
    """A second subscriber beside the server, until the end of the block or of the broker."""
    spy, stop, ready = Spy(), threading.Event(), threading.Event()

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(Exception):
                _listen(port, spy, stop, ready)
            stop.wait(0.1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait(10)
        yield spy
    finally:
        stop.set()
        thread.join(10)


def _listen(port: int, spy: Spy, stop: threading.Event, ready: threading.Event) -> None:
    with Link(Broker(HOST, port), client_id="spy", subscribe=ALL_UP, on_message=spy.hear) as link:
        link.connect()
        while not stop.is_set():
            link.turn(0.1)
            if link.ready:
                ready.set()


def install_plugin(folder: Path, name: str, text: str) -> dict[str, str]:
    """Put a plug-in where a Python finds it as an installed one; returns the environment that this needs."""
    info = folder / f"tigrillo_{name}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tigrillo-{name}\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[tigrillo.plugins]\n{name} = tigrillo_{name}\n")
    (folder / f"tigrillo_{name}.py").write_text(text)
    return {"PYTHONPATH": f"{REPO}{os.pathsep}{folder}"}
