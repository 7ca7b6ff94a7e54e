"""The daemon on bad input: each thing leaves one record, nothing stops, nothing is written outside its folders."""

import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.store.sql import Store
from edge.wire import FrameHeader, up_topic

SITE = """
site: {{language: en, timezone: America/Bogota}}
sources:
  - {{use: watch, folder: inbox, settle_s: 0.3, rescan_s: 1}}
  - {{use: mqtt, host: 127.0.0.1, port: {port}}}
stages:
  - {{use: motion}}
  - {{use: detect}}
  - {{use: classify}}
  - {{use: rollup}}
channels:
  - {{name: screen, use: console}}
rules:
  - {{name: canids, taxon: Canidae, channels: [screen]}}
"""


class Daemon:
    """A running `tigrillo run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "daemon.log"
        self.url = f"sqlite:///{folder / 'state' / 'tigrillo.sqlite'}"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "edge.cli", "run", str(self.folder / "site.yaml"), "--log-json"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.until(lambda: "site.started" in self.log.read_text())

    def until(self, true: Callable[[], bool], timeout_s: float = 40) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def counts(self) -> dict[str, int]:
        with Store(self.url, read_only=True) as store:
            return store.counts()

    def quarantined(self) -> dict[str, str]:
        with Store(self.url, read_only=True) as store:
            return dict(store.quarantined())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def daemon(models_dir, broker, tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "site.yaml").write_text(SITE.format(port=broker.port))
    running = Daemon(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


def publish(port: int, topic: str, body: bytes, header: FrameHeader | None) -> None:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "test-camera", protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    properties = Properties(PacketTypes.PUBLISH)
    if header:
        properties.UserProperty = header.to_properties()
    client.publish(topic, body, 1, properties=properties).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def header_of(body: bytes, **changes: object) -> FrameHeader:
    values = {
        "id": "feedc0de-00000001",
        "sha256": hashlib.sha256(body).hexdigest(),
        "captured_at": datetime.now(UTC),
        "boot": "feedc0de",
        "seq": 1,
        "kind": "still",
        "name": "a.jpg",
    }
    return FrameHeader(**{**values, **changes})


@pytest.mark.timeout(150)
def test_bad_input_is_recorded_and_the_daemon_goes_on(daemon, broker, shared_media):
    inbox, fox = daemon.folder / "inbox" / "cam-07", shared_media / "stills" / "ena24_4383.jpg"
    outside_before = {path for path in daemon.folder.parent.rglob("*") if daemon.folder not in path.parents}
    inbox.mkdir()
    (inbox / "empty.jpg").write_bytes(b"")
    (inbox / "text.jpg").write_text("a letter\n" * 100)
    (daemon.folder / "inbox" / "cam|07").mkdir()
    shutil.copy(fox, daemon.folder / "inbox" / "cam|07" / "a.jpg")
    body = fox.read_bytes()
    daemon.until(lambda: "mqtt.connected" in daemon.log.read_text())  # before that a broker keeps nothing for it

    publish(broker.port, "wc/1/cam-08/up/frame", body, header_of(body, sha256="0" * 64))
    publish(broker.port, "wc/1/cam-08/up/nonsense", b"what is this", None)
    publish(broker.port, "wc/1/cam-08/up/frame", b"no header", None)
    publish(broker.port, up_topic("cam-08", "frame"), body, header_of(body))
    shutil.copy(fox, inbox / "fox.jpg")
    shutil.copy(fox, inbox / "the same again.jpg")
    daemon.until(lambda: daemon.counts().get("recorded") == 2 and daemon.counts()["quarantine"] >= 6)

    reasons = daemon.quarantined()
    assert len(reasons) >= 6
    for part in ("empty.jpg", "text.jpg", "cam|07", "nonsense", "cam-08"):
        assert any(part in name for name in reasons), (part, reasons)
    assert any("SHA-256" in reason for reason in reasons.values())
    assert {path for path in daemon.folder.parent.rglob("*") if daemon.folder not in path.parents} == outside_before
    assert (inbox / "fox.jpg").read_bytes() == body
    with Store(daemon.url, read_only=True) as store:
        outcomes = list(store.recorded())
    assert {outcome.spooled.station for outcome in outcomes} == {"cam-07", "cam-08"}
    assert all("Canidae" in outcome.detections()[0].answer.taxon.lineage for outcome in outcomes)
    daemon.until(lambda: daemon.counts().get("alerts_sent") == 2)
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log.read_text()


@pytest.mark.timeout(120)
def test_replay_tells_what_each_stage_does_with_a_recorded_frame(daemon, shared_media):
    (daemon.folder / "inbox" / "cam-07").mkdir()
    shutil.copy(shared_media / "stills" / "ena24_4383.jpg", daemon.folder / "inbox" / "cam-07" / "fox.jpg")
    daemon.until(lambda: daemon.counts().get("recorded") == 1)
    with Store(daemon.url, read_only=True) as store:
        (outcome,) = store.recorded()

    site = daemon.folder / "site.yaml"
    command = [sys.executable, "-m", "edge.cli", "replay", outcome.spooled.id, "--site", str(site), "--trace"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, timeout=60)

    assert told.returncode == 0, told.stderr
    trace = json.loads(as_json.stdout)
    assert [step["stage"] for step in trace["trace"]] == ["motion", "detect", "classify", "rollup"]
    assert all(step["ms"] > 0 for step in trace["trace"])
    assert trace["now"] == trace["recorded"]
    assert "Canidae" in trace["now"][0]
    for word in ("decode", "motion", "detect", "classify", "rollup", "Canidae"):
        assert word in told.stdout


@pytest.mark.timeout(120)
def test_a_second_daemon_of_a_site_ends_with_one_line(daemon):
    command = [sys.executable, "-m", "edge.cli", "run", str(daemon.folder / "site.yaml")]

    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert second.returncode == 1
    assert "another tigrillo runs this site" in second.stderr
    assert "Traceback" not in second.stderr


def bare_site(folder: Path) -> list[str]:
    """The command for a site that watches a folder and needs no model."""
    (folder / "inbox").mkdir()
    site = "sources: [{use: watch, folder: inbox, settle_s: 0.2, rescan_s: 1}]\nstages: [{use: motion}]\n"
    (folder / "site.yaml").write_text(site)
    return [sys.executable, "-m", "edge.cli", "run", str(folder / "site.yaml")]


def recorded(folder: Path, timeout_s: float = 20) -> int:
    """How many frames are recorded, once there is one."""
    deadline = time.monotonic() + timeout_s
    found = 0
    while not found and time.monotonic() < deadline:
        time.sleep(0.1)
        if (folder / "state" / "status.json").exists():
            with Store(f"sqlite:///{folder / 'state' / 'tigrillo.sqlite'}", read_only=True) as store:
                found = store.counts().get("recorded", 0)
    return found


def test_a_log_on_a_full_disk_stops_nothing(shared_media, tmp_path):
    command = bare_site(tmp_path)
    shutil.copy(shared_media / "stills" / "blank.jpg", tmp_path / "inbox")

    with Path("/dev/full").open("wb") as full, subprocess.Popen(command, stderr=full) as process:
        assert recorded(tmp_path) == 1
        assert process.poll() is None
        process.terminate()
        process.wait(30)


def test_a_watchdog_that_went_away_stops_nothing_and_the_end_is_orderly(shared_media, tmp_path):
    command = bare_site(tmp_path)
    environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        assert listener.recv(100) == b"READY=1"
    (tmp_path / "notify").unlink()
    time.sleep(2)  # two heartbeats that nobody hears
    shutil.copy(shared_media / "stills" / "blank.jpg", tmp_path / "inbox")

    assert recorded(tmp_path) == 1
    process.terminate()
    assert process.wait(30) == 0
    assert json.loads((tmp_path / "state" / "status.json").read_text())["stopped"] is True


def test_sigterm_ends_the_daemon_soon_while_another_process_holds_the_database(shared_media, tmp_path):
    command = bare_site(tmp_path)
    shutil.copy(shared_media / "stills" / "blank.jpg", tmp_path / "inbox")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert recorded(tmp_path) == 1
    with closing(sqlite3.connect(tmp_path / "state" / "tigrillo.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(3)

        process.terminate()

        assert process.wait(20) == 0  # systemd gives 60 s


@pytest.mark.timeout(120)
def test_the_watchdog_is_fed_while_the_workers_answer(models_dir, tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "site.yaml").write_text("sources:\n  - {use: watch, folder: inbox}\nstages:\n  - {use: detect}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        command = [sys.executable, "-m", "edge.cli", "run", str(tmp_path / "site.yaml")]
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            heard = [listener.recv(100) for _ in range(4)]
            os.kill(process.pid, signal.SIGTERM)
            heard += [listener.recv(100)]
            while heard[-1] != b"STOPPING=1":
                heard += [listener.recv(100)]

    assert heard[0] == b"READY=1"
    assert set(heard[1:-1]) == {b"WATCHDOG=1"}
    assert process.returncode == 0
