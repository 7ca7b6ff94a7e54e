"""What a test of a plugin stands on: fakes of the services and builders of frames; import them from edge.testing."""

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .clock import SteppedClock
from .errors import DecodeError, EdgeError, FrameError, ModelError, RetryableError
from .model import (
    F32,
    U8,
    Alert,
    Answer,
    CaptureTime,
    Card,
    Detection,
    Frame,
    Kind,
    Picture,
    SpooledFrame,
    Taxon,
)
from .notices import Notice
from .services import Clip, Incoming, Received, Services, Session
from .wording import word_alert

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ArrayPicture:
    """A Picture made of pixels in memory, uint8 (height, width, 3), blue first."""

    pixels: U8
    damage: str = ""

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])

    def bgr(self) -> U8:
        """The pixels themselves, not a copy."""
        return self.pixels

    def decoded(self) -> U8:
        """The pixels themselves."""
        return self.pixels

    def luma(self) -> U8:
        """uint8 (height, width), brightness."""
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def array_picture(bgr: U8, *, damage: str = "") -> ArrayPicture:
    """A Picture of uint8 (height, width, 3). Raises ValueError on another shape or type."""
    if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8:
        raise ValueError(f"a picture is uint8 (height, width, 3), got {bgr.dtype} {bgr.shape}")
    return ArrayPicture(bgr, damage)


def grey_picture(*, width: int = 64, height: int = 48, level: int = 128) -> ArrayPicture:
    """A Picture in one shade of grey."""
    return ArrayPicture(np.full((height, width, 3), level, np.uint8))


def spooled_frame(
    path: Path = Path("/nowhere/frame.jpg"),
    *,
    station: str = "ridge",
    id: str = "frame-1",  # noqa: A002  # because the field is called so
    kind: Kind = "still",
    captured: CaptureTime | None = None,
) -> SpooledFrame:
    """A frame on disk, taken at noon of 2026-06-01 UTC; nothing needs to lie at `path`."""
    return SpooledFrame(
        station=station,
        id=id,
        kind=kind,
        path=path,
        name=path.name,
        sha256="0" * 64,
        size_bytes=path.stat().st_size if path.is_file() else 0,
        source="test",
        captured=captured or CaptureTime(NOON, "2026:06:01 12:00:00", "UTC", "exif"),
        received_at=NOON,
        pk=1,
    )


def frame(picture: Picture | None = None, *, spooled: SpooledFrame | None = None, **fields: Any) -> Frame:
    """A frame in memory; `fields` are those of Frame. Without a picture it is a small grey one."""
    return Frame(spooled=spooled or spooled_frame(), picture=picture or grey_picture(), **fields)


def fake_card(**overrides: Any) -> Card:
    """A detector's card: 64×64 input, classes "deer" (an animal) and "rock" (nothing), layout of YOLOv5."""
    values: dict[str, Any] = {
        "name": "fake",
        "task": "detect",
        "decoder": "yolov5",
        "licence": "CC0-1.0",
        "source": "made up in a test",
        "sha256": "",
        "input_hw": (64, 64),
        "classes": ("deer", "rock"),
        "categories": {"deer": "animal"},
    }
    return Card(**(values | overrides))


Outputs = Callable[[F32], Sequence[F32]]


@dataclass(slots=True)
class FakeSession:
    """A Session that answers what the test says.

    outputs: a function of the batch. output_shapes: as a real session tells them. batch_shapes: shapes of the batches
    it was asked to run, in order.
    """

    card: Card
    outputs: Outputs
    output_shapes: Sequence[tuple[int | None, ...]] = ()
    batch_shapes: list[tuple[int, ...]] = field(default_factory=list)

    def run(self, batch: F32) -> Sequence[F32]:
        """The scripted outputs. Raises ValueError on a batch that a real session would refuse."""
        height, width = self.card.input_hw
        if batch.dtype != np.float32 or batch.shape != (len(batch), 3, height, width) or not len(batch):
            raise ValueError(f"a batch is float32 (n, 3, {height}, {width}), got {batch.dtype} {batch.shape}")
        self.batch_shapes.append(batch.shape)
        return self.outputs(batch)


def fake_session(card: Card, *answers: F32) -> FakeSession:
    """A session that gives the same answer for every input: each of `answers` is one output of one input, (1, ...)."""
    return FakeSession(
        card,
        lambda batch: [np.repeat(answer, len(batch), axis=0) for answer in answers],
        [(None, *answer.shape[1:]) for answer in answers],
    )


@dataclass(frozen=True, slots=True)
class FakeCompute:
    """Compute and Models in one: knows the sessions it was made with, by the name of their card."""

    sessions: Mapping[str, Session] = field(default_factory=dict)

    def session(self, card: Card) -> Session:
        """The session of this model. Raises ModelError when the test named none."""
        return self.sessions[self.card(card.name).name]

    def card(self, name: str) -> Card:
        """The card of this model. Raises ModelError when the test named none."""
        if name not in self.sessions:
            raise ModelError(f"model {name!r} is not installed: run `tigrillo models pull {name}`")
        return self.sessions[name].card


@dataclass(slots=True)
class FakeClip:
    """Pictures in a row, at `frame_rate` a second."""

    pictures: Sequence[Picture]
    frame_rate: float | None = None
    damage: str = ""

    def __iter__(self) -> Iterator[tuple[int, float, Picture]]:
        """(number, seconds into the clip, picture)."""
        for number, picture in enumerate(self.pictures):
            yield number, number / (self.frame_rate or 1.0), picture


@dataclass(frozen=True, slots=True)
class FakeMedia:
    """Media that knows the files it was made with, by file name; it never touches the disk."""

    clips: Mapping[str, FakeClip] = field(default_factory=dict)

    def open(self, path: Path, kind: Kind) -> AbstractContextManager[Clip]:
        """The scripted pictures. Raises DecodeError for a file that the test did not name."""
        if path.name not in self.clips:
            raise DecodeError(f"{path.name}: no {kind} that can be read")
        return nullcontext(self.clips[path.name])


@dataclass(slots=True)
class MemoryLog:
    """A Log that keeps (level, event, fields)."""

    entries: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **fields: Any) -> None:
        """Keep it."""
        self.entries.append(("debug", event, fields))

    def info(self, event: str, **fields: Any) -> None:
        """Keep it."""
        self.entries.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Keep it."""
        self.entries.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        """Keep it."""
        self.entries.append(("error", event, fields))


@dataclass(slots=True)
class MemorySink:
    """A Sink that keeps what it gets. refusals: errors to raise for the first calls of `receive`, in order."""

    refusals: list[EdgeError] = field(default_factory=list)
    received: list[Incoming] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def receive(self, incoming: Incoming) -> bool:
        """Keep a new frame; False for one that is already here."""
        with self.arrived:
            if self.refusals:
                raise self.refusals.pop(0)
            known = any(_identity(incoming) == _identity(earlier) for earlier in self.received)
            if not known:
                self.received.append(incoming)
            self.arrived.notify_all()
            return not known

    def receive_many(self, incoming: Sequence[Incoming]) -> list[Received]:
        """`receive` for each."""
        answers: list[Received] = []
        for each in incoming:
            try:
                answers.append(self.receive(each))
            except (FrameError, RetryableError) as exc:
                answers.append(exc)
        return answers

    def sha256_of(self, station: str, frame_id: str) -> str | None:
        """The hash that came with this frame."""
        mine = (each.sha256 for each in self.received if (each.station, each.id) == (station, frame_id))
        return next(mine, None)

    def hold(self, source: str, size_bytes: int) -> None:
        """There is always room."""

    def refuse(
        self,
        *,
        source: str,  # noqa: ARG002  # because it is a Sink
        name: str,
        reason: str,
        body: bytes = b"",  # noqa: ARG002
        station: str = "",  # noqa: ARG002
        kind: str = "",  # noqa: ARG002
    ) -> None:
        """Keep name and reason."""
        with self.arrived:
            self.refused.append((name, reason))
            self.arrived.notify_all()

    def knows(self, station: str, sha256: str) -> bool:
        """Whether a frame came with this hash for this station."""
        return any(each.station == station and each.sha256 == sha256 for each in self.received)

    def wait_for(self, count: int, *, timeout_s: float = 10.0) -> bool:
        """Wait until so many frames have arrived; False when they did not in time."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.received) >= count, timeout_s)


def _identity(incoming: Incoming) -> tuple[str, str, str]:
    return incoming.station, incoming.id or incoming.name, incoming.sha256


@cache
def _scratch_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="tigrillo-test-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def fake_services(**overrides: Any) -> Services:
    """Services without a device, a disk or a clock that moves; `overrides` are fields of Services.

    `sessions={"name": session}` is short for compute and models that know these. state_dir is a fresh folder that goes
    when the process ends.
    """
    compute = FakeCompute(overrides.pop("sessions", {}))
    values: dict[str, Any] = {"compute": compute, "models": compute, "media": FakeMedia(), "log": MemoryLog()}
    if "state_dir" not in overrides:
        values["state_dir"] = Path(tempfile.mkdtemp(dir=_scratch_root()))
    return Services(**(values | {"clock": SteppedClock()} | overrides))


def notice(**overrides: Any) -> Notice:
    """An alert about a jaguar at cam-03, in English, taken at noon of 2026-06-01 UTC; `overrides` are its fields."""
    taxon = Taxon("Panthera onca", "species", ("Animalia", "Chordata", "Panthera onca"), "jaguar", "yaguareté")
    box = Detection("animal", 0.88, (0.1, 0.1, 0.5, 0.5), answer=Answer(taxon, 0.93))
    alert = Alert(
        key="17/ana-sms/0",
        rule="big cats",
        channel="channel",
        station="cam-03",
        frame_id="f1",
        captured=CaptureTime(NOON, "2026:06:01 12:00:00", "UTC", "exif"),
        detection=box,
        picture_path=Path("/nowhere/frame.jpg"),
        received_at=NOON,
    )
    language = str(overrides.get("language", "en"))
    values: dict[str, Any] = {
        "key": alert.key,
        "kind": "alert",
        "channel": alert.channel,
        "words": word_alert(alert, language=language, timezone="UTC", now=NOON, extra={"code": "7F2K"}),
        "language": language,
        "severity": alert.severity,
        "at": NOON,
        "thread": "17",
        "station": alert.station,
        "alert": alert,
        "code": "7F2K",
    }
    return Notice(**(values | overrides))
