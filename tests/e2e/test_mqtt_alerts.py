"""Channel `mqtt` against a real mosquitto: what another program, such as Home Assistant, finds there."""

import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.clock import SystemClock
from edge.errors import ConfigError, NoticeRefused, NotifyError
from edge.hookspecs import ChecksOnline, Observes
from edge.model import Event
from edge.registry import load_registry
from edge.services import Station
from edge.testing import check_notifier_contract, fake_services, notice
from plugins.notifiers.home_assistant import Topics
from tests.e2e.waiting import free_port, wait_until
from tests.unit.home_assistant_rules import faults_of

SPEC = load_registry().notifiers["mqtt"]
TOPICS = Topics("tigrillo", "homeassistant")
NOW = dt.datetime(2026, 11, 22, 2, 14, tzinfo=dt.UTC)
PICTURE = b"\xff\xd8\xff\xe0 a picture \x00\xff\xd9"
ONLINE = Event("station.online", NOW, station="cam-03")
OFFLINE = Event("station.offline", NOW, ok=False, station="cam-03")
HEALTH = Event(
    "station.health",
    NOW,
    station="cam-03",
    fields={"health": {"temperature_c": 41.5, "supply_low": True, "battery": {"volts": 12.1}}, "drifts": False},
)


@dataclass
class HomeAssistant:
    """Somebody else on the broker: all that was published, in order, and what the broker holds by now."""

    client: Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    holds: dict[str, bytes] = field(default_factory=dict)

    def note(self, _client, _data, message):
        self.heard.append((message.topic, message.payload))
        self.holds[message.topic] = message.payload

    def json(self, topic):
        return json.loads(self.holds[topic])

    def has(self, topic, body=None):
        return topic in self.holds and (body is None or self.holds[topic] == body)

    def topics(self):
        return [topic for topic, _body in self.heard]


@contextmanager
def home_assistant(port: int) -> Iterator[HomeAssistant]:
    """Connected and subscribed to everything; what is retained comes first."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    found, subscribed = HomeAssistant(client), threading.Event()
    client.on_message = found.note
    client.on_subscribe = lambda *_args: subscribed.set()
    client.on_connect = lambda *_args: client.subscribe("#", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert subscribed.wait(5)
        yield found
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def channel(port: int, services=None, **options):
    config = SPEC.config.model_validate({"host": "127.0.0.1", "port": port, "timeout_s": 5, **options})
    stations = {"cam-03": Station("cam-03")}
    services = services or fake_services(stations=stations, clock=SystemClock())
    with SPEC.build(config, services) as notifier:
        yield notifier


def configure(broker, more: str, *, everybody: bool = True) -> None:
    """Start it anew with more lines in mosquitto.conf. everybody: also those without a password."""
    broker.kill()
    text = broker.config.read_text() + more
    if not everybody:
        text = text.replace("allow_anonymous true", "allow_anonymous false")
    if os.geteuid() == 0:
        text += "user root\n"  # started by root it would become `mosquitto`, who may not read a test's files
    broker.config.write_text(text)
    broker.start()


def test_the_channel_keeps_the_contract(broker):
    config = SPEC.config(host="127.0.0.1", port=broker.port)

    with home_assistant(broker.port) as there:
        check_notifier_contract(SPEC, config, notice(), fake_services(clock=SystemClock()), picture=PICTURE)
        wait_until(lambda: there.topics().count("tigrillo/notice/cam-03") == 3 or there.has("tigrillo/notice"))

    assert there.topics().count("tigrillo/notice/cam-03") == 3
    with channel(broker.port) as notifier:
        assert isinstance(notifier, ChecksOnline)
        assert isinstance(notifier, Observes)


def test_an_alert_is_there_with_its_picture_and_home_assistant_knows_the_station(broker):
    with home_assistant(broker.port) as there, channel(broker.port) as notifier:
        notifier.send(notice(link="https://example.org/s/1"), picture=PICTURE)
        wait_until(lambda: there.has("tigrillo/notice/cam-03"))

    device = there.json(TOPICS.config("cam-03"))
    parts = device["components"]
    event, sighting = there.json(parts["notice"]["state_topic"]), there.json(parts["sighting"]["state_topic"])
    assert faults_of(TOPICS.config("cam-03"), device) == []
    assert faults_of(TOPICS.config(""), there.json(TOPICS.config(""))) == []
    assert there.holds[parts["picture"]["image_topic"]] == PICTURE
    assert there.holds[parts["animal"]["state_topic"]] == b"ON"
    assert there.holds[parts["person"]["state_topic"]] == b"OFF"
    assert event["event_type"] == "animal"
    assert event["event_type"] in parts["notice"]["event_types"]
    assert {key: sighting[key] for key in ("what", "scientific", "score", "severity", "rule", "code", "link")} == {
        "what": "Jaguar", "scientific": "Panthera onca", "score": 0.93, "severity": "warning", "rule": "big cats",
        "code": "7F2K", "link": "https://example.org/s/1",
    }  # fmt: skip
    assert sighting["captured_at"] == "2026-06-01T12:00:00Z"
    told = there.json("tigrillo/notice/cam-03")
    assert (told["key"], told["alert"]["species"]["scientific_name"]) == ("17/ana-sms/0", "Panthera onca")
    order = there.topics()
    assert order.index(TOPICS.config("cam-03")) < order.index(parts["picture"]["image_topic"])
    assert order.index(parts["picture"]["image_topic"]) < order.index("tigrillo/notice/cam-03")


def test_what_stays_is_retained_and_what_happens_is_not(broker):
    with channel(broker.port) as notifier:
        notifier.send(notice(), picture=PICTURE)
    with home_assistant(broker.port) as later:
        wait_until(lambda: later.has("tigrillo/availability"))
        time.sleep(0.2)

    assert later.has("tigrillo/station/cam-03/picture", PICTURE)
    assert later.has("tigrillo/station/cam-03/sighting")
    assert later.has("tigrillo/availability", b"offline")
    assert "tigrillo/notice/cam-03" not in later.holds
    assert "tigrillo/station/cam-03/event" not in later.holds
    assert later.holds["tigrillo/station/cam-03/animal"] == b"OFF"


def test_a_notice_about_no_station_and_a_hostile_name_stay_on_the_site_s_topic(broker):
    with home_assistant(broker.port) as there, channel(broker.port) as notifier:
        notifier.send(notice(kind="health", station="", alert=None), picture=b"")
        for hostile in ("a/b", "#", "../../homeassistant/x"):
            notifier.send(notice(station=hostile), picture=PICTURE)
        wait_until(lambda: there.topics().count("tigrillo/notice") == 4)

    assert {topic.split("/")[0] for topic in there.topics()} == {"tigrillo", "homeassistant"}
    assert {topic for topic in there.topics() if topic.startswith("tigrillo/station/")} == {
        f"tigrillo/station/cam-03/{category}" for category in ("animal", "person", "vehicle")
    }
    assert there.json("tigrillo/event")["station"] == "../../homeassistant/x"


def test_states_follow_the_stations_and_new_readings_become_entities(broker):
    with home_assistant(broker.port) as there, channel(broker.port) as notifier:
        for event in (ONLINE, HEALTH):
            notifier.observe(event)
        wait_until(lambda: there.has("tigrillo/station/cam-03/health"))
        online = there.has("tigrillo/station/cam-03/state", b"online")
        notifier.observe(OFFLINE)
        wait_until(lambda: there.has("tigrillo/station/cam-03/state", b"offline"))

    device = there.json(TOPICS.config("cam-03"))
    assert online
    assert faults_of(TOPICS.config("cam-03"), device) == []
    assert {"temperature_c", "supply_low", "battery_volts"} <= device["components"].keys()
    assert there.json("tigrillo/station/cam-03/health")["temperature_c"] == 41.5


def test_a_broker_that_was_restarted_and_forgot_everything_is_told_again(broker):
    services = fake_services(stations={"cam-03": Station("cam-03")}, clock=SystemClock())
    with channel(broker.port, services) as notifier:
        notifier.observe(HEALTH)
        notifier.send(notice(), picture=PICTURE)
        broker.kill()
        with pytest.raises(NotifyError, match=f"127.0.0.1:{broker.port}: "):
            notifier.send(notice(key="2"), picture=PICTURE)
        notifier.observe(OFFLINE)
        broker.start()
        with home_assistant(broker.port) as there:
            notifier.send(notice(key="3"), picture=PICTURE)
            wait_until(lambda: there.has("tigrillo/notice/cam-03"))

    assert there.json("tigrillo/notice/cam-03")["key"] == "3"
    assert there.has("tigrillo/station/cam-03/state", b"offline")
    assert there.json("tigrillo/station/cam-03/health")["temperature_c"] == 41.5
    assert "temperature_c" in there.json(TOPICS.config("cam-03"))["components"]
    assert there.topics().count("tigrillo/notice/cam-03") == 1


def test_home_assistant_that_starts_is_told_everything(broker):
    with home_assistant(broker.port) as there, channel(broker.port) as notifier:
        notifier.observe(ONLINE)
        wait_until(lambda: there.has("tigrillo/station/cam-03/state"))
        there.heard.clear()

        there.client.publish("homeassistant/status", b"offline")
        there.client.publish("homeassistant/status", b"online")
        wait_until(lambda: "tigrillo/station/cam-03/state" in there.topics())

    config, state = TOPICS.config("cam-03"), "tigrillo/station/cam-03/state"
    order = there.topics()
    assert order.count(config) == order.count(state) == 1
    assert order.index(TOPICS.config("")) < order.index(config) < order.index(state)


def test_a_revoked_station_is_taken_out_of_home_assistant(broker):
    revoked = set()
    services = fake_services(
        stations={"cam-03": Station("cam-03")}, clock=SystemClock(), is_allowed=lambda name: name not in revoked
    )
    with channel(broker.port, services) as notifier:
        notifier.send(notice(), picture=PICTURE)
    revoked.add("cam-03")
    with home_assistant(broker.port) as there:
        wait_until(lambda: there.has("tigrillo/station/cam-03/picture", PICTURE))
        with channel(broker.port, services) as notifier:
            notifier.observe(Event("record", NOW))
            wait_until(lambda: there.has("tigrillo/station/cam-03/picture", b""))

    assert {topic for topic, body in there.holds.items() if body} == {"tigrillo/availability", TOPICS.config("")}


def test_a_picture_of_two_megabytes_arrives(broker):
    large = bytes(range(256)) * 7812

    with home_assistant(broker.port) as there, channel(broker.port) as notifier:
        notifier.send(notice(), picture=large)
        wait_until(lambda: there.has("tigrillo/notice/cam-03"))

    assert len(large) > 1_999_000
    assert there.holds["tigrillo/station/cam-03/picture"] == large


def test_a_picture_that_is_too_large_for_the_broker_does_not_cost_the_alert(broker):
    configure(broker, "max_packet_size 100000\n")
    services = fake_services(clock=SystemClock())

    with home_assistant(broker.port) as there, channel(broker.port, services) as notifier:
        notifier.send(notice(), picture=bytes(100_000))
        wait_until(lambda: there.has("tigrillo/notice/cam-03"))

    assert "tigrillo/station/cam-03/picture" not in there.holds
    [said] = [entry for entry in services.log.entries if entry[1] == "mqtt_alerts.not_taken"]
    assert "100000 bytes on tigrillo/station/cam-03/picture" in said[2]["reason"]


def test_a_broker_that_is_not_there_is_named_at_once(broker):
    broker.kill()

    with channel(broker.port) as notifier:
        began_s = time.monotonic()
        with pytest.raises(NotifyError, match=f"127.0.0.1:{broker.port}: Connection refused"):
            notifier.send(notice(), picture=PICTURE)
        with pytest.raises(NotifyError, match="Connection refused"):
            notifier.check()

    assert time.monotonic() - began_s < 3


def test_a_broker_that_hangs_costs_the_time_out_and_no_more():
    with socket.create_server(("127.0.0.1", 0)) as silent, channel(silent.getsockname()[1], timeout_s=0.5) as notifier:
        began_s = time.monotonic()
        for _ in range(2):
            with pytest.raises(NotifyError, match="no answer within"):
                notifier.send(notice(), picture=PICTURE)
        spent_s = time.monotonic() - began_s

    assert 1.0 <= spent_s < 2.0


def test_events_are_taken_at_once_whatever_the_broker_does(broker):
    broker.kill()

    with channel(broker.port) as notifier:
        began_s = time.monotonic()
        for _ in range(5_000):
            notifier.observe(ONLINE)
            notifier.observe(Event("record", NOW, station="cam-03"))
        spent_s = time.monotonic() - began_s

    assert spent_s < 1.5


def test_who_may_not_log_in_is_told_by_the_check_and_an_alert_waits(broker, monkeypatch):
    monkeypatch.setenv("BROKER_PASSWORD", "correct horse")
    configure(broker, "", everybody=False)

    with channel(broker.port, username="ranger", password={"env": "BROKER_PASSWORD"}) as notifier:
        with pytest.raises(NoticeRefused, match="refused the connection: Not authorized"):
            notifier.check()
        with pytest.raises(NotifyError, match="refused the connection") as refused:
            notifier.send(notice(), picture=PICTURE)

        assert "correct horse" not in f"{notifier!r} {refused.value} {notifier.services.log.entries}"


def test_a_login_that_is_right_is_taken(broker, monkeypatch, tmp_path):
    monkeypatch.setenv("BROKER_PASSWORD", "correct horse")
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "ranger", "correct horse"], check=True)
    configure(broker, f"password_file {users}\n", everybody=False)

    with channel(broker.port, username="ranger", password={"env": "BROKER_PASSWORD"}) as notifier:
        notifier.send(notice(), picture=PICTURE)

        assert notifier.check() == (
            f"broker 127.0.0.1:{broker.port} takes what is published under homeassistant, tigrillo"
        )


def test_who_may_not_publish_there_is_told_so(broker, tmp_path):
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic write tigrillo/#\n")
    configure(broker, f"acl_file {rights}\n")

    with channel(broker.port) as notifier:
        with pytest.raises(NoticeRefused, match=r"homeassistant/.*/check was refused: Not authorized"):
            notifier.check()
        notifier.send(notice(), picture=PICTURE)  # what it shows in Home Assistant is not the notice
    with channel(broker.port, base="other") as notifier, pytest.raises(NotifyError, match="Not authorized"):
        notifier.send(notice(), picture=PICTURE)


def test_a_channel_that_dies_is_shown_as_gone(broker, tmp_path):
    script = tmp_path / "channel.py"
    script.write_text(
        "import sys, time\n"
        "from edge.testing import fake_services, notice\n"
        "from plugins.notifiers.mqtt_out import SPEC\n"
        "config = SPEC.config(host='127.0.0.1', port=int(sys.argv[1]))\n"
        "with SPEC.build(config, fake_services()) as notifier:\n"
        "    notifier.send(notice(), picture=b'')\n"
        "    time.sleep(30)\n"
    )
    with home_assistant(broker.port) as there:
        repo = Path(__file__).resolve().parents[2]
        with subprocess.Popen([sys.executable, script, str(broker.port)], cwd=repo) as process:
            wait_until(lambda: there.has("tigrillo/notice/cam-03"))
            alive = there.has("tigrillo/availability", b"online")
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: there.has("tigrillo/availability", b"offline"))

    assert alive


def certificate(folder: Path, *, name: str) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / f"{name}.pem", folder / f"{name}-key.pem"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


def test_the_connection_is_encrypted_and_the_certificate_is_checked(broker, tmp_path):
    pem, key = certificate(tmp_path, name="home")
    other, _key = certificate(tmp_path, name="other")
    port = free_port()
    configure(broker, f"listener {port} 127.0.0.1\ncertfile {pem}\nkeyfile {key}\n")

    with home_assistant(broker.port) as there, channel(port, tls=True, ca=pem) as notifier:
        notifier.send(notice(), picture=PICTURE)
        wait_until(lambda: there.has("tigrillo/notice/cam-03"))
    with channel(port, tls=True, ca=other) as notifier, pytest.raises(NotifyError, match="certificate"):
        notifier.send(notice(), picture=PICTURE)
    with pytest.raises(ConfigError, match="there is no such file"), channel(port, tls=True, ca=tmp_path / "none.pem"):
        pass


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"base": "a/#"}, "can't begin a topic"),
        ({"base": "/a"}, "can't begin a topic"),
        ({"base": "wc/1"}, "can't begin a topic"),
        ({"discovery_prefix": "$SYS"}, "can't begin a topic"),
        ({"password": {"env": "X"}}, "needs a `username`"),
        ({"ca": "ca.pem"}, "need `tls: true`"),
        ({"tls": True, "cert": "c.pem"}, "go together"),
        ({"password": "plain", "username": "a"}, "does not stand in this file"),
    ],
)
def test_settings_that_can_t_be_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint.replace("$", "[$]")):
        SPEC.config.model_validate({"host": "h", **options})
