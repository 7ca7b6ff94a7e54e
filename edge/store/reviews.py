"""What people say of frames: rows beside the machine's answers, never over them. Nothing is deleted; undone rows stay.

Everything takes part in the caller's transaction. An action is what somebody said at once, of one frame or thousands;
its id is chosen by the program that asks, so that what is sent twice over a bad link is written once.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    update,
)

from .dialects import day_of, upsert
from .people import mark_people
from .schema import Utc, frames, observations, reviews
from .summaries import mark_stale
from .thumbnails import full_frames_of, thumbnails_of
from .web_schema import favourites

KINDS = ("animal", "human", "vehicle", "blank", "unknown")
SEXES = ("female", "male")  # Camtrap DP 1.0.2, observations.sex
STAGES = ("adult", "subadult", "juvenile")  # observations.lifeStage
PEOPLE = ("human", "vehicle")
CATEGORIES = ("person", "vehicle")  # the machine's words for them
MOST_COUNT = 1000
LONGEST = {"taxon": 120, "behaviour": 200, "comments": 2000}
FEW = 500  # values of one IN
NAMED: ColumnElement[bool] = literal_column("reviews.action != ''")  # as the partial index has it


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. taxon: scientific name, "" for none and for what is no animal. count: 0 for blank.

    sex, life_stage: of SEXES and STAGES, "" where not said.
    """

    kind: str
    taxon: str = ""
    count: int = 1
    sex: str = ""
    life_stage: str = ""
    behaviour: str = ""
    comments: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}")
        if self.sex not in ("", *SEXES) or self.life_stage not in ("", *STAGES):
            raise ValueError(f"no sex or life stage of Camtrap DP: {self.sex!r}, {self.life_stage!r}")
        if not 0 <= self.count <= MOST_COUNT:
            raise ValueError(f"count must be 0..{MOST_COUNT}, got {self.count}")
        if self.taxon and self.kind != "animal":
            raise ValueError(f"only an animal has a taxon, got {self.kind} {self.taxon!r}")
        for name, most in LONGEST.items():
            if len(getattr(self, name)) > most:
                raise ValueError(f"{name} must be at most {most} characters")


@dataclass(frozen=True, slots=True)
class New:
    """What is to be written of a frame. observation: pk of the box that is meant, None for the whole frame."""

    frame: int
    said: Said
    observation: int | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """What was said at once. frames: in the order of pk. undone_by: "" while it counts."""

    id: str
    by: str
    at: datetime
    frames: tuple[int, ...]
    undone_by: str = ""


def add(connection: Connection, new: Sequence[New], *, action: str, by: str, at: datetime) -> None:
    """Write an action. A frame that somebody says shows a person or vehicle is marked as one that does."""
    common = {"by": by, "at": at, "action": action}
    rows = [
        {
            "frame_pk": each.frame,
            "observation_pk": each.observation,
            **{name: getattr(each.said, name) for name in Said.__slots__},
            **common,
        }
        for each in new
    ]
    if rows:
        connection.execute(insert(reviews), rows)
    for frame in sorted({each.frame for each in new if each.said.kind in PEOPLE}):
        mark_people(connection, frame)
    mark_full_frames(connection, {each.frame for each in new})


def find_action(connection: Connection, action: str) -> Action | None:
    """The action of this id; None when there is none."""
    columns = (reviews.c.frame_pk, reviews.c.by, reviews.c.at, reviews.c.undone_by, reviews.c.undone_at)
    rows = connection.execute(select(*columns).where(reviews.c.action == action, NAMED)).all()
    if not rows or not action:
        return None
    first = rows[0]
    undone_by = first.undone_by or ("?" if first.undone_at else "")
    return Action(action, first.by, first.at, tuple(sorted({row.frame_pk for row in rows})), undone_by)


def undo(connection: Connection, action: Action, *, by: str, at: datetime) -> bool:
    """Take an action back; the rows stay, with who undid them and when. False when it was undone already."""
    mine = (reviews.c.action == action.id) & NAMED & reviews.c.undone_at.is_(None)
    said_people = mine & reviews.c.kind.in_(PEOPLE)
    people = set(connection.scalars(select(reviews.c.frame_pk).where(said_people)))
    done = connection.execute(update(reviews).where(mine).values(undone_by=by, undone_at=at)).rowcount
    for few in _few(sorted(people)):
        _unmark_people(connection, few)
    mark_full_frames(connection, action.frames)
    return bool(done)


def mark_full_frames(connection: Connection, frame_pks: Iterable[int]) -> None:
    """Have the days of full frames summed up anew whose thumbnails these are: triggers know the thumbnails' days."""
    at = func.coalesce(frames.c.captured_utc, frames.c.received_at, type_=Utc())
    of_fulls = select(frames.c.station, day_of(at)).where(frames.c.pk.in_(_pks()), frames.c.state == "recorded")
    for few in _few(sorted(frame_pks)):
        if fulls := full_frames_of(connection, few):
            found = connection.execute(of_fulls, {"pks": sorted(set(fulls.values()))})
            mark_stale(connection, {(station, day) for station, day in found})


def newest_in(connection: Connection, frame_pks: Iterable[int]) -> tuple[int, str] | None:
    """(pk, by) of what was said last of these frames or their thumbnails and not undone; None when nothing was."""
    found: list[tuple[int, str]] = []
    query = select(reviews.c.pk, reviews.c.by).where(reviews.c.frame_pk.in_(_pks()), reviews.c.undone_at.is_(None))
    for few in _few(sorted(frame_pks)):
        both = [*few, *thumbnails_of(connection, few)]
        row = connection.execute(query.order_by(reviews.c.pk.desc()).limit(1), {"pks": both}).first()
        found += [(row[0], row[1])] if row else []
    return max(found, default=None)


def set_favourites(connection: Connection, frame_pks: Collection[int], *, by: str, at: datetime) -> None:
    """Mark frames; who marked one first stays."""
    rows = [{"frame_pk": each, "by": by, "at": at} for each in sorted(frame_pks)]
    if rows:
        connection.execute(upsert(connection, favourites).on_conflict_do_nothing(), rows)


def unset_favourites(connection: Connection, frame_pks: Iterable[int]) -> None:
    """Take marks away, whoever made them, and those of thumbnails."""
    for few in _few(sorted(frame_pks)):
        both = [*few, *thumbnails_of(connection, few)]
        connection.execute(delete(favourites).where(favourites.c.frame_pk.in_(_pks())), {"pks": both})


def _unmark_people(connection: Connection, frame_pks: Sequence[int]) -> None:
    """Frames that nobody, and no machine, says any more to show people; not those whose originals were dealt with."""
    twin = frames.alias("twin")
    same = or_(reviews.c.frame_pk == frames.c.pk, reviews.c.frame_pk == frames.c.full_pk)
    said = exists().where(same, reviews.c.kind.in_(PEOPLE), reviews.c.undone_at.is_(None))
    seen = exists().where(observations.c.frame_pk == frames.c.pk, observations.c.category.in_(CATEGORIES))
    # a thumbnail and its full frame are marked together; where there are two, the mark stays
    paired = or_(frames.c.full_pk.is_not(None), exists().where(twin.c.full_pk == frames.c.pk))
    mine = frames.c.pk.in_(frame_pks) & (frames.c.original == "kept")
    connection.execute(update(frames).where(mine, not_(said), not_(seen), not_(paired)).values(people=False))


def _pks() -> BindParameter[Any]:
    return bindparam("pks", expanding=True)


def _few(values: Iterable[int]) -> Iterator[list[int]]:
    found = list(values)
    for start in range(0, len(found), FEW):
        yield found[start : start + FEW]
