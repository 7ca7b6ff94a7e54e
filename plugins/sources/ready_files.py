"""Which files below a folder have come to rest: found by inotify and by walking, reported when they stop changing.

inotify says where to look at once; a walk every `rescan_s` finds what inotify does not see (network drives, a full
event queue, a disk that was plugged in again).
"""

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from edge.api import Services

RESTING_LIMIT = 10_000  # files looked at together; a card with more comes in turns, so that memory stays flat
TOUCHED_LIMIT = 10_000  # paths from inotify between two looks; beyond that a walk finds them
# What cameras, network drives and operating systems leave beside pictures.
JUNK = re.compile(r"[.@#$~].*|System Volume Information|lost\+found", re.IGNORECASE)
CHANGES = {"created", "modified", "moved", "closed"}  # not "opened" or "closed_no_write": that is us, reading

GONE = (-1,)


class Mark(NamedTuple):
    """What changes when a file is written."""

    size: int
    mtime_ns: int


@dataclass(slots=True)
class _Resting:
    mark: Mark
    since_s: float


class ReadyFiles:
    """Files that have not changed for `settle_s`, each reported until `forget` is called for it.

    accepts: whether a file name is of interest. is_done: whether a file with this mark was dealt with before.
    unreadable: told of folders that can't be listed. Used by one thread, within `with`.
    """

    def __init__(
        self,
        folder: Path,
        services: Services,
        *,
        accepts: Callable[[str], bool],
        is_done: Callable[[Path, Mark], bool],
        unreadable: Callable[[Path, str], None],
        recursive: bool,
        settle_s: float,
        rescan_s: float,
    ) -> None:
        self._folder = folder
        self._log = services.log
        self._accepts = accepts
        self._is_done = is_done
        self._unreadable = unreadable
        self._recursive = recursive
        self._settle_s = settle_s
        self._rescan_s = rescan_s
        self._resting: dict[Path, _Resting] = {}
        self._touched = _Touched()
        self._walk_at_s = 0.0
        self._walk_was_cut = False
        self._observer: BaseObserver | None = None
        self._observed: tuple[int, ...] = ()  # device and inode: another disk in the same place is another folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_observer()

    def ready(self) -> list[tuple[Path, Mark]]:
        """Paths that are at rest now, in the order in which they were found."""
        now_s = time.monotonic()
        cut_and_room = self._walk_was_cut and len(self._resting) < RESTING_LIMIT // 2
        if now_s >= self._walk_at_s or cut_and_room or self._touched.overflowed:
            self._observe()
            paths = self._touched.take()
            self._walk_was_cut = not self._look_at(self._walk(self._folder), now_s)
            self._walk_at_s = now_s + self._rescan_s
        else:
            paths = self._touched.take()
        self._look_at((each for path in sorted(paths) for each in self._files_of(path)), now_s)
        return [
            (path, known.mark)
            for path, known in list(self._resting.items())
            if now_s - known.since_s >= self._settle_s and self._still_rests(path, known, now_s)
        ]

    def forget(self, path: Path) -> None:
        """This file was dealt with; it is looked at again when it changes."""
        self._resting.pop(path, None)

    def _look_at(self, paths: Iterable[Path], now_s: float) -> bool:
        """Begin to watch files that are not done; False when there were too many to watch at once."""
        for path in paths:
            mark = mark_of(path)
            if mark is None or self._is_done(path, mark):
                continue
            known = self._resting.get(path)
            if known is None and len(self._resting) >= RESTING_LIMIT:
                return False
            if known is None or known.mark != mark:
                self._resting[path] = _Resting(mark, now_s)
        return True

    def _still_rests(self, path: Path, known: _Resting, now_s: float) -> bool:
        mark = mark_of(path)
        if mark is None:
            del self._resting[path]
        elif mark != known.mark:
            self._resting[path] = _Resting(mark, now_s)
        return mark == known.mark

    def _files_of(self, path: Path) -> Iterator[Path]:
        """What inotify's path stands for: a file, or a folder that came with all that is in it."""
        parts = path.relative_to(self._folder).parts
        if any(JUNK.fullmatch(part) for part in parts) or (len(parts) > 1 and not self._recursive):
            return
        if path.is_dir() and not path.is_symlink():
            if self._recursive:
                yield from self._walk(path)
        elif self._accepts(parts[-1] if parts else ""):
            yield path

    def _walk(self, folder: Path) -> Iterator[Path]:
        def tell(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                self._unreadable(Path(error.filename), f"can't be listed: {error.strerror}")

        for parent, folders, files in os.walk(folder, onerror=tell):
            folders[:] = sorted(each for each in folders if self._recursive and not JUNK.fullmatch(each))
            for name in sorted(files):
                if self._accepts(name) and not JUNK.fullmatch(name):
                    yield Path(parent, name)

    def _observe(self) -> None:
        """Let inotify watch the folder that is there now; go without where it can't."""
        here = _identity_of(self._folder)
        if here == self._observed:
            return
        self._stop_observer()
        self._observed = here
        if here == GONE:
            self._log.warning("watch.no_folder", folder=str(self._folder), again_in_s=self._rescan_s)
            return
        observer = Observer()
        try:
            observer.schedule(self._touched, str(self._folder), recursive=self._recursive)
            observer.start()
        except OSError as exc:  # no inotify watches left, or a file system without it: walking is enough
            self._log.warning(
                "watch.no_inotify", folder=str(self._folder), reason=str(exc), walk_every_s=self._rescan_s
            )
            observer.unschedule_all()
            return
        self._observer = observer

    def _stop_observer(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None


class _Touched(FileSystemEventHandler):
    """Paths that inotify reported since the last `take`."""

    def __init__(self) -> None:
        self.overflowed = False
        self._lock = threading.Lock()
        self._paths: set[Path] = set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog's thread."""
        if event.event_type not in CHANGES or (event.is_directory and event.event_type == "modified"):
            return
        with self._lock:
            self.overflowed = self.overflowed or len(self._paths) >= TOUCHED_LIMIT
            if not self.overflowed:
                self._paths.add(Path(os.fsdecode(event.dest_path or event.src_path)))

    def take(self) -> set[Path]:
        """The paths, which are then forgotten."""
        with self._lock:
            paths, self._paths, self.overflowed = self._paths, set(), False
            return paths


def _identity_of(folder: Path) -> tuple[int, ...]:
    try:
        status = folder.stat()
    except OSError:
        return GONE
    return status.st_dev, status.st_ino


def mark_of(path: Path) -> Mark | None:
    """The mark of a file; None when it is gone or no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Mark(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
