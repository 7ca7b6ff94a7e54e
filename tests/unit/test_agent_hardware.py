"""Lamp, day and night, and all of it together as the agent's loop uses it."""

import importlib
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from raspberry_pi.cameras.base import CameraError, Luma
from raspberry_pi.config import load
from raspberry_pi.hardware import Hardware
from raspberry_pi.hardware_config import LampSettings, Place, ProfileSettings
from raspberry_pi.lamp import Lamp
from raspberry_pi.profile import Profile

FAKES = Path(__file__).resolve().parents[1] / "fakes"
PI = """\
station: cam-1
broker: {host: 127.0.0.1}
spool: {folder: spool, max_bytes: 1000}
camera: {use: picamera2, size: 320x240, thumbnail: 100x60, warm_up_s: 0, burst: {count: 2, per_s: 30}}
triggers:
  - {use: pir, pin: 17, warm_up_s: 0, debounce_s: 0}
lamp: {pin: 27, settle_s: 0}
profile: {use: night}
"""


@pytest.fixture
def pins(monkeypatch):
    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


@pytest.fixture
def scene(monkeypatch):
    monkeypatch.syspath_prepend(str(FAKES))
    yield importlib.import_module("picamera2").scene
    for name in [name for name in sys.modules if name.partition(".")[0] == "picamera2"]:
        del sys.modules[name]


def hardware(folder, text=PI):
    (folder / "agent.yaml").write_text(text)
    return Hardware(load(folder / "agent.yaml"))


def test_the_lamp_is_on_by_night_only_while_pictures_are_taken(pins):
    lamp = Lamp(LampSettings(27, settle_s=0.0))
    pin, seen = pins.pin(27), []

    for night in (True, False):
        with lamp.lit(night=night):
            seen.append(pin.state)
        seen.append(pin.state)
    lamp.close()

    assert seen == [True, False, False, False]


def test_a_lamp_for_always_lights_by_day_and_one_that_pulls_down_is_off_when_high(pins):
    lamp = Lamp(LampSettings(27, active_high=False, when="always", settle_s=0.0))
    assert pins.pin(27).state

    with lamp.lit(night=False):
        assert not pins.pin(27).state
    assert pins.pin(27).state
    lamp.close()


def test_a_lamp_is_never_on_for_longer_than_it_may(pins, caplog):
    lamp = Lamp(LampSettings(27, settle_s=0.0, max_on_s=0.05))

    with lamp.lit(night=True):
        time.sleep(0.2)
        assert not pins.pin(27).state
    lamp.close()

    assert "lamp.max_on_s" in caplog.text


@pytest.mark.parametrize(
    ("hour", "night"), [(0, True), (5, True), (6, False), (12, False), (18, False), (19, True), (23, True)]
)
def test_night_by_the_clock_is_that_of_the_place(hour, night):
    clock = datetime(2026, 6, 1, (hour + 5) % 24, 0, tzinfo=UTC)
    profile = Profile(ProfileSettings("clock"), place=Place(timezone="America/Bogota"), clock=lambda: clock)

    assert profile.is_night() == night


@pytest.mark.parametrize(("hour", "night"), [(17, False), (22, False), (1, True), (9, True), (12, False)])
def test_night_by_the_sun(hour, night):
    clock = datetime(2026, 6, 1, hour, 30, tzinfo=UTC)  # Bogotá: sun from 10:45 to 23:05 UTC
    profile = Profile(ProfileSettings("sun"), place=Place(4.6, -74.1), clock=lambda: clock)

    assert profile.is_night() == night


def test_night_by_brightness_has_two_limits():
    seen = [200]
    profile = Profile(
        ProfileSettings("brightness"), place=Place(), clock=lambda: datetime.now(UTC),
        luma=lambda: Luma(2, 2, bytes([seen[0]] * 4)) if seen[0] else None,
    )  # fmt: skip

    answers = []
    for seen[0] in (200, 45, 20, 45, 0, 70, 45):
        answers.append(profile.is_night())

    assert answers == [False, False, True, True, True, False, False]


def test_a_movement_lights_the_lamp_takes_the_burst_and_counts(tmp_path, pins, scene):
    stop = threading.Event()
    with hardware(tmp_path) as trap:
        trap.start()
        pins.pin(17).drive_high()

        fired = trap.wait(stop, timeout_s=1)
        lit = [(shot.name, pins.pin(27).state) for shot in trap.shots(5)]

        assert fired == "pir"
        assert lit == [("00000005-0.jpg", True), ("00000005-1.jpg", True)]
        assert not pins.pin(27).state
        health = trap.health()
    assert (health["pir_count"], health["night"], health["camera"]) == (1, True, "picamera2")
    assert health["camera_error"] is None


def test_shots_that_are_not_used_up_leave_no_lamp_on(tmp_path, pins, scene):
    with hardware(tmp_path) as trap:
        shots = trap.shots(0)
        next(shots)
        shots.close()

        assert not pins.pin(27).state


def test_a_camera_that_is_not_there_is_told_and_tried_again(tmp_path, pins, scene):
    scene.cameras = 0
    with hardware(tmp_path) as trap:
        trap.start()
        assert "does not start" in trap.health()["camera_error"]
        with pytest.raises(CameraError):
            list(trap.shots(0))
        assert not pins.pin(27).state

        scene.cameras = 1
        assert len(list(trap.shots(1))) == 2
        assert trap.health()["camera_error"] is None


def test_a_trap_with_motion_alone_brings_its_camera_back(tmp_path, pins, scene, monkeypatch):
    text = PI.replace("use: night", "use: day").replace(
        "{use: pir, pin: 17, warm_up_s: 0, debounce_s: 0}", "{use: motion}"
    )
    stop = threading.Event()
    with hardware(tmp_path, text) as trap:
        trap.start()
        scene.fault = TimeoutError("no answer")
        assert trap.wait(stop, timeout_s=0) == ""
        assert "no answer" in trap.camera_error
        opened = scene.calls.count("open")
        time.sleep(0.6)
        trap.wait(stop, timeout_s=0)
        assert scene.calls.count("open") == opened, "not at every look"

        monkeypatch.setattr(trap, "_again_at_s", 0.0)
        time.sleep(0.6)
        trap.wait(stop, timeout_s=0)

        assert scene.calls.count("open") == opened + 1
        assert trap.camera_error == ""


def test_pins_are_given_back(tmp_path, pins, scene):
    for _ in range(2):
        with hardware(tmp_path) as trap:
            trap.start()


def test_a_change_of_schedule_may_speak_of_the_sun(tmp_path, pins, scene):
    with hardware(tmp_path, PI + "place: {latitude: 4.6, longitude: -74.1}\n") as trap:
        trap.set_schedule(["sunset-00:30", "06:00"])
        with pytest.raises(ValueError, match="no time of a day"):
            trap.set_schedule(["soon"])
