"""What every import is given, and what it says of what it did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..store.sql import Store


def _utc(_station: str) -> str:
    return "UTC"


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for beside the file.

    images: the folder that the file's names start from, None when the pictures are elsewhere. station: whose they are,
    "" to take it from the file. timezone_of: the IANA zone in which a station's camera clock is read. now: the time
    that stands as that of arrival.
    """

    images: Path | None = None
    station: str = ""
    timezone_of: Callable[[str], str] = _utc
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Callable[[int], object] = lambda _read: None


@dataclass(slots=True)
class Imported:
    """What came of it. counts: what was taken in, by what it is ("frames", "observations", "known" …), in order.

    faults: every entry that was not taken as it stands, one line each: its place, what is wrong, what was done.
    """

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def count(self, what: str, many: int = 1) -> None:
        """Add to one of the counts."""
        self.counts[what] = self.counts.get(what, 0) + many


# Takes in a file or folder. What was imported before is recognised and not doubled. Raises FatalError, with the place,
# when the whole can't be read; one bad entry is a fault and the others are taken in.
Importer = Callable[[Store, Path, Options], Imported]


@dataclass(frozen=True, slots=True)
class ImportFormat:
    """A format that can be imported. about: one line for people, English, marked for translation."""

    run: Importer
    about: str
