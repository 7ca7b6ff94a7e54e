"""An H.264 encoder that really encodes, in real time."""

import threading
import time
from fractions import Fraction

import av
import numpy as np

from . import encoder_thread, scene


class H264Encoder:
    def __init__(self, bitrate=None, repeat=True, iperiod=None):
        self.bitrate, self.repeat, self.iperiod = bitrate, repeat, iperiod
        self._stop = threading.Event()

    def start(self):
        self._stop.clear()
        self._thread = encoder_thread(self._work)

    def stop(self):
        self._stop.set()
        self._thread.join()

    def _work(self):
        width, height = self.size
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base = Fraction(1, 1_000_000)
        codec.options = {
            "tune": "zerolatency",
            "preset": "ultrafast",
            "x264-params": f"repeat-headers={int(self.repeat)}:keyint={self.iperiod}:scenecut=0",
        }
        while not self._stop.is_set():
            picture = np.full((height * 3 // 2, width), scene.level, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = time.monotonic_ns() // 1000
            for packet in codec.encode(frame):
                self.output.outputframe(bytes(packet), packet.is_keyframe, packet.pts)
            self._stop.wait(1 / self.rate)
