"""Which files of a folder were dealt with, and their hashes, kept on disk so that no restart reads an archive again.

It is a shortcut only: what it has forgotten is hashed again, and what it remembers of an earlier run is still checked
with the sink, which alone knows what it has.
"""

import hashlib
import os
import secrets
import sqlite3
from pathlib import Path

from .ready_files import Mark

KEPT, REFUSED, UNREADABLE = "kept", "refused", "unreadable"


class SeenFiles:
    """path, size and time → hash and outcome. Used by the thread that opened it; close it."""

    def __init__(self, state_dir: Path, folder: Path) -> None:
        self._run = secrets.token_hex(8)
        place = state_dir / "watch"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.sqlite"
        try:
            self._database = self._open(path)
        except sqlite3.DatabaseError:  # damaged: it can be found out again
            path.unlink()
            self._database = self._open(path)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def is_done(self, path: Path, mark: Mark) -> bool:
        """Whether nothing is to be done about this file until it changes or we are started again."""
        found = self._find(path, mark)
        return found is not None and found[1] in {KEPT, REFUSED} and found[2] == self._run

    def was_unreadable(self, path: Path, mark: Mark) -> bool:
        """Whether this run has said already that the file can't be read."""
        found = self._find(path, mark)
        return found is not None and found[1] == UNREADABLE and found[2] == self._run

    def sha256_of(self, path: Path, mark: Mark) -> str:
        """The hash as it was when the file had this mark, "" when unknown."""
        found = self._find(path, mark)
        return found[0] if found else ""

    def remember(self, path: Path, mark: Mark, *, sha256: str, outcome: str) -> None:
        """Keep what became of a file."""
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)",
                (os.fsencode(path), mark.size, mark.mtime_ns, sha256, outcome, self._run),
            )

    def _find(self, path: Path, mark: Mark) -> tuple[str, str, str] | None:
        found: tuple[str, str, str] | None = self._database.execute(
            "SELECT sha256, outcome, run FROM seen WHERE path = ? AND size = ? AND mtime_ns = ?",
            (os.fsencode(path), mark.size, mark.mtime_ns),
        ).fetchone()
        return found

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(
                "PRAGMA synchronous = NORMAL"
            )  # a power cut may forget the last files, not damage the rest
            database.execute(
                "CREATE TABLE IF NOT EXISTS seen (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER,"
                " sha256 TEXT, outcome TEXT, run TEXT) WITHOUT ROWID"
            )
            _check_pages(database)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database


def _check_pages(database: sqlite3.Connection) -> None:
    """Read all pages: opening reads the first only, and one that is damaged would stop the source at every start."""
    ((found,),) = database.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
