"""The agent's uplink ↔ a link that can be slow or dead ↔ a real mosquitto ↔ the real source and spool of the server."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.link import Broker, Link, Message
from edge.messages import Command, Hello, Result, Status
from edge.pipeline.spool import Spool as ServerSpool
from edge.store.sql import Store
from edge.testing import fake_services
from edge.wire import ALL_UP, FrameHeader, down_topic
from plugins.sources.mqtt import MqttConfig, build
from raspberry_pi.agent import correct_with
from raspberry_pi.agent_clock import AgentClock
from raspberry_pi.delivery import Delivery
from raspberry_pi.schedule import Hours
from raspberry_pi.spool import Moment, Spool
from raspberry_pi.uplink import Uplink

REPO = Path(__file__).resolve().parents[2]
KEEPALIVE_S = 5


class Net:
    """A TCP proxy before the broker. rate: bytes a second from the agent, None without bound; dead: a black hole."""

    def __init__(self, port: int) -> None:
        self.rate: int | None = None
        self.dead = False
        self.up_bytes = 0
        self.connections = 0
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                inner, _ = self._server.accept()
                outer = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            # Small buffers, so that what the agent has handed over is soon what has arrived.
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
            self.connections += 1
            was_dead = threading.Event()
            self._sockets += [inner, outer]
            for pair in ((inner, outer, True), (outer, inner, False)):
                threading.Thread(target=self._pump, args=(*pair, was_dead), daemon=True).start()

    def _pump(self, source, to, up, was_dead) -> None:
        with suppress(OSError):
            while not self._closed.is_set():
                while (self.dead or was_dead.is_set()) and not self._closed.is_set():
                    was_dead.set()  # this connection stays dead; a new one works when the net does
                    time.sleep(0.02)
                data = source.recv(16_384)
                if not data:
                    break
                if up:
                    self.up_bytes += len(data)
                    if self.rate:
                        time.sleep(len(data) / self.rate)
                to.sendall(data)
        for each in (source, to):
            with suppress(OSError):
                each.close()

    def close(self) -> None:
        self._closed.set()
        for each in (self._server, *self._sockets):
            with suppress(OSError):
                each.close()


@pytest.fixture
def net(broker) -> Iterator[Net]:
    net = Net(broker.port)
    yield net
    net.close()


@contextmanager
def a_server(port: int, folder: Path) -> Iterator[Store]:
    """The real source on the real spool, in a thread."""
    folder.mkdir()
    services = fake_services(state_dir=folder, clock=SystemClock())
    stop = threading.Event()
    with Store(f"sqlite:///{folder / 'site.sqlite'}") as store:
        spool = ServerSpool(store, services, limit_bytes=10**9)
        with build(MqttConfig(port=port, client_id="server-under-test"), services) as source:
            thread = threading.Thread(target=source.run, args=(spool, stop))
            thread.start()
            try:
                yield store
            finally:
                stop.set()
                thread.join(10)


@contextmanager
def an_agent(spool: Spool, port: int, clock: AgentClock | None = None, hours: Hours | None = None) -> Iterator[Uplink]:
    """An uplink in a thread."""
    clock, stop = clock or AgentClock(), threading.Event()
    delivery = Delivery(spool, correct=lambda frame: correct_with(clock, spool, frame))
    uplink = Uplink(
        delivery, Broker("127.0.0.1", port, keepalive_s=KEEPALIVE_S), station="cam-1", boot=spool.boot, clock=clock,
        hours=hours,
    )  # fmt: skip
    thread = threading.Thread(target=uplink.run, args=(stop,))
    thread.start()
    try:
        yield uplink
    finally:
        stop.set()
        uplink.wake()
        thread.join(10)
        uplink.close()


@contextmanager
def listening(port: int, *topics: str) -> Iterator[tuple[Link, list[Message]]]:
    """Another client on the broker, and what it heard."""
    heard: list[Message] = []
    with Link(Broker("127.0.0.1", port), client_id="listener", subscribe=topics[0], on_message=heard.append) as link:
        link.connect()
        while not link.ready:
            link.turn(0.1)
        yield link, heard


def wait_until(condition: Callable[[], object], timeout_s: float = 10, turn: Callable[[], None] | None = None) -> float:
    """Seconds until it was so. Fails when it never is."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "it never was"
        if turn:
            turn()
        else:
            time.sleep(0.01)
    return time.monotonic() - began


def put(spool: Spool, body: bytes, *, ago_s: float = 0.0, clock: str = "ok", kind: str = "still") -> str:
    moment = Moment(datetime.now(UTC), clock, time.monotonic() - ago_s)
    return spool.put(body, kind=kind, name="a.jpg" if kind == "still" else "a.mp4", moment=moment).id


def spooled(store: Store) -> int:
    return store.counts().get("spooled", 0)


def test_a_large_clip_resumes_after_a_killed_broker_and_a_new_run(broker, net, tmp_path):
    body = random.Random(1).randbytes(9_000_000)
    parts = tmp_path / "server" / "incoming" / "cam-1"

    def durable() -> int:
        return sum(path.stat().st_size for path in parts.glob("*.part"))

    net.rate = 6_000_000
    with a_server(broker.port, tmp_path / "server") as store:
        with Spool(tmp_path / "spool", max_bytes=10**8) as spool:
            put(spool, body, kind="clip")
            with an_agent(spool, net.port):
                wait_until(lambda: durable() >= 2_000_000)
                broker.kill()
                before = durable()
                broker.start()
                wait_until(lambda: durable() >= before + 2_000_000, 20)
        stopped_at = durable()
        with Spool(tmp_path / "spool", max_bytes=10**8) as spool, an_agent(spool, net.port):
            wait_until(lambda: spool.counts().acked == 1, 20)
        claimed = store.claim_next(datetime.now(UTC))

    assert stopped_at >= 4_000_000
    assert claimed.path.read_bytes() == body
    assert list(parts.iterdir()) == []
    # At most what was ahead of the server's disk goes twice, at each of the two breaks.
    assert net.up_bytes < len(body) + 2 * 4_100_000


@pytest.mark.alone
def test_a_fresh_frame_overtakes_a_backlog_on_a_slow_link(broker, net, tmp_path):
    net.rate = 1_000_000
    with a_server(broker.port, tmp_path / "server") as store, Spool(tmp_path / "spool", max_bytes=10**8) as spool:
        for _ in range(60):
            put(spool, random.randbytes(200_000), ago_s=600)
        with an_agent(spool, net.port) as uplink:
            wait_until(lambda: spooled(store) >= 3)
            fresh = put(spool, random.randbytes(200_000))
            uplink.wake()
            took_s = wait_until(lambda: spool.want(fresh) is False)
            left = spool.counts().spooled

    assert took_s < 2.0
    assert left > 40


@pytest.mark.alone
def test_a_half_open_link_is_replaced_within_two_keepalives(broker, net, tmp_path):
    with (
        Spool(tmp_path / "spool", max_bytes=10**8) as spool,
        a_server(broker.port, tmp_path / "server"),
        an_agent(spool, net.port) as uplink,
    ):
        wait_until(lambda: uplink.connected)
        net.dead = True
        began_s = time.monotonic()
        time.sleep(0.1)
        net.dead = False  # the old connection stays dead, a new one works
        put(spool, b"x" * 1000)
        uplink.wake()
        wait_until(lambda: spool.counts().acked == 1, 2 * KEEPALIVE_S)
        took_s = time.monotonic() - began_s

    assert net.connections == 2
    assert took_s <= 2 * KEEPALIVE_S


def test_outside_its_hours_the_agent_is_not_connected_and_sends_when_they_begin(broker, tmp_path):
    now = datetime.now().astimezone()
    closed = Hours.parse([f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}"])
    with Spool(tmp_path / "spool", max_bytes=10**8) as spool, a_server(broker.port, tmp_path / "server"):
        put(spool, b"x")
        with an_agent(spool, broker.port, hours=closed) as uplink:
            wait_until(lambda: uplink.state.name == "closed")
            time.sleep(0.5)
            assert spool.counts().acked == 0
            uplink.hours = Hours()
            wait_until(lambda: spool.counts().acked == 1)


def test_times_without_a_clock_are_corrected_once_the_server_has_told(broker, tmp_path):
    clock = AgentClock(now=lambda: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time.monotonic()))
    with (
        a_server(broker.port, tmp_path / "server"),
        Spool(tmp_path / "spool", max_bytes=10**8) as spool,
        listening(broker.port, ALL_UP) as (link, heard),
        an_agent(spool, broker.port, clock),
    ):
        wait_until(lambda: clock.server_now() is not None)
        moment = Moment(clock.now(), clock.state, time.monotonic() - 600)
        spool.put(b"x", kind="still", name="a.jpg", moment=moment)
        wait_until(lambda: spool.counts().acked == 1)
        wait_until(lambda: any(each.topic.endswith("/frame") for each in heard), turn=lambda: link.turn(0.1))
    header = next(FrameHeader.from_properties(each.properties) for each in heard if each.topic.endswith("/frame"))
    hello = next(Hello.decode(each.body) for each in heard if each.topic.endswith("/hello"))

    assert (header.clock, header.captured_at.year, hello.clock_ok) == ("unknown", 1970, False)
    assert abs((datetime.now(UTC) - header.corrected_at).total_seconds() - 600) < 5
    assert clock.drift_ppm is None


class Process:
    """An agent process with one picture."""

    def __init__(self, folder: Path, port: int, more: str = "") -> None:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "a.jpg").write_bytes(random.randbytes(5_000))
        self.state = folder / "state"
        self.config = folder / "agent.yaml"
        self.config.write_text(
            f"station: cam-1\nbroker: {{host: 127.0.0.1, port: {port}}}\n"
            "state_dir: state\nspool: {max_bytes: 100_000_000}\n"
            "camera: {use: replay, path: pictures, loop: true}\ntrigger: {use: interval, every_s: 1000}\n" + more
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "raspberry_pi.agent", str(self.config)],
            cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)},
        )  # fmt: skip

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(10)

    def status(self) -> dict:
        with suppress(FileNotFoundError):
            return json.loads((self.state / "status.json").read_text())
        return {}


@pytest.fixture
def process(tmp_path, broker) -> Iterator[Process]:
    process = Process(tmp_path, broker.port)
    yield process
    process.stop(signal.SIGKILL)


def results_in(heard: list[Message]) -> list[Result]:
    return [Result.decode(each.body) for each in heard if each.topic.endswith("/result")]


def test_commands_are_run_once_and_answered(broker, process, tmp_path):
    with a_server(broker.port, tmp_path / "server"), listening(broker.port, ALL_UP) as (link, heard):

        def ask(command_id: str, name: str, **args) -> Result:
            known = len(results_in(heard))
            command = Command(command_id, name, datetime.now(UTC) + timedelta(minutes=1), args)
            link.publish(down_topic("cam-1", "command"), command.encode())
            wait_until(lambda: len(results_in(heard)) > known, turn=lambda: link.turn(0.05))
            return results_in(heard)[-1]

        process.start()
        wait_until(lambda: process.status().get("acked") == 1, turn=lambda: link.turn(0.05))
        captured = ask("c-1", "capture")
        again = ask("c-1", "capture")
        refused = ask("c-2", "reboot")
        hours = ask("c-3", "schedule", windows=["00:00-23:59"], fresh_share=0.5)
        wrong = ask("c-4", "schedule", windows=["sometimes"])
        missing = ask("c-5", "want", frame="nothing-1")
        wait_until(lambda: process.status()["acked"] == 2, turn=lambda: link.turn(0.05))

    assert captured.ok
    assert again == captured
    assert (refused.ok, "allow" in refused.text) == (False, True)
    assert (hours.ok, wrong.ok, missing.ok) == (True, False, False)
    assert process.status()["captured"] == 2
    assert json.loads((process.state / "commands.json").read_text())["schedule"] == {
        "windows": ["00:00-23:59"], "fresh_share": 0.5,
    }  # fmt: skip


def test_whether_an_agent_is_there_is_retained_also_after_kill_9(broker, process):
    def online() -> bool | None:
        with listening(broker.port, "wc/1/cam-1/up/status") as (link, heard):
            wait_until(lambda: heard, 2, turn=lambda: link.turn(0.05))
            return Status.decode(heard[-1].body).online

    process.start()
    wait_until(lambda: process.status().get("connected"))
    seen = [online()]
    process.stop()
    seen.append(online())
    process.start()
    wait_until(lambda: process.status()["boot_count"] == 2 and process.status()["connected"])
    seen.append(online())
    process.stop(signal.SIGKILL)
    seen.append(online())

    assert seen == [True, False, True, False]


def test_everything_that_is_written_lies_in_the_state_folder(broker, process, tmp_path):
    process.start()
    wait_until(lambda: process.status().get("captured") == 1)
    process.stop()

    written = {path.name for path in tmp_path.iterdir()} - {"broker", "pictures", "agent.yaml"}
    assert written == {"state"}
    assert {path.name for path in process.state.iterdir()} == {"status.json", "spool"}
