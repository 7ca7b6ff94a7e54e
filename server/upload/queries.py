"""What became of uploaded content in the record: looked at, waiting, or in quarantine."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from edge.store.schema import frames
from edge.uploads import UploadedFile

FEW = 500  # values of one IN
COUNTED = (
    select(frames.c.state, func.count())
    .where(frames.c.station == bindparam("of"), frames.c.sha256.in_(bindparam("contents", expanding=True)))
    .group_by(frames.c.state)
)


@dataclass(frozen=True, slots=True)
class Looked:
    """Frames of an upload: recorded, spooled or claimed, quarantined."""

    done: int
    waiting: int
    failed: int


def looked_at(connection: Connection, files: Iterable[UploadedFile]) -> Looked:
    """How far the models are with the content of these files; a step along an index for each."""
    contents: dict[str, list[str]] = {}
    for each in files:
        contents.setdefault(each.station, []).append(each.sha256)
    found: Counter[str] = Counter()
    for station, hashes in contents.items():
        for few in _few(sorted(set(hashes))):
            for state, count in connection.execute(COUNTED, {"of": station, "contents": few}):
                found[state] += count
    return Looked(found["recorded"], found["spooled"] + found["claimed"], found["quarantined"])


def _few(values: Sequence[str]) -> Iterable[list[str]]:
    for start in range(0, len(values), FEW):
        yield list(values[start : start + FEW])
