"""The camera on the ribbon cable: the agent's real code over a picamera2 without a Pi (tests/fakes)."""

import importlib
import io
import sys
import time
from pathlib import Path

import av
import pytest
from PIL import Image

from raspberry_pi.cameras import picamera2 as module
from raspberry_pi.cameras.base import CameraError
from raspberry_pi.cameras.opening import open_camera
from raspberry_pi.hardware_config import Burst, Clip, ControlSets, Picamera2Settings
from raspberry_pi.needs import HardwareError

FAKES = Path(__file__).resolve().parents[1] / "fakes"
SMALL = {"use": "picamera2", "size": (320, 240), "thumbnail": (100, 60), "warm_up_s": 0.0}


@pytest.fixture
def scene(monkeypatch):
    monkeypatch.syspath_prepend(str(FAKES))
    for name in [name for name in sys.modules if name.partition(".")[0] == "picamera2"]:
        monkeypatch.delitem(sys.modules, name)
    picamera2 = importlib.import_module("picamera2")
    yield picamera2.scene
    assert picamera2.CompletedRequest.alive == 0, "a picture was not given back"
    for name in [name for name in sys.modules if name.partition(".")[0] == "picamera2"]:
        del sys.modules[name]


@pytest.fixture
def opened(scene):
    cameras = []

    def make(**settings):
        cameras.append(open_camera(Picamera2Settings(**(SMALL | settings))))
        cameras[-1].start()
        return cameras[-1]

    yield make
    for camera in cameras:
        camera.close()


def test_a_still_is_a_jpeg_of_its_size_with_a_thumbnail_of_its_own(opened, scene):
    scene.level = 180
    camera = opened()

    [shot] = list(camera.capture(7))

    still, thumbnail = Image.open(io.BytesIO(shot.body)), Image.open(io.BytesIO(shot.thumbnail))
    assert (shot.kind, shot.name, still.size, thumbnail.size) == ("still", "00000007-0.jpg", (320, 240), (100, 60))
    assert thumbnail.convert("L").getpixel((50, 30)) == pytest.approx(180, abs=6)


def test_a_burst_takes_its_pictures_one_by_one_in_its_rhythm(opened, monkeypatch):
    camera = opened(burst=Burst(count=3, per_s=20))
    slept, real = [], time.sleep
    monkeypatch.setattr(module.time, "sleep", lambda seconds: (slept.append(seconds), real(seconds)))

    shots = list(camera.capture(0))

    assert [shot.name for shot in shots] == ["00000000-0.jpg", "00000000-1.jpg", "00000000-2.jpg"]
    assert sum(slept) <= 0.1


def test_a_clip_begins_before_the_trigger_and_plays_when_it_is_cut(opened):
    camera = opened(clip=Clip(before_s=0.4, after_s=0.4, per_s=25, bits_per_s=500_000))
    time.sleep(0.8)

    *_, clip = camera.capture(3)

    assert (clip.kind, clip.name) == ("clip", "00000003.mp4")
    whole, cut = play(clip.body), play(clip.body[: len(clip.body) * 2 // 3])
    assert clip.body[4:8] == b"ftyp"
    assert whole[1] > 0.7, "0.4 s before and 0.4 s after"
    assert whole[1] < 2.5
    assert 0 < cut[0] < whole[0]


def play(body: bytes) -> tuple[int, float]:
    """Pictures and seconds in a video, as far as it goes."""
    count, last = 0, 0.0
    with av.open(io.BytesIO(body)) as video:
        try:
            for frame in video.decode(video=0):
                count, last = count + 1, float(frame.time)
        except av.error.InvalidDataError:
            pass  # where it was cut
    return count, last


def test_the_night_has_controls_of_its_own(opened, scene):
    camera = opened(controls=ControlSets(day=(("Saturation", 1.0),), night=(("Saturation", 0.0), ("AeEnable", False))))

    list(camera.capture(0, night=True))
    assert scene.controls == {"Saturation": 0.0, "AeEnable": False}
    list(camera.capture(1, night=False))
    assert scene.controls["Saturation"] == 1.0


def test_a_clip_that_nobody_takes_does_not_fill_the_memory(opened):
    camera = opened(clip=Clip(before_s=0.1, after_s=0.5, per_s=30, bits_per_s=500_000))
    shots = camera.capture(0)
    next(shots)

    shots.close()
    time.sleep(0.5)

    assert len(camera._preroll.take()) < 40  # 30 a second, a key picture each second


def test_a_stopped_camera_runs_only_for_its_pictures(opened, scene):
    camera = opened(standby="stopped")
    assert "start" not in scene.calls
    assert camera.luma() is None

    list(camera.capture(0))

    assert scene.calls == ["open", "start", "stop"]


def test_what_it_sees_is_small_and_grey(opened, scene):
    scene.level = 77
    camera = opened(size=(640, 480), thumbnail=(480, 270))

    luma = camera.luma()

    assert 60 <= luma.width <= 70
    assert len(luma.pixels) == luma.width * luma.height
    assert luma.mean == 77


def test_a_camera_that_falls_silent_is_an_error_of_this_picture_and_is_opened_again(opened, scene):
    camera = opened()
    scene.fault = TimeoutError("no answer")

    with pytest.raises(CameraError, match="no answer"):
        list(camera.capture(0))
    assert len(list(camera.capture(1))) == 1
    assert scene.calls.count("open") == 2


def test_a_camera_that_is_not_there_is_named(scene):
    scene.cameras = 0
    camera = open_camera(Picamera2Settings(**SMALL))

    with pytest.raises(CameraError, match="camera 0 does not start"):
        camera.start()


def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)

    with pytest.raises(HardwareError, match="apt install python3-picamera2"):
        open_camera(Picamera2Settings(**SMALL))
