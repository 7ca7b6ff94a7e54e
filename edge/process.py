"""`tigrillo process`: one shot over files and folders, resumable, with a journal that survives a power cut.

Every finished file is a line in OUT.journal; OUT itself is written from the journal at the end and on Ctrl-C.
"""

import fcntl
import hashlib
import json
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from .errors import DecodeError, FatalError
from .foreign import foreign
from .hookspecs import ExporterSpec
from .i18n import _
from .media.times import capture_time
from .model import Kind, Outcome, SpooledFrame
from .pipeline.runner import Done, Failed, Halted, Runner, attempt
from .services import Services
from .wire import CLIP_SUFFIXES, STILL_SUFFIXES, kind_of

_OUTCOME = TypeAdapter(Outcome)
STATION = "process"


@dataclass(frozen=True, slots=True)
class Item:
    """A file to look at. name: as it stands in the results, relative to what the person named."""

    path: Path
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be looked at."""

    name: str
    reason: str


def find_items(paths: Sequence[Path]) -> list[Item]:
    """The stills and clips at `paths`, folders searched through, sorted by name.

    A file that is named outright is taken whatever its suffix (as a still when that says nothing). Raises FatalError
    naming a path that is not there, and when nothing is found at all.
    """
    for path in paths:
        if not path.exists():
            raise FatalError(_("{path}: no such file or folder").format(path=path))
    base = common_folder(paths)
    found: dict[str, Item] = {}
    for path in paths:
        for file in _files_in(path) if path.is_dir() else [path]:
            kind = kind_of(file.name) or (None if path.is_dir() else "still")
            if kind:
                name = os.path.relpath(file, base)
                found[name] = Item(file, name, kind)
    if not found:
        raise FatalError(
            _("{paths}: no stills or clips in there; known are {suffixes}").format(
                paths=", ".join(map(str, paths)),
                suffixes=" ".join(sorted(STILL_SUFFIXES | CLIP_SUFFIXES)),
            )
        )
    return [found[name] for name in sorted(found)]


def _files_in(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(root) / each for each in sorted(files) if not each.startswith("."))


def common_folder(paths: Sequence[Path]) -> Path:
    """The folder that the names of the results start from; links stay as they were written."""
    return Path(os.path.commonpath([path.absolute() if path.is_dir() else path.absolute().parent for path in paths]))


class Journal:
    """Finished files, one JSON line each, beside the output. What a power cut tore at its end is dropped.

    Memory holds a file's name and the place of its line: results are read again when they are asked for.
    """

    def __init__(self, out: Path, fingerprint: str, *, resume: bool) -> None:
        """Start a journal for `out`, or go on with the one that is there when `resume` and the settings are the same.

        Raises FatalError when it can't be written, when another run writes it, and when it was made of other folders,
        models or stages.
        """
        self.path = out.with_name(f"{out.name}.journal")
        self._places: dict[str, int] = {}
        try:
            self._file = self.path.open("rb+" if self.path.exists() else "xb+")
        except OSError as exc:
            reason = foreign(exc.strerror or str(exc))
            raise FatalError(_("{path}: can't be written: {reason}").format(path=self.path, reason=reason)) from exc
        try:
            self._begin(json.dumps({"fingerprint": fingerprint}).encode("ascii") + b"\n", resume=resume)
        except BaseException:
            self._file.close()
            raise
        self._end = self._file.seek(0, os.SEEK_END)

    def _begin(self, head: bytes, *, resume: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise FatalError(_("{path}: another run writes it: name another --out").format(path=self.path)) from exc
        if not resume or not (found := self._file.readline()):
            self._file.truncate(0)
            self._file.write(head)
        elif found == head:
            self._find_results()
        else:
            raise FatalError(
                _("{path}: was made of other folders, stages or models: leave --resume out to start anew").format(
                    path=self.path
                )
            )

    def _find_results(self) -> None:
        """Learn where the results stand, up to the first line that is not whole."""
        place = self._file.tell()
        for line in iter(self._file.readline, b""):
            name = _name_in(line)
            if name is None:
                self._file.truncate(place)
                return
            self._places[name] = place
            place += len(line)

    def __contains__(self, name: str) -> bool:
        """Whether the file of this name is finished."""
        return name in self._places

    def results(self, items: Iterable[Item]) -> Iterator[Outcome | Failure]:
        """What is known of the items, in their order; those not finished are left out."""
        for item in items:
            if (place := self._places.get(item.name)) is not None:
                self._file.seek(place)
                yield _from_line(self._file.readline())

    def add(self, result: Outcome | Failure) -> None:
        """Keep one finished file."""
        if isinstance(result, Failure):
            line = {"failure": {"name": result.name, "reason": result.reason}}
        else:
            line = {"outcome": _OUTCOME.dump_python(result, mode="json")}
        self._file.seek(self._end)
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()
        self._places[_name_of(result)] = self._end
        self._end = self._file.tell()

    def close(self, *, finished: bool) -> None:
        """Close it; a finished run needs no journal any more."""
        self._file.close()
        if finished:
            self.path.unlink()


def _from_line(line: bytes) -> Outcome | Failure:
    fields = json.loads(line)
    return Failure(**fields["failure"]) if "failure" in fields else _OUTCOME.validate_python(fields["outcome"])


def _name_in(line: bytes) -> str | None:
    """The name of the file in a line; None when the line is torn: some file systems leave zeros after a power cut."""
    try:
        return _name_of(_from_line(line)) if line.endswith(b"\n") else None
    except (ValueError, KeyError, TypeError):
        return None


def _name_of(result: Outcome | Failure) -> str:
    return result.name if isinstance(result, Failure) else result.spooled.name


def fingerprint_of(folder: Path, stages: Iterable[tuple[str, str]], hashes: Iterable[str]) -> str:
    """A hash of what decides the results: the folder that names start from, the settings, the models' hashes."""
    return hashlib.sha256(json.dumps([str(folder), list(stages), list(hashes)]).encode()).hexdigest()


def look_at_all(
    items: Sequence[Item],
    *,
    runner: Runner,
    services: Services,
    workers: int,
    stop: threading.Event,
    done: Callable[[Outcome | Failure], None],
) -> None:
    """Look at every item, `workers` at a time, and call `done` with each result as it comes, in this thread.

    Ends early when `stop` is set: files in hand are finished, a clip in hand is left for the next run.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="look") as pool:
        waiting = iter(items)
        running: set[Future[Outcome | Failure | None]] = set()
        while not stop.is_set() or running:
            while not stop.is_set() and len(running) < workers + 1 and (item := next(waiting, None)):
                running.add(pool.submit(_look, item, runner, services, stop))
            if not running:
                return
            ended, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in ended:
                if result := future.result():
                    done(result)


def _look(item: Item, runner: Runner, services: Services, stop: threading.Event) -> Outcome | Failure | None:
    """What one item gives; None when the run ended before it was finished."""

    def halt() -> None:
        if stop.is_set():
            raise Halted("stopped")

    result = attempt(lambda: runner.look_at(_spooled(item, services), beat=halt))
    if isinstance(result, Done):
        return result.value
    return None if stop.is_set() and result.reaction == "wait" else Failure(item.name, _reason(result))


def _spooled(item: Item, services: Services) -> SpooledFrame:
    zone = services.default_timezone
    try:
        status = item.path.stat()
    except OSError as exc:
        raise DecodeError(f"{item.name}: can't be read: {exc.strerror}: check the file and its disk") from exc
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
        raise DecodeError(f"{item.name}: no file but a pipe, a socket or a device: remove it")
    return SpooledFrame(
        station=STATION,
        id=item.name,
        kind=item.kind,
        path=item.path,
        name=item.name,
        sha256="",
        size_bytes=status.st_size,
        source=STATION,
        captured=capture_time(item.path, item.kind, timezone=zone),
        received_at=services.clock.now(),
    )


def _reason(failed: Failed) -> str:
    return failed.reason if failed.reaction == "quarantine" else f"{failed.reaction}: {failed.reason}"


def write_results(
    out: Path, items: Sequence[Item], journal: Journal, *, exporter: ExporterSpec, services: Services
) -> None:
    """Write what the journal holds to `out`, in the order of the items."""
    with exporter.open(out, services) as writer:
        for result in journal.results(items):
            if isinstance(result, Failure):
                writer.fail(result.name, result.reason)
            else:
                writer.add(result)
