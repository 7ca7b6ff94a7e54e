"""The six hooks of a plugin, and what they return.

pluggy registers; the pipeline calls named objects in the order of the site's YAML.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import pluggy
from pydantic import BaseModel

from .model import F32, Alert, Boxes, Card, Event, Frame, Outcome
from .services import Services, Session, Source

PROJECT = "tigrillo"
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
    """One configured alert channel."""

    def send(self, alert: Alert, *, picture: bytes) -> None:
        """Deliver one alert; return only when the channel has accepted it.

        picture: a JPEG with the box drawn in, b"" when it could not be read any more. Raises NotifyError to be called
        again later (with the same alert.key, so that a channel that can tell duplicates does).
        """


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
    """A kind of stage. reads, writes: fields of Frame, checked for order when the site is loaded."""

    name: str
    config: type[C]
    build: Callable[[C, Services], AbstractContextManager[Stage]]
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NotifierSpec(Generic[C]):
    """A kind of alert channel."""

    name: str
    config: type[C]
    build: Callable[[C, Services], AbstractContextManager[Notifier]]


@dataclass(frozen=True, slots=True)
class ExporterSpec:
    """An output format. open: a context manager that writes a complete, valid file when it is left."""

    name: str
    suffix: str
    open: Callable[[Path, Services], AbstractContextManager[Exporter]]


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
def tigrillo_event(event: Event) -> None:
    """Observe what happens; an error here is logged, never raised."""
