"""Source `replay`: the files of a folder, once, as if a camera delivered them now; for demos and tests."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from edge.api import Incoming, RefusedError, RetryableError, Services, Sink, SourceSpec, _, hookimpl, is_safe_name, wire

AGAIN_S = 1.0


class ReplayConfig(BaseModel):
    """path: a folder, or one file. every_s: pause between two files, 0 for as fast as the spool takes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    station: str = "replay"
    every_s: float = Field(default=1.0, ge=0, le=86_400)

    @field_validator("station")
    @classmethod
    def _safe(cls, name: str) -> str:
        if not is_safe_name(name):
            raise ValueError(_("{name!r}: letters, digits, '_', '-' and '.' only, at most 64").format(name=name))
        return name


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """Files in the order of their paths."""

    config: ReplayConfig
    services: Services

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Hand over each file once, then end; see Source."""
        files = _files(self.config.path)
        if not files:
            self.services.log.warning("replay.empty", path=str(self.config.path))
        for path in files:
            self._hand_over(path, sink, stop)
            if stop.wait(self.config.every_s):
                return

    def _hand_over(self, path: Path, sink: Sink, stop: threading.Event) -> None:
        folder = self.config.path if self.config.path.is_dir() else self.config.path.parent
        # some cards hold names that are not UTF-8; the database takes no others
        name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "replace")
        try:
            body = path.read_bytes()
        except OSError as exc:
            sink.refuse(source="replay", name=name, reason=f"can't be read: {exc.strerror}")
            return
        kind = wire.kind_of(name) or "still"
        incoming = Incoming(station=self.config.station, name=name, kind=kind, body=body, source="replay")
        while not stop.is_set():
            try:
                sink.receive(incoming)
            except RefusedError as exc:
                self.services.log.warning("replay.refused", name=name, reason=str(exc))  # the sink has recorded it
            except RetryableError as exc:
                self.services.log.debug("replay.deferred", name=name, reason=str(exc))
                stop.wait(AGAIN_S)
                continue
            return


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = (each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
    return sorted(each for each in found if wire.kind_of(each.name))


@contextmanager
def build(config: ReplayConfig, services: Services) -> Iterator[ReplaySource]:
    """Give the source; files are read when it runs."""
    yield ReplaySource(config, services)


SPEC = SourceSpec("replay", ReplayConfig, build)


@hookimpl
def tigrillo_sources() -> list[SourceSpec[ReplayConfig]]:
    """Name this source."""
    return [SPEC]
