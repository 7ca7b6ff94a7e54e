"""Hop 3, spool: bytes to disk and a row in the store; only then may a source tell the sender.

Incoming → (checked, hashed, written, fsynced, known to the store) → True; a frame already known → False. Frames that
arrived together share the folder's fsync and the store's transaction, which cost more than their bytes.
"""

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..crash import reached
from ..errors import FrameError, RefusedError, RetryableError, SpoolFull
from ..media.times import FileFacts, file_facts
from ..model import CaptureTime, Event, SpooledFrame
from ..paths import is_safe_name, sync_dir
from ..services import Incoming, Received, Services
from ..store.sql import Store
from ..wire import KINDS, kind_of
from .kept import KeptRefusals
from .runner import Done, Failed, attempt

ID_DIGITS = 24  # of the SHA-256, for frames that come without an id: 96 bits, no clash in a lifetime of frames
MAX_ATTEMPTS = 3  # a frame that meets an error nobody foresaw so often is refused, so that its sender goes on
MOST_SUSPECTS = 1_000
WRITERS = 4  # files synced at once: the disk commits them together; measured 270 files/s one by one, 1,000 by four

_Failure = Failed | FrameError | RetryableError


@dataclass(slots=True)
class _Frame:
    """A frame on its way in. answer: what its source is told, None while that is open. copy_of: the same, before it."""

    incoming: Incoming
    id: str = ""
    sha256: str = ""
    size_bytes: int = 0
    path: Path = Path()
    row: SpooledFrame | None = None
    answer: Received | None = None
    copy_of: "_Frame | None" = None

    @property
    def spool_bytes(self) -> int:
        """Bytes it takes in our own folder."""
        return self.size_bytes if isinstance(self.incoming.body, bytes) or self.incoming.ours else 0

    @property
    def key(self) -> tuple[str, str]:
        """As the store knows it."""
        return self.incoming.station, self.id


class Spool:
    """The sink of all sources. limit_bytes bounds the frames in our own folder that wait to be looked at."""

    def __init__(self, store: Store, services: Services, *, limit_bytes: int, drop_when_full: bool = False) -> None:
        self._store = store
        self._services = services
        self._limit_bytes = limit_bytes
        self._drop_when_full = drop_when_full
        self._media = services.state_dir / "media"
        self._new = self._media / ".new"  # written here, so that what kill -9 leaves is found in one place
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()  # bytes of unfinished frames, by source
        self._suspects: dict[tuple[str, str], int] = {}  # errors nobody foresaw, by frame; at most MOST_SUSPECTS
        self._new.mkdir(parents=True, exist_ok=True)
        for leftover in self._new.iterdir():
            leftover.unlink()
        self._kept = KeptRefusals(services.state_dir / "quarantine")

    def receive(self, incoming: Incoming) -> bool:
        """Make a frame durable; see edge.services.Sink."""
        frame = _Frame(incoming)
        if isinstance(incoming.body, Path) and not incoming.ours:  # nothing to count: a slow card holds up no other
            self._check(frame)
            self._recognise([frame])
            if frame.answer is None:
                frame.path = incoming.body.absolute()
                self._record([frame])
            answer = frame.answer
        else:
            (answer,) = self.receive_many([incoming])
        if isinstance(answer, bool):
            return answer
        assert answer is not None
        raise answer

    def receive_many(self, incoming: Sequence[Incoming]) -> list[Received]:
        """Make frames durable; see edge.services.Sink."""
        frames = [_Frame(each) for each in incoming]
        with self._lock:
            for frame in frames:
                self._try(frame, self._check)
            self._together(frames, self._recognise)
            self._together(frames, self._keep_all)
            self._together(frames, self._record)
        for frame in frames:
            if frame.copy_of is not None:
                same = frame.copy_of.answer
                frame.answer = False if isinstance(same, bool) else same
        return [RetryableError("the spool did not answer") if each.answer is None else each.answer for each in frames]

    def sha256_of(self, station: str, frame_id: str) -> str | None:
        """The content hash of a durable frame; see edge.services.Sink."""
        return self._store.known_hashes([(station, frame_id)]).get((station, frame_id))

    def hold(self, source: str, size_bytes: int) -> None:
        """Count bytes of unfinished frames; see edge.services.Sink."""
        with self._lock:
            if size_bytes > self._held[source]:
                others = sum(self._held.values()) - self._held[source]
                self._check_room(size_bytes + others + self._store.waiting_bytes())
            self._held[source] = size_bytes

    def refuse(
        self, *, source: str, name: str, reason: str, body: bytes = b"", station: str = "", kind: str = ""
    ) -> None:
        """Record something that never became a frame; its bytes are kept for a person to look at."""
        path = self._kept.keep(body)
        now = self._services.clock.now()
        self._store.quarantine_other(source=source, name=name[:500], reason=reason, path=path, now=now)
        fields = {"source": source, "name": name[:500], "reason": reason} | ({"refusal": kind} if kind else {})
        self._services.emit(Event("receive", now, ok=False, station=station, fields=fields))

    def knows(self, station: str, sha256: str) -> bool:
        """Whether this content of this station was received before."""
        return self._store.knows(station, sha256)

    # the steps; each leaves frames that are not done yet without an answer

    def _check(self, frame: _Frame) -> None:
        incoming = frame.incoming
        if not is_safe_name(incoming.station):
            self._refuse(incoming, f"station {incoming.station[:80]!r} is no name that may become a folder")
        if incoming.id and not is_safe_name(incoming.id):
            self._refuse(incoming, f"frame id {incoming.id[:80]!r} is no name that may become a file")
        if incoming.kind not in KINDS:
            self._refuse(incoming, f"kind {incoming.kind!r} is neither 'still' nor 'clip'")
        try:
            frame.sha256, frame.size_bytes = _hash(incoming.body)
        except OSError as exc:
            self._refuse(incoming, f"can't be read: {exc.strerror or exc}")
        if incoming.sha256 and incoming.sha256 != frame.sha256:
            said = f"the sender said {incoming.sha256[:12]}…"
            self._refuse(incoming, f"the content's SHA-256 is {frame.sha256[:12]}…, {said}")
        frame.id = incoming.id or frame.sha256[:ID_DIGITS]

    def _recognise(self, frames: Sequence[_Frame]) -> None:
        """Answer for frames that the store has already, and for a second copy of one that came with it."""
        known = self._store.known_hashes([frame.key for frame in frames])
        first: dict[tuple[str, str], _Frame] = {}
        for frame in frames:
            earlier = first.setdefault(frame.key, frame)
            sha256 = known.get(frame.key, earlier.sha256)
            if sha256 != frame.sha256:
                self._try(frame, self._refuse_taken)
            elif frame.key in known:
                frame.answer = False
            elif earlier is not frame:
                frame.copy_of = earlier

    def _refuse_taken(self, frame: _Frame) -> None:
        station = frame.incoming.station
        self._refuse(frame.incoming, f"frame id {frame.id!r} of station {station!r} is taken by other content")

    def _keep_all(self, frames: Sequence[_Frame]) -> None:
        """Bytes into our folder, synced; the folders themselves are synced by `_record`."""
        taken = self._store.waiting_bytes() + sum(self._held.values())
        todo = []
        for frame in frames:
            needed = 0 if frame.incoming.ours else frame.spool_bytes  # what is ours is in `_held` until its source goes
            if taken + needed <= self._limit_bytes:
                taken += needed
                todo.append(frame)
            else:
                self._try(frame, self._drop if self._drop_when_full else self._say_full)
        with ThreadPoolExecutor(WRITERS, "spool") if len(todo) > 1 else nullcontext() as threads:
            at_once: Callable[..., Iterator[_Failure | None]] = threads.map if threads else map
            failures = list(at_once(lambda frame: _failure_of(lambda: self._write(frame)), todo))
        for frame, failure in zip(todo, failures, strict=True):
            if failure:
                self._answer_failed(frame, failure)

    def _drop(self, frame: _Frame) -> None:
        reason = "dropped: the spool is full (limits.when_full)"
        self.refuse(source=frame.incoming.source, name=frame.incoming.name, reason=reason)
        frame.answer = False

    def _say_full(self, _frame: _Frame) -> None:
        self._check_room(self._limit_bytes + 1)

    def _check_room(self, taken: int) -> None:
        if taken > self._limit_bytes:
            raise SpoolFull(f"spool: {self._limit_bytes} bytes of frames wait already (limits.spool_bytes)")

    def _write(self, frame: _Frame) -> None:
        incoming = frame.incoming
        folder = self._media / incoming.station / self._services.clock.now().strftime("%Y-%m-%d")
        path = folder / f"{frame.id}{_suffix(incoming)}"
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                for parent in (folder.parent, self._media):
                    sync_dir(parent)
            if isinstance(incoming.body, bytes):
                self._write_new(path, incoming.body)
            else:  # a second name for the file, so that the first is there until the frame has a row
                path.unlink(missing_ok=True)
                path.hardlink_to(incoming.body)
                reached("media.linked")
        except OSError as exc:
            raise SpoolFull(f"spool: {folder}: {exc.strerror or exc}") from exc
        frame.path = path

    def _write_new(self, path: Path, body: bytes) -> None:
        temporary = self._new / f"{path.parent.parent.name}_{path.name}"
        try:
            with temporary.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
                reached("media.synced")
            temporary.replace(path)
            reached("media.renamed")
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _record(self, frames: Sequence[_Frame]) -> None:
        """Sync the folders, add the rows, answer."""
        try:
            for folder in {frame.path.parent for frame in frames if frame.spool_bytes}:
                sync_dir(folder)
                reached("media.kept")
        except OSError as exc:
            raise SpoolFull(f"spool: {exc.strerror or exc}") from exc
        rows = [(self._row(frame), frame.spool_bytes) for frame in frames]
        for frame, (row, _size), is_new in zip(frames, rows, self._store.add_frames(rows), strict=True):
            frame.answer = is_new
            self._suspects.pop(frame.key, None)
            if is_new:
                for verb in ("receive", "spool"):
                    self._services.emit(Event(verb, row.received_at, station=row.station, frame_id=row.id))

    def _row(self, frame: _Frame) -> SpooledFrame:
        incoming = frame.incoming
        facts = self._file_facts(frame, self._services.timezone_of(incoming.station))
        return SpooledFrame(
            station=incoming.station,
            id=frame.id,
            kind=incoming.kind,
            path=frame.path,
            name=incoming.name[:500],
            sha256=frame.sha256,
            size_bytes=frame.size_bytes,
            source=incoming.source,
            captured=facts.captured,
            received_at=self._services.clock.now(),
            agent=incoming.agent,
            camera=facts.camera,
            burst=facts.burst,
            burst_number=facts.burst_number,
        )

    def _file_facts(self, frame: _Frame, zone: str) -> FileFacts:
        """What the file says; the time unknown when reading fails as nobody foresaw: no file may block a source."""
        incoming, path = frame.incoming, frame.path
        if incoming.captured is not None:  # its agent knows better, and has no other camera
            return FileFacts(incoming.captured)
        read = attempt(lambda: file_facts(path, incoming.kind, timezone=zone))
        if isinstance(read, Failed):
            self._services.log.warning("spool.time_unknown", path=str(path), reason=read.reason)
            return FileFacts(CaptureTime(None, timezone=zone))
        return read.value

    # what goes wrong

    def _together(self, frames: Sequence[_Frame], step: Callable[[Sequence[_Frame]], None]) -> None:
        """Do a step for all open frames at once; when a bug comes up, for each alone, so that it costs one only."""
        todo = [frame for frame in frames if _is_open(frame)]
        failed = _failure_of(lambda: step(todo)) if todo else None
        for frame in filter(_is_open, todo if failed else ()):
            if isinstance(failed, Failed) and len(todo) > 1:
                self._try(frame, lambda each: step([each]))
            else:
                self._answer_failed(frame, failed)

    def _try(self, frame: _Frame, step: Callable[[_Frame], None]) -> None:
        if failed := _failure_of(lambda: step(frame)):
            self._answer_failed(frame, failed)

    def _answer_failed(self, frame: _Frame, failed: _Failure | None) -> None:
        frame.answer = self._count_unforeseen(frame, failed) if isinstance(failed, Failed) else failed

    def _count_unforeseen(self, frame: _Frame, failed: Failed) -> FrameError | RetryableError:
        key = (frame.incoming.station[:64], frame.incoming.id[:64] or frame.incoming.name[:500])
        count = self._suspects.pop(key, 0) + 1
        self._services.log.error(
            "spool.unforeseen", station=key[0], frame_id=key[1], attempt=count, of=MAX_ATTEMPTS, reason=failed.reason
        )
        if count < MAX_ATTEMPTS:
            while len(self._suspects) >= MOST_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
            self._suspects[key] = count
            return RetryableError(failed.reason)
        reason = f"given up after {MAX_ATTEMPTS} attempts that met an error nobody foresaw: {failed.reason}"
        refused = _failure_of(lambda: self._refuse(frame.incoming, reason))
        return RetryableError(reason) if refused is None or isinstance(refused, Failed) else refused

    def _refuse(self, incoming: Incoming, reason: str) -> NoReturn:
        body = incoming.body if isinstance(incoming.body, bytes) else b""
        self.refuse(source=incoming.source, name=incoming.name, reason=reason, body=body)
        raise RefusedError(f"{incoming.name}: {reason}")


def _failure_of(step: Callable[[], None]) -> _Failure | None:
    """Why a step failed, as the error that says what is to be done, or as Failed when nobody foresaw it."""
    foreseen: list[FrameError | RetryableError] = []

    def noted() -> None:
        try:
            step()
        except (FrameError, RetryableError) as exc:
            foreseen.append(exc)
            raise

    done = attempt(noted)
    return None if isinstance(done, Done) else foreseen[0] if foreseen else done


def _is_open(frame: _Frame) -> bool:
    return frame.answer is None and frame.copy_of is None


def _suffix(incoming: Incoming) -> str:
    """The sender's own suffix when it is one we know for this kind: it becomes part of a file name."""
    if kind_of(incoming.name) == incoming.kind:
        return Path(incoming.name).suffix.lower()
    return ".jpg" if incoming.kind == "still" else ".mp4"


def _hash(body: bytes | Path) -> tuple[str, int]:
    """SHA-256 in hexadecimal, and the size in bytes. Raises OSError."""
    if isinstance(body, bytes):
        return hashlib.sha256(body).hexdigest(), len(body)
    with body.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
