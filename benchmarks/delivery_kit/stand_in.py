"""Plugins for delivery.py: a stage that takes as long as a detector and sees what the file's name says, and a channel.

The stage sleeps: a detector on a card leaves the processor to others, and the goals are about delivery. The channel
notes which alert it was handed, and when.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from edge.api import Detection, Frame, Notice, NotifierSpec, Services, StageSpec, hookimpl


class StandInConfig(BaseModel):
    """detector_ms: how long a picture takes."""

    detector_ms: float


class NoteConfig(BaseModel):
    """file: gets a line `seconds frame` an alert; seconds since 1970."""

    file: Path


@contextmanager
def build_stage(config: StandInConfig, services: Services) -> Iterator[object]:
    del services

    def look(frame: Frame) -> Frame:
        time.sleep(config.detector_ms / 1000)
        seen = frame.spooled.name.startswith("fresh")
        return replace(frame, detections=(Detection("animal", 0.9, (0.1, 0.1, 0.5, 0.5)),) if seen else ())

    yield look


@dataclass(frozen=True, slots=True)
class Note:
    """The channel."""

    file: Path

    def send(self, notice: Notice, *, picture: bytes) -> None:
        del picture
        assert notice.alert is not None
        with self.file.open("a") as file:
            file.write(f"{time.time():.3f} {notice.alert.frame_id}\n")


@contextmanager
def build_channel(config: NoteConfig, services: Services) -> Iterator[Note]:
    del services
    yield Note(config.file)


@hookimpl
def tigrillo_stages() -> list[object]:
    return [
        StageSpec(
            "stand-in", StandInConfig, build_stage, reads=frozenset({"picture"}), writes=frozenset({"detections"})
        )
    ]


@hookimpl
def tigrillo_notifiers() -> list[object]:
    return [NotifierSpec("note", NoteConfig, build_channel)]
