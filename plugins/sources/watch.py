"""Source `watch`: hop 2, receive, from a folder that people, memory cards or cameras write into.

A file that has come to rest → its station, from its path → its hash → sink.receive, unless that content is known.
Files stay where they are, unchanged. What was handed over is remembered on disk by path, size and time, so that
neither the next walk nor the next start reads it again.
"""

import hashlib
import os
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.api import Incoming, RefusedError, RetryableError, Services, Sink, SourceSpec, _, hookimpl, is_safe_name, wire

from .ready_files import Mark, ReadyFiles, mark_of
from .seen_files import KEPT, REFUSED, UNREADABLE, SeenFiles

PAUSE_S = 1.0  # the first pause when the sink can't take a file; it doubles
LONGEST_PAUSE_S = 30.0


class WatchConfig(BaseModel):
    """folder: what is watched. station: of all files; else station_pattern; else the first folder below `folder`.

    station_pattern: regular expression with a group `station`, searched in the path below `folder`. settle_s: how long
    a file must rest before it is read. rescan_s: how often the whole folder is walked. include: endings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    station: str | None = None
    station_pattern: str | None = None
    settle_s: float = Field(default=2.0, gt=0, le=3600)
    rescan_s: float = Field(default=60.0, gt=0, le=86_400)
    recursive: bool = True
    include: frozenset[str] = frozenset(each.removeprefix(".") for each in wire.STILL_SUFFIXES | wire.CLIP_SUFFIXES)

    @field_validator("station")
    @classmethod
    def _safe(cls, name: str | None) -> str | None:
        if name is not None and not is_safe_name(name):
            raise ValueError(_("{name!r}: letters, digits, '_', '-' and '.' only, at most 64").format(name=name))
        return name

    @field_validator("station_pattern")
    @classmethod
    def _has_group(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern or "(?P<station>.)").groupindex
        except re.error as exc:
            raise ValueError(_("not a regular expression: {reason}").format(reason=exc)) from exc
        if "station" not in groups:
            raise ValueError(_("needs a group named station, for example (?P<station>[^/]+)/DCIM"))
        return pattern

    @field_validator("include")
    @classmethod
    def _known(cls, endings: frozenset[str]) -> frozenset[str]:
        endings = frozenset(each.lower().removeprefix(".") for each in endings)
        if unknown := sorted(each for each in endings if wire.kind_of(f"x.{each}") is None):
            raise ValueError(
                _("{names}: neither a picture nor a video that can be read").format(names=", ".join(unknown))
            )
        return endings

    @model_validator(mode="after")
    def _one_station(self) -> "WatchConfig":
        if self.station is not None and self.station_pattern is not None:
            raise ValueError(_("station and station_pattern exclude each other; keep one"))
        return self

    def accepts(self, name: str) -> bool:
        """Whether a file of this name is one to hand over."""
        return Path(name).suffix.lower().removeprefix(".") in self.include

    def station_of(self, name: str) -> str | None:
        """The station of a file by its path below the folder, as it stands there; None when the pattern finds none."""
        if self.station is not None:
            return self.station
        if self.station_pattern is not None:
            found = re.search(self.station_pattern, name)
            return found["station"] if found else None
        first, _, rest = name.partition("/")
        return first if rest else self.folder.resolve().name


@dataclass(frozen=True, slots=True)
class WatchSource:
    """Files of one folder."""

    config: WatchConfig
    services: Services

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Hand over files until `stop` is set; see Source."""
        config, folder, pause_s = self.config, self.config.folder.absolute(), PAUSE_S
        with closing(SeenFiles(self.services.state_dir, folder)) as seen:
            desk = _Desk(config, folder, sink, seen)
            with ReadyFiles(
                folder,
                self.services,
                accepts=config.accepts,
                is_done=seen.is_done,
                unreadable=lambda path, reason: desk.say_unreadable(path, Mark(0, 0), reason),
                recursive=config.recursive,
                settle_s=config.settle_s,
                rescan_s=config.rescan_s,
            ) as files:
                while not stop.wait(min(config.settle_s / 4, 0.5)):
                    try:
                        for path, mark in files.ready():
                            if stop.is_set():
                                return
                            desk.hand_over(path, mark)
                            files.forget(path)
                            pause_s = PAUSE_S
                    except RetryableError as exc:
                        self.services.log.warning("watch.deferred", reason=str(exc), again_in_s=pause_s)
                        stop.wait(pause_s)
                        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class _UnfitError(Exception):
    """This file can't become a frame; the text says why."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where a file that is at rest gets its station and goes to the sink."""

    config: WatchConfig
    folder: Path
    sink: Sink
    seen: SeenFiles

    def hand_over(self, path: Path, mark: Mark) -> None:
        """Deal with one file. Raises RetryableError when the sink can't take it now."""
        name, sha256, outcome = self._name_of(path), "", KEPT
        try:
            station = self._station_of(path, name)
            sha256 = self.seen.sha256_of(path, mark) or _hash(path)
            if mark_of(path) != mark:
                return  # it changed while it was read, which is found out like any other change
            if not self.sink.knows(station, sha256):
                # Without its hash: a file that is written anew just now is another frame, not a damaged one.
                kind = wire.kind_of(name) or "still"
                self.sink.receive(Incoming(station=station, name=name, kind=kind, body=path, source="watch"))
        except FileNotFoundError:
            return
        except OSError as exc:
            self.say_unreadable(path, mark, f"can't be read: {exc.strerror}")
            return
        except _UnfitError as exc:
            self.sink.refuse(source="watch", name=name, reason=str(exc))
            outcome = REFUSED
        except RefusedError:  # which the sink has recorded
            outcome = REFUSED
        self.seen.remember(path, mark, sha256=sha256, outcome=outcome)

    def say_unreadable(self, path: Path, mark: Mark, reason: str) -> None:
        """Record once that a file or folder can't be read; it is tried again at each walk."""
        if not self.seen.was_unreadable(path, mark):
            self.sink.refuse(source="watch", name=self._name_of(path), reason=reason)
            self.seen.remember(path, mark, sha256="", outcome=UNREADABLE)

    def _name_of(self, path: Path) -> str:
        return os.fsencode(path.relative_to(self.folder)).decode("utf-8", "replace")

    def _station_of(self, path: Path, name: str) -> str:
        if "\ufffd" in name:
            raise _UnfitError("its name is not UTF-8 text; rename the file or folder")
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise _UnfitError("is a link that leads out of the watched folder")
        found = self.config.station_of(name)
        if found is None:
            raise _UnfitError(f"station_pattern finds no station in {name[:200]!r}")
        # People name folders "Cámara 3", and some systems write á as a and an accent.
        station = "_".join(unicodedata.normalize("NFC", found).split())
        if not is_safe_name(station):
            raise _UnfitError(f"station {station[:80]!r}: letters, digits, '_', '-' and '.' only, at most 64")
        return station


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def build(config: WatchConfig, services: Services) -> Iterator[WatchSource]:
    """Give the source; the folder is opened when it runs, and may come later (a disk that is plugged in)."""
    yield WatchSource(config, services)


SPEC = SourceSpec("watch", WatchConfig, build)


@hookimpl
def tigrillo_sources() -> list[SourceSpec[WatchConfig]]:
    """Name this source."""
    return [SPEC]
