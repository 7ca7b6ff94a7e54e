"""What the single view shows: a sequence frame by frame, what machine and people said, and what is known of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select

from edge.deployed import Deployment
from edge.store import deployments, summaries
from edge.store.schema import clock_corrections, frames, reviews
from edge.store.thumbnails import thumbnails_of
from edge.store.web_schema import sequence_frames
from edge.summaries.making import Names
from edge.summaries.verdicts import Seen, verdict

from .cards import WIDE, Box, boxes_of, others_of
from .queries import sequence_of

STRIP = 60  # frames of the strip at once
HISTORY = 200  # answers that are shown, the newest
FEW = 500  # values of one IN
SAID = ("action", "by", "at", "kind", "taxon", "count", "sex", "life_stage", "behaviour", "comments")
UNDONE = ("undone_by", "undone_at")
COLUMNS = (
    *("pk", "station", "id", "kind", "name", "size_bytes", "captured_utc", "captured_original", "captured_origin"),
    *(
        "captured_timezone",
        "said_utc",
        "received_at",
        "width",
        "height",
        "frame_rate",
        "camera",
        "triggered_by",
        "clock",
    ),
    *("brightness", "infrared", "people", "original", "damage", "source", "pictures"),
)
_PKS: BindParameter[Any] = bindparam("pks", expanding=True)


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame of the strip. facts: columns of `frames`. machine, counts: what it shows, by the machine and now.

    number: the picture of a clip that shows it best, 0 of a still.
    """

    facts: Any
    boxes: tuple[Box, ...]
    machine: tuple[Seen, ...]
    counts: tuple[Seen, ...]
    answered: bool
    disagrees: bool
    favourite: bool
    number: int = 0

    @property
    def pk(self) -> int:
        """Of the frame."""
        return int(self.facts.pk)

    @property
    def ratio(self) -> tuple[int, int]:
        """Width and height."""
        return (self.facts.width, self.facts.height) if self.facts.width and self.facts.height else WIDE

    @property
    def shown(self) -> tuple[Box, ...]:
        """The boxes on the picture that stands for it."""
        return tuple(each for each in self.boxes if each.number == self.number)

    @property
    def at(self) -> datetime:
        """When it was taken, or received where that is unknown."""
        at: datetime = self.facts.captured_utc or self.facts.received_at
        return at


@dataclass(frozen=True, slots=True)
class Past:
    """An answer of the past: rows of one action that say the same. frames: how many. box: it is about boxes."""

    action: str
    by: str
    at: datetime
    kind: str
    taxon: str
    count: int
    sex: str
    life_stage: str
    behaviour: str
    comments: str
    frames: int
    box: bool
    undone_by: str
    undone_at: datetime | None
    newest: int


@dataclass(frozen=True, slots=True)
class One:
    """A sequence. pictures: those of the strip, from `start` on, of `total`. current: the one shown large."""

    row: Mapping[str, Any]
    pictures: tuple[Picture, ...]
    current: Picture
    start: int
    total: int
    history: tuple[Past, ...]
    deployment: Deployment | None
    moved: timedelta | None
    why_moved: tuple[str, ...]

    @property
    def others(self) -> tuple[tuple[str, str], ...]:
        """(kind, taxon) of what counts beside the one it is named by."""
        return others_of(self.row)

    @property
    def seen(self) -> int:
        """Pk of the newest answer, 0 for none."""
        return max((each.newest for each in self.history if each.undone_at is None), default=0)


def read_one(
    connection: Connection, pk: int, scope: Collection[str] | None, *, frame: int = 0, start: int | None = None
) -> One | None:
    """The sequence with the frame shown large (0: its best one); None when it is not there or may not be seen.

    start: where the strip begins; None for around that frame.
    """
    row = sequence_of(connection, pk, scope)
    if row is None:
        return None
    query = select(sequence_frames.c.frame_pk).where(sequence_frames.c.sequence_pk == pk)
    members = list(connection.scalars(query.order_by(sequence_frames.c.position)))
    if not members:
        return None
    wanted = frame if frame in members else row["best_frame_pk"]
    place = members.index(wanted) if wanted in members else 0
    if start is None:
        start = place // STRIP * STRIP
    start = max(0, min(start, (len(members) - 1) // STRIP * STRIP))
    here = members[start : start + STRIP]
    pictures = read_pictures(connection, here)
    if not pictures:
        return None
    current = next((each for each in pictures if each.pk == wanted), pictures[0])
    facts = current.facts
    mine = deployments.all_deployments(connection, stations=(facts.station,), since=current.at, until=current.at)
    moved = facts.captured_utc - facts.said_utc if facts.captured_utc and facts.said_utc else None
    return One(
        row,
        pictures,
        current,
        start,
        len(members),
        read_history(connection, members),
        next((each for each in mine if each.holds(current.at)), None),
        moved or None,
        _why_moved(connection, facts.station, facts.said_utc) if moved else (),
    )


def read_pictures(connection: Connection, pks: Sequence[int]) -> tuple[Picture, ...]:
    """These frames, in this order."""
    query = select(*(frames.c[name] for name in COLUMNS)).where(frames.c.pk.in_(_PKS))
    facts = {row.pk: row for row in connection.execute(query, {"pks": list(pks)})}
    boxes = boxes_of(connection, pks)
    rows, said = summaries.boxes_of(connection, pks), summaries.reviews_of(connection, pks)
    marked = summaries.favourites_in(connection, pks)
    lineage_of = Names().of(connection)
    found = []
    for pk in pks:
        if pk in facts:
            told = verdict(rows.get(pk, ()), said.get(pk, ()), lineage_of)
            mine = tuple(boxes.get(pk, ()))
            best = max(mine, key=lambda each: each.score * (each.w * each.h) ** 0.5, default=None)
            number = best.number if best else _first_number(facts[pk].pictures)
            found.append(
                Picture(facts[pk], mine, told.machine, told.counts, told.answered, told.disagrees, pk in marked, number)
            )
    return tuple(found)


def read_history(connection: Connection, pks: Sequence[int]) -> tuple[Past, ...]:
    """What people said of these frames or their thumbnails, the newest first, also what was undone."""
    query = select(reviews.c.pk, reviews.c.observation_pk, *(reviews.c[name] for name in (*SAID, *UNDONE)))
    rows: list[Any] = []
    for few in (pks[start : start + FEW] for start in range(0, len(pks), FEW)):
        both = [*few, *thumbnails_of(connection, few)]
        rows += connection.execute(query.where(reviews.c.frame_pk.in_(_PKS)), {"pks": both}).all()
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in sorted(rows, key=lambda each: -each.pk):
        same = (getattr(row, name) for name in (*SAID, *UNDONE) if name not in {"at", "undone_at"})
        # an imported row belongs to no action and stands for itself
        groups.setdefault((*same, row.action or row.pk, row.observation_pk is None), []).append(row)
    return tuple(_past(group) for group in list(groups.values())[:HISTORY])


def _past(rows: Sequence[Any]) -> Past:
    first = rows[0]
    said = {name: getattr(first, name) for name in (*SAID, *UNDONE)}
    return Past(**said, frames=len(rows), box=first.observation_pk is not None, newest=first.pk)


def _why_moved(connection: Connection, station: str, said: datetime) -> tuple[str, ...]:
    """What people wrote of the corrections that a frame of this said time has."""
    table = clock_corrections.c
    query = select(table.why, table.made_by).where(
        table.station == station,
        table.undone_at.is_(None),
        (table.since.is_(None)) | (table.since <= said),
        (table.until.is_(None)) | (table.until >= said),
    )
    return tuple(f"{why} ({by})" if by else why for why, by in connection.execute(query.order_by(table.pk)) if why)


def _first_number(pictures: Any) -> int:
    return int(pictures[0][0]) if pictures else 0
