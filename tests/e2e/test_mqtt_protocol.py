"""The source's half of docs/protocol.md over a real mosquitto: a site in its own process, agents in the test."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.api import Broker, Link, Message, messages, wire
from edge.link import Will
from edge.pipeline.roster import queue_command
from edge.store.agents import Agents, AgentState
from edge.store.sql import Store
from edge.testing import MemoryLog, check_source_contract, fake_services
from plugins.sources.mqtt import SPEC, MqttConfig

REPO = Path(__file__).resolve().parents[2]
SITE = """
sources: [{{use: mqtt, port: {port}, client_id: server-under-test}}]
stages: [{{use: motion}}]
"""


class Site:
    """`tigrillo run` with the mqtt source and a stage that needs no model."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.log = folder / "site.log"
        (folder / "site.yaml").write_text(SITE.format(port=port))
        self.starts = 0
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "edge.cli", "run", str(self.folder / "site.yaml"), "--log-json"]
            self.process = subprocess.Popen(command, cwd=REPO, stdout=log, stderr=log)
        self.starts += 1
        assert wait_until(lambda: self.log.read_text().count("mqtt.connected") == self.starts, 30), self.log.read_text()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0
        assert "Traceback" not in self.log.read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [line for line in self.log.read_text().splitlines() if f'"{name}"' in line]
        return [json.loads(line) for line in lines]

    def status(self) -> dict[str, object]:
        return json.loads((self.state / "status.json").read_text())

    def read(self, ask: Callable[[Store], object]) -> object:
        with Store(f"sqlite:///{self.state / 'tigrillo.sqlite'}", read_only=True) as store:
            return ask(store)

    def agent(self, station: str) -> AgentState | None:
        return self.read(lambda store: Agents(store).state(station))


@pytest.fixture
def site(broker, tmp_path) -> Iterator[Site]:
    running = Site(tmp_path, broker.port)
    yield running
    if running.process.poll() is None:
        running.stop()


def wait_until(condition: Callable[[], object], timeout_s: float = 10) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Agent:
    """A connection as an agent has it."""

    def __init__(self, link: Link, station: str, heard: list[Message]) -> None:
        self.link, self.station, self.heard = link, station, heard
        self.sent_bytes = 0

    def say(self, what: str, body: bytes, properties=(), *, retain: bool = False) -> None:
        while self.link.busy:
            self.link.turn(0.1)
        self.sent_bytes += len(body)
        self.link.publish(wire.up_topic(self.station, what), body, properties=properties, retain=retain)

    def listen(self, until: Callable[[], object], timeout_s: float = 10) -> bool:
        end = time.monotonic() + timeout_s
        while not until() and time.monotonic() < end:
            self.link.turn(0.05)
        return bool(until())

    def told(self, what: str) -> list[bytes]:
        topic = wire.down_topic(self.station, what)
        return [message.body for message in self.heard if message.topic == topic]

    def acked(self) -> list[str]:
        return [each for body in self.told("ack") for each in messages.decode_acks(body)]


@contextmanager
def connected(port: int, station: str = "cam-1", **options) -> Iterator[Agent]:
    heard: list[Message] = []
    link = Link(
        Broker("127.0.0.1", port),
        client_id=f"wc-{station}",
        subscribe=wire.down_topic(station, "+"),
        on_message=heard.append,
        **options,
    )
    with link:
        link.connect()
        while not link.ready:
            link.turn(0.1)
        yield Agent(link, station, heard)


def header(body: bytes, number: int, **changes) -> wire.FrameHeader:
    values = {
        "id": f"b-{number:08d}", "sha256": hashlib.sha256(body).hexdigest(), "captured_at": datetime.now(UTC),
        "boot": "b", "seq": number, "kind": "still", "name": f"{number}.jpg",
    }  # fmt: skip
    return wire.FrameHeader(**(values | changes))


def test_frames_that_arrive_together_are_acknowledged_together(broker, site):
    with connected(broker.port) as agent:
        for number in range(60):
            body = b"frame %d" % number
            agent.say("frame", body, header(body, number).to_properties())
        assert agent.listen(lambda: len(agent.acked()) >= 60)

    assert sorted(agent.acked()) == [f"b-{number:08d}" for number in range(60)]
    assert len(agent.told("ack")) < 40
    counts = site.read(lambda store: store.counts())
    assert sum(counts.get(state, 0) for state in ("spooled", "claimed", "recorded", "quarantined")) == 60


@pytest.mark.timeout(120)
def test_a_clip_survives_kill_9_of_the_server_and_little_of_it_is_sent_twice(broker, site):
    body = os.urandom(1_000_000) * 12
    offer = messages.Offer(header(body, 1, kind="clip", name="a.mp4"), len(body))
    kills = 0

    with connected(broker.port) as agent:
        offset, told = 0, 0
        agent.say("offer", offer.encode())
        until = time.monotonic() + 90
        while not agent.acked():
            assert time.monotonic() < until, site.log.read_text()[-2000:]
            if not agent.listen(lambda seen=told: len(agent.told("progress")) > seen or agent.acked(), timeout_s=2):
                agent.say("offer", offer.encode())  # no answer: as the agent does after 2 s
                continue
            if agent.acked():
                break
            told = len(agent.told("progress"))
            offset = messages.Progress.decode(agent.told("progress")[-1]).offset
            chunk = wire.ChunkHeader(offer.header.id, offset)
            agent.say("chunk", body[offset : offset + wire.CHUNK_BYTES], chunk.to_properties())
            if offset >= 4_000_000 * (kills + 1) and kills < 2:
                site.kill()
                kills += 1
                site.start()

    assert kills == 2
    assert agent.acked() == [offer.header.id]
    assert agent.sent_bytes < len(body) * 1.1
    (path,) = (site.state / "media" / "cam-1").rglob("*.mp4")
    assert path.read_bytes() == body
    assert list((site.state / "incoming").rglob("*.*")) == []


def test_a_hello_is_answered_with_the_time_and_a_wrong_clock_is_flagged(broker, site):
    wrong = datetime.now(UTC) - timedelta(days=365)
    time.sleep(0.7)  # the source has seen that nothing waits in the broker

    with connected(broker.port) as agent:
        agent.say("hello", messages.Hello("1.4", "b", wrong, clock_ok=False).encode())
        agent.say("health", messages.Health(wrong, "b", "1.4", "unknown", 3.0, {"spool": {"frames": 2}}).encode())
        assert agent.listen(lambda: agent.told("time"))
        assert wait_until(lambda: (state := site.agent("cam-1")) and state.health)

    told = messages.ServerTime.decode(agent.told("time")[0])
    assert told.hello_clock == wrong
    assert abs(datetime.now(UTC) - told.now) < timedelta(seconds=5)
    state = site.agent("cam-1")
    assert (state.online, state.drifts, state.health["spool"]) == (True, True, {"frames": 2})
    assert abs(state.drift_s - 365 * 86400) < 10
    assert wait_until(lambda: len(site.events("station.drift")) == 1)


def test_an_agent_that_dies_is_offline_by_its_last_will(broker, site):
    gone = messages.Status(online=False, boot="b").encode()
    will = Will(wire.up_topic("cam-1", "status"), gone, retain=True)

    with connected(broker.port, will=will) as agent:
        agent.say("status", messages.Status(online=True, boot="b").encode(), retain=True)
        assert agent.listen(lambda: (state := site.agent("cam-1")) and state.online)
        agent.link._socket().close()  # no goodbye

        assert wait_until(lambda: site.agent("cam-1").online is False)
    assert len(site.events("station.online")) == len(site.events("station.offline")) == 1


def test_a_command_goes_out_within_2_s_and_its_answer_is_kept(broker, site):
    now = datetime.now(UTC)

    with connected(broker.port) as agent:
        agent.say("hello", messages.Hello("1.4", "b", now, clock_ok=True).encode())
        assert agent.listen(lambda: agent.told("time"))
        started = time.monotonic()
        ask = ["station", "command", "cam-1", "want", "frame=b-7", "--json", "--site", str(site.folder / "site.yaml")]
        done = subprocess.run(
            [sys.executable, "-m", "edge.cli", *ask], cwd=REPO, check=True, capture_output=True, text=True
        )
        queued_after_s = time.monotonic() - started
        assert agent.listen(lambda: agent.told("command"), timeout_s=2), "no command within 2 s"
        command = messages.Command.decode(agent.told("command")[0])
        agent.say("result", messages.Result(command.id, ok=True, text="coming").encode())
        assert agent.listen(lambda: site.read(lambda store: Agents(store).command(command.id).state) == "done")

    assert command.id == json.loads(done.stdout)["id"]
    assert (command.name, command.args) == ("want", {"frame": "b-7"})
    assert command.expires_at > now + timedelta(hours=23)
    assert queued_after_s < 10


def test_a_command_waits_for_its_station(broker, site):
    now = datetime.now(UTC)
    wanted = queue_command(site.state, "cam-1", "capture", {}, now=now, expires_at=now + timedelta(minutes=5))
    time.sleep(1.5)

    with connected(broker.port) as agent:
        agent.say("hello", messages.Hello("1.4", "b", now, clock_ok=True).encode())

        assert agent.listen(lambda: agent.told("command"), timeout_s=3)
    assert messages.Command.decode(agent.told("command")[0]).id == wanted


@pytest.mark.alone
@pytest.mark.timeout(90)
def test_hostile_messages_are_counted_said_once_and_delay_nobody(broker, site):
    good = [b"good %d" % number for number in range(5)]

    with connected(broker.port, "evil") as evil, connected(broker.port) as agent:
        for _ in range(20):
            for topic in ("wc/1/evil/up/log", "wc/1/..x/up/frame", "wc/1/evil/up/" + "x" * 65_000):
                evil.link.publish(topic, b"x")
            evil.say("frame", b"x" * 100, [("id", "../../etc/passwd")])
            evil.say("health", b"\xff\xfe")
            evil.say("hello", b"[" * 50_000)
            while evil.link.busy:
                evil.link.turn(0.1)
        evil.link.publish(wire.up_topic("evil", "frame"), bytes(50_000_000))
        evil.listen(lambda: not evil.link.busy, timeout_s=30)
        delays = []
        for number, body in enumerate(good):
            started = time.monotonic()
            agent.say("frame", body, header(body, number).to_properties())
            assert agent.listen(lambda seen=number: len(agent.acked()) > seen)
            delays.append(time.monotonic() - started)

    assert max(delays) < 1, delays
    assert wait_until(lambda: site.status()["refused"].get("size") == 1)
    assert site.status()["refused"] == {"topic": 60, "header": 20, "payload": 40, "size": 1}
    said = [line for line in site.events("frame.receive") if line.get("ok") is False]
    assert sorted((line["refusal"], line["station"]) for line in said) == [
        ("header", "evil"), ("payload", "evil"), ("size", "evil"), ("topic", ""),
    ]  # fmt: skip
    kept = [name for name, _reason in site.read(lambda store: store.quarantined()) if name.startswith("wc/")]
    assert len(kept) == 4


def test_the_source_keeps_the_contract_of_sources(broker, tmp_path):
    body = b"a frame"
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISH_UNTIL_ACKED, str(broker.port), json.dumps(header(body, 1).to_properties())],
        cwd=REPO,
    )
    try:
        config = MqttConfig(port=broker.port, client_id="contract")
        (given,) = check_source_contract(SPEC, config, fake_services(state_dir=tmp_path, log=MemoryLog()), expect=1)
    finally:
        publisher.kill()
        publisher.wait()

    assert (given.station, given.id, given.body) == ("cam-1", "b-00000001", body)
    assert given.agent.clock == "ok"


PUBLISH_UNTIL_ACKED = """
import json, sys
from edge.link import Broker, Link
from edge.wire import down_topic, up_topic

heard = []
with Link(Broker("127.0.0.1", int(sys.argv[1])), client_id="a", subscribe=down_topic("cam-1", "+"),
          on_message=heard.append) as link:
    link.connect()
    while not heard:
        link.turn(0.3)
        if link.ready:
            link.publish(up_topic("cam-1", "frame"), b"a frame", properties=json.loads(sys.argv[2]))
"""
