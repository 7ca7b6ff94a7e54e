"""What passes from hand to hand: frozen values, changed by `dataclasses.replace`.

A *frame* is what a camera delivers under one id: a still, or a clip. `SpooledFrame` is a frame on disk; `Frame` is one
picture of it in memory, the thing that stages take and return. A still gives one Frame, a clip one for each picture
that is looked at, with the same id and its own `number`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Box = tuple[float, float, float, float]
Kind = Literal["still", "clip"]
Category = Literal["animal", "person", "vehicle"]
Matrix = Literal["bt601", "bt709"]
Severity = Literal["info", "warning", "critical"]
Rank = Literal["kingdom", "class", "order", "family", "genus", "species"]

RANKS: tuple[Rank, ...] = ("kingdom", "class", "order", "family", "genus", "species")
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")  # least first
NV12_PLANES, I420_PLANES = 2, 3
VERBS = ("capture", "receive", "spool", "claim", "stage", "record", "notify", "show")
STATION_VERBS = ("station.online", "station.offline", "station.drift", "station.health", "station.result")
PEOPLE_VERBS = ("people.answered",)


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """When a frame was taken: what the camera said, and what that means in UTC.

    original: the camera's own text, unchanged ("2021:05:31 08:25:38"), or "" when it said nothing.
    utc: aware datetime in UTC, or None when the time is unknown. timezone: IANA name used for the conversion.
    origin: where `original` came from.
    """

    utc: datetime | None
    original: str = ""
    timezone: str = "UTC"
    origin: Literal["exif", "agent", "container", "mtime", "import", "unknown"] = "unknown"

    def __post_init__(self) -> None:
        if self.utc is not None and self.utc.utcoffset() is None:
            raise ValueError(f"CaptureTime.utc must be aware, got {self.utc!r}")


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What a station's agent said of a frame beside its time.

    boot: which start of the agent took it; (boot_count, seq): the order of the station's frames, whatever its clock
    said. uptime_s: since that start. clock: how far the agent trusted its clock, "ok", "guessed" or "unknown".
    triggered_by: "pir", "motion", … or "". stands_for: id of the full frame when this is its thumbnail, else "".
    waited_s: from capture to sending, by a clock that nobody sets; None when the agent could not tell.
    """

    boot: str
    boot_count: int
    seq: int
    uptime_s: float
    clock: str
    triggered_by: str = ""
    stands_for: str = ""
    waited_s: float | None = None


@dataclass(frozen=True, slots=True)
class SpooledFrame:
    """A frame on disk: durable, known to the store under (station, id).

    path: absolute. name: the file's name as its sender knows it (relative path on a card). sha256: of the whole file.
    agent: what a station's agent said of it; None for frames of other sources. camera: who made it, "" where the file
    does not say. burst: what its trigger is called, "" likewise; burst_number: which picture of it, from 1.
    """

    station: str
    id: str
    kind: Kind
    path: Path
    name: str
    sha256: str
    size_bytes: int
    source: str
    captured: CaptureTime
    received_at: datetime
    pk: int = 0
    attempts: int = 0
    agent: AgentFacts | None = None
    camera: str = ""
    burst: str = ""
    burst_number: int | None = None


class Picture(Protocol):
    """One decoded picture; conversions happen on first use and are kept."""

    @property
    def width(self) -> int:
        """Pixels across, after the EXIF orientation was applied."""

    @property
    def height(self) -> int:
        """Pixels down, after the EXIF orientation was applied."""

    @property
    def damage(self) -> str:
        """What could not be read of the file, in words; "" when all was."""

    def bgr(self) -> U8:
        """uint8 (height, width, 3), blue first, upright."""

    def luma(self) -> U8:
        """uint8 (height, width), brightness; a view of the decoder's plane where there is one."""


@dataclass(frozen=True, slots=True)
class Yuv420:
    """A decoded picture whose colour has half the resolution each way.

    planes: uint8, rows may be longer than the picture (pitch). NV12: (height, ≥ width) and (⌈height/2⌉, ≥ width) with u
    and v in turn; I420: (height, ≥ width) and two of (⌈height/2⌉, ≥ ⌈width/2⌉). matrix, full_range: as the decoder
    says; what says nothing is BT.601 and limited, as PyAV and OpenCV have it.
    """

    planes: tuple[U8, ...]
    width: int
    matrix: Matrix = "bt601"
    full_range: bool = False

    def __post_init__(self) -> None:
        shapes = [plane.shape for plane in self.planes]
        if len(shapes) not in {NV12_PLANES, I420_PLANES} or any(len(shape) != 2 for shape in shapes):
            raise ValueError(f"Yuv420 takes two or three planes (rows, pitch), got {shapes}")
        across = -(-self.width // 2) * (2 if len(shapes) == NV12_PLANES else 1)
        wanted = [(self.height, self.width), *[(-(-self.height // 2), across)] * (len(shapes) - 1)]
        if any(has[0] != rows or has[1] < least for has, (rows, least) in zip(shapes, wanted, strict=True)):
            raise ValueError(f"planes of {self.width}×{self.height} pixels must be at least {wanted}, got {shapes}")

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.planes[0].shape[0])


@runtime_checkable
class Decoded(Protocol):
    """A Picture that tells what its decoder gave, so that a device can make everything else of that itself."""

    def decoded(self) -> U8 | Yuv420 | None:
        """What `bgr` and `luma` are made of, without a copy: uint8 (height, width, 3), or planes, the first `luma`'s.

        None when they are made of something else: of another sampling, or turned.
        """


@dataclass(frozen=True, slots=True)
class Taxon:
    """A node of a taxonomy. `lineage` runs from kingdom down to the taxon itself, scientific names."""

    scientific_name: str
    rank: Rank
    lineage: tuple[str, ...]
    english: str = ""
    spanish: str = ""

    def name(self, language: str) -> str:
        """The common name in "en" or "es"; the scientific name where there is none."""
        return (self.spanish if language == "es" else self.english) or self.scientific_name


@dataclass(frozen=True, slots=True)
class Classification:
    """One class of a classifier with its probability, 0..1. `label` is the model's own class name."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a detection is, at the finest level that is sure enough. `score`: probability summed below the taxon.

    remark: why it is no finer or other than the classifier's best guess, e.g. "not-listed:Panthera leo"; "" usually.
    """

    taxon: Taxon
    score: float
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Detection:
    """A box with a category. xywh_norm: left, top, width, height as shares of the picture, 0..1.

    classifications: most likely first, empty until a classifier has seen the box. answer: set by the rollup.
    track: in a clip, the number of the animal that it belongs to, from 1; None where nobody tracked.
    """

    category: Category
    score: float
    xywh_norm: Box
    label: str = ""
    classifications: tuple[Classification, ...] = ()
    answer: Answer | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        if len(self.xywh_norm) != 4:
            raise ValueError(f"xywh_norm must have 4 numbers, got {self.xywh_norm!r}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture on its way through the stages.

    number: index of the picture in its clip, 0 for a still. time_s: seconds into the clip.
    moving: boxes that moved, xywh_norm; None until a motion stage looked. rejected: why the way ended early, or "".
    """

    spooled: SpooledFrame
    picture: Picture
    number: int = 0
    time_s: float = 0.0
    detections: tuple[Detection, ...] = ()
    moving: tuple[Box, ...] | None = None
    rejected: str = ""

    def reject(self, reason: str) -> "Frame":
        """A copy that ends its way here; the reason is recorded."""
        return replace(self, rejected=reason)


@dataclass(frozen=True, slots=True)
class PictureResult:
    """What the stages said of one picture; what is kept of a Frame once its pixels are gone."""

    number: int
    time_s: float
    detections: tuple[Detection, ...]
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said a frame shows. observation: pk of the machine's box that is meant, None for the whole frame.

    kind: animal, human, vehicle, blank or unknown. taxon: scientific name, "" when none was given. details: what an
    imported record says beside these.
    """

    pk: int
    observation: int | None
    kind: str
    taxon: str
    count: int
    sex: str
    life_stage: str
    behaviour: str
    comments: str
    by: str
    at: datetime
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The row of a detection: its pk, and what an imported record says beside its columns.

    review: of exports that state what counts now, what a person said it is; pk: 0 there.
    """

    pk: int
    details: Mapping[str, Any] | None = None
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What the record has of a frame beside what the stages said.

    people: it shows a person or vehicle. original: kept, withheld or deleted. reviews: those in force, oldest first.
    observed: one for each detection of the outcome, in order; () where no row says more than its detection. details: of
    an imported frame. favourite: somebody marked it.
    """

    people: bool = False
    original: str = "kept"
    reviews: tuple[Review, ...] = ()
    observed: tuple[Observed, ...] = ()
    details: Mapping[str, Any] | None = None
    favourite: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the stages said of one spooled frame, ready to be recorded.

    pictures: one for a still; for a clip those looked at, in order. frame_rate: pictures a second in the file, None for
    a still. damage: what could not be read. stage_ms: milliseconds spent, by stage name ("decode" included).
    brightness: mean luma of the first picture, 0..1; infrared: whether it has no colour, as under an infrared flash;
    None where nobody looked.
    beside: what else the record has of it, for exports; None elsewhere.
    """

    spooled: SpooledFrame
    pictures: tuple[PictureResult, ...]
    width: int
    height: int
    frame_rate: float | None = None
    damage: str = ""
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    brightness: float | None = None
    infrared: bool | None = None
    beside: Beside | None = field(default=None, compare=False, repr=False)

    def detections(self) -> list[Detection]:
        """All detections of all pictures, in order."""
        return [detection for picture in self.pictures for detection in picture.detections]


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to one channel, as the outbox keeps it. key: unique; the same alert is never queued twice.

    kind, received_at: of the frame. queued_at: when the store took the alert, None before that. count: how many of
    them there are in the picture.
    """

    key: str
    rule: str
    channel: str
    station: str
    frame_id: str
    captured: CaptureTime
    detection: Detection
    picture_path: Path
    picture_number: int = 0
    pk: int = 0
    attempts: int = 0
    kind: Kind = "still"
    received_at: datetime | None = None
    queued_at: datetime | None = None
    severity: Severity = "warning"
    count: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened (or failed): what observers, metrics and logs see.

    verb: one of the eight, of STATION_VERBS or PEOPLE_VERBS. A field `refusal` names the kind of what was refused.
    station.health has `health`, all that the agent said, and `drifts`, whether its clock is off (None: not known).
    """

    verb: str
    at: datetime
    ok: bool = True
    station: str = ""
    frame_id: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """What one must know to use a model; stands in card.toml beside model.onnx (docs/models.md).

    input_hw: height, width in pixels. mean, std: a pixel v of 0..255 enters as (v - mean) / std, per channel in the
    order of `colour`. resize: how a picture is brought to input_hw. classes: index → the model's own name.
    categories: class name → animal, person or vehicle; classes that are missing here are dropped by `detect`.
    min_score, nms_iou: detector thresholds, 0..1. crop_margin: classifier, share added around a box before cropping.
    taxonomy: name of the table that knows the classes, "" when there is none. folder: where card and model lie.
    """

    name: str
    task: Literal["detect", "classify"]
    decoder: str
    licence: str
    source: str
    sha256: str
    input_hw: tuple[int, int]
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    resize: Literal["letterbox-topleft", "letterbox-centre", "square-crop"] = "letterbox-centre"
    fill: int = 114
    classes: tuple[str, ...] = ()
    categories: Mapping[str, Category] = field(default_factory=dict)
    min_score: float = 0.2
    nms_iou: float = 0.45
    crop_margin: float = 0.15
    taxonomy: str = ""
    note: str = ""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def onnx_path(self) -> Path:
        """The model's file."""
        return self.folder / "model.onnx"


@dataclass(frozen=True, slots=True)
class Boxes:
    """What a detector's head said about one input, before NMS, in pixels of the model's input.

    xyxy_px: float32 (n, 4). scores: float32 (n,), 0..1. classes: int64 (n,).
    """

    xyxy_px: F32
    scores: F32
    classes: I64

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.xyxy_px.shape != (count, 4):
            raise ValueError(f"xyxy_px must be ({count}, 4), got {self.xyxy_px.shape}")
        if self.classes.shape != (count,):
            raise ValueError(f"classes must be ({count},), got {self.classes.shape}")
