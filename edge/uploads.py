"""Files that people send through the page, until the daemon has spooled them: a folder each, and a book of them all.

The page writes bytes and says when a file is whole; the source `upload` of the daemon takes whole files and says what
became of them. Both keep the same book, SQLite in the folder, so that neither needs the other to run. Nothing on disk
is named by what a browser said: a file is its number in its upload.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from .model import Kind

FOLDER = ("web", "uploads")  # below state_dir
BOOK = "uploads.sqlite"
# waiting: not all of it is there. whole: the daemon may take it. taking: it does. The others are how it ended.
FileState = Literal["waiting", "whole", "taking", "taken", "known", "refused", "dropped"]
UploadState = Literal["open", "finished", "cancelled"]
BUSY_S = 10.0
PAGE = 500

SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, who TEXT NOT NULL, station TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open',
  created_s REAL NOT NULL, touched_s REAL NOT NULL, skipped INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_created ON uploads (created_s);
CREATE TABLE IF NOT EXISTS files (
  upload TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, station TEXT NOT NULL, kind TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ms INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  sha256 TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS files_named ON files (upload, name);
CREATE INDEX IF NOT EXISTS files_in_state ON files (state, upload, number);
"""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that somebody wants to send. name: relative, made safe. mtime_ms: since 1970, as its browser says."""

    name: str
    station: str
    kind: Kind
    size: int
    mtime_ms: int


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of an upload. reason: of a refused one."""

    upload: str
    number: int
    name: str
    station: str
    kind: Kind
    size: int
    mtime_ms: int
    state: FileState
    sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class Upload:
    """What somebody sends in one go. station: of all its files, "" where they differ. skipped: files not wanted."""

    id: str
    who: str
    station: str
    state: UploadState
    created_s: float
    touched_s: float
    skipped: int


@dataclass(frozen=True, slots=True)
class Sums:
    """How many files, and bytes, of an upload are in each state."""

    files: dict[str, int]
    size: dict[str, int]

    def count(self, *states: str) -> int:
        """Files in any of these states; of all without one."""
        return sum(count for state, count in self.files.items() if not states or state in states)


class UploadBook:
    """The book. May be used from several threads; every method is one transaction. Raises sqlite3.Error, OSError."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir.joinpath(*FOLDER)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            self.folder / BOOK, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")  # a file that is called whole stays so after a power cut
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def path_of(self, upload: str, number: int) -> Path:
        """Where a file's bytes are, as many as have come. upload: an id that this book gave."""
        return self.folder / upload / f"{number}.bytes"

    # uploads

    def begin(self, upload: str, *, who: str, station: str) -> None:
        """Open an upload under a new id."""
        (self.folder / upload).mkdir(mode=0o700)
        now = time.time()
        with self._change() as database:
            row = (upload, who, station, "open", now, now)
            database.execute(
                "INSERT INTO uploads (id, who, station, state, created_s, touched_s) VALUES (?,?,?,?,?,?)", row
            )

    def upload(self, upload: str) -> Upload | None:
        """The upload with this id."""
        rows = self._read("SELECT * FROM uploads WHERE id = ?", (upload,))
        return Upload(*rows[0]) if rows else None

    def uploads(self, *, limit: int = 50, before_s: float = float("inf")) -> list[Upload]:
        """The newest first. before_s: only those begun before that time."""
        query = "SELECT * FROM uploads WHERE created_s < ? ORDER BY created_s DESC LIMIT ?"
        return [Upload(*row) for row in self._read(query, (before_s, limit))]

    def sums(self, upload: str) -> Sums:
        """How far an upload is."""
        rows = self._read("SELECT state, count(*), sum(size) FROM files WHERE upload = ? GROUP BY state", (upload,))
        return Sums({state: count for state, count, _size in rows}, {state: size for state, _count, size in rows})

    def set_upload(self, upload: str, state: UploadState) -> None:
        """It is finished: no more files come. Or cancelled: what has not come whole is not wanted any more."""
        with self._change() as database:
            database.execute("UPDATE uploads SET state = ?, touched_s = ? WHERE id = ?", (state, time.time(), upload))
            if state == "cancelled":
                database.execute("UPDATE files SET state = 'dropped' WHERE upload = ? AND state = 'waiting'", (upload,))

    def skip(self, upload: str, count: int) -> None:
        """Count files that were not wanted."""
        with self._change() as database:
            database.execute("UPDATE uploads SET skipped = skipped + ? WHERE id = ?", (count, upload))

    def announced_bytes(self, *, waiting: bool = False) -> int:
        """Bytes of all files that are not with the daemon yet, come or not. waiting: only those that have not."""
        states = '["waiting"]' if waiting else '["waiting", "whole", "taking"]'
        query = "SELECT coalesce(sum(size), 0) FROM files WHERE state IN (SELECT value FROM json_each(?))"
        return int(self._read(query, (states,))[0][0])

    def old(self, *, touched_before_s: float, limit: int = 100) -> list[Upload]:
        """Uploads that nothing has happened to for so long."""
        query = "SELECT * FROM uploads WHERE touched_s < ? ORDER BY created_s LIMIT ?"
        return [Upload(*row) for row in self._read(query, (touched_before_s, limit))]

    def forget(self, upload: str) -> None:
        """Delete an upload from the book; the caller has deleted its folder."""
        with self._change() as database:
            database.execute("DELETE FROM files WHERE upload = ?", (upload,))
            database.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    # files

    def add(self, upload: str, new: Sequence[NewFile]) -> list[UploadedFile]:
        """Add files; one that is there by its name, of the same size and time, is the same, another replaces it.

        In the order of `new`. One that was whole or dealt with is not replaced.
        """
        found: list[UploadedFile] = []
        with self._change() as database:
            (last,) = database.execute(
                "SELECT coalesce(max(number), 0) FROM files WHERE upload = ?", (upload,)
            ).fetchone()
            for each in new:
                row = database.execute(
                    "SELECT * FROM files WHERE upload = ? AND name = ?", (upload, each.name)
                ).fetchone()
                known = UploadedFile(*row) if row else None
                if known and known.state in {"waiting", "dropped"} and not _is_same(known, each):
                    database.execute("DELETE FROM files WHERE upload = ? AND number = ?", (upload, known.number))
                    self.path_of(upload, known.number).unlink(missing_ok=True)
                    known = None
                if known is None:
                    last += 1
                    values = (upload, last, each.name, each.station, each.kind, each.size, each.mtime_ms)
                    database.execute("INSERT INTO files VALUES (?,?,?,?,?,?,?,'waiting','','')", values)
                    known = UploadedFile(*values, "waiting", "", "")
                found.append(known)
            database.execute("UPDATE uploads SET touched_s = ? WHERE id = ?", (time.time(), upload))
        return found

    def file(self, upload: str, number: int) -> UploadedFile | None:
        """A file of an upload."""
        rows = self._read("SELECT * FROM files WHERE upload = ? AND number = ?", (upload, number))
        return UploadedFile(*rows[0]) if rows else None

    def files(
        self, upload: str, *, after: int = 0, states: Iterable[str] = (), limit: int = PAGE
    ) -> list[UploadedFile]:
        """Files of an upload by number, those after `after`; states: () for all."""
        wanted = json.dumps(list(states))
        query = (
            "SELECT * FROM files WHERE upload = ? AND number > ?"
            " AND (? = '[]' OR state IN (SELECT value FROM json_each(?))) ORDER BY number LIMIT ?"
        )
        return [UploadedFile(*row) for row in self._read(query, (upload, after, wanted, wanted, limit))]

    def due(self, *, limit: int = 50) -> list[UploadedFile]:
        """Whole files that the daemon has not dealt with."""
        query = "SELECT * FROM files WHERE state IN ('taking', 'whole') ORDER BY upload, number LIMIT ?"
        return [UploadedFile(*row) for row in self._read(query, (limit,))]

    def set_file(
        self, file: UploadedFile, state: FileState, *, sha256: str = "", reason: str = "", was: Iterable[str] = ()
    ) -> bool:
        """What a file is now; whether it was changed. was: only when it is in one of these states, () for any."""
        now, wanted = time.time(), json.dumps(list(was))
        with self._change() as database:
            done = database.execute(
                "UPDATE files SET state = ?, sha256 = CASE ? WHEN '' THEN sha256 ELSE ? END, reason = ?"
                " WHERE upload = ? AND number = ? AND (? = '[]' OR state IN (SELECT value FROM json_each(?)))",
                (state, sha256, sha256, reason[:500], file.upload, file.number, wanted, wanted),
            )
            database.execute("UPDATE uploads SET touched_s = ? WHERE id = ?", (now, file.upload))
            return done.rowcount > 0

    # the database

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _read(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            found: list[tuple[Any, ...]] = self._database.execute(query, values).fetchall()
            return found


def _is_same(known: UploadedFile, new: NewFile) -> bool:
    return (known.size, known.mtime_ms, known.station) == (new.size, new.mtime_ms, new.station)
