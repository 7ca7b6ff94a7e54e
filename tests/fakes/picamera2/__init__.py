"""A picamera2 without a Pi: as much of its interface as the agent uses, as strict as the real one about its order.

Source: picamera2's own code (github.com/raspberrypi/picamera2), read in 2026-11. Pictures are grey: `scene.level`.
"""

import threading
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from PIL import Image

from .outputs import Output


@dataclass
class Scene:
    """What stands in front of the camera, and what happened to it. fault: raised by the next call of the camera."""

    level: int = 100
    fault: Exception | None = None
    cameras: int = 1
    calls: list[str] = field(default_factory=list)
    controls: dict[str, object] = field(default_factory=dict)
    lights: list[str] = field(default_factory=list)


scene = Scene()


class Picamera2:
    """One camera; a second one of the same number is refused while it is open."""

    _open: ClassVar = set()

    def __init__(self, camera_num=0):
        if camera_num >= scene.cameras:
            raise IndexError("list index out of range")
        if camera_num in self._open:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._open.add(camera_num)
        self.number, self.options, self.config, self.started = camera_num, {}, None, False
        self.encoders = set()
        scene.calls.append("open")

    def create_video_configuration(
        self, main, lores=None, encode="main", buffer_count=6, controls=None, transform=None
    ):
        assert lores["format"] == "YUV420"
        (main_w, main_h), (w, h) = main["size"], lores["size"]
        if w > main_w or h > main_h:
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        stride = (w + 63) // 64 * 64
        return {
            "main": {"size": (main_w, main_h), "format": "XBGR8888", "stride": main_w * 4},
            "lores": {"size": (w, h), "format": "YUV420", "stride": stride},
            "encode": encode,
            "buffer_count": buffer_count,
            "controls": controls or {},
            "transform": transform,
        }

    def configure(self, config):
        assert not self.started
        self.config = config

    def camera_configuration(self):
        return self.config

    def start(self):
        self._fail()
        assert self.config
        self.started = True
        scene.calls.append("start")

    def stop(self):
        self.started = False
        scene.calls.append("stop")

    def close(self):
        self._open.discard(self.number)
        scene.calls.append("close")

    def set_controls(self, controls):
        scene.controls.update(controls)

    def capture_request(self, wait=None, signal_function=None, flush=None):
        self._fail()
        if not self.started:
            raise RuntimeError("camera not started")
        return CompletedRequest(self)

    def start_encoder(self, encoder, output, pts=None, quality=None, name=None):
        assert isinstance(output, Output), "Must pass Output"
        encoder.output = output
        encoder.size = self.config[name]["size"]
        encoder.rate = self.config["controls"].get("FrameRate", 30.0)
        output.start()
        encoder.start()
        self.encoders.add(encoder)

    def stop_encoder(self):
        for encoder in self.encoders:
            encoder.stop()
            encoder.output.stop()
        self.encoders.clear()

    def _fail(self):
        if scene.fault:
            fault, scene.fault = scene.fault, None
            raise fault


class CompletedRequest:
    """One picture of all streams; must be released once."""

    alive = 0

    def __init__(self, camera):
        self.camera, self.released = camera, False
        CompletedRequest.alive += 1

    def make_buffer(self, name):
        stream = self.camera.config[name]
        (_, height), stride = stream["size"], stream["stride"]
        luma = np.full((height, stride), scene.level, np.uint8)
        chroma = np.full((height // 2, stride // 2), 128, np.uint8)
        return np.concatenate([luma.ravel(), chroma.ravel(), chroma.ravel()])

    def save(self, name, file_output, format=None, exif_data=None):  # noqa: A002  # because it is picamera2's name
        size = self.camera.config[name]["size"]
        image = Image.new("RGB", size, (scene.level,) * 3)
        image.save(file_output, format=format, quality=self.camera.options.get("quality", 90))

    def release(self):
        assert not self.released
        self.released = True
        CompletedRequest.alive -= 1


def encoder_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
