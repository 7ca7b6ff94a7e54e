"""What a channel that sends SMS remembers across restarts: what it sent, and which answers it has heard.

Neither Twilio nor a modem has a key by which it tells a repeated message: so what is about to be sent is noted before,
with its text, and what became of it after. A message whose fate was never noted is looked for there before it is sent
again.
"""

import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.api import Services

KEPT = timedelta(days=3)  # an outbox gives an alert up after a day
HEARD_IN_MEMORY = 2000  # ids, for the case that the disk takes nothing; the oldest goes first
TABLES = """
CREATE TABLE IF NOT EXISTS sent (
    key TEXT, number TEXT, at TEXT NOT NULL, body TEXT NOT NULL, sid TEXT NOT NULL, PRIMARY KEY (key, number));
CREATE TABLE IF NOT EXISTS heard (id TEXT PRIMARY KEY, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mark (one INTEGER PRIMARY KEY CHECK (one = 1), began TEXT NOT NULL, at TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours. at: when we began to send it, UTC. sid: its name there, "" until that is known."""

    at: datetime
    body: str
    sid: str


@dataclass(slots=True)
class Memory:
    """One small SQLite file, opened at the first use; where it can't be used, alerts go out all the same.

    May be used from several threads and processes.
    """

    path: Path
    services: Services
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: sqlite3.Connection | None = None
    _heard: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _made: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._made = self.services.clock.now()

    def find(self, key: str, number: str) -> Sent | None:
        """What is known of this message to this number."""
        row = self._run(("SELECT at, body, sid FROM sent WHERE key = ? AND number = ?", key, number))
        return Sent(datetime.fromisoformat(row[0]), row[1], row[2]) if row else None

    def begin(self, key: str, number: str, body: str) -> None:
        """Note that a message is about to be sent; what was said of it before is replaced."""
        self._run(("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, '')", key, number, self._now(), body))

    def settle(self, key: str, number: str, sid: str) -> None:
        """Note that it was taken. sid: its name there, or "" when it surely was not taken."""
        if sid:
            self._run(("UPDATE sent SET sid = ? WHERE key = ? AND number = ?", sid, key, number))
        else:
            self._run(("DELETE FROM sent WHERE key = ? AND number = ?", key, number))

    def has_heard(self, sid: str) -> bool:
        """Whether this answer was given on already."""
        return sid in self._heard or self._run(("SELECT 1 FROM heard WHERE id = ?", sid)) is not None

    def hear(self, sid: str, at: datetime) -> None:
        """Note that this answer was given on. at: when it was written; the mark moves there when that is later."""
        self._heard[sid] = None
        while len(self._heard) > HEARD_IN_MEMORY:
            self._heard.popitem(last=False)
        when = _text(at)
        noted = ("INSERT OR REPLACE INTO heard VALUES (?, ?)", sid, when)
        self._run(noted, ("UPDATE mark SET at = max(at, ?)", when))

    def mark(self) -> datetime:
        """When the newest answer that was heard was written; at first: when we began."""
        row = self._run(("SELECT at FROM mark",))
        return datetime.fromisoformat(row[0]) if row else self._made

    def began(self) -> datetime:
        """When this memory was made, in whole seconds, as Twilio tells moments."""
        row = self._run(("SELECT began FROM mark",))
        return (datetime.fromisoformat(row[0]) if row else self._made).replace(microsecond=0)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _run(self, *statements: tuple[str, *tuple[str, ...]]) -> tuple[str, ...] | None:
        """Run all or none, and give the first row of the last; None too where the file can't be used: it is logged."""
        row: tuple[str, ...] | None = None
        with self._lock:
            try:
                with self._opened() as database:  # commits, or rolls back
                    for text, *values in statements:
                        row = database.execute(text, values).fetchone()
            except (sqlite3.Error, OSError) as exc:
                self.services.log.warning("sms.memory_unusable", path=str(self.path), reason=str(exc))
                return None
        return row

    def _opened(self) -> sqlite3.Connection:
        if self._open is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # telephone numbers stand in it
            database = sqlite3.connect(self.path, timeout=5, check_same_thread=False)
            try:
                self._prepare(database)
            except sqlite3.Error:
                database.close()
                raise
            self._open = database
        return self._open

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # noted means on disk: the power may fail while we send
        database.executescript(TABLES)
        database.execute("INSERT OR IGNORE INTO mark VALUES (1, ?, ?)", (self._now(), self._now()))
        (mark,) = database.execute("SELECT at FROM mark").fetchone()
        database.execute("DELETE FROM heard WHERE at < ?", (_text(datetime.fromisoformat(mark) - KEPT),))
        database.execute("DELETE FROM sent WHERE at < ?", (_text(self.services.clock.now() - KEPT),))
        database.commit()

    def _now(self) -> str:
        return _text(self.services.clock.now())


def _text(at: datetime) -> str:
    """A moment such that earlier ones sort before later ones."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
