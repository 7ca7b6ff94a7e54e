"""Frames on the agent's own disk, from the shutter until the server says it has them.

A frame is one file, `<id>.frame` (frame_file.py). It is written under another name, synced, renamed, and its folder
synced, so it is there whole or not at all. It goes on the server's ack, or by the policy when there is no room for a
new one, counted by reason.

captured = acked + spooled + dropped, also after kill -9: captured is the highest sequence number ever used, dropped is
in counters.json (ledger.py) before the frame goes, spooled are the files themselves, and what is left was acknowledged.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from sys import intern
from types import TracebackType
from typing import Self

from edge.crash import reached
from edge.foreign import foreign
from edge.i18n import _
from edge.paths import sync_dir
from edge.wire import FrameHeader

from .frame_file import DamagedFrameError, FrameFile, Notes, head_of, open_frame, write_frame
from .ledger import DISK_IS_FULL, Ledger
from .queues import FRESH_S, Queues, Waiting, victims

log = logging.getLogger(__name__)
SUFFIX = ".frame"
MOST_GIVEN_UP = 64  # frames that may go for a new one; more would mean that something else fills the disk
ASIDE_SHARE = 10  # aside/ may take a tenth of what the spool may
KEPT_ASIDE = frozenset({"refused", "damaged"})


class SpoolError(Exception):
    """The spool's folder can't be used; the text says why and what to do."""


class SpoolFullError(Exception):
    """There is no room for this frame. It was counted as dropped."""


@dataclass(frozen=True, slots=True)
class Counts:
    """captured = acked + spooled + dropped."""

    captured: int
    acked: int
    spooled: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Moment:
    """When a frame was taken. at: the Pi's clock; clock: how far it can be trusted; monotonic_s: never jumps."""

    at: datetime
    clock: str
    monotonic_s: float


def machine_start() -> str:
    """Names this start of the machine, which the monotonic clock counts from."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Spool:
    """A folder of frames that wait. Used by several threads, by one process at a time.

    max_bytes bounds the frames, aside/ a tenth of it beside them; min_free_bytes is left free on the disk. policy: what
    goes when there is no room, keep_oldest | keep_newest | thin. only_wanted: a full image with a thumbnail waits until
    it is asked for. `with` holds the folder's lock.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        min_free_bytes: int = 0,
        policy: str = "keep_oldest",
        fresh_s: float = FRESH_S,
        only_wanted: bool = False,
    ) -> None:
        self.boot = secrets.token_hex(4)
        self.started_s = time.monotonic()
        self._machine = machine_start()
        self._folder = folder
        self._aside = folder / "aside"
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._policy = policy
        self._lock = threading.Lock()
        self._ledger = Ledger(folder / "counters.json")
        self._queues = Queues(fresh_s=fresh_s, only_wanted=only_wanted)
        self._victims: deque[str] = deque()  # of `_queues`, a pass of the policy
        self._under_way: frozenset[str] = frozenset()
        self._used_bytes = 0
        self._folder_lock = -1
        self._said_unsaved = False

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
        self._count_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @property
    def seq(self) -> int:
        """The sequence number of the newest frame, 0 before the first; never goes back."""
        return self._ledger.seq

    @property
    def shots(self) -> int:
        """How often the shutter was released, over all runs; a still and its thumbnail are one."""
        return self._ledger.shots

    @property
    def boot_count(self) -> int:
        """How often the agent was started, this time included."""
        return self._ledger.boots

    @property
    def newest(self) -> datetime | None:
        """The latest time that a believable clock showed, over all runs; no later clock can be right before it."""
        return self._ledger.newest

    def counts(self) -> Counts:
        """What became of all frames so far, over all runs."""
        with self._lock:
            dropped, spooled = self._ledger.dropped.total(), len(self._queues.all)
            return Counts(self._ledger.seq, self._ledger.seq - spooled - dropped, spooled, dropped)

    def dropped(self) -> dict[str, int]:
        """Frames that left without an ack, by reason, over all runs."""
        with self._lock:
            return dict(self._ledger.dropped)

    def held(self) -> int:
        """Full images that are sent only when they are asked for."""
        with self._lock:
            return len(self._queues.held)

    def has(self, frame_id: str) -> bool:
        """Whether this frame waits."""
        with self._lock:
            return frame_id in self._queues.all

    def waits(self) -> bool:
        """Whether a frame is to be sent; what is held until it is asked for does not count."""
        with self._lock:
            return len(self._queues.all) > len(self._queues.held)

    @property
    def used_bytes(self) -> int:
        """Bytes of all frames that wait."""
        return self._used_bytes

    def first(self) -> Waiting | None:
        """The frame that waits longest; None when none waits."""
        with self._lock:
            return self._queues.first()

    def begin_shot(self) -> None:
        """Count a release of the shutter; the frames that follow belong to it."""
        with self._lock:
            self._ledger.shots += 1

    def put(
        self, body: bytes, *, kind: str, name: str, moment: Moment, trigger: str = "", thumbnail: bytes | None = None
    ) -> FrameHeader:
        """Keep a frame, and its thumbnail as a frame of its own; on return both survive a power cut.

        Gives the full frame's header. Raises SpoolFullError.
        """
        with self._lock:
            announced_by = ""
            if thumbnail is not None:
                small = self._header(thumbnail, "still", _thumbnail_name(name), moment, trigger)
                # The next number is the full image's: there is one lock for both.
                small = replace(small, stands_for=self._id(small.seq + 1))
                with suppress(SpoolFullError):  # counted; the full image may find room where a policy makes some
                    self._keep(small, thumbnail, moment, announced_by="")
                    announced_by = small.id
            header = self._header(body, kind, name, moment, trigger)
            self._keep(header, body, moment, announced_by=announced_by)
            if moment.clock != "unknown":
                self._ledger.newest = moment.at
            self._ledger.keep_reserve()
            return header

    def drop(self, reason: str) -> None:
        """Count a frame that could not be taken."""
        with self._lock:
            self._count_dropped(reason)

    def next_fresh(self, *, now_s: float, but: Collection[str] = ()) -> Waiting | None:
        """The thumbnail or fresh frame whose turn it is; see Queues."""
        with self._lock:
            return self._queues.next_fresh(now_s=now_s, but=but)

    def next_rest(self, *, now_s: float, but: Collection[str] = ()) -> Waiting | None:
        """The wanted image or frame of the backlog whose turn it is; see Queues."""
        with self._lock:
            return self._queues.next_rest(now_s=now_s, but=but)

    def want(self, frame_id: str) -> bool:
        """Send this one before the backlog; False when there is none of this id."""
        with self._lock:
            return self._queues.want(frame_id)

    def rule(self, *, fresh_s: float, only_wanted: bool) -> None:
        """Change what is sent first, and whether full images wait until they are asked for."""
        with self._lock:
            self._queues.rule(fresh_s=fresh_s, only_wanted=only_wanted)

    def spare(self, frame_ids: Collection[str]) -> None:
        """These are under way: the policy leaves them alone."""
        self._under_way = frozenset(frame_ids)

    def open(self, frame_id: str) -> FrameFile:
        """A frame's header and where its bytes are. Raises DamagedFrameError."""
        return open_frame(self._path(frame_id))

    def same_machine_start(self, notes: Notes) -> bool:
        """Whether a frame's monotonic time is on the clock that runs now."""
        return bool(self._machine) and notes.machine == self._machine

    def delete(self, frame_ids: Iterable[str]) -> list[str]:
        """Forget frames that the server has. Gives those that have to stay, because the disk has no room for a note."""
        with self._lock:
            known = [each for each in dict.fromkeys(frame_ids) if each in self._queues.all]
            # The newest file's name proves the sequence number; before it goes, the number must stand elsewhere.
            newest = next(reversed(self._queues.all), None)
            others = [each for each in known if each != newest]
            noted = not known or self._note_seq()
            for frame_id in others:
                self._remove(frame_id)
            if len(others) == len(known):
                return []
            assert newest is not None
            if not noted and not self._note_seq():  # what just went may have made room
                return [newest]
            self._remove(newest)
            return []

    def set_aside(self, frame_id: str, reason: str) -> bool:
        """Move a frame that can't be delivered to aside/, for a person to look at; counted as dropped.

        reason: "refused" or "damaged". False when there is none of this id. Raises OSError when it can't be noted.
        """
        with self._lock:
            if frame_id not in self._queues.all:
                return False
            self._leave(frame_id, reason)
            return True

    def _note_seq(self) -> bool:
        """Write the sequence number down, where that is needed; False when there is no room."""
        if self._ledger.saved_seq == self._ledger.seq:
            return True
        try:
            self._ledger.save()
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            return False
        return True

    def _remove(self, frame_id: str) -> None:
        self._forget(frame_id)
        # The folder is not synced: a frame that comes back after a power cut is sent again and known.
        self._path(frame_id).unlink(missing_ok=True)
        reached("spool.removed")

    def _path(self, frame_id: str) -> Path:
        return self._folder / f"{frame_id}{SUFFIX}"

    def _id(self, seq: int) -> str:
        return f"{self.boot}-{seq:08d}"

    def _header(self, body: bytes, kind: str, name: str, moment: Moment, trigger: str) -> FrameHeader:
        seq = self._ledger.seq + 1
        return FrameHeader(
            id=self._id(seq),
            sha256=hashlib.sha256(body).hexdigest(),
            captured_at=moment.at,
            boot=self.boot,
            seq=seq,
            kind=kind,
            name=name,
            clock=moment.clock,
            boot_count=self._ledger.boots,
            uptime_s=round(max(0.0, moment.monotonic_s - self.started_s), 3),
            trigger=trigger,
        )

    def _keep(self, header: FrameHeader, body: bytes, moment: Moment, *, announced_by: str) -> None:
        notes = Notes(self._ledger.shots, moment.monotonic_s, self._machine, announced_by)
        head = head_of(header, notes)
        size = len(head) + len(body)
        self._make_room(size)
        try:
            if self._ledger.owes:
                self._ledger.save()  # or the next start would take what was dropped for acknowledged
            write_frame(self._path(header.id), head, body)
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            self._count_dropped("disk_full")
            raise SpoolFullError(f"{self._folder}: {exc.strerror}") from exc
        self._ledger.seq = header.seq
        self._used_bytes += size
        self._queues.add(
            Waiting(header.id, size, header.kind, moment.monotonic_s, bool(header.stands_for), announced_by)
        )

    def _make_room(self, size: int) -> None:
        """Have room for a file of `size` bytes, by the policy. Raises SpoolFullError, and the frame is counted."""
        for _attempt in range(MOST_GIVEN_UP):
            full = self._full(size)
            if not full:
                return
            victim = self._next_victim()
            if victim is None:
                break
            try:
                self._leave(victim, {"keep_newest": "oldest", "thin": "thinned"}.get(self._policy, "not_wanted"))
            except OSError as exc:
                if exc.errno not in DISK_IS_FULL:
                    raise
                break
        full = self._full(size)
        if full:
            self._count_dropped("full")
            raise SpoolFullError(full)

    def _full(self, size: int) -> str:
        """Why a file of `size` bytes has no room; "" when it has."""
        if self._used_bytes + size > self._max_bytes:
            return f"{self._used_bytes} of spool.max_bytes {self._max_bytes} are taken"
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free - size < self._min_free_bytes:
            return f"{free} bytes are free on the disk, spool.min_free_bytes is {self._min_free_bytes}"
        return ""

    def _next_victim(self) -> str | None:
        for _pass in range(2):
            while self._victims:
                victim = self._victims.popleft()
                if victim in self._queues.all and victim not in self._under_way:
                    return victim
            self._victims.extend(victims(self._policy, self._queues, now_s=time.monotonic()))
        return None

    def _leave(self, frame_id: str, reason: str) -> None:
        """Take a frame away without an ack: first written down, then done. Raises OSError before anything is done."""
        ledger = self._ledger
        before = ledger.leaving
        ledger.dropped[reason] += 1
        ledger.leaving = {frame_id: reason}
        try:
            # What was leaving before is gone from the folder by now, in the order in which a journal keeps it.
            ledger.save()
        except OSError:
            ledger.dropped[reason] -= 1
            ledger.leaving = before
            raise
        self._forget(frame_id)
        self._take_away(frame_id, reason)

    def _take_away(self, frame_id: str, reason: str) -> None:
        path = self._path(frame_id)
        if reason not in KEPT_ASIDE:
            path.unlink(missing_ok=True)
            return
        try:
            path.replace(self._aside / path.name)
        except FileNotFoundError:
            return
        sync_dir(self._aside)
        self._bound_aside()

    def _bound_aside(self) -> None:
        """Remove the oldest in aside/ until it keeps to its share; they are counted already."""
        found = sorted(self._aside.glob(f"*{SUFFIX}"), key=_seq_of)
        sizes = [path.stat().st_size for path in found]
        total = sum(sizes)
        for path, size in zip(found, sizes, strict=True):
            if total <= self._max_bytes // ASIDE_SHARE:
                return
            log.warning("spool.aside_full removed=%s", path.name)
            path.unlink(missing_ok=True)
            total -= size

    def _forget(self, frame_id: str) -> None:
        frame = self._queues.remove(frame_id)
        self._used_bytes -= frame.size if frame else 0

    def _count_dropped(self, reason: str) -> None:
        self._ledger.seq += 1
        self._ledger.dropped[reason] += 1
        try:
            self._ledger.save()
            self._said_unsaved = False
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            if not self._said_unsaved:  # a line for each picture would fill what room there is
                log.warning("spool.counters_not_saved reason=%r (saved when there is room)", exc.strerror)
            self._said_unsaved = True

    def _count_start(self) -> None:
        self._ledger.boots += 1
        try:
            self._ledger.save()
            self._ledger.keep_reserve()
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise SpoolError(f"spool.folder: {self._folder}: {foreign(exc.strerror)}") from exc
            log.warning("spool.disk_full reason=%r; frames wait, new ones are dropped", exc.strerror)

    def _find_what_is_left(self) -> None:
        for leftover in self._folder.glob(".*.part"):
            log.info("spool.leftover_removed name=%s", leftover.name)
            leftover.unlink()
        ledger = self._ledger
        ledger.load()
        for frame_id, reason in ledger.leaving.items():
            self._take_away(frame_id, reason)
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), key=_seq_of):
            size = path.stat().st_size
            ledger.seq = max(ledger.seq, _seq_of(path))
            self._used_bytes += size
            self._queues.add(self._found(path, size))

    def _found(self, path: Path, size: int) -> Waiting:
        """What an earlier run left, as it waits. A damaged one waits, too: whoever wants to send it sets it aside."""
        try:
            frame = open_frame(path)
        except DamagedFrameError:
            return Waiting(path.stem, size, "still", float("-inf"))
        ledger, header, notes = self._ledger, frame.header, frame.notes
        ledger.shots, ledger.boots = max(ledger.shots, notes.shot), max(ledger.boots, header.boot_count)
        if header.clock != "unknown" and notes.shot >= ledger.shots:
            ledger.newest = header.captured_at
        taken_s = notes.monotonic_s if self.same_machine_start(notes) else float("-inf")
        return Waiting(path.stem, size, intern(header.kind), taken_s, bool(header.stands_for), notes.thumbnail)

    def _release(self) -> None:
        if self._folder_lock >= 0:
            os.close(self._folder_lock)
            self._folder_lock = -1


def _thumbnail_name(name: str) -> str:
    return str(Path(name).with_name(f"{Path(name).stem}-thumbnail.jpg"))


def _seq_of(path: Path) -> int:
    """The sequence number in a frame's file name; 0 for a file that is not ours."""
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
