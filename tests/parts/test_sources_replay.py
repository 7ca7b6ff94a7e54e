"""The replay source, and the settings of the mqtt source (its work is in tests/e2e)."""

import os
import threading
import time

import pytest
from pydantic import ValidationError

from edge.api import ConfigError, RefusedError
from edge.testing import MemoryLog, MemorySink, check_source_contract, fake_services
from plugins.sources import mqtt
from plugins.sources.replay import SPEC, ReplayConfig, build


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.jpg", "a.mp4", "sub/c.png", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def replay(config: ReplayConfig, sink: MemorySink, log: MemoryLog | None = None) -> None:
    with build(config, fake_services(log=log or MemoryLog())) as source:
        source.run(sink, threading.Event())


def test_each_file_is_handed_over_once_as_bytes_in_order_and_then_it_ends(folder):
    sink = MemorySink()

    replay(ReplayConfig(path=folder, station="cam-1", every_s=0), sink)

    assert [(each.name, each.kind, each.body) for each in sink.received] == [
        ("a.mp4", "clip", b"a.mp4"),
        ("b.jpg", "still", b"b.jpg"),
        ("sub/c.png", "still", b"sub/c.png"),
    ]
    assert {each.station for each in sink.received} == {"cam-1"}


def test_one_file_may_be_replayed(folder):
    sink = MemorySink()

    replay(ReplayConfig(path=folder / "b.jpg", every_s=0), sink)

    assert [each.name for each in sink.received] == ["b.jpg"]


def test_a_name_that_is_not_utf_8_is_made_readable(tmp_path):
    sink = MemorySink()
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"a picture")

    replay(ReplayConfig(path=tmp_path, every_s=0), sink)

    assert [(each.name, each.body) for each in sink.received] == [("caf\ufffd.jpg", b"a picture")]


def test_a_refused_file_is_said_and_the_next_one_follows(folder):
    sink, log = MemorySink(refusals=[RefusedError("no")]), MemoryLog()

    replay(ReplayConfig(path=folder, every_s=0), sink, log)

    assert [each.name for each in sink.received] == ["b.jpg", "sub/c.png"]
    assert [event for _, event, _ in log.entries] == ["replay.refused"]


def test_the_pause_between_files_ends_with_stop(folder):
    sink, stop = MemorySink(), threading.Event()
    with build(ReplayConfig(path=folder, every_s=3600), fake_services()) as source:
        thread = threading.Thread(target=source.run, args=(sink, stop))
        thread.start()
        assert sink.wait_for(1)
        time.sleep(0.05)
        stop.set()
        thread.join(5)

    assert not thread.is_alive()
    assert len(sink.received) == 1


def test_it_keeps_the_contract_of_a_source(folder):
    got = check_source_contract(SPEC, ReplayConfig(path=folder, every_s=0), fake_services(), expect=3)

    assert len(got) == 3


def test_a_station_that_may_not_be_a_folder_is_refused(folder):
    with pytest.raises(ValidationError, match="letters, digits"):
        ReplayConfig(path=folder, station="../x")


def test_a_broker_password_stands_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("BROKER_PASSWORD", "hush")

    config = mqtt.MqttConfig(password={"env": "BROKER_PASSWORD"})

    assert "hush" not in repr(config)
    with pytest.raises(ValidationError):
        mqtt.MqttConfig(password="hush")


def test_a_broker_password_that_is_not_there_stops_the_start(tmp_path):
    config = mqtt.MqttConfig(password={"file": tmp_path / "nowhere"})

    with pytest.raises(ConfigError, match="nowhere"), mqtt.build(config, fake_services()):
        pass


def test_a_broker_password_that_is_away_for_a_while_ends_nothing(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    config = mqtt.MqttConfig(password={"file": tmp_path / "password"})
    log, stop = MemoryLog(), threading.Event()
    with mqtt.build(config, fake_services(log=log)) as source:
        (tmp_path / "password").unlink()
        thread = threading.Thread(target=source.run, args=(MemorySink(), stop))
        thread.start()
        stop.wait(0.3)
        still_running = thread.is_alive()
        stop.set()
        thread.join(10)

    assert still_running
    ((_, event, fields),) = log.entries
    assert event == "mqtt.lost"
    assert "password" in fields["reason"]
