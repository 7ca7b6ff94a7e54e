"""What a stranger's connection may cost: idle ones, trickling ones, and too many from one address."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from server import connections, guard
from server.connections import Connection
from server.guard import Guard

LONG_S = 30.0  # nothing here takes so long; what hangs fails


async def hello(scope, receive, send):
    """Answers at once, and reads nothing."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


async def reader(scope, receive, send):
    """Reads all of the body, then answers with its length."""
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@asynccontextmanager
async def served(app, **options):
    """The port of a server with our connections."""
    config = uvicorn.Config(app, http=Connection, lifespan="off", log_level="critical", access_log=False, **options)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], state


async def talk(port, *pieces):
    """What comes back until they hang up, each piece sent after a moment."""
    found, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    answer = await asyncio.wait_for(found.read(), LONG_S)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"X-A: b\r\n"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n", b"Host:"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"a", b"b"),
    ],
    ids=["nothing", "headers that trickle", "after a request", "the rest of a body that was answered"],
)
def test_who_owes_a_request_and_does_not_send_it_is_hung_up_on(monkeypatch, pieces):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.2)

    async def main():
        async with served(hello) as (port, _state):
            return await talk(port, *pieces)

    answers = asyncio.run(main()).count(b"200 OK")

    assert answers == (1 if b"\r\n\r\n" in b"".join(pieces) else 0)


def test_a_request_in_work_may_take_its_time(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.05)

    async def slow(scope, receive, send):
        await asyncio.sleep(0.3)
        await hello(scope, receive, send)

    async def main():
        async with served(slow) as (port, _state):
            return await talk(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"200 OK" in asyncio.run(main())


@pytest.mark.parametrize(("is_ours", "answered"), [(False, 2), (True, 4)])
def test_one_address_leaves_room_for_others_but_a_proxy_speaks_for_all(monkeypatch, is_ours, answered):
    monkeypatch.setattr(connections, "MOST_OF_ONE", 2)
    monkeypatch.setattr(connections, "_is_ours", lambda _host, _proxies: is_ours)

    async def main():
        async with served(hello) as (port, _state):
            lines = [await asyncio.open_connection("127.0.0.1", port) for _line in range(4)]
            for _reader, writer in lines:
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            found = [await asyncio.wait_for(reader.read(12), LONG_S) for reader, _writer in lines]
            for _reader, writer in lines:
                writer.close()
            return found

    assert asyncio.run(main()).count(b"HTTP/1.1 200") == answered


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.8", True), ("192.0.2.9", False), ("2001:db8::1", False)],
)
def test_this_machine_and_the_sites_proxies_are_no_strangers(host, is_ours):
    assert connections._is_ours(host, ["192.0.2.8"]) is is_ours


def refusal(_request, status):
    return PlainTextResponse("no", status)


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


def test_a_body_that_trickles_is_answered_with_408_and_hung_up_on(monkeypatch):
    monkeypatch.setattr(guard, "FIRST_S", 0.2)

    async def main():
        async with served(Guard(reader, refusal)) as (port, _state):
            return await talk(port, POST + b"Content-Length: 1000\r\n\r\n", b"a", b"b")

    answer = asyncio.run(main())

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer


def test_a_body_of_unknown_length_is_refused_when_it_is_too_long_whatever_reads_it(monkeypatch):
    monkeypatch.setattr(guard, "MOST_BYTES", 1000)
    chunks = b"1f4\r\n" + b"a" * 500 + b"\r\n"

    async def swallowing(scope, receive, send):
        try:
            await reader(scope, receive, send)
        except Exception:  # noqa: BLE001  # because it is what a framework does around its parsers
            await hello(scope, receive, send)

    async def main():
        async with served(Guard(swallowing, refusal)) as (port, _state):
            return await talk(port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 3 + b"0\r\n\r\n")

    assert asyncio.run(main()).startswith(b"HTTP/1.1 413")
