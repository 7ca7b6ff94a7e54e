"""A camera on the ribbon cable, by picamera2: stills in bursts, a clip that begins before the trigger, thumbnails.

picamera2 comes with the system (python3-picamera2), as it must fit the system's libcamera. One configuration serves
all: `main` gives stills and, encoded, the clip; `lores` gives thumbnails and what the motion trigger looks at. So
nothing is switched between trigger and picture.
"""

import io
import logging
import time
from collections.abc import Iterator
from typing import Any

from .. import needs
from ..hardware_config import Controls, Picamera2Settings
from .base import CameraError, Luma, Shot
from .preroll import Packet, PreRoll, fragmented_mp4

log = logging.getLogger(__name__)
ANSWER_S = 10.0  # a camera that gives no picture for so long is gone; systemd's watchdog waits 60 s
LUMA_WIDTH = 64
CONTROLS_S = 0.3  # until new controls have come through libcamera's pipeline, some frames long
FAULTS = (RuntimeError, OSError, IndexError)  # what picamera2 raises for a camera that is not there or fell silent


class PiCamera:
    """See Camera. The clip's encoder runs all the time where `before_s` asks for it."""

    name = "picamera2"

    def __init__(self, settings: Picamera2Settings) -> None:
        self._settings = settings
        self._library = needs.load("picamera2", wanted_by="camera")
        logging.getLogger("picamera2").setLevel(logging.WARNING)  # two lines a picture otherwise, on an SD card
        self._image: Any = needs.load("PIL.Image", wanted_by="camera")
        if settings.clip:
            needs.load("av", wanted_by="camera.clip")
        self._camera: Any = None
        self._running = False
        self._controls: Controls = ()  # those that the camera has
        self._preroll = PreRoll(before_s=settings.clip.before_s) if settings.clip else None

    def start(self) -> None:
        """Open the sensor; exposure settles for warm_up_s. Raises CameraError."""
        if self._camera is not None:
            return
        try:
            self._camera = self._library.Picamera2(self._settings.number)
            self._camera.configure(self._configuration())
            self._camera.options["quality"] = self._settings.quality
            if self._settings.standby == "running":
                self._run()
        except FAULTS as exc:
            self.close()
            raise CameraError(f"camera {self._settings.number} does not start: {exc}") from exc

    def capture(self, index: int, *, night: bool = False) -> Iterator[Shot] | None:
        """The pictures of one trigger, then its clip; see Camera."""
        return self._shots(index, night=night)

    def luma(self) -> Luma | None:
        """The small stream's brightness, thinned out to about 64 columns; None while the camera is off."""
        if not self._running:
            return None
        request = self._camera.capture_request(wait=ANSWER_S)
        try:
            pixels = bytes(request.make_buffer("lores"))
        finally:
            request.release()
        lores = self._camera.camera_configuration()["lores"]
        (width, height), stride = lores["size"], lores["stride"]
        step = max(1, width // LUMA_WIDTH)
        rows = [pixels[y * stride : y * stride + width : step] for y in range(0, height, step)]
        return Luma(len(rows[0]), len(rows), b"".join(rows))

    def close(self) -> None:
        """Give the sensor back."""
        camera, self._camera, self._running, self._controls = self._camera, None, False, ()
        if camera is None:
            return
        for step in (camera.stop_encoder, camera.stop, camera.close):
            try:
                step()
            except FAULTS as exc:
                log.warning("camera.not_closed reason=%r", str(exc))

    def _shots(self, index: int, *, night: bool) -> Iterator[Shot]:
        try:
            if not self._running:
                self._run()
            chosen = self._settings.controls.night if night else self._settings.controls.day
            if chosen and chosen != self._controls:
                self._camera.set_controls(dict(chosen))
                time.sleep(CONTROLS_S)
                self._controls = chosen
            yield from self._pictures(index)
        except FAULTS as exc:
            self.close()  # opened again for the next picture
            raise CameraError(f"camera {self._settings.number} gave no picture: {exc}") from exc
        finally:
            if self._preroll:
                self._preroll.end()
            if self._settings.standby == "stopped":
                self._pause()

    def _pictures(self, index: int) -> Iterator[Shot]:
        settings, start = self._settings, time.monotonic()
        if self._preroll:
            self._preroll.begin()
        for number in range(settings.burst.count):
            time.sleep(max(0.0, start + number / settings.burst.per_s - time.monotonic()))
            yield self._still(f"{index:08d}-{number}.jpg")
        if self._preroll and settings.clip:
            time.sleep(max(0.0, start + settings.clip.after_s - time.monotonic()))
            packets = self._preroll.take()
            if packets:
                yield Shot(fragmented_mp4(packets, codec="h264", size=settings.size), "clip", f"{index:08d}.mp4")
            else:
                log.warning("camera.clip_empty the encoder gave nothing")

    def _still(self, name: str) -> Shot:
        # flush: a picture that began after now, so one with the lamp on and the new exposure
        request = self._camera.capture_request(wait=ANSWER_S, flush=True)
        try:
            file = io.BytesIO()
            request.save("main", file, format="jpeg")
            small = bytes(request.make_buffer("lores"))
        finally:
            request.release()
        return Shot(file.getvalue(), "still", name, self._thumbnail(small))

    def _thumbnail(self, yuv: bytes) -> bytes:
        """A JPEG of the small stream: planes Y, U, V, the colours at half the size."""
        lores = self._camera.camera_configuration()["lores"]
        (width, height), stride = lores["size"], lores["stride"]
        planes, at = [], 0
        for part in (1, 2, 2):
            area = (width // part, height // part)
            plane = yuv[at : at + stride // part * area[1]]
            planes.append(self._image.frombuffer("L", area, plane, "raw", "L", stride // part, 1))
            at += len(plane)
        full = [planes[0], *(each.resize((width, height)) for each in planes[1:])]
        file = io.BytesIO()
        self._image.merge("YCbCr", full).save(file, "JPEG", quality=70)
        return file.getvalue()

    def _configuration(self) -> Any:
        settings = self._settings
        asked: dict[str, Any] = {
            "main": {"size": settings.size},
            "lores": {"size": settings.thumbnail, "format": "YUV420"},
            "encode": "main",
            "buffer_count": 4,  # a picture each for the sensor, the encoder, the JPEG and one in hand
        }
        if settings.clip:
            asked["controls"] = {"FrameRate": settings.clip.per_s}
        if settings.rotate:
            asked["transform"] = needs.load("libcamera", wanted_by="camera.rotate").Transform(hflip=1, vflip=1)
        return self._camera.create_video_configuration(**asked)

    def _run(self) -> None:
        """Let pictures come, and settle. A camera that was closed after a fault is opened again."""
        if self._camera is None:
            self.start()
            if self._running:
                return
        self._camera.start()
        if self._settings.clip and self._preroll:
            encoders = needs.load("picamera2.encoders", wanted_by="camera.clip")
            # repeat: parameter sets in front of each key picture, so that a clip may begin at any of them
            period = max(1, round(self._settings.clip.per_s))
            encoder = encoders.H264Encoder(bitrate=self._settings.clip.bits_per_s, repeat=True, iperiod=period)
            self._camera.start_encoder(encoder, _output_into(self._preroll), name="main")
        self._running = True
        time.sleep(self._settings.warm_up_s)

    def _pause(self) -> None:
        if self._camera is not None and self._running:
            self._running = False
            self._camera.stop_encoder()
            self._camera.stop()


def _output_into(preroll: PreRoll) -> Any:
    """picamera2's Output that hands every encoded picture to the ring."""
    outputs = needs.load("picamera2.outputs", wanted_by="camera.clip")

    class Ring(outputs.Output):  # type: ignore[misc, name-defined]
        """Called by the encoder's thread."""

        def outputframe(
            self, frame: Any, keyframe: bool = True, timestamp: int | None = None, *_: Any, **__: Any
        ) -> None:
            """One encoded picture; timestamp in microseconds."""
            preroll.add(Packet(bytes(frame), bool(keyframe), timestamp or 0))

    return Ring()
