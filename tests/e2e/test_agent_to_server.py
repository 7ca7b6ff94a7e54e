"""Agent processes ↔ a real mosquitto ↔ the mqtt source, with kill -9 in between."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.api import Broker, Link, Message, RefusedError, SpoolFull, messages
from edge.testing import MemoryLog, fake_services
from plugins.sources.mqtt import MqttConfig, build

REPO = Path(__file__).resolve().parents[2]


class DiskSink:
    """Writes frames to disk under their id, as the real spool does, and counts what came twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: list[tuple[str, str]] = []
        self.twice = 0
        self.full = False
        self.broken = False
        self.unwelcome: set[str] = set()
        folder.mkdir()

    def receive(self, incoming):
        if self.broken:
            raise RuntimeError("a bug in the sink, in this test")
        if self.full:
            raise SpoolFull("full, in this test")
        if incoming.sha256 != hashlib.sha256(incoming.body).hexdigest() or incoming.id in self.unwelcome:
            self.refused.append((incoming.id, "wrong hash or unwelcome"))
            raise RefusedError("wrong hash or unwelcome")
        path = self.folder / f"{incoming.station}_{incoming.id}"
        if path.exists():
            self.twice += 1
            return False
        path.write_bytes(incoming.body)
        return True

    def receive_many(self, incoming):
        answers = []
        for each in incoming:
            try:
                answers.append(self.receive(each))
            except (RefusedError, SpoolFull) as exc:
                answers.append(exc)
        return answers

    def sha256_of(self, station, frame_id):
        return None

    def hold(self, source, size_bytes):
        pass

    def refuse(self, *, source, name, reason, body=b"", station="", kind=""):
        self.refused.append((name, reason))

    def knows(self, station, sha256):
        return False

    def ids(self) -> list[str]:
        return sorted(path.name.split("_", 1)[1] for path in self.folder.iterdir())


@contextmanager
def receiving(port: int, sink: DiskSink, log: MemoryLog | None = None) -> Iterator[list[BaseException]]:
    """The mqtt source in a thread, started again when it fails, as the daemon does; yields what it failed with."""
    stop, failures = threading.Event(), []

    def keep_running() -> None:
        with build(
            MqttConfig(port=port, client_id="server-under-test"), fake_services(log=log or MemoryLog())
        ) as source:
            while not stop.is_set():
                try:
                    source.run(sink, stop)
                except RuntimeError as exc:
                    failures.append(exc)
                    stop.wait(0.2)

    thread = threading.Thread(target=keep_running)
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


class Agent:
    """An agent process that captures `frames` small stills."""

    def __init__(self, folder: Path, port: int, *, frames: int, every_s: float = 0.02, station: str = "cam-1") -> None:
        self.folder = folder / station
        self.folder.mkdir()
        pictures = self.folder / "pictures"
        pictures.mkdir()
        chance = random.Random(station)
        self.bodies = [chance.randbytes(20_000 + number) for number in range(7)]
        for number, body in enumerate(self.bodies):
            (pictures / f"{number}.jpg").write_bytes(body)
        self.config = self.folder / "agent.yaml"
        self.config.write_text(
            f"station: {station}\n"
            f"broker: {{host: 127.0.0.1, port: {port}}}\n"
            "spool: {folder: spool, max_bytes: 100_000_000}\n"
            "camera: {use: replay, path: pictures, loop: true}\n"
            f"trigger: {{use: interval, every_s: {every_s}}}\n"
            f"max_frames: {frames}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "raspberry_pi.agent", str(self.config)],
                cwd=REPO, stderr=log, env={**os.environ, "PYTHONPATH": str(REPO)},
            )  # fmt: skip

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def end(self, timeout_s: float = 20) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def status(self) -> dict[str, object]:
        return json.loads((self.folder / "spool" / "status.json").read_text())

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()


@pytest.fixture
def agents(tmp_path, broker) -> Iterator[Callable[..., Agent]]:
    made: list[Agent] = []

    def make(**options) -> Agent:
        made.append(Agent(tmp_path, broker.port, **options))
        return made[-1]

    yield make
    for agent in made:
        agent.kill()


def wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_frames_arrive_whole_once_and_the_agent_ends(broker, agents, tmp_path):
    sink = DiskSink(tmp_path / "sink")
    agent = agents(frames=30)

    with receiving(broker.port, sink):
        agent.start()
        code = agent.end()

    assert code == 0, agent.log()
    assert [each.rpartition("-")[2] for each in sink.ids()] == [f"{number:08d}" for number in range(1, 31)]
    assert [path.read_bytes() for path in sorted(sink.folder.iterdir())] == [agent.bodies[n % 7] for n in range(30)]
    assert {key: agent.status()[key] for key in ("captured", "acked", "spooled", "dropped", "done")} == {
        "captured": 30, "acked": 30, "spooled": 0, "dropped": 0, "done": True,
    }  # fmt: skip


def test_kill_9_of_agents_and_broker_loses_and_duplicates_nothing(broker, agents, tmp_path):
    sink = DiskSink(tmp_path / "sink")
    pair = [agents(frames=200, station="cam-1"), agents(frames=200, station="cam-2")]
    chance = random.Random(7)

    with receiving(broker.port, sink):
        for agent in pair:
            agent.start()
        for _ in range(4):
            for agent in pair:
                time.sleep(chance.uniform(0.3, 0.7))
                agent.kill()
                agent.start()
            broker.kill()
            time.sleep(chance.uniform(0.1, 0.4))
            broker.start()
        codes = [agent.end(30) for agent in pair]

    assert codes == [0, 0], "\n".join(agent.log() for agent in pair)
    for agent, station in zip(pair, ("cam-1", "cam-2"), strict=True):
        seqs = [int(path.name.rpartition("-")[2]) for path in sink.folder.glob(f"{station}_*")]
        assert sorted(seqs) == list(range(1, 201))
        status = agent.status()
        assert (status["captured"], status["acked"], status["spooled"], status["dropped"]) == (200, 200, 0, 0)
    assert sink.refused == []


def test_sigterm_ends_the_agent_with_its_frames_kept_and_the_next_run_sends_them(broker, agents, tmp_path):
    sink = DiskSink(tmp_path / "sink")
    agent = agents(frames=8)
    agent.start()
    assert wait_until(lambda: len(list((agent.folder / "spool").glob("*.frame"))) == 8)
    assert agent.process is not None

    agent.process.send_signal(signal.SIGTERM)
    stopped = agent.end(5), agent.status()
    with receiving(broker.port, sink):
        agent.start()
        code = agent.end()

    assert (stopped[0], stopped[1]["spooled"], stopped[1]["done"]) == (0, 8, False)
    assert code == 0
    assert len(sink.ids()) == 8


def test_a_full_server_leaves_the_frames_with_the_agent(broker, agents, tmp_path):
    sink, log = DiskSink(tmp_path / "sink"), MemoryLog()
    sink.full = True
    agent = agents(frames=20)

    with receiving(broker.port, sink, log):
        agent.start()
        assert wait_until(lambda: any(event == "mqtt.deferred" for _, event, _ in log.entries))
        assert wait_until(lambda: agent.status()["captured"] == 20)
        waiting = agent.status()
        sink.full = False
        code = agent.end(20)

    assert (waiting["acked"], waiting["spooled"]) == (0, 20)
    assert code == 0, agent.log()
    assert len(sink.ids()) == 20


def test_an_error_in_the_sink_ends_the_source_aloud_and_the_frames_come_again(broker, agents, tmp_path):
    sink = DiskSink(tmp_path / "sink")
    sink.broken = True
    agent = agents(frames=5)

    with receiving(broker.port, sink) as failures:
        agent.start()
        assert wait_until(lambda: len(failures) > 0)
        sink.broken = False
        code = agent.end()

    assert code == 0, agent.log()
    assert len(sink.ids()) == 5


def test_a_frame_that_will_never_do_is_put_aside_and_the_rest_goes_on(broker, agents, tmp_path):
    sink = DiskSink(tmp_path / "sink")
    agent = agents(frames=6)
    agent.start()
    spool = agent.folder / "spool"
    assert wait_until(lambda: len(list(spool.glob("*.frame"))) >= 3)
    unwanted = sorted(path.stem for path in spool.glob("*.frame"))[1]
    sink.unwelcome = {unwanted}

    with receiving(broker.port, sink):
        code = agent.end()

    assert code == 0, agent.log()
    assert len(sink.ids()) == 5
    assert [path.stem for path in (spool / "aside").iterdir()] == [unwanted]
    assert (agent.status()["acked"], agent.status()["dropped"]) == (5, 1)
    assert "server_refused" in agent.log()


def test_a_frame_damaged_on_the_agents_disk_is_put_aside_not_sent(broker, agents, tmp_path):
    sink = DiskSink(tmp_path / "sink")
    agent = agents(frames=4)
    agent.start()
    spool = agent.folder / "spool"
    assert wait_until(lambda: len(list(spool.glob("*.frame"))) == 4)
    agent.kill()
    victim = min(spool.glob("*.frame"))
    victim.write_bytes(victim.read_bytes()[:-10])

    with receiving(broker.port, sink):
        agent.start()
        code = agent.end()

    assert code == 0, agent.log()
    assert len(sink.ids()) == 3
    assert [path.name for path in (spool / "aside").iterdir()] == [victim.name]
    assert sink.refused == []


@contextmanager
def a_sender(port: int, *, hears: str = "wc/1/+/down/+") -> Iterator[tuple[Callable[..., None], list[Message]]]:
    """A client of our own that may publish anything; yields (publish and wait a while, what came back)."""
    heard: list[Message] = []
    with Link(Broker("127.0.0.1", port), client_id="anybody", subscribe=hears, on_message=heard.append) as link:
        link.connect()
        while not link.ready:
            link.turn(0.1)

        def send(topic: str, body: bytes, properties=(), *, until: Callable[[], bool]) -> None:
            link.publish(topic, body, properties=properties)
            end = time.monotonic() + 5
            while not until() and time.monotonic() < end:
                link.turn(0.05)

        yield send, heard


def header(body: bytes, **changes) -> list[tuple[str, str]]:
    pairs = {
        "id": "abc-1", "sha256": hashlib.sha256(body).hexdigest(), "captured_at": "2026-05-01T10:00:00+02:00",
        "boot": "abc", "seq": "1", "kind": "still", "name": "a.jpg",
    }  # fmt: skip
    return list((pairs | changes).items())


@pytest.mark.parametrize(
    ("topic", "properties", "reason"),
    [
        ("wc/1/cam-1/up/log", header(b"x"), "topic"),
        ("wc/1/..etc/up/frame", header(b"x"), "station"),
        ("wc/1/cam-1/up/frame", [], "missing"),
        ("wc/1/cam-1/up/frame", header(b"x", id="../../etc/passwd"), "frame id"),
        ("wc/1/cam-1/up/frame", header(b"x", kind="virus"), "none of"),
        ("wc/1/cam-1/up/frame", header(b"x", captured_at="0001-01-01T00:00:00+14:00"), "captured_at"),
    ],
)
def test_what_is_no_frame_is_recorded_unanswered_and_the_source_goes_on(broker, tmp_path, topic, properties, reason):
    sink = DiskSink(tmp_path / "sink")

    with receiving(broker.port, sink) as failures, a_sender(broker.port) as (send, heard):
        time.sleep(0.3)  # the source subscribes
        send(topic, b"x", properties, until=lambda: bool(sink.refused))
        send("wc/1/cam-1/up/frame", b"good", header(b"good"), until=lambda: bool(heard))

    assert len(sink.refused) == 1
    assert reason in sink.refused[0][1]
    assert sink.ids() == ["abc-1"]
    assert [messages.decode_acks(message.body) for message in heard] == [["abc-1"]]
    assert failures == []


def test_a_payload_damaged_on_the_way_gets_no_answer_so_that_it_comes_again(broker, tmp_path):
    sink = DiskSink(tmp_path / "sink")

    with receiving(broker.port, sink), a_sender(broker.port) as (send, heard):
        time.sleep(0.3)
        send("wc/1/cam-1/up/frame", b"dAmaged", header(b"damaged"), until=lambda: bool(sink.refused))
        unanswered = list(heard)
        send("wc/1/cam-1/up/frame", b"damaged", header(b"damaged"), until=lambda: bool(heard))

    assert unanswered == []
    assert sink.ids() == ["abc-1"]
