"""Derived files on disk: `<state_dir>/web/pictures/<3 digits>/<frame>-<size>-<number>.<key>.webp`, bounded in total.

All of it may be deleted at any time. A power cut may leave a file that is cut short: it says its own length, and is
made anew. Which were used last is in their times, so a start knows it without a list.
"""

import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST_BYTES = 4_000_000_000
MOST_SHARE = 0.1  # of the disk, where that is less
LEAST_FREE = 500_000_000  # on the disk: below that nothing is kept, for frames need it more
CLEAN_EACH = 64_000_000  # bytes written between two looks at the total
DOWN_TO = 0.9  # of the bound, when it was passed
TOUCH_S = 3600.0  # a time is not written more often than that: memory cards wear


@dataclass(slots=True)
class Kept:
    """The files of one folder."""

    folder: Path
    most_bytes: int = MOST_BYTES
    _written: int = CLEAN_EACH  # so that the first one after a start looks
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def path_of(self, frame_pk: int, what: str, key: str, suffix: str = ".webp") -> Path:
        """Where a derived file lies, or would. what: "thumb-0". All four come from us, none from an address."""
        return self.folder / f"{frame_pk % 1000:03}" / f"{frame_pk}-{what}.{key}{suffix}"

    def read(self, path: Path) -> bytes | None:
        """A picture that was kept; None when there is none, or it is not whole."""
        try:
            with path.open("rb") as file:
                body = file.read()
                self.used(path, os.fstat(file.fileno()).st_mtime)
        except OSError:
            return None
        return body if is_whole(body) else None

    def used(self, path: Path, last: float) -> None:
        """Note that a file is in use. last: when that was noted before."""
        if time.time() - last > TOUCH_S:
            os.utime(path)

    def keep(self, path: Path, body: bytes) -> None:
        """Keep a picture; others of the same frame, size and number, which show what is no longer so, go."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.forget(path)
            if shutil.disk_usage(self.folder).free < LEAST_FREE:
                return
            _write_whole(path, body)
        except OSError:  # a full disk: the picture was made and is sent, only the next one has to be made again
            return
        self.wrote(len(body))

    def forget(self, path: Path) -> None:
        """Delete what stands for the same picture in older states."""
        same, _dot, _rest = path.name.partition(".")
        for old in path.parent.glob(f"{same}.*"):
            if old != path:
                old.unlink(missing_ok=True)

    def forget_frame(self, frame_pk: int) -> None:
        """Delete everything that was derived from a frame whose original is deleted."""
        for old in (self.folder / f"{frame_pk % 1000:03}").glob(f"{frame_pk}-*"):
            old.unlink(missing_ok=True)

    def wrote(self, size: int) -> None:
        """Count bytes; after CLEAN_EACH of them see that the total is within the bound."""
        with self._lock:
            self._written += size
            if self._written < CLEAN_EACH:
                return
            self._written = 0
        # a walk over some hundred thousand files takes seconds on a memory card: nobody waits for it
        threading.Thread(target=self._clean_quietly, name="pictures-clean", daemon=True).start()

    def _clean_quietly(self) -> None:
        with suppress(OSError):  # the folder goes away meanwhile
            self.clean()

    def clean(self) -> int:
        """Delete what was used least recently until the total is within the bound; how many files."""
        most = min(self.most_bytes, int(shutil.disk_usage(self.folder).total * MOST_SHARE))
        found: list[tuple[float, int, Path]] = []
        for shard in self.folder.iterdir():
            for entry in os.scandir(shard) if shard.is_dir() else ():
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # written or forgotten meanwhile, as others go on
                    continue
                if entry.name.startswith(".new-") and time.time() - status.st_mtime > TOUCH_S:
                    Path(entry.path).unlink(missing_ok=True)  # what a kill left
                else:
                    found.append((status.st_mtime, status.st_size, Path(entry.path)))
        total, gone = sum(size for _at, size, _path in found), 0
        if total <= most:
            return 0
        for _at, size, path in sorted(found):
            if total <= most * DOWN_TO:
                break
            path.unlink(missing_ok=True)
            total, gone = total - size, gone + 1
        return gone


def _write_whole(path: Path, body: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def is_whole(body: bytes) -> bool:
    """Whether this is all of a WebP file, by the length that it says (RIFF: without its first 8 bytes)."""
    return body[:4] == b"RIFF" and int.from_bytes(body[4:8], "little") + 8 == len(body)
