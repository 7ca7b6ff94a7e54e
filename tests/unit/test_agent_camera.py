"""The replay camera and the interval trigger."""

import threading
import time

import pytest

from raspberry_pi.camera import CameraError, Shot, open_camera
from raspberry_pi.config import CameraSettings, TriggerSettings
from raspberry_pi.trigger import open_trigger


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.JPG").write_bytes(b"b")
    (folder / "a.png").write_bytes(b"not a picture at all")
    (folder / "sub" / "c.mp4").write_bytes(b"c")
    (folder / "notes.txt").write_bytes(b"n")
    (folder / ".hidden.jpg").write_bytes(b"h")
    return folder


def test_files_are_sent_byte_for_byte_in_order_and_once(pictures):
    camera = open_camera(CameraSettings("replay", pictures))

    shots = [camera.capture(index) for index in range(4)]

    assert shots == [
        Shot(b"not a picture at all", "still", "a.png"),
        Shot(b"b", "still", "b.JPG"),
        Shot(b"c", "clip", "sub/c.mp4"),
        None,
    ]


def test_a_loop_begins_again_and_goes_on_where_the_last_run_was(pictures):
    camera = open_camera(CameraSettings("replay", pictures, loop=True))

    shot = camera.capture(3 * 1000 + 1)

    assert shot == Shot(b"b", "still", "b.JPG")


def test_one_file_may_be_the_camera(pictures):
    camera = open_camera(CameraSettings("replay", pictures / "sub" / "c.mp4"))

    assert camera.capture(0) == Shot(b"c", "clip", "c.mp4")
    assert camera.capture(1) is None


def test_a_file_that_went_away_is_an_error_of_this_shot_only(pictures):
    camera = open_camera(CameraSettings("replay", pictures))
    (pictures / "a.png").unlink()

    with pytest.raises(CameraError, match=r"a\.png"):
        camera.capture(0)
    assert camera.capture(1) is not None


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_camera_with_nothing_to_give_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()

    with pytest.raises(CameraError, match=name):
        open_camera(CameraSettings("replay", tmp_path / name))


def test_the_interval_fires_at_once_and_then_in_its_rhythm():
    trigger, stop, start = open_trigger(TriggerSettings("interval", 0.05)), threading.Event(), time.monotonic()

    fired = sum(trigger.wait(stop, timeout_s=1.0) for _ in range(5))

    assert fired == 5
    assert time.monotonic() - start >= 0.2


def test_the_interval_gives_its_caller_time_to_breathe_and_ends_on_stop():
    trigger, stop = open_trigger(TriggerSettings("interval", 3600)), threading.Event()
    trigger.wait(stop, timeout_s=0.01)

    assert not trigger.wait(stop, timeout_s=0.01)
    stop.set()
    assert not trigger.wait(stop, timeout_s=3600)
