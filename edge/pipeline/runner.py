"""Hop 5, stage: a spooled frame → its Outcome. And the one error ladder of the whole program.

A frame is decoded once; each of its pictures passes the stages in YAML order. In a clip it is then found out which
boxes are one animal, and each animal gets one answer (docs/adr/008-a-clip-has-tracks.md).
"""

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from ..errors import DecodeError, FatalError, FrameError, RetryableError
from ..hookspecs import Stage
from ..media.light import Light, light_of
from ..model import Answer, Frame, Outcome, Picture, PictureResult, SpooledFrame
from ..redaction import redacted
from ..services import Media
from ..tracking.follow import Following

T = TypeVar("T")
KEPT_CLASSES = 5  # most likely classes kept of each box; the rollup has seen them all by then
Beat = Callable[[], None]
LookingAt = Callable[[Picture], AbstractContextManager[None]]


class Halted(RetryableError):
    """The program is ending; the frame is given back as it was."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """It worked."""

    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not. reaction: what is to be done with the frame (or message); see edge.errors.

    reason: without the secrets that may stand in an exception's text; it is logged, stored and shown.
    """

    reaction: str  # "quarantine": the frame is at fault; "wait": not now; "bug": ours, perhaps passing
    reason: str
    again_in_s: float | None = None  # of "wait", when the other side named a time

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", redacted(self.reason))


def attempt(work: Callable[[], T]) -> Done[T] | Failed:
    """Run `work` and sort what goes wrong; the only place that catches everything. FatalError passes through."""
    try:
        return Done(work())
    except FrameError as exc:
        return Failed("quarantine", str(exc))
    except RetryableError as exc:
        return Failed("wait", str(exc), exc.again_in_s)
    except FatalError:
        raise
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # because this is the one ladder: a plugin's bug must not stop the station
        return Failed("bug", f"{type(exc).__name__}: {exc} ({_place_of(exc)})")


def _place_of(exc: BaseException) -> str:
    """Where it was raised, "stage.py:12": a bug without its place can't be mended."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


@dataclass(frozen=True, slots=True)
class Runner:
    """Looks at frames: decodes, passes every picture through the stages, keeps the time each took.

    looking_at: context in which a picture passes them, see VisionCompute. answering: those stages that make an answer
    of what others said, without the picture; they are asked again about each track of a clip.
    """

    media: Media
    stages: Sequence[tuple[str, Stage]]
    looking_at: LookingAt = lambda _picture: nullcontext()
    answering: Sequence[tuple[str, Stage]] = ()

    def look_at(self, spooled: SpooledFrame, *, beat: Beat = lambda: None) -> Outcome:
        """Return what the stages say of all pictures of a frame.

        beat: called before each picture; may raise Halted to end early. Raises FrameError, RetryableError.
        """
        spent_ms: defaultdict[str, float] = defaultdict(float)
        pictures: list[PictureResult] = []
        width = height = 0
        light: Light | None = None  # of the first picture: what comes after it in a clip has the same sun
        following = Following() if spooled.kind == "clip" else None
        with self.media.open(spooled.path, spooled.kind) as clip:
            damages: list[str] = []
            started = time.perf_counter()
            for number, time_s, picture in clip:
                spent_ms["decode"] += _since_ms(started)
                beat()
                width, height = picture.width, picture.height
                damages.append(picture.damage)
                light = light or light_of(picture)
                with self.looking_at(picture):
                    frame = self._pass_stages(self.stages, Frame(spooled, picture, number, time_s), spent_ms)
                if following and not frame.rejected:
                    frame = replace(frame, detections=following.look(number, time_s, frame.detections))
                pictures.append(_result(frame))
                started = time.perf_counter()
            if not pictures:
                raise DecodeError(f"{spooled.name}: no picture in it can be read: is the file cut short?")
            if following:
                pictures = self._answered(pictures, following, Frame(spooled, picture), spent_ms)
            return Outcome(
                spooled=spooled,
                pictures=tuple(pictures),
                width=width,
                height=height,
                frame_rate=clip.frame_rate,
                damage=clip.damage or next(filter(None, damages), ""),
                stage_ms=dict(spent_ms),
                brightness=light.brightness if light else None,
                infrared=light.infrared if light else None,
            )

    def _answered(
        self, pictures: list[PictureResult], following: Following, frame: Frame, spent_ms: defaultdict[str, float]
    ) -> list[PictureResult]:
        """The pictures of a clip, the detections of a track all with the one answer that its best crops give."""
        answers: dict[int | None, Answer | None] = {}
        for track, detection in following.combined().items() if self.answering else ():
            asked = self._pass_stages(self.answering, replace(frame, detections=(detection,)), spent_ms)
            if not asked.rejected and len(asked.detections) == 1:
                answers[track] = asked.detections[0].answer
        return [
            replace(
                picture,
                detections=tuple(
                    replace(each, answer=answers[each.track]) if each.track in answers else each
                    for each in picture.detections
                ),
            )
            for picture in pictures
        ]

    def _pass_stages(
        self, stages: Sequence[tuple[str, Stage]], frame: Frame, spent_ms: defaultdict[str, float]
    ) -> Frame:
        for name, stage in stages:
            started = time.perf_counter()
            after = stage(frame)
            if not isinstance(after, Frame):
                raise TypeError(f"stage {name!r} returned {type(after).__name__}, not the frame")
            frame = after
            spent_ms[name] += _since_ms(started)
            if frame.rejected:
                break
        return frame


def _result(frame: Frame) -> PictureResult:
    # only what is kept: hundreds of classes a box would fill the memory over a long clip
    kept = tuple(replace(each, classifications=each.classifications[:KEPT_CLASSES]) for each in frame.detections)
    return PictureResult(frame.number, frame.time_s, kept, frame.rejected)


def _since_ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000
