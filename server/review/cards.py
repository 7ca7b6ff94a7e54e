"""What the grid shows of each sequence: its best picture's boxes, marks, who answered. A bounded number of queries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select, union_all

from edge.store.schema import frames, observations, reviews
from edge.store.suspects import counts
from edge.store.web_schema import sequence_frames

CATEGORY_KINDS = {"animal": "animal", "person": "human", "vehicle": "vehicle"}
MOST_BOXES = 60  # of one picture; a swarm of bats may have hundreds
WIDE = (4, 3)
_PKS: BindParameter[Any] = bindparam("pks", expanding=True)


@dataclass(frozen=True, slots=True)
class Box:
    """A machine's box, shares of the picture. kind: animal, human or vehicle. label: scientific name or category."""

    pk: int
    number: int
    x: float
    y: float
    w: float
    h: float
    kind: str
    taxon: str
    score: float
    time_s: float = 0.0
    remark: str = ""

    @property
    def label(self) -> str:
        """What the machine calls it."""
        return self.taxon or self.kind


@dataclass(frozen=True, slots=True)
class Card:
    """A sequence of the grid. row: of `sequences`. ratio: width and height of its best picture. by: who answered.

    seen: pk of the newest answer, 0 for none. name: the best frame's file.
    """

    row: Mapping[str, Any]
    boxes: tuple[Box, ...] = ()
    ratio: tuple[int, int] = WIDE
    by: tuple[str, ...] = ()
    seen: int = 0
    name: str = ""

    @property
    def pk(self) -> int:
        """Of the sequence."""
        return int(self.row["pk"])

    @property
    def others(self) -> tuple[tuple[str, str], ...]:
        """(kind, taxon) of what counts beside the one it is named by, most frames first."""
        return others_of(self.row)

    @property
    def reviewed(self) -> bool:
        """Whether somebody has answered all of it."""
        return not self.row["unreviewed"]

    @property
    def at(self) -> datetime:
        """When it began."""
        at: datetime = self.row["started_at"]
        return at


def others_of(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(kind, taxon) of what a sequence shows beside the one it is named by, most frames first."""
    named = (row["shown_kind"], row["shown_taxon"])
    groups = sorted(row["shows"]["groups"], key=lambda each: -each[2])
    return tuple((kind, taxon) for kind, taxon, _frames, _count in groups if (kind, taxon) != named)


def cards_of(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Card]:
    """The cards of these sequences, in this order."""
    best = {row["best_frame_pk"]: row["best_number"] for row in rows}
    boxes = boxes_of(connection, list(best))
    query = select(frames.c.pk, frames.c.width, frames.c.height, frames.c.name).where(frames.c.pk.in_(_PKS))
    looks = {row.pk: row for row in connection.execute(query, {"pks": list(best)})}
    said = _said(connection, [row["pk"] for row in rows])
    cards = []
    for row in rows:
        look, (by, seen) = looks.get(row["best_frame_pk"]), said.get(row["pk"], ((), 0))
        shown = tuple(each for each in boxes.get(row["best_frame_pk"], ()) if each.number == row["best_number"])
        ratio = (look.width, look.height) if look and look.width and look.height else WIDE
        cards.append(Card(row, shown[:MOST_BOXES], ratio, by, seen, look.name if look else ""))
    return cards


def boxes_of(connection: Connection, pks: Iterable[int]) -> dict[int, list[Box]]:
    """The boxes of these frames that count, by frame, the surest first."""
    table = observations.c
    columns = (table.pk, table.number, table.x, table.y, table.w, table.h, table.category, table.taxon)
    scores = (table.score, table.taxon_score, table.time_s, table.remark)
    query = select(table.frame_pk, *columns, *scores).where(table.frame_pk.in_(_PKS), counts())
    found: dict[int, list[Box]] = {}
    for row in connection.execute(query, {"pks": list(pks)}):
        frame, pk, number, x, y, w, h, category, taxon, score, taxon_score, time_s, remark = row
        kind, sure = CATEGORY_KINDS.get(category, "animal"), score if taxon_score is None else taxon_score
        found.setdefault(frame, []).append(Box(pk, number, x, y, w, h, kind, taxon, sure, time_s, remark))
    for boxes in found.values():
        boxes.sort(key=lambda each: -each.score)
    return found


def _said(connection: Connection, pks: Sequence[int]) -> dict[int, tuple[tuple[str, ...], int]]:
    """Sequence → (who has answered, newest first, and not been undone; pk of the newest answer)."""
    answer = (sequence_frames.c.sequence_pk, reviews.c.pk, reviews.c.by)
    here = (sequence_frames.c.sequence_pk.in_(_PKS), reviews.c.undone_at.is_(None))
    of_frames = select(*answer).join(reviews, reviews.c.frame_pk == sequence_frames.c.frame_pk).where(*here)
    of_thumbnails = (
        select(*answer)
        .join(frames, frames.c.full_pk == sequence_frames.c.frame_pk)
        .join(reviews, reviews.c.frame_pk == frames.c.pk)
        .where(*here)
    )
    found: dict[int, dict[str, int]] = {}
    for sequence, pk, by in connection.execute(union_all(of_frames, of_thumbnails), {"pks": list(pks)}):
        mine = found.setdefault(sequence, {})
        mine[by] = max(mine.get(by, 0), pk)
    return {
        sequence: (tuple(sorted(names, key=lambda name: -names[name])), max(names.values()))
        for sequence, names in found.items()
    }
