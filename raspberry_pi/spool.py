"""Frames on the agent's own disk, from the shutter until the server says it has them.

A frame is one file, `<id>.frame`: a line of JSON (the header that travels with it), then the bytes. It is written
under another name, synced, renamed, and its folder synced, so it is there whole or not at all.

All counts follow from what is durable: captured is the highest sequence number ever used, dropped is counted in
counters.json and by the files in aside/, spooled are the files themselves, and what is left was acknowledged.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.foreign import foreign
from edge.i18n import _
from edge.paths import sync_dir, write_atomically
from edge.wire import FrameHeader

log = logging.getLogger(__name__)
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SUFFIX = ".frame"


class SpoolError(Exception):
    """The spool's folder can't be used; the text says why and what to do."""


class SpoolFullError(Exception):
    """There is no room for this frame. It was counted as dropped; older frames are kept."""


class DamagedFrameError(Exception):
    """What lies on the disk is not what was written."""


@dataclass(frozen=True, slots=True)
class Counts:
    """captured = acked + spooled + dropped."""

    captured: int
    acked: int
    spooled: int
    dropped: int


class Spool:
    """A folder of frames that wait, oldest first. Used by several threads, by one process at a time.

    max_bytes bounds the frames; min_free_bytes is left free on the disk. `with` holds the folder's lock.
    """

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int = 0) -> None:
        self.boot = secrets.token_hex(4)
        self._folder = folder
        self._aside = folder / "aside"
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()  # bounded by max_bytes
        self._used_bytes = 0
        self._seq = 0
        self._saved_seq = 0
        self._dropped = 0
        self._set_aside = 0
        self._folder_lock = -1

    def __enter__(self) -> Self:
        """Take the folder and find what an earlier run left. Raises SpoolError."""
        try:
            self._aside.mkdir(parents=True, exist_ok=True)
            self._folder_lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._folder_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._release()
            what = _("{path}: another agent works here; stop it or use another").format(path=self._folder)
            raise SpoolError(f"spool.folder: {what}") from exc
        except OSError as exc:
            self._release()
            raise SpoolError(f"spool.folder: {self._folder}: {foreign(exc.strerror)}") from exc
        self._find_what_is_left()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @property
    def seq(self) -> int:
        """The sequence number of the newest frame, 0 before the first; never goes back."""
        return self._seq

    def counts(self) -> Counts:
        """What became of all frames so far, over all runs."""
        with self._lock:
            dropped, spooled = self._dropped + self._set_aside, len(self._sizes)
            return Counts(self._seq, self._seq - spooled - dropped, spooled, dropped)

    def put(self, body: bytes, *, kind: str, name: str, captured_at: datetime) -> FrameHeader:
        """Keep a frame; on return it survives a power cut. Raises SpoolFullError."""
        with self._lock:
            seq = self._seq + 1
            header = FrameHeader(
                id=f"{self.boot}-{seq:08d}",
                sha256=hashlib.sha256(body).hexdigest(),
                captured_at=captured_at,
                boot=self.boot,
                seq=seq,
                kind=kind,
                name=name,
            )
            content = json.dumps(dict(header.to_properties())).encode() + b"\n" + body
            self._check_room(len(content))
            try:
                write_atomically(self._path(header.id), content)
            except OSError as exc:
                if exc.errno not in DISK_IS_FULL:
                    raise
                self._count_dropped()
                raise SpoolFullError(f"{self._folder}: {exc.strerror}") from exc
            self._seq = seq
            self._sizes[header.id] = len(content)
            self._used_bytes += len(content)
            return header

    def drop(self) -> None:
        """Count a frame that could not be taken."""
        with self._lock:
            self._count_dropped()

    def oldest(self, count: int, *, but: Collection[str] = ()) -> list[tuple[str, int]]:
        """(id, bytes) of up to `count` frames that wait, oldest first, without those in `but`."""
        with self._lock:
            return [each for each in islice(self._sizes.items(), count + len(but)) if each[0] not in but][:count]

    def read(self, frame_id: str) -> tuple[FrameHeader, bytes]:
        """Header and bytes of a frame, checked against its hash. Raises DamagedFrameError."""
        try:
            line, _, body = self._path(frame_id).read_bytes().partition(b"\n")
            header = FrameHeader.from_properties(json.loads(line).items())
        except (OSError, ValueError, AttributeError) as exc:
            raise DamagedFrameError(f"{frame_id}: can't be read back from the disk: {exc}") from exc
        if header.id != frame_id or hashlib.sha256(body).hexdigest() != header.sha256:
            raise DamagedFrameError(f"{frame_id}: the bytes on the disk have changed since they were written")
        return header, body

    def delete(self, frame_id: str) -> bool:
        """Forget a frame that the server has; False when there is none of this id."""
        with self._lock:
            size = self._sizes.pop(frame_id, None)
            if size is None:
                return False
            self._used_bytes -= size
            path = self._path(frame_id)
            # The file's name proves the sequence number; before it goes, the number must stand elsewhere.
            if self._saved_seq < self._seq:
                try:
                    self._save_counters()
                except OSError as exc:
                    if exc.errno not in DISK_IS_FULL:
                        raise
                    path.unlink(missing_ok=True)  # its room is enough for the counters
                    self._save_counters()
            # The folder is not synced: a frame that comes back after a power cut is sent again and known.
            path.unlink(missing_ok=True)
            return True

    def set_aside(self, frame_id: str) -> bool:
        """Move a frame that can't be delivered to aside/, for a person to look at; counted as dropped."""
        with self._lock:
            if self._sizes.pop(frame_id, None) is None:
                return False
            try:
                self._path(frame_id).replace(self._aside / f"{frame_id}{SUFFIX}")
            except FileNotFoundError:
                self._dropped += 1
                self._save_counters()
                return True
            sync_dir(self._aside)
            self._set_aside += 1
            return True

    def _path(self, frame_id: str) -> Path:
        return self._folder / f"{frame_id}{SUFFIX}"

    def _check_room(self, size: int) -> None:
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if self._used_bytes + size > self._max_bytes:
            self._count_dropped()
            raise SpoolFullError(f"{self._used_bytes} of spool.max_bytes {self._max_bytes} are taken")
        if free - size < self._min_free_bytes:
            self._count_dropped()
            raise SpoolFullError(f"{free} bytes are free on the disk, spool.min_free_bytes is {self._min_free_bytes}")

    def _count_dropped(self) -> None:
        self._seq += 1
        self._dropped += 1
        try:
            self._save_counters()
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            log.warning("spool.counters_not_saved reason=%r (saved with the next change)", exc.strerror)

    def _save_counters(self) -> None:
        counters = {"seq": self._seq, "dropped": self._dropped}
        write_atomically(self._folder / "counters.json", json.dumps(counters).encode())
        self._saved_seq = self._seq

    def _find_what_is_left(self) -> None:
        for leftover in self._folder.glob(".*.part"):
            log.info("spool.leftover_removed name=%s", leftover.name)
            leftover.unlink()
        counters = self._folder / "counters.json"
        try:
            saved = json.loads(counters.read_bytes())
            self._seq, self._dropped = int(saved["seq"]), int(saved["dropped"])
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as exc:
            log.warning("spool.counters_damaged path=%s reason=%r; counting starts from the frames", counters, str(exc))
        self._saved_seq = self._seq
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), key=_seq_of):
            self._sizes[path.stem] = path.stat().st_size
        aside = list(self._aside.glob(f"*{SUFFIX}"))
        self._set_aside = len(aside)
        self._used_bytes = sum(self._sizes.values()) + sum(path.stat().st_size for path in aside)
        self._seq = max([self._seq, *map(_seq_of, aside), *(_seq_of(self._path(each)) for each in self._sizes)])

    def _release(self) -> None:
        if self._folder_lock >= 0:
            os.close(self._folder_lock)
            self._folder_lock = -1


def _seq_of(path: Path) -> int:
    """The sequence number in a frame's file name; 0 for a file that is not ours."""
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
