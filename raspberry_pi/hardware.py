"""Everything that is wired to the Pi, as the agent's loop sees it: wait for a trigger, take the shots of it.

A camera that does not start, or falls silent, ends nothing: the trap goes on, says so in its health, and tries again
with the next trigger. What is not installed ends the start with one line.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from datetime import datetime
from typing import Self

from .cameras.base import Camera, CameraError, Luma, Shot
from .cameras.opening import open_camera
from .config import Settings
from .hardware_config import MotionSettings
from .health.collect import HealthReport, Value
from .lamp import Lamp
from .profile import Profile
from .triggers.opening import Triggers, make_schedule, open_triggers, wall_clock

log = logging.getLogger(__name__)
AGAIN_S = 30.0  # between tries to start a camera that motion and brightness wait for


class Hardware:
    """Camera, triggers, lamp and profile together. `with` closes them. Used by one thread, but for `fire`."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = wall_clock) -> None:
        """Open all but the camera. Raises HardwareError or CameraError. clock: what the agent takes for now."""
        self._place = settings.place
        self._report = HealthReport(settings.health, disk=settings.spool_folder)
        looks = any(isinstance(each, MotionSettings) for each in settings.all_triggers)
        looks = looks or settings.profile.use == "brightness"
        self.camera_error = ""
        self._started = False
        self._again_at_s = 0.0
        with ExitStack() as opened:
            self._camera: Camera = open_camera(settings.camera, with_luma=looks)
            opened.callback(self._camera.close)
            self._profile = Profile(settings.profile, place=settings.place, clock=clock, luma=self._luma)
            self._lamp = opened.enter_context(closing(Lamp(settings.lamp))) if settings.lamp else None
            self.triggers: Triggers = open_triggers(
                settings.all_triggers,
                place=settings.place,
                luma=self._luma,
                is_night=self._profile.is_night,
                clock=clock,
            )
            self.triggers.start()
            opened.callback(self.triggers.close)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the camera; a fault is logged and kept in `camera_error`."""
        try:
            self._start_camera()
        except CameraError as exc:
            log.warning("camera.not_started reason=%r; tried again with the next trigger", str(exc))

    def wait(self, stop: threading.Event, *, timeout_s: float) -> str:
        """The name of the trigger that fired (pir, motion, interval, schedule, command); "" for none in that time."""
        return self.triggers.wait(stop, timeout_s=timeout_s)

    def shots(self, index: int) -> Iterator[Shot] | None:
        """The shots of one trigger, lit where the lamp is for; None: there will be no more.

        Each is taken when it is asked for. Use it up or close it, or the lamp stays on until its time is over.
        Taking one raises CameraError.
        """
        night = self._profile.is_night()
        found = self._camera.capture(index, night=night)
        return None if found is None else self._lit(found, night=night)

    def fire(self, name: str = "command") -> None:
        """Have a picture taken now, from any thread."""
        self.triggers.fire(name)

    def set_schedule(self, lines: Sequence[str]) -> None:
        """Other times, in place of all schedules. Raises PlanError or HardwareError, and changes nothing then."""
        self.triggers.set_schedule(make_schedule(lines, place=self._place))

    def health(self) -> dict[str, Value]:
        """What can be told of Pi, battery, camera and sensors; null for what can't be. Never raises."""
        own: dict[str, Value] = {
            "camera": self._camera.name,
            "camera_error": self.camera_error or None,
            "night": self._profile.is_night(),
            "pir_count": self.triggers.pir_count,
        }
        return {**self._report.collect(), **own}

    def close(self) -> None:
        """Give everything back; the lamp is off."""
        self._opened.close()

    def _lit(self, shots: Iterator[Shot], *, night: bool) -> Iterator[Shot]:
        try:
            self._start_camera()
            with self._lamp.lit(night=night) if self._lamp else nullcontext():
                yield from shots
            self.camera_error = ""
        except CameraError as exc:
            self.camera_error = str(exc)
            raise
        finally:
            self.triggers.captured()

    def _start_camera(self) -> None:
        if self._started:
            return
        try:
            self._camera.start()
            self._started, self.camera_error = True, ""
        except CameraError as exc:
            self.camera_error = str(exc)
            raise

    def _luma(self) -> Luma | None:
        """What the camera sees; None, and a new try after a while, when it does not run.

        Here it is brought back by itself: a trap with motion as its only trigger would wait for ever.
        """
        try:
            if not self._started:
                if time.monotonic() < self._again_at_s:
                    return None
                self._start_camera()
            return self._camera.luma()
        except (CameraError, RuntimeError, OSError) as exc:
            if not self.camera_error:
                log.warning("camera.blind reason=%r; tried again every %s s", str(exc), AGAIN_S)
            self.camera_error = str(exc)
            self._started = False
            self._again_at_s = time.monotonic() + AGAIN_S
            self._camera.close()
            return None
