"""Bytes of uploads → files, within bounds: what may begin, what is appended where, when a file is whole.

How much of a file has come is what lies on the disk: a power cut, a restart or a link that breaks in the middle of a
chunk change nothing about that.
"""

import errno
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import Request
from sqlalchemy import select
from starlette.exceptions import HTTPException

from edge.i18n import mark
from edge.store.schema import frames
from edge.uploads import NewFile, Upload, UploadBook, UploadedFile

from ..rights import Principal
from ..web import Web, web_of

MOST_CHUNK = 8_000_000  # bytes of one request
MOST_AT_ONCE = 8  # requests that bring bytes: each is held in memory
MOST_FILES = 50_000  # of an upload
MOST_OPEN = 20  # uploads of one person that are neither finished nor cancelled
KEEP_FREE = 1_000_000_000  # bytes on the disk that uploads leave to the daemon
ASLEEP_DAYS, FORGOTTEN_DAYS = 14, 90  # an open one without news is given up; an ended one is forgotten

TOO_MUCH = mark("There is no room for this: wait until what was sent before is taken in, or send less.")
DISK_FULL = mark("The disk is full: somebody has to make room.")
TOO_MANY = mark("You have too many open uploads: finish or cancel some.")
TOO_MANY_FILES = mark("These are too many files for one upload: send the rest in another one.")


class Behind(HTTPException):
    """The bytes do not begin where the file ends so far."""

    def __init__(self, offset: int) -> None:
        super().__init__(409, "the file has another length so far", {"upload-offset": str(offset)})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is. files: by state. size: bytes of all that is wanted; here: those that have come."""

    upload: Upload
    files: dict[str, int]
    size: int
    here: int

    @property
    def began(self) -> datetime:
        """When it was begun."""
        return datetime.fromtimestamp(self.upload.created_s, UTC)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.upload.state != "open" and not any(self.files.get(each) for each in ("whole", "taking"))


class UploadDesk:
    """The uploads of one site. book: shared with the daemon."""

    def __init__(self, web: Web, book: UploadBook) -> None:
        self.web = web
        self.book = book
        self._lock = threading.Lock()
        self._busy: set[tuple[str, int]] = set()

    # uploads

    def begin(self, principal: Principal, station: str) -> Upload:
        """Open an upload. Raises HTTPException."""
        self.sweep()
        mine = [each for each in self.book.uploads(limit=500) if each.who == principal.name and each.state == "open"]
        if len(mine) >= MOST_OPEN:
            raise HTTPException(409, TOO_MANY)
        upload = secrets.token_hex(12)
        self.book.begin(upload, who=principal.name, station=station)
        return self.upload(principal, upload)

    def upload(self, principal: Principal, upload: str) -> Upload:
        """An upload that this person may see. Raises HTTPException 404."""
        found = self.book.upload(upload)
        if found is None or not may_see(principal, found):
            raise HTTPException(404)
        return found

    def add(self, upload: Upload, new: Sequence[NewFile]) -> list[UploadedFile]:
        """Take down files that are to come. Raises HTTPException 409, 413."""
        if upload.state != "open":
            raise HTTPException(409, mark("the upload has ended"))
        room = self.web.config.upload_bytes - self.book.announced_bytes()
        size = sum(each.size for each in new)
        if size > room:
            known = {each.name for each in self.book.files(upload.id, limit=MOST_FILES)}  # chosen again to go on
            size = sum(each.size for each in new if each.name not in known)
        if size > room:
            raise HTTPException(413, TOO_MUCH)
        if size + self.book.announced_bytes(waiting=True) > self.free_bytes():
            raise HTTPException(413, DISK_FULL)
        if self.book.sums(upload.id).count() + len(new) > 2 * MOST_FILES:
            raise HTTPException(413, TOO_MANY_FILES)
        return self.book.add(upload.id, new)

    def finish(self, upload: Upload) -> None:
        """No more files come."""
        for each in self.book.files(upload.id, states=["waiting"], limit=MOST_FILES):
            if self.offset(each) == each.size:  # whole, but nobody was told
                self.complete(each, "")
        if upload.state == "open":
            self.book.set_upload(upload.id, "finished")

    def cancel(self, upload: Upload) -> None:
        """What has not come whole is not wanted any more; what has is taken in."""
        self.book.set_upload(upload.id, "cancelled")
        for each in self.book.files(upload.id, states=["dropped"], limit=MOST_FILES):
            self.book.path_of(upload.id, each.number).unlink(missing_ok=True)

    def progress(self, upload: Upload) -> Progress:
        """How far it is."""
        sums = self.book.sums(upload.id)
        wanted = {state: size for state, size in sums.size.items() if state != "dropped"}
        here = sum(size for state, size in wanted.items() if state != "waiting")
        if wanted.get("waiting"):
            waiting = self.book.files(upload.id, states=["waiting"], limit=MOST_FILES)
            with suppress(OSError):
                sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self.book.folder / upload.id)}
                here += sum(sizes.get(f"{each.number}.bytes", 0) for each in waiting)
        return Progress(upload, sums.files, sum(wanted.values()), here)

    def sweep(self) -> None:
        """Give up uploads that nobody goes on with, and forget old ones; never one with files for the daemon."""
        now = time.time()
        for each in self.book.old(touched_before_s=now - ASLEEP_DAYS * 86_400):
            sums = self.book.sums(each.id)
            if sums.count("whole", "taking"):
                continue
            if each.touched_s < now - FORGOTTEN_DAYS * 86_400:
                shutil.rmtree(self.book.folder / each.id, ignore_errors=True)
                self.book.forget(each.id)
            elif each.state == "open":
                self.cancel(each)

    # files

    def file(self, principal: Principal, upload: str, number: int) -> UploadedFile:
        """A file of an upload that this person may see. Raises HTTPException 404."""
        found = self.book.file(self.upload(principal, upload).id, number)
        if found is None:
            raise HTTPException(404)
        return found

    def offset(self, file: UploadedFile) -> int:
        """How many bytes of a file have come."""
        if file.state not in {"waiting", "dropped"}:
            return file.size
        try:
            return self.book.path_of(file.upload, file.number).stat().st_size
        except OSError:
            return 0

    @contextmanager
    def alone(self, file: UploadedFile) -> Iterator[None]:
        """Nobody else brings bytes of this file meanwhile. Raises HTTPException 409, 503."""
        key = file.upload, file.number
        with self._lock:
            if key in self._busy:
                raise HTTPException(409, mark("another request brings this file"), {"retry-after": "2"})
            if len(self._busy) >= MOST_AT_ONCE:
                raise HTTPException(503, mark("too many files come at once"), {"retry-after": "2"})
            self._busy.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(key)

    def append(self, file: UploadedFile, offset: int, body: bytes | bytearray) -> int:
        """Add bytes to a file, synced; its length then. Raises Behind, HTTPException 507."""
        path = self.book.path_of(file.upload, file.number)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with path.open("ab") as target:
                if target.tell() != offset:
                    raise Behind(target.tell())
                target.write(body)
                target.flush()
                os.fsync(target.fileno())
                return target.tell()
        except OSError as exc:
            full = exc.errno in {errno.ENOSPC, errno.EDQUOT}
            raise HTTPException(507 if full else 503, DISK_FULL if full else "", {"retry-after": "60"}) from exc

    def complete(self, file: UploadedFile, sha256: str) -> UploadedFile:
        """All bytes are there: check them, and hand the file to the daemon unless its content is here already.

        sha256: what it should be, "" when nobody said. Raises HTTPException 422 when it is another; it begins anew.
        """
        path = self.book.path_of(file.upload, file.number)
        with path.open("rb") as body:
            found = hashlib.file_digest(body, "sha256").hexdigest()
        if sha256 and found != sha256:
            path.unlink()
            raise HTTPException(422, mark("the content arrived damaged: send it again"), {"upload-offset": "0"})
        if self.is_known(file.station, found):
            self.book.set_file(file, "known", sha256=found, was=["waiting"])
            path.unlink(missing_ok=True)
        else:
            if file.mtime_ms:
                os.utime(path, ns=(file.mtime_ms * 1_000_000, file.mtime_ms * 1_000_000))
            sync(path)
            self.book.set_file(file, "whole", sha256=found, was=["waiting"])
        return self.book.file(file.upload, file.number) or file

    def is_known(self, station: str, sha256: str) -> bool:
        """Whether this content of this station is in the record."""
        query = select(frames.c.pk).where(frames.c.station == station, frames.c.sha256 == sha256).limit(1)
        with self.web.readers.read() as connection:
            return connection.scalar(query) is not None

    def free_bytes(self) -> int:
        """What uploads may take of the disk."""
        return shutil.disk_usage(self.book.folder).free - KEEP_FREE


def sync(path: Path) -> None:
    """Make a file's time, and that it is there, survive a power cut."""
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def may_see(principal: Principal, upload: Upload) -> bool:
    """One's own; those who see all stations see everybody's."""
    return upload.who == principal.name or principal.stations is None


_opening = threading.Lock()


def desk_of(request: Request) -> UploadDesk:
    """The application's, opened at its first use."""
    state = request.app.state
    with _opening:
        if not hasattr(state, "uploads"):
            web = web_of(request)
            state.uploads = UploadDesk(web, UploadBook(web.state_dir))
        desk: UploadDesk = state.uploads
        return desk
