"""Stations from token to revocation, against a real mosquitto, with real certificates."""

import base64
import json
import socket
import ssl
import stat
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge import wire
from edge.clock import SteppedClock, SystemClock
from edge.errors import FatalError
from edge.fakes import MemoryLog
from edge.link import Broker, Link, LinkLost, Will
from edge.stations.authority import Authority, read_request
from edge.stations.book import StationRow
from edge.stations.broker import BrokerPlace, PrivateBroker, throw_out, write_config
from edge.stations.broker import reload as reload_broker
from edge.stations.bundle import write_bundle
from edge.stations.desk import Desk, open_desk
from edge.stations.enrolment import open_enrolment
from edge.stations.folders import Folders
from edge.tls import Tls
from raspberry_pi.config import load
from raspberry_pi.enroll import EnrollError, enroll
from raspberry_pi.identity import Identity, expires_at, new_key, signing_request
from raspberry_pi.renew import renew_if_due
from tests.e2e.waiting import HOST, free_port, listens, wait_until

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Yard:
    """A site's desk and its running broker, with a folder for what Pis have."""

    desk: Desk
    place: BrokerPlace
    pis: Path

    def add(self, name: str) -> None:
        self.desk.add(StationRow(name, None, None, None, "", NOW, None))

    def station(self, name: str) -> Tls:
        """A station's identity, made as a Pi makes it, without the way over the network."""
        self.add(name)
        token = self.desk.invite(name, host=HOST, port=1)
        key = new_key()
        granted = self.desk.enroll(token.secret, signing_request(key))
        return self.keep(name, key, granted.certificate)

    def keep(self, name: str, key: bytes, certificate: str) -> Tls:
        folder = self.pis / name
        folder.mkdir(exist_ok=True)
        for file, body in (("key.pem", key), ("cert.pem", certificate.encode())):
            (folder / file).write_bytes(body)
        return Tls(self.desk.folders.ca, folder / "cert.pem", folder / "key.pem")

    @contextmanager
    def linked(self, tls: Tls, subscribe: str, **options) -> Iterator[tuple[Link, list]]:
        heard: list = []
        options = {"client_id": "any", "on_message": heard.append, **options}
        with Link(Broker(HOST, self.place.port, tls=tls), subscribe=subscribe, **options) as link:
            link.connect()
            turn_until(link, lambda: link.ready)
            yield link, heard


def turn_until(link: Link, condition, timeout_s: float = 10.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        link.turn(0.05)


def until_lost(link: Link, first=lambda: None) -> None:
    def go_on() -> None:
        first()
        turn_until(link, lambda: False)

    with pytest.raises(LinkLost):
        go_on()


@contextmanager
def running_broker(folders: Folders, port: int) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=PrivateBroker(folders, MemoryLog()).run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: listens(port))
        yield
    finally:
        stop.set()
        thread.join(10)


def test_a_broker_whose_port_is_taken_says_so(tmp_path):
    stop, reasons = threading.Event(), []
    with socket.create_server((HOST, 0)) as taken:
        place = BrokerPlace(HOST, taken.getsockname()[1], HOST)
        desk = open_desk(tmp_path / "state", site="t", names=[HOST], clock=SystemClock())
        write_config(desk.folders, place)
        broker = PrivateBroker(desk.folders, MemoryLog(), ended=reasons.append, place=place)
        thread = threading.Thread(target=broker.run, args=(stop,))
        thread.start()
        wait_until(lambda: reasons)
        stop.set()
        thread.join(10)

    assert reasons == [f"exit code 1; {HOST}:{place.port}: Address already in use"]


@pytest.fixture
def yard(tmp_path) -> Iterator[Yard]:
    state = tmp_path / "state"
    folders = Folders.of(state)
    desk = open_desk(state, site="t", names=[HOST], clock=SystemClock(), list_changed=lambda: reload_broker(folders))
    place = BrokerPlace(HOST, free_port(), HOST)
    write_config(folders, place)
    (tmp_path / "pis").mkdir()
    with running_broker(folders, place.port):
        yield Yard(desk, place, tmp_path / "pis")


@contextmanager
def enrolment(yard: Yard, desk: Desk | None = None) -> Iterator[int]:
    with open_enrolment(
        desk or yard.desk, listen=HOST, port=0, broker=(HOST, yard.place.port), log=MemoryLog()
    ) as port:
        yield port


def post(port: int, ca: Path, path: str, body: bytes, tls: Tls | None = None) -> tuple[int, dict]:
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    if tls and tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    request = urllib.request.Request(f"https://{HOST}:{port}{path}", data=body)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, json.load(exc)


def ask_to_enroll(yard: Yard, port: int, secret: bytes) -> tuple[int, dict]:
    body = {"token": base64.b32encode(secret).decode(), "csr": signing_request(new_key())}
    return post(port, yard.desk.folders.ca, "/v1/enroll", json.dumps(body).encode())


def test_a_pi_with_a_token_becomes_a_station_and_is_heard(yard, tmp_path):
    config = tmp_path / "pi" / "agent.yaml"
    yard.add("cámara-01")
    with enrolment(yard) as port:
        token = yard.desk.invite("cámara-01", host=HOST, port=port)
        done = enroll(token.text.lower().replace("-", " "), config)
    settings = load(config)
    files = settings.broker.tls
    assert files is not None
    tls = Tls(files.ca, files.cert, files.key)

    with (
        yard.linked(yard.desk.folders.identity, wire.ALL_UP) as (server, heard),
        yard.linked(tls, wire.down_topic("cámara-01", "+")) as (pi, answers),
    ):
        pi.publish(wire.up_topic("cámara-01", "health"), b"well")
        turn_until(server, lambda: heard)
        server.publish(wire.down_topic("cámara-01", "ack"), b"[]")
        server.turn(0.1)
        turn_until(pi, lambda: answers)

    assert done.station == settings.station == "cámara-01"
    assert (settings.broker.host, settings.broker.port) == (HOST, yard.place.port)
    assert (heard[0].topic, heard[0].body) == ("wc/1/cámara-01/up/health", b"well")
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_enrolling_needs_cryptography_and_nothing_else(yard, tmp_path):
    script = """
import sys
for name in ("yaml", "paho", "pydantic", "sqlalchemy", "typer", "rich", "numpy", "segno"):
    sys.modules[name] = None
from raspberry_pi.enroll import main
sys.exit(main(sys.argv[1:]))
"""
    config = tmp_path / "agent.yaml"
    yard.add("cam-01")
    with enrolment(yard) as port:
        token = yard.desk.invite("cam-01", host=HOST, port=port).text
        command = [sys.executable, "-c", script, token, "--config", config, "--folder", tmp_path / "keys"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        "ca.pem", "cert.pem", "enrolled.json", "key.pem"
    ]  # fmt: skip
    assert "keys/key.pem" in config.read_text()


def test_a_token_works_once(yard, tmp_path):
    yard.add("cam-01")
    with enrolment(yard) as port:
        token = yard.desk.invite("cam-01", host=HOST, port=port).text
        enroll(token, tmp_path / "one" / "agent.yaml")

        with pytest.raises(EnrollError, match="was used"):
            enroll(token, tmp_path / "two" / "agent.yaml")

    assert not (tmp_path / "two" / "agent.yaml").exists()


def test_a_token_ends_after_15_minutes(yard):
    clock = SteppedClock(NOW)
    desk = Desk(yard.desk.folders, yard.desk.authority, yard.desk.book, clock)
    yard.add("cam-01")
    early, late = desk.invite("cam-01", host=HOST, port=1), None
    with enrolment(yard, desk) as port:
        clock.step(14 * 60 + 59)
        in_time = ask_to_enroll(yard, port, early.secret)[0]
        late = desk.invite("cam-01", host=HOST, port=1)
        clock.step(15 * 60)
        too_late = ask_to_enroll(yard, port, late.secret)

    assert in_time == 200
    assert too_late == (403, {"error": "this token has expired: make a new one"})


def test_a_new_token_ends_the_one_before(yard):
    yard.add("cam-01")
    first = yard.desk.invite("cam-01", host=HOST, port=1)
    yard.desk.invite("cam-01", host=HOST, port=1)

    with enrolment(yard) as port:
        status, _said = ask_to_enroll(yard, port, first.secret)

    assert status == 403


def test_a_pi_tells_its_secret_to_no_other_server(yard, tmp_path):
    other = open_desk(tmp_path / "other", site="x", names=[HOST], clock=SystemClock())
    yard.add("cam-01")
    with enrolment(yard, other) as port:
        token = yard.desk.invite("cam-01", host=HOST, port=port)

        with pytest.raises(EnrollError, match="not the server that this token is from"):
            enroll(token.text, tmp_path / "pi" / "agent.yaml")

    assert yard.desk.book.find("cam-01").token_expires_at is not None


def test_the_enrolment_refuses_what_is_no_request(yard):
    ca = yard.desk.folders.ca
    with enrolment(yard) as port:
        answers = [
            post(port, ca, "/v1/enroll", b"x" * 20_000)[0],
            post(port, ca, "/v1/enroll", b"[" * 10_000)[0],
            post(port, ca, "/v1/enroll", b"{}")[0],
            post(port, ca, "/v1/renew", json.dumps({"csr": "x"}).encode())[0],
            post(port, ca, "/v2", b"{}")[0],
        ]

    assert answers == [413, 400, 400, 403, 404]


def test_the_enrolment_lets_nobody_guess(yard):
    with enrolment(yard) as port:
        answers = [ask_to_enroll(yard, port, bytes(10))[0] for _try in range(12)]

    assert answers == [403] * 10 + [429] * 2


def test_a_silent_connection_keeps_nobody_from_enrolling(yard):
    yard.add("cam-01")
    token = yard.desk.invite("cam-01", host=HOST, port=1)
    with enrolment(yard) as port, socket.create_connection((HOST, port)):
        status, _said = ask_to_enroll(yard, port, token.secret)

    assert status == 200


def test_a_station_may_neither_write_nor_read_under_another_name(yard):
    mine, theirs = yard.station("cam-01"), yard.station("cam-02")
    refused: dict[int, str] = {}
    with (
        yard.linked(yard.desk.folders.identity, wire.ALL_UP) as (server, heard),
        yard.linked(mine, wire.down_topic("cam-02", "+"), on_sent=refused.__setitem__) as (pi, overheard),
        yard.linked(theirs, wire.down_topic("cam-02", "+")) as (other, answers),
    ):
        pi.publish(wire.up_topic("cam-02", "health"), b"false")
        pi.publish(wire.down_topic("cam-02", "ack"), b"false")
        pi.publish("elsewhere", b"false")
        pi.publish(wire.up_topic("cam-01", "health"), b"true")
        turn_until(pi, lambda: len(refused) == 4)
        server.publish(wire.down_topic("cam-02", "ack"), b"[]")
        turn_until(server, lambda: heard)
        turn_until(other, lambda: answers)
        pi.turn(0.2)

    assert sorted(refused.values()) == ["", "Not authorized", "Not authorized", "Not authorized"]
    assert [message.body for message in heard] == [b"true"]
    assert [message.body for message in answers] == [b"[]"]
    assert overheard == []


def test_a_station_cannot_end_another_ones_session_by_its_client_id(yard):
    mine, theirs = yard.station("cam-01"), yard.station("cam-02")

    with yard.linked(theirs, wire.down_topic("cam-02", "+"), client_id="wc-cam-02") as (other, _):
        with yard.linked(mine, wire.down_topic("cam-01", "+"), client_id="wc-cam-02"):
            other.turn(0.3)
        other.publish(wire.up_topic("cam-02", "health"), b"here")
        turn_until(other, lambda: other._in_flight == 0)


def test_a_certificate_that_has_expired_is_refused_and_named(yard):
    key = new_key()
    long_ago = datetime.now(UTC) - timedelta(days=3 * 365)

    issued = yard.desk.authority.sign_station("cam-01", read_request(signing_request(key)), long_ago)

    with (
        pytest.raises(LinkLost, match="our certificate has expired"),
        yard.linked(yard.keep("cam-01", key, issued.pem), "x"),
    ):
        pass


def test_another_authoritys_station_is_refused(yard, tmp_path):
    other = open_desk(tmp_path / "other", site="t", names=[HOST], clock=SystemClock())
    other.add(StationRow("cam-01", None, None, None, "", NOW, None))
    granted, key = other.bundle("cam-01")

    with (
        pytest.raises(LinkLost, match="our certificate is"),
        yard.linked(yard.keep("cam-01", key, granted.certificate), "x"),
    ):
        pass


def test_a_client_without_a_certificate_is_refused(yard):
    with pytest.raises(LinkLost, match="wants a certificate"), yard.linked(Tls(yard.desk.folders.ca), "x"):
        pass


def test_a_false_broker_is_not_believed(yard, tmp_path):
    mine = yard.station("cam-01")
    other = open_desk(tmp_path / "other", site="t", names=[HOST], clock=SystemClock())

    with (
        pytest.raises(LinkLost, match="its certificate is not from our CA"),
        yard.linked(Tls(other.folders.ca, mine.cert_file, mine.key_file), "x"),
    ):
        pass


def test_a_revoked_station_is_thrown_out_at_once_and_stays_out(yard):
    tls = yard.station("cam-01")
    stays = yard.station("cam-02")
    lost: list[float] = []
    with (
        yard.linked(stays, wire.down_topic("cam-02", "+")) as (other, _),
        yard.linked(tls, wire.down_topic("cam-01", "+")) as (link, _),
    ):
        began = time.monotonic()

        def revoke() -> None:
            yard.desk.revoke("cam-01")
            assert throw_out(yard.desk, yard.place, "cam-01")

        thread = threading.Thread(target=revoke)
        thread.start()
        until_lost(link)
        lost.append(time.monotonic() - began)
        thread.join(10)
        with pytest.raises(LinkLost, match="our certificate is revoked"), yard.linked(tls, "x"):
            pass
        other.publish(wire.up_topic("cam-02", "health"), b"here")
        turn_until(other, lambda: other._in_flight == 0)

    assert lost[0] < 2


def test_a_revoked_station_is_welcome_again_with_a_new_certificate_only(yard):
    old = yard.station("cam-01")
    kept = (Path(old.cert_file).read_bytes(), Path(old.key_file).read_bytes())
    yard.desk.revoke("cam-01")
    new = yard.station("cam-01")
    time.sleep(0.3)  # the broker reads its list

    with yard.linked(new, wire.down_topic("cam-01", "+")):
        pass
    old_again = yard.keep("old", kept[1], kept[0].decode())
    with pytest.raises(LinkLost, match="revoked"), yard.linked(old_again, "x"):
        pass


def test_a_station_renews_its_certificate_in_time_and_keeps_its_key(yard, tmp_path):
    config = tmp_path / "pi" / "agent.yaml"
    past = SteppedClock(datetime.now(UTC) - timedelta(days=680))
    old_desk = Desk(yard.desk.folders, yard.desk.authority, yard.desk.book, past)
    yard.add("cam-01")
    with enrolment(yard, old_desk) as port:
        enroll(old_desk.invite("cam-01", host=HOST, port=port).text, config)
    settings = load(config)
    identity = Identity(config.parent / "identity")
    key, before = identity.key.read_bytes(), expires_at(identity.cert.read_bytes())
    now = datetime.now(UTC)

    with enrolment(yard) as port:
        identity.origin.write_text(json.dumps({"host": HOST, "port": port}))
        early = renew_if_due(settings, now - timedelta(days=30))
        renewed = renew_if_due(settings, now)
        again = renew_if_due(settings, now)

    assert (early, renewed, again) == (False, True, False)
    assert before - now < timedelta(days=60)
    assert expires_at(identity.cert.read_bytes()) - now > timedelta(days=729)
    assert identity.key.read_bytes() == key
    with yard.linked(identity.tls(), wire.down_topic("cam-01", "+")):
        pass


def test_a_revoked_station_cannot_renew(yard):
    tls = yard.station("cam-01")
    yard.desk.revoke("cam-01")
    body = json.dumps({"csr": signing_request(Path(tls.key_file).read_bytes())}).encode()

    with enrolment(yard) as port:
        status, said = post(port, yard.desk.folders.ca, "/v1/renew", body, tls)

    assert (status, "revoked" in said["error"]) == (403, True)


def test_what_is_too_large_ends_the_connection_and_not_the_broker(yard):
    tls = yard.station("cam-01")

    with yard.linked(tls, wire.down_topic("cam-01", "+")) as (link, _):
        until_lost(link, lambda: link.publish(wire.up_topic("cam-01", "frame"), bytes(50_000_000)))
    with yard.linked(tls, wire.down_topic("cam-01", "+")) as (link, _):
        link.publish(wire.up_topic("cam-01", "chunk"), bytes(wire.CHUNK_BYTES))
        turn_until(link, lambda: link._in_flight == 0)


def test_the_last_will_is_kept_for_who_comes_later(yard):
    tls = yard.station("cam-01")
    will = Will(wire.up_topic("cam-01", "status"), b"gone", retain=True)
    with yard.linked(tls, wire.down_topic("cam-01", "+"), will=will) as (link, _):
        link.publish(wire.up_topic("cam-01", "status"), b"here", retain=True)
        turn_until(link, lambda: link._in_flight == 0)
        throw_out(yard.desk, yard.place, "cam-01")
        until_lost(link)

    with yard.linked(yard.desk.folders.identity, wire.ALL_UP) as (server, heard):
        turn_until(server, lambda: heard)

    assert [message.body for message in heard] == [b"gone"]


def test_a_lost_half_of_the_authority_is_named_and_not_replaced(yard):
    yard.desk.folders.ca_key.unlink()

    with pytest.raises(FatalError, match="can't be read"):
        Authority.open_or_make(yard.desk.folders, site="t", now=NOW)


def test_a_bundle_is_a_whole_station(yard, tmp_path):
    yard.add("cam-01")
    out, pi = tmp_path / "cam-01.tar", tmp_path / "pi"
    write_bundle(yard.desk, "cam-01", out, agent_yaml="station: cam-01\n", origin=(HOST, 1))
    with tarfile.open(out) as tar:
        tar.extractall(pi, filter="data")
    identity = Identity(pi / "identity")

    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert stat.S_IMODE(identity.key.stat().st_mode) == 0o600
    with yard.linked(identity.tls(), wire.down_topic("cam-01", "+")):
        pass


def test_private_files_are_for_their_owner_alone(yard):
    private = [path for path in yard.desk.folders.folder.iterdir() if "key" in path.name]

    assert len(private) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(yard.desk.folders.folder.stat().st_mode) == 0o700
