"""`tigrillo agent run|status|test`, and the same on a Pi without typer: what they say, and with which exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.link import Broker, Link
from edge.messages import encode_acks, encode_refusal
from edge.wire import ALL_UP, FrameHeader, down_topic, read_topic

REPO = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO), "TIGRILLO_LANG": "en"}


@pytest.fixture
def site(tmp_path, broker) -> Path:
    """AGENT.yaml with one picture and this broker."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"a" * 5_000)
    path = tmp_path / "agent.yaml"
    path.write_text(
        f"station: cam-1\nbroker: {{host: 127.0.0.1, port: {broker.port}, keepalive_s: 5}}\n"
        "state_dir: state\nspool: {max_bytes: 1_000_000}\n"
        "camera: {use: replay, path: pictures, loop: true}\ntrigger: {use: interval, every_s: 1000}\n"
    )
    return path


def tell(*arguments: str | Path, module: str = "edge.cli", code: int = 0) -> str:
    """Run it; what it printed, both streams together."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPO, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def running(site: Path) -> Iterator[None]:
    """The agent runs, and has taken its first picture."""
    process = subprocess.Popen([sys.executable, "-m", "raspberry_pi.agent", str(site)], cwd=REPO, env=ENVIRONMENT)
    status = site.parent / "state" / "status.json"
    try:
        until = time.monotonic() + 10
        while not status.exists() or json.loads(status.read_text())["captured"] < 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@contextmanager
def server(port: int, *, refuses: bool = False) -> Iterator[None]:
    """Acknowledges, or refuses, every frame at once."""

    def take(message):
        address = read_topic(message.topic)
        if address.what != "frame":
            return
        frame_id = FrameHeader.from_properties(message.properties).id
        if refuses:
            link.publish(down_topic(address.station, "refused"), encode_refusal(frame_id, "id taken, in this test"))
        else:
            link.publish(down_topic(address.station, "ack"), encode_acks([frame_id]))

    def turn():
        while not stop.is_set():
            link.turn(0.1)

    stop = threading.Event()
    with Link(Broker("127.0.0.1", port), client_id="server", subscribe=ALL_UP, on_message=take) as link:
        link.connect()
        while not link.ready:
            link.turn(0.1)
        thread = threading.Thread(target=turn)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(5)


def test_without_a_subcommand_the_agent_runs_as_before(site, broker):
    site.write_text(site.read_text().replace("every_s: 1000", "every_s: 0.05") + "max_frames: 3\n")
    with server(broker.port):
        tell("agent", site)

    status = json.loads((site.parent / "state" / "status.json").read_text())
    assert (status["captured"], status["acked"], status["done"]) == (3, 3, True)


def test_status_before_the_first_run_says_so(site):
    assert "has not run yet" in tell("agent", "status", site, code=1)


@pytest.mark.parametrize(("module", "words"), [("edge.cli", ("agent", "status")), ("raspberry_pi.status", ())])
def test_status_tells_what_a_person_asks_first(site, broker, module, words):
    with server(broker.port), running(site):
        time.sleep(1.5)  # the next status has the ack
        text = tell(*words, site, module=module)
        found = json.loads(tell(*words, "--json", site, module=module))
    stopped = tell(*words, site, module=module, code=1)

    lines = dict(re.split(r" {2,}", line, maxsplit=1) for line in text.splitlines())
    assert lines["station"] == "cam-1"
    assert lines["agent"].startswith("runs for")
    assert lines["link"].startswith("connected")
    assert (lines["captured"], lines["arrived"], lines["dropped"]) == ("1", "1", "0")
    assert (found["running"], found["acked"], found["connected"]) == (True, 1, True)
    assert "does not run" in stopped


def test_the_way_of_one_picture_is_followed_to_the_ack(site, broker):
    with server(broker.port):
        text = tell("agent", "test", site)

    assert [line.split(":")[0] for line in text.splitlines()] == [
        f"✓ {hop}" for hop in ("camera", "spool", "name", "TCP", "MQTT", "ack")
    ]


def test_a_bare_pi_tests_in_the_same_way(site, broker):
    with server(broker.port):
        assert "✓ ack" in tell(site, module="raspberry_pi.test_link")


def failed_at(text: str) -> str:
    """The only line that is a fault, from its hop on."""
    [line] = [line for line in text.splitlines() if line.startswith("✗")]
    assert line == text.splitlines()[-1]
    return line.removeprefix("✗ ")


def test_each_hop_that_fails_is_named(site, broker, tmp_path):
    good = site.read_text()

    def at(old: str, new: str, *more: str) -> str:
        assert old in good
        site.write_text(good.replace(old, new))
        return failed_at(tell("agent", "test", *more, site, code=1))

    assert at("path: pictures", "path: nothing").startswith("camera: camera.path")
    assert at("max_bytes: 1_000_000", "max_bytes: 10").startswith("spool: no room")
    assert at("host: 127.0.0.1", "host: nothing.invalid").startswith("name: nothing.invalid")
    assert at(f"port: {broker.port}", "port: 1").startswith("TCP: 127.0.0.1:1: Connection refused")
    assert at("station", "station", "--wait", "1").startswith("ack: none in 1 s")
    assert "no more pictures" in at("loop: true", "loop: false")
    assert len(list((tmp_path / "state" / "spool").glob("*.frame"))) == 3, "they are kept for the agent"


def test_a_port_that_is_not_tls_is_told_at_tls(site, broker, tmp_path):
    subject = ["-subj", "/CN=nobody", "-days", "1", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made = ["openssl", "req", "-x509", *subject, "-keyout", tmp_path / "ca.key", "-out", tmp_path / "ca.crt"]
    subprocess.run(made, check=True, capture_output=True)
    site.write_text(site.read_text().replace("keepalive_s: 5}", "keepalive_s: 5, tls: {ca: ca.crt}}"))

    assert failed_at(tell("agent", "test", site, code=1)).startswith("TLS: 127.0.0.1")


def test_a_broker_that_does_not_let_us_in_is_told_at_mqtt(site, broker):
    broker.config.write_text(broker.config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.kill()
    broker.start()

    text = failed_at(tell("agent", "test", site, code=1))
    assert text.startswith("MQTT:")
    assert "Not authorized" in text


def test_a_server_that_refuses_is_told_with_its_reason(site, broker):
    with server(broker.port, refuses=True):
        text = failed_at(tell("agent", "test", site, code=1))

    assert text == "ack: the server refused the picture: id taken, in this test"


def test_while_the_agent_runs_its_spool_and_camera_are_its_own(site, broker):
    with running(site):
        text = failed_at(tell("agent", "test", site, code=1))

    assert text.startswith("spool: spool.folder")
    assert "another agent works here" in text


def test_faults_in_the_yaml_are_told_with_their_place_by_all_three(site):
    site.write_text(site.read_text().replace("use: interval", "use: sundial"))

    for words in (("run",), ("status",), ("test",)):
        assert "trigger.use" in tell("agent", *words, site, code=78)
