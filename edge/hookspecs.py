"""The seven hooks of a plugin, and what they return.

pluggy registers; the pipeline calls named objects in the order of the site's YAML.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import pluggy
from pydantic import BaseModel

from .model import F32, Boxes, Card, Event, Frame, Outcome
from .notices import Notice, PictureLimits, Receipt, Reply
from .services import Services, Session, Source, Station

PROJECT = "tigrillo"
USUAL_PICTURE = PictureLimits()
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

C = TypeVar("C", bound=BaseModel)


class Stage(Protocol):
    """One step of the pipeline. Called from several threads, but never twice at once for pictures of one clip."""

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame with more known about it, or `frame.reject(reason)`.

        Raises StageError when this frame can't be dealt with.
        """


class Notifier(Protocol):
    """One configured alert channel. `send` is called from one thread at a time."""

    def send(self, notice: Notice, *, picture: bytes) -> str | None:
        """Deliver one message; return only when the channel has accepted it.

        picture: a JPEG within the spec's limits, b"" when there is none. Returns the channel's own id of the message,
        by which `TracksReceipts` asks for it later, or None. Raises NotifyError to be called again later (with the same
        notice.key, so that a channel that can tell duplicates does), NoticeRefused when that would change nothing.
        """


@runtime_checkable
class ChecksOnline(Protocol):
    """A notifier that can find out without a message whether it would work: asked at the start and by `doctor`."""

    def check(self) -> str:
        """One line that says who answered. Raises NotifyError (not reached), NoticeRefused (wrong credentials)."""


@runtime_checkable
class TracksReceipts(Protocol):
    """A notifier whose channel says later what became of a message. Asked in the thread that sends."""

    def receipts(self, ids: Sequence[str]) -> Mapping[str, Receipt]:
        """What is known of these messages; those it knows nothing of are left out. Raises NotifyError."""


@runtime_checkable
class Hears(Protocol):
    """A notifier to whom people answer."""

    def listen(self, hear: Callable[[Reply], str], stop: threading.Event) -> None:
        """Give every answer to `hear` and send back what that returns, unless it is "", until `stop` is set.

        Runs in a thread of its own, beside `send`. An answer counts as read once `hear` has returned; the same one
        again (same id) is harmless. Deals with NotifyError itself: waits, tries again.
        """


@runtime_checkable
class Observes(Protocol):
    """A notifier that shows what happens, beside the notices: online and offline stations, new health."""

    def observe(self, event: Event) -> None:
        """Take note of an event; returns at once, sends from a thread of its own. Called from any thread."""


class Exporter(Protocol):
    """A writer of one output format."""

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""

    def fail(self, name: str, reason: str) -> None:
        """Take one frame that could not be processed."""


@dataclass(frozen=True, slots=True)
class SourceSpec(Generic[C]):
    """A kind of origin. name: the YAML `use:` key. config: pydantic model with extra="forbid"."""

    name: str
    config: type[C]
    build: Callable[[C, Services], AbstractContextManager[Source]]


@dataclass(frozen=True, slots=True)
class StageSpec(Generic[C]):
    """A kind of stage. reads, writes: fields of Frame, checked for order when the site is loaded.

    check: (key, what is wrong) for each fault of the files that settings name, when the site is loaded; paths are whole
    by then. It is also given the site's stations. Without a place of its own a fault has the key "".
    """

    name: str
    config: type[C]
    build: Callable[[C, Services], AbstractContextManager[Stage]]
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    check: Callable[[C, Mapping[str, Station]], Iterable[tuple[str, str]]] = lambda _config, _stations: ()


@dataclass(frozen=True, slots=True)
class NotifierSpec(Generic[C]):
    """A kind of alert channel.

    address: checks and tidies the address of a recipient ("+57 300 1234567" → "+573001234567"), raises ValueError that
    says what would be right; None for a channel that has its own addressees only. picture: None for a channel without
    pictures. has_own: whether a channel with these settings has addressees of its own, so that a rule may name it
    under `channels:`. shows: whether one with these settings wants pictures; for one that does not, none is made.
    """

    name: str
    config: type[C]
    build: Callable[[C, Services], AbstractContextManager[Notifier]]
    address: Callable[[str], str] | None = None
    picture: PictureLimits | None = USUAL_PICTURE
    has_own: Callable[[C], bool] = lambda _config: True
    shows: Callable[[C], bool] = lambda _config: True


@dataclass(frozen=True, slots=True)
class ExportOption:
    """Something a person may choose of a format: `tigrillo export NAME --set OPTION=VALUE`.

    default: what holds when nothing was said. pattern: what a value looks like, a regular expression of all of it.
    about: one line for people, English, marked for translation. The exporter finds it in
    `services.exporting.options`.
    """

    name: str
    default: str
    pattern: str
    about: str


@dataclass(frozen=True, slots=True)
class ExporterSpec:
    """An output format. open: a context manager that writes a complete, valid file when it is left.

    An error leaves what was at the path as it was. about: one line for people, English, marked for translation.
    folder: a path without the suffix is written as a folder. raw_classes: whether it reads a detection's
    `classifications`; reading is faster without them. options: what a person may choose. counted: it is given what
    counts now, people's answers in the place of the machine's; else what the machine said, with people's beside it.
    """

    name: str
    suffix: str
    open: Callable[[Path, Services], AbstractContextManager[Exporter]]
    about: str = ""
    folder: bool = False
    raw_classes: bool = True
    options: tuple[ExportOption, ...] = ()
    counted: bool = False


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """A model head.

    check: raises ModelError when the session's outputs can't be of this head; called when a model is loaded.
    decode: outputs of one run → for "detect" a Boxes for each input of the batch, for "classify" probabilities,
    float32 (n, classes).
    """

    name: str
    task: Literal["detect", "classify"]
    check: Callable[[Session], None]
    decode: Callable[[Sequence[F32], Card], Sequence[Boxes] | F32]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as another service says. email: one that it has checked; by it the user is known here.

    subject: what the service calls them, the same for ever; for the audit.
    """

    subject: str
    email: str


class Login(Protocol):
    """A service that says who somebody is, such as an OpenID Connect provider. Called from any thread."""

    def start(self, redirect_uri: str, state: str) -> str:
        """The address to send the browser to; it must come back to redirect_uri with `state` in its query."""

    def finish(self, params: Mapping[str, str], redirect_uri: str) -> Identity:
        """Who came back. params: the query with which the browser came; `state` has been checked already.

        Raises NoticeRefused when the service did not let them in, NotifyError when it can't be reached.
        """


@dataclass(frozen=True, slots=True)
class LoginSpec(Generic[C]):
    """A way to log in beside the password. name: the key below `web: {logins: …}`. label: on the button, marked."""

    name: str
    config: type[C]
    build: Callable[[C, Services], AbstractContextManager[Login]]
    label: str


@hookspec
def tigrillo_sources() -> Iterable[SourceSpec[Any]]:  # type: ignore[empty-body]  # because pluggy only reads the signature
    """Name origins of frames."""


@hookspec
def tigrillo_stages() -> Iterable[StageSpec[Any]]:  # type: ignore[empty-body]  # because pluggy only reads the signature
    """Name transforms of frames."""


@hookspec
def tigrillo_notifiers() -> Iterable[NotifierSpec[Any]]:  # type: ignore[empty-body]  # because pluggy only reads the signature
    """Name alert channels."""


@hookspec
def tigrillo_exporters() -> Iterable[ExporterSpec]:  # type: ignore[empty-body]  # because pluggy only reads the signature
    """Name output formats."""


@hookspec
def tigrillo_decoders() -> Iterable[DecoderSpec]:  # type: ignore[empty-body]  # because pluggy only reads the signature
    """Name model heads."""


@hookspec
def tigrillo_logins() -> Iterable[LoginSpec[Any]]:  # type: ignore[empty-body]  # because pluggy only reads the signature
    """Name ways to log in to the web page."""


@hookspec
def tigrillo_event(event: Event) -> None:
    """Observe what happens; an error here is logged, never raised."""
