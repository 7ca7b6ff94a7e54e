"""Certificates and messages that are not to be believed, again and again, beside a station that goes about its work.

The broker is the site's own, run by the daemon: what it refuses and what the daemon refuses must both be counted.
"""

import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.clock import SystemClock
from edge.link import Broker, Link, LinkLost
from edge.stations.authority import read_request
from edge.stations.book import StationRow
from edge.stations.broker import reload
from edge.stations.desk import Desk, open_desk
from edge.stations.folders import Folders
from edge.tls import Tls
from edge.wire import down_topic, up_topic
from raspberry_pi.identity import new_key, signing_request

from .parts import HOST, Agent, Daemon, free_port, still, wait_until

TIMES = 4  # each of them
PAYLOAD_BYTES = 50_000_000
TOPIC_BYTES = 64_000
SITE = """
broker: {{host: 127.0.0.1, listen: 127.0.0.1, port: {port}, run: true, enforce: true}}
sources: [{{use: mqtt, port: {port}}}]
stages: [{{use: motion}}]
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """tried: attacks by kind. let_in: those that a broker or daemon did not refuse. counted: in status.json, by kind.

    lines: log lines of each (station, kind). good_s: longest time from capture to row of the good station's frames.
    """

    tried: dict[str, int]
    let_in: int
    counted: dict[str, int]
    lines: dict[str, int]
    good_frames: int
    good_arrived: int
    good_s: float


@dataclass(frozen=True, slots=True)
class Attacker:
    """Somebody with a key, and perhaps a certificate. Each method is one attack; True when it was refused."""

    port: int
    folder: Path

    def keep(self, name: str, key: bytes, certificate: str, ca: Path) -> Tls:
        folder = self.folder / name
        folder.mkdir(parents=True)
        (folder / "key.pem").write_bytes(key)
        (folder / "cert.pem").write_text(certificate)
        return Tls(ca, folder / "cert.pem", folder / "key.pem")

    def connect(self, tls: Tls) -> bool:
        """Only connect."""
        return not self.say(tls, [])

    def say(self, tls: Tls, messages: list[tuple[str, bytes]]) -> bool:
        """Connect and publish; whether the broker took all of it."""
        refused: list[str] = []
        link = Link(
            Broker(HOST, self.port, tls=tls), client_id="x", subscribe=down_topic("cam-bad", "+"),
            on_message=lambda _message: None, on_sent=lambda _mid, reason: refused.append(reason),
        )  # fmt: skip
        until_s = time.monotonic() + 10
        try:
            with link:
                link.connect()
                while not link.ready and time.monotonic() < until_s:
                    link.turn(0.1)
                for topic, body in messages:
                    link.publish(topic, body)
                while len(refused) < len(messages) and time.monotonic() < until_s:
                    link.turn(0.1)
        except LinkLost:
            return False
        return not any(refused)

    def bad_utf8_topic(self, tls: Tls) -> bool:
        """A packet that no client library makes."""
        context = ssl.create_default_context(cafile=str(tls.ca_file))
        context.check_hostname = False
        context.load_cert_chain(str(tls.cert_file), str(tls.key_file))
        with socket.create_connection((HOST, self.port), timeout=10) as plain, context.wrap_socket(plain) as sock:
            greeting = b"\0\x04MQTT\x05\x02\0\x3c\0" + b"\0\x01z"
            sock.sendall(b"\x10" + bytes([len(greeting)]) + greeting)
            sock.recv(200)
            topic = b"wc/1/cam-bad/up/\xff\xfe"
            packet = struct.pack(">H", len(topic)) + topic + b"\0\x01\0" + b"hello"
            sock.sendall(b"\x32" + bytes([len(packet)]) + packet)
            with suppress(OSError):
                answer = sock.recv(200)
                return not answer or answer[0] == 0xE0  # DISCONNECT
        return True


def hostile(folder: Path) -> Figures:
    folder.mkdir()
    port = free_port()
    daemon = Daemon(folder / "server", SITE.format(port=port))
    folders = Folders.of(daemon.state)
    agent: Agent | None = None
    try:
        daemon.start()
        desk = _desk(daemon.state, lambda: reload(folders))
        attacker = Attacker(port, folder / "keys")
        good, bad, revoked = (_station(desk, attacker, name) for name in ("cam-good", "cam-bad", "cam-gone"))
        desk.revoke("cam-gone")
        attacks = _attacks(desk, attacker, bad, revoked, folder)
        agent = Agent(folder, port, station="cam-good", pictures=[still(1), still(2)], every_s=0.2, tls=good)
        agent.start()
        wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
        refused = {name: sum(attack() for _time in range(TIMES)) for name, attack in attacks.items()}
        wait_until(lambda: sum(daemon.status().get("refused", {}).values()) >= TIMES * len(attacks), 10, daemon.said)
        agent.end()
        captured = agent.status()["acked"]
        counted = dict(daemon.status()["refused"])
    finally:
        if agent is not None:
            agent.end()
        daemon.end()
    rows = [row for row in daemon.rows() if row["station"] == "cam-good"]
    said = Counter(
        f"{line['station'] or 'unknown'}: {line['refusal']}"
        for line in daemon.lines("frame.receive")
        if "refusal" in line
    )
    others = len(daemon.rows()) - len(rows)
    let_in = TIMES * len(attacks) - sum(refused.values()) + others
    tried = dict.fromkeys(attacks, TIMES)
    return Figures(tried, let_in, counted, dict(said), captured, len(rows), max(map(_late_s, rows)))


def _attacks(desk: Desk, attacker: Attacker, bad: Tls, revoked: Tls, folder: Path) -> dict[str, Callable[[], bool]]:
    other = _desk(folder / "elsewhere", lambda: None)
    foreign = _station(other, attacker, "cam-good", folder="foreign", ca=desk.folders.ca)
    key = new_key()
    past = datetime.now(UTC) - timedelta(days=3 * 365)
    old = desk.authority.sign_station("cam-bad", read_request(signing_request(key)), past)
    expired = attacker.keep("expired", key, old.pem, desk.folders.ca)

    def heard(topic: str, body: bytes) -> Callable[[], bool]:
        # taken by the broker, which can't judge it; the daemon must refuse it
        return lambda: attacker.say(bad, [(topic, body)])

    return {
        "another authority's certificate": lambda: attacker.connect(foreign),
        "an expired certificate": lambda: attacker.connect(expired),
        "a revoked certificate": lambda: attacker.connect(revoked),
        "another station's topic": lambda: not attacker.say(bad, [(up_topic("cam-good", "frame"), b"false")]),
        "a payload of 50 MB": lambda: not attacker.say(bad, [(up_topic("cam-bad", "frame"), bytes(PAYLOAD_BYTES))]),
        "a topic of 64 KB": heard(f"{up_topic('cam-bad', 'frame')}{'x' * TOPIC_BYTES}", b"x"),
        "a topic that is no UTF-8": lambda: attacker.bad_utf8_topic(bad),
        "a payload that is no UTF-8": heard(up_topic("cam-bad", "health"), b'{"at": "\xff\xfe"}'),
    }


def _desk(state: Path, changed: Callable[[], object]) -> Desk:
    return open_desk(state, site="t", names=[HOST], clock=SystemClock(), list_changed=lambda: changed() and None)


def _station(desk: Desk, attacker: Attacker, name: str, *, folder: str = "", ca: Path | None = None) -> Tls:
    desk.add(StationRow(name, None, None, None, "", datetime.now(UTC), None))
    granted, key = desk.bundle(name)
    return attacker.keep(folder or name, key, granted.certificate, ca or desk.folders.ca)


def _late_s(row: dict[str, str]) -> float:
    received, captured = (datetime.fromisoformat(row[name]) for name in ("received_at", "captured_utc"))
    return (received - captured).total_seconds()
