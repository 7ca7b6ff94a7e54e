"""What a plugin is handed when it is built: protocols of the shared parts, and the bundle of them.

There is no global look-up, so a test builds a plugin with `build(config, edge.testing.fake_services())`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .clock import Clock, SystemClock
from .dataset import Dataset
from .deployed import Deployment, Effort
from .errors import FrameError, RetryableError
from .messages import Command, Health, Hello, Result, Status
from .model import F32, U8, AgentFacts, Box, Boxes, CaptureTime, Card, Category, Event, Kind, Picture
from .placement import Placement
from .tls import Tls

if TYPE_CHECKING:
    from .hookspecs import DecoderSpec


class Session(Protocol):
    """A loaded model."""

    @property
    def card(self) -> Card:
        """The card of the model."""

    @property
    def output_shapes(self) -> Sequence[tuple[int | None, ...]]:
        """Shape of each output; None where it depends on the batch."""

    def run(self, batch: F32) -> Sequence[F32]:
        """Run the model on a batch, float32 (n, 3, height, width), already scaled as the card says.

        Any n ≥ 1 is taken: a model with a fixed batch is run in pieces. Returns one float32 array an output, first
        axis n. May be called from several threads. Raises DeviceBusy when the device is out of memory.
        """


@runtime_checkable
class Finder(Protocol):
    """A session whose device also does what lies around a detector: letterbox before it, boxes and NMS after it."""

    def find(self, picture: Picture, card: Card) -> tuple[Boxes, Placement] | None:
        """What a detector sees in a picture: boxes in pixels of its input, after NMS, and where the picture lies there.

        card: the session's, with the thresholds in force. Pictures of several threads share a run. None when it can't
        be done there: letterbox, `run` and the decoder give the same. Raises as `run` does.
        """


@runtime_checkable
class Cropper(Protocol):
    """A session whose device also cuts out what a classifier is to look at."""

    def run_crops(self, picture: Picture, boxes: Sequence[Box], card: Card) -> Sequence[F32] | None:
        """What `run` gives for a square around each box (xywh_norm), one at least, with card.crop_margin around it.

        None when it can't be done there: square_crop and `run` give the same. Raises as `run` does.
        """


@dataclass(frozen=True, slots=True)
class MotionRule:
    """The numbers of the motion stage, whose module says what each means and where it comes from."""

    size_px: int
    threshold: float
    noise_factor: float
    history_s: float
    light_share: float
    most_noise: float
    sigma_first: float
    sigma_per_deviation: float
    gain_range: tuple[float, float]
    light_jump: float
    moving_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a picture shows against the background. changed: uint8 (rows, columns), 0 or 1; count: how many are 1.

    maps: (background, picture), float32 (rows, columns), when more than light_share changed, so that the stage can tell
    another light from another scene; the background begins anew then. None otherwise.
    """

    changed: U8
    count: int
    maps: tuple[F32, F32] | None = None


class Scene(Protocol):
    """The background of one scene, kept on a device. Its pictures come one after the other."""

    def look(self, picture: Picture, *, at_s: float) -> Seen | None:
        """What changed, and learn from the picture; None when there was no background to compare with.

        at_s: seconds on any clock that all pictures of this scene share. Raises DeviceBusy or DeviceLost; the
        background is gone then.
        """

    def forget(self) -> None:
        """Start anew with the next picture."""


@runtime_checkable
class VisionCompute(Protocol):
    """A Compute whose device also sees to what lies around the models, as long as it is there."""

    def looking_at(self, picture: Picture) -> AbstractContextManager[None]:
        """While this is open the calling thread takes a picture through the stages.

        What was uploaded of it stays on the device until then, and jobs of other threads wait a moment for this one's.
        """

    def scene(self, rule: MotionRule) -> Scene | None:
        """A new background; None when the host does it as well: no model runs on the device, or it was given up."""


class Compute(Protocol):
    """The one place where models run."""

    def session(self, card: Card) -> Session:
        """The session of a model; loaded at the first call, shared afterwards.

        Raises ModelError when the file is missing or does not match its card, UnsupportedOpError on a foreign operator.
        """


class Models(Protocol):
    """The models that are installed."""

    def card(self, name: str) -> Card:
        """The card of an installed model. Raises ModelError, naming `tigrillo models pull`, when it is not there."""


class Clip(Protocol):
    """An opened frame: its pictures, one after the other."""

    frame_rate: float | None

    @property
    def damage(self) -> str:
        """What could not be read, in words, "" when all was; final once all pictures were taken."""

    def __iter__(self) -> Iterator[tuple[int, float, Picture]]:
        """(number, seconds into the clip, picture), in order, once; a still gives one.

        number counts all pictures of the file, also those that are skipped because they are not to be looked at.
        """


class Media(Protocol):
    """From bytes to pictures."""

    def open(self, path: Path, kind: Kind) -> AbstractContextManager[Clip]:
        """Open a still or clip. Raises DecodeError with one line that says what is wrong with the file."""


class Log(Protocol):
    """Structured log: an event name and fields."""

    def debug(self, event: str, **fields: Any) -> None: ...  # noqa: D102  # because the four are one idea
    def info(self, event: str, **fields: Any) -> None: ...  # noqa: D102
    def warning(self, event: str, **fields: Any) -> None: ...  # noqa: D102
    def error(self, event: str, **fields: Any) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Incoming:
    """A frame as a source hands it over.

    id: unique within the station; "" takes the content's hash, so that equal content of one station is one frame.
    body: the bytes, or the path of a file that stays where it is (it is then read in place and never changed).
    sha256: what the sender says the hash is, "" when it says nothing; a difference is refused.
    captured: None means: find out from the file (EXIF, container, modification time) in the station's zone.
    ours: the file at `body` lies in state_dir and was put together by the source: a new frame takes it over (it gets a
    second name; the source removes its own). agent: what a station's agent said of it.
    """

    station: str
    name: str
    kind: Kind
    body: bytes | Path
    source: str
    id: str = ""
    sha256: str = ""
    captured: CaptureTime | None = None
    ours: bool = False
    agent: AgentFacts | None = None


Received = bool | FrameError | RetryableError


class Sink(Protocol):
    """Where sources put frames: hop 3, spool."""

    def receive(self, incoming: Incoming) -> bool:
        """Make a frame durable; only after this may a source tell the sender that it arrived.

        Returns True for a new frame, False for one already known. Raises RefusedError (recorded in quarantine; the
        sender must not send it again), SpoolFull or StoreBusy (not durable: the sender keeps it and tries again).
        """

    def receive_many(self, incoming: Sequence[Incoming]) -> Sequence[Received]:
        """`receive` for frames that arrived together: synced one after the other, known to the store all at once.

        For each, in order, what `receive` would have returned or raised; one that is at fault spoils no other. What
        nobody foresaw is a RetryableError for two times and a RefusedError the third time.
        """

    def sha256_of(self, station: str, frame_id: str) -> str | None:
        """The content hash of a frame that is durable already; None when it is unknown. Raises StoreBusy."""

    def hold(self, source: str, size_bytes: int) -> None:
        """Say how many bytes of unfinished frames a source keeps in state_dir: they count towards the spool's limit.

        Raises SpoolFull, StoreBusy when there is no room for more than it said last; nothing has changed then.
        """

    def refuse(
        self, *, source: str, name: str, reason: str, body: bytes = b"", station: str = "", kind: str = ""
    ) -> None:
        """Record something that never became a frame (unknown topic, unreadable payload) in quarantine.

        station: whose it is, when that is known. kind: what sort of refusal it is counted as.
        """

    def knows(self, station: str, sha256: str) -> bool:
        """Whether this content of this station was received before."""


class Source(Protocol):
    """An origin of frames."""

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Hand frames to `sink` until `stop` is set; called in a thread of its own.

        Deals with RetryableError itself (back off, try again); anything else that escapes is logged and the source is
        started again after a pause.
        """


@dataclass(frozen=True, slots=True)
class Station:
    """Where a camera stands. timezone: IANA name; the camera's clock is read in it. species_list: what lives there."""

    name: str
    timezone: str = "UTC"
    latitude: float | None = None
    longitude: float | None = None
    species_list: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """How long a station took frames, as far as the records tell: nobody wrote down when its camera was set up.

    first, last: of its recorded frames; of a frame of unknown time, when it was received. unknown_times: how many.
    """

    station: str
    first: datetime
    last: datetime
    frames: int = 0
    unknown_times: int = 0


@dataclass(frozen=True, slots=True)
class Encountered:
    """What was there as one event. uid: never used again. lineage: kingdom first, () where no answer was given."""

    uid: str
    station: str
    category: Category
    lineage: tuple[str, ...]
    started_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """An event as an imported data set states it. row: its columns there, empty ones left out.

    kind: Camtrap DP's observationType. lineage: kingdom first, () where nothing is named. score: 0..1, 1 where the data
    set gives none.
    """

    station: str
    started_at: datetime
    ended_at: datetime
    kind: str
    lineage: tuple[str, ...]
    score: float
    row: Mapping[str, str]


def _no_encounters(_station: str) -> "Iterator[Encountered]":
    return iter(())


def _no_events() -> "Iterator[ImportedEvent]":
    return iter(())


@dataclass(frozen=True, slots=True)
class ExportContext:
    """What an exporter may know beside the frames.

    periods: of every station that was asked for, also of those without a frame that passes the filters; () where
    nothing is known but the frames. encounters_of: a station's, oldest first. by_station: frames come station by
    station in the order of `periods`, of each those of unknown time first, then in the order of time.
    deployments: of the stations and the time that were asked for, by station and start; () where none was noted down.
    Which one a frame belongs to: edge.deployed.Deployed. effort: of each of these, by its id; worked out when asked.
    loose: of frames that belong to none of these, by station; None where nothing is known but the frames. dataset: what
    the site says of its data set, None when it says nothing. packages: what imported data sets say of themselves, in
    the order in which they came. imported_events: theirs, in their order; encounters_of has none of them.
    options: what the person chose of the format; what it says nothing of has its default.
    """

    periods: Sequence[Period] = ()
    encounters_of: Callable[[str], "Iterator[Encountered]"] = _no_encounters
    by_station: bool = False
    deployments: tuple[Deployment, ...] = ()
    effort: Mapping[str, Effort] = field(default_factory=dict)
    loose: Mapping[str, Period] | None = None
    dataset: Dataset | None = None
    packages: tuple[Mapping[str, Any], ...] = ()
    imported_events: Callable[[], "Iterator[ImportedEvent]"] = _no_events
    options: Mapping[str, str] = field(default_factory=dict)


Said = Hello | Health | Status | Result


class Roster(Protocol):
    """What stations' agents say of themselves, and what they are to do."""

    def heard(self, said: Sequence[tuple[str, Said]], *, live: bool) -> None:
        """Keep what agents said, (station, message) in order, in one transaction. Raises StoreBusy.

        live: they said it just now, so that their clocks can be compared with ours; not what waited in the broker.
        """

    def due_commands(self) -> Sequence[tuple[str, Command]]:
        """Some commands, (station, command), oldest first, of stations that are connected. Raises StoreBusy."""

    def command_sent(self, command_id: str) -> None:
        """The broker gets this command now. Raises StoreBusy."""


class NoRoster:
    """A Roster that keeps nothing and commands nothing."""

    def heard(self, said: Sequence[tuple[str, Said]], *, live: bool) -> None:
        """Forget it."""

    def due_commands(self) -> Sequence[tuple[str, Command]]:
        """None."""
        return ()

    def command_sent(self, command_id: str) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Services:
    """All that a plugin may use of the runtime; arrives once, through `build`.

    stations: those the site names and those that were added, as they are now; others take `default_timezone`.
    is_allowed: whether frames of this station are taken; a revoked one's are not, from 1 s after it was revoked at the
    latest (raises StoreBusy while that can't be read). identity: who the server is at its own broker, None where it has
    none. language, site_name: as in the site, "en" or "es".
    roster: keeps what agents say of themselves and has the commands for them.
    emit: tells observers (metrics, log, tigrillo_event) what happened. used_models: task ("detect", "classify") → name
    of the model that the site's stages use for it; exporters write it down. exporting: for exporters, what the records
    tell beside the frames.
    """

    compute: Compute
    models: Models
    media: Media
    log: Log
    state_dir: Path
    clock: Clock = field(default_factory=SystemClock)
    decoders: "Mapping[str, DecoderSpec]" = field(default_factory=dict)
    stations: Mapping[str, Station] = field(default_factory=dict)
    default_timezone: str = "UTC"
    language: str = "en"
    site_name: str = "tigrillo"
    emit: "Emit" = field(default=lambda _event: None)
    used_models: Mapping[str, str] = field(default_factory=dict)
    is_allowed: Callable[[str], bool] = field(default=lambda _station: True)
    identity: Tls | None = None
    roster: Roster = field(default_factory=NoRoster)
    exporting: ExportContext = field(default_factory=ExportContext)

    def timezone_of(self, station: str) -> str:
        """The IANA zone in which the clock of this station's camera is read."""
        known = self.stations.get(station)
        return known.timezone if known else self.default_timezone


class Emit(Protocol):
    """Tells observers what happened."""

    def __call__(self, event: Event, /) -> None:
        """Never raises."""
