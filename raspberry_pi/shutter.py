"""From a trigger to frames in the spool: one release of the shutter, its shots, their times, their thumbnails."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from edge.wire import FrameHeader

from .agent_clock import AgentClock
from .cameras.base import CameraError, Shot
from .spool import Moment, Spool, SpoolFullError
from .thumbnails import make_thumbnail

log = logging.getLogger(__name__)
SAY_AGAIN_S = 60.0  # a full disk must not fill its own log


class Shots(Protocol):
    """What takes pictures; raspberry_pi.hardware.Hardware does."""

    def shots(self, index: int) -> Iterator[Shot] | None:
        """The shots of one trigger, each taken when it is asked for; None: there will be no more."""


class Shutter:
    """Takes pictures and puts them into the spool. limit: releases over all runs, None without end.

    thumbnails: off | first | only_wanted; may be changed at any time. wake: called after each frame.
    """

    def __init__(
        self,
        spool: Spool,
        camera: Shots,
        clock: AgentClock,
        *,
        limit: int | None = None,
        thumbnails: str = "off",
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.thumbnails = thumbnails
        self._spool = spool
        self._camera = camera
        self._clock = clock
        self._limit = limit
        self._wake = wake
        self._said_full_at_s = float("-inf")
        self.finished = limit is not None and spool.shots >= limit

    def release(self, trigger: str, *, only_first: bool = False) -> list[FrameHeader]:
        """Take the pictures of one trigger; the frames that are safe on the Pi's disk now. Logs what went wrong.

        only_first: one picture, however many the camera would take.
        """
        found = self._camera.shots(self._spool.shots)
        if found is None:
            self.finished = True
            return []
        self._spool.begin_shot()
        kept: list[FrameHeader] = []
        try:
            while True:
                moment = Moment(self._clock.now(), self._clock.state, self._clock.monotonic_s())
                try:
                    shot = next(found)
                    kept.append(self._keep(shot, moment, trigger))
                    self._wake()
                except StopIteration:
                    break
                except SpoolFullError as exc:
                    self._say_full(str(exc))
                if only_first:
                    break
        except CameraError as exc:
            self._spool.drop("camera")
            log.error("camera.failed reason=%r; dropped", str(exc))  # noqa: TRY400  # because the reason is in the text
        finally:
            if close := getattr(found, "close", None):
                close()  # or the lamp stays on
        self.finished = self.finished or (self._limit is not None and self._spool.shots >= self._limit)
        return kept

    def _keep(self, shot: Shot, moment: Moment, trigger: str) -> FrameHeader:
        thumbnail = b""
        if self.thumbnails != "off":
            thumbnail = shot.thumbnail or (make_thumbnail(shot.body) if shot.kind == "still" else b"")
        header = self._spool.put(
            shot.body,
            kind=shot.kind,
            name=shot.name,
            moment=moment,
            trigger=trigger,
            thumbnail=thumbnail or None,
        )
        log.debug("frame.captured id=%s name=%s", header.id, header.name)
        return header

    def _say_full(self, reason: str) -> None:
        now_s = time.monotonic()
        if now_s - self._said_full_at_s >= SAY_AGAIN_S:
            self._said_full_at_s = now_s
            dropped = self._spool.counts().dropped
            log.warning("spool.full reason=%r dropped=%s; told again after %.0f s", reason, dropped, SAY_AGAIN_S)
