"""Hop 3, spool: bytes to disk and a row in the store; only then may a source tell the sender.

Incoming → (checked, hashed, written, fsynced, known to the store) → True; a frame already known → False.
"""

import hashlib
import os
import threading
from pathlib import Path
from typing import NoReturn

from ..errors import RefusedError, SpoolFull
from ..media.times import capture_time
from ..model import CaptureTime, Event, Kind, SpooledFrame
from ..paths import is_safe_name, sync_dir, write_atomically
from ..services import Incoming, Services
from ..store.sql import Store
from ..wire import KINDS, kind_of
from .runner import Failed, attempt

ID_DIGITS = 24  # of the SHA-256, for frames that come without an id: 96 bits, no clash in a lifetime of frames
# Bodies kept in quarantine; beyond that only the reason is recorded, so a flood fills no disk.
KEPT_REFUSALS = 1_000
KEPT_REFUSED_BYTES = 1_000_000_000


class Spool:
    """The sink of all sources. limit_bytes bounds the frames in our own folder that wait to be looked at."""

    def __init__(self, store: Store, services: Services, *, limit_bytes: int, drop_when_full: bool = False) -> None:
        self._store = store
        self._services = services
        self._limit_bytes = limit_bytes
        self._drop_when_full = drop_when_full
        self._media = services.state_dir / "media"
        self._quarantine = services.state_dir / "quarantine"
        self._lock = threading.Lock()
        self._media.mkdir(parents=True, exist_ok=True)
        self._quarantine.mkdir(parents=True, exist_ok=True)

    def receive(self, incoming: Incoming) -> bool:
        """Make a frame durable; see edge.services.Sink."""
        self._check_names(incoming)
        try:
            sha256, size_bytes = _hash(incoming.body)
        except OSError as exc:
            self._refuse(incoming, f"can't be read: {exc.strerror or exc}")
        if incoming.sha256 and incoming.sha256 != sha256:
            self._refuse(incoming, f"the content's SHA-256 is {sha256[:12]}…, the sender said {incoming.sha256[:12]}…")
        frame_id = incoming.id or sha256[:ID_DIGITS]
        known = self._store.frame_sha256(incoming.station, frame_id)
        if known is not None:
            if known != sha256:
                self._refuse(
                    incoming, f"frame id {frame_id!r} of station {incoming.station!r} is taken by other content"
                )
            return False
        if isinstance(incoming.body, Path):  # nothing of ours to count: a slow card holds up no other source
            return self._keep(incoming, frame_id, sha256, size_bytes)
        with self._lock:
            return self._keep(incoming, frame_id, sha256, size_bytes)

    def refuse(self, *, source: str, name: str, reason: str, body: bytes = b"") -> None:
        """Record something that never became a frame; its bytes are kept for a person to look at."""
        path = self._keep_refused(body) if body else ""
        now = self._services.clock.now()
        self._store.quarantine_other(source=source, name=name[:500], reason=reason, path=path, now=now)
        self._services.emit(
            Event("receive", now, ok=False, fields={"source": source, "name": name[:500], "reason": reason})
        )

    def knows(self, station: str, sha256: str) -> bool:
        """Whether this content of this station was received before."""
        return self._store.knows(station, sha256)

    def _keep_refused(self, body: bytes) -> str:
        kept = self._quarantine / f"{hashlib.sha256(body).hexdigest()[:ID_DIGITS]}.bin"
        try:
            sizes = [entry.stat().st_size for entry in os.scandir(self._quarantine)]
            if len(sizes) >= KEPT_REFUSALS or sum(sizes) + len(body) > KEPT_REFUSED_BYTES:
                return ""
            write_atomically(kept, body)
        except OSError:
            return ""  # a full disk keeps frames out already; the reason is worth more than the bytes
        return str(kept)

    def _check_names(self, incoming: Incoming) -> None:
        if not is_safe_name(incoming.station):
            self._refuse(incoming, f"station {incoming.station[:80]!r} is no name that may become a folder")
        if incoming.id and not is_safe_name(incoming.id):
            self._refuse(incoming, f"frame id {incoming.id[:80]!r} is no name that may become a file")
        if incoming.kind not in KINDS:
            self._refuse(incoming, f"kind {incoming.kind!r} is neither 'still' nor 'clip'")

    def _refuse(self, incoming: Incoming, reason: str) -> NoReturn:
        body = incoming.body if isinstance(incoming.body, bytes) else b""
        self.refuse(source=incoming.source, name=incoming.name, reason=reason, body=body)
        raise RefusedError(f"{incoming.name}: {reason}")

    def _keep(self, incoming: Incoming, frame_id: str, sha256: str, size_bytes: int) -> bool:
        spool_bytes = size_bytes if isinstance(incoming.body, bytes) else 0
        if spool_bytes and self._store.waiting_bytes() + spool_bytes > self._limit_bytes:
            if not self._drop_when_full:
                raise SpoolFull(f"spool: {self._limit_bytes} bytes of frames wait already (limits.spool_bytes)")
            self.refuse(
                source=incoming.source, name=incoming.name, reason="dropped: the spool is full (limits.when_full)"
            )
            return False
        path = self._write(incoming, frame_id) if isinstance(incoming.body, bytes) else incoming.body.absolute()
        zone = self._services.timezone_of(incoming.station)
        now = self._services.clock.now()
        frame = SpooledFrame(
            station=incoming.station,
            id=frame_id,
            kind=incoming.kind,
            path=path,
            name=incoming.name[:500],
            sha256=sha256,
            size_bytes=size_bytes,
            source=incoming.source,
            captured=incoming.captured or self._capture_time(path, incoming.kind, zone),
            received_at=now,
        )
        is_new = self._store.add_frame(frame, spool_bytes=spool_bytes)
        if is_new:
            for verb in ("receive", "spool"):
                self._services.emit(Event(verb, now, station=frame.station, frame_id=frame.id))
        return is_new

    def _capture_time(self, path: Path, kind: Kind, zone: str) -> CaptureTime:
        """The time in the file; unknown when reading it fails in a way nobody foresaw: no file may block a source."""
        read = attempt(lambda: capture_time(path, kind, timezone=zone))
        if isinstance(read, Failed):
            self._services.log.warning("spool.time_unknown", path=str(path), reason=read.reason)
            return CaptureTime(None, timezone=zone)
        return read.value

    def _write(self, incoming: Incoming, frame_id: str) -> Path:
        assert isinstance(incoming.body, bytes)
        day = self._services.clock.now().strftime("%Y-%m-%d")
        folder = self._media / incoming.station / day
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                for parent in (folder.parent, self._media):
                    sync_dir(parent)
            path = folder / f"{frame_id}{_suffix(incoming)}"
            write_atomically(path, incoming.body)
        except OSError as exc:
            raise SpoolFull(f"spool: {folder}: {exc.strerror or exc}") from exc
        return path


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
