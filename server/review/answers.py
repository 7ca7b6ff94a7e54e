"""What somebody says of sequences, frames or boxes → rows of `reviews`, written once, with the lists right at once.

Targets are read and checked first; the transaction only writes. The same action sent again, by a double tap or over a
link that lost the answer, writes nothing and tells the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select
from starlette.exceptions import HTTPException

from edge.alerts.encounters import akin
from edge.i18n import mark
from edge.store import reviews, summaries
from edge.store.reviews import New, Said
from edge.store.schema import frames, observations
from edge.store.schema import reviews as review_rows
from edge.store.thumbnails import full_frames_of
from edge.store.web_schema import sequence_frames, sequences
from edge.summaries.making import Names
from edge.summaries.now import sequence_now
from edge.summaries.verdicts import SAID, Lineages, verdict

from ..rights import Principal
from ..web import Web
from .queries import sequences_now
from .saying import Right

MOST_SEQUENCES, MOST_FRAMES = 500, 5_000  # of one action
NOTHING_MEANT = mark("Choose pictures first.")
TOO_MANY = mark("At most 500 sequences and 5,000 pictures at once.")
OTHER_CONTENT = mark("This was sent before with another answer: load the page again.")
NOT_YOURS = mark("Only who said it, or somebody who manages this site, takes it back.")
_PKS: BindParameter[Any] = bindparam("pks", expanding=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to say of what. counted: False where nobody said how many: as many as are counted now, at least one.

    seen: pk of the newest answer that stood on the page, of any of these; None where nobody looked.
    """

    action: str
    said: Said | Right
    sequences: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    boxes: tuple[int, ...] = ()
    seen: int | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """What was written. rows: the sequences as they stand now, by pk. others: who had answered meanwhile.

    repeated: it had been written before.
    """

    action: str
    frames: tuple[int, ...]
    rows: Mapping[int, Mapping[str, Any]]
    others: str = ""
    repeated: bool = False


def answer(web: Web, principal: Principal, asked: Asked) -> Done:
    """Write what somebody says. Raises HTTPException 404, 409, 422, StoreBusy."""
    with web.readers.read() as connection:
        new = _targets(connection, asked, principal.stations)
    pks = sorted({each.frame for each in new})
    with web.store.transaction() as connection:
        if before := reviews.find_action(connection, asked.action):
            if before.by != principal.name or not _same(connection, asked.action, new):
                raise HTTPException(409, OTHER_CONTENT)
            return Done(asked.action, before.frames, sequence_now(connection, before.frames), repeated=True)
        last = reviews.newest_in(connection, pks) if asked.seen is not None else None
        reviews.add(connection, new, action=asked.action, by=principal.name, at=web.clock.now())
        rows = sequence_now(connection, pks)
    others = last[1] if last and asked.seen is not None and last[0] > asked.seen and last[1] != principal.name else ""
    return Done(asked.action, tuple(pks), rows, others)


def undo(web: Web, principal: Principal, action: str) -> Done:
    """Take an action back. Raises HTTPException 403, 404, StoreBusy."""
    with web.store.transaction() as connection:
        before = reviews.find_action(connection, action)
        if before is None or not _all_seen(connection, before.frames, principal.stations):
            raise HTTPException(404, mark("no such action"))
        if before.by != principal.name and not principal.may("manage"):
            raise HTTPException(403, NOT_YOURS)
        changed = reviews.undo(connection, before, by=principal.name, at=web.clock.now())
        rows = sequence_now(connection, before.frames)
    return Done(action, before.frames, rows, repeated=not changed)


def favourite(web: Web, principal: Principal, *, frame: int = 0, of_sequences: Sequence[int] = (), on: bool) -> Done:
    """Mark a frame, or the best one of each sequence; or take away its mark, or all marks of each sequence."""
    if len(of_sequences) > MOST_SEQUENCES:
        raise HTTPException(422, TOO_MANY)
    with web.readers.read() as connection:
        now = sorted(set(sequences_now(connection, of_sequences).values()))
        members = [pk for each in summaries.members_of(connection, now).values() for pk in each]
        of_best = select(sequences.c.best_frame_pk).where(sequences.c.pk.in_(_PKS))
        best = list(connection.scalars(of_best, {"pks": now}))
        pks = [frame] if frame else best if on else members
        if not pks or not _all_seen(connection, pks, principal.stations):
            raise HTTPException(404, mark("no such picture"))
    with web.store.transaction() as connection:
        if on:
            reviews.set_favourites(connection, pks, by=principal.name, at=web.clock.now())
        else:
            reviews.unset_favourites(connection, pks)
        return Done("", tuple(sorted(pks)), sequence_now(connection, pks))


def _targets(connection: Connection, asked: Asked, scope: Collection[str] | None) -> list[New]:
    """The rows to write. Raises HTTPException 404 for what is not there, or not this person's to see."""
    if not (asked.sequences or asked.frames or asked.boxes):
        raise HTTPException(422, NOTHING_MEANT)
    if len(asked.sequences) > MOST_SEQUENCES or len(asked.frames) + len(asked.boxes) > MOST_FRAMES:
        raise HTTPException(422, TOO_MANY)
    now = sequences_now(connection, asked.sequences)
    if len(now) < len(set(asked.sequences)):
        raise HTTPException(404, mark("no such sequence"))
    members = summaries.members_of(connection, set(now.values()))
    whole = dict.fromkeys([*(pk for each in members.values() for pk in each), *asked.frames])
    boxes = _frames_of(connection, asked.boxes)
    if len(boxes) < len(set(asked.boxes)):
        raise HTTPException(404, mark("no such observation"))
    if len(whole) + len(boxes) > MOST_FRAMES:
        raise HTTPException(422, TOO_MANY)
    if not _all_seen(connection, {*whole, *boxes.values()}, scope):
        raise HTTPException(404, mark("no such picture"))
    said = asked.said
    if isinstance(said, Right):
        return _confirmed(connection, list(whole), boxes, said)
    many = {} if asked.counted or said.kind == "blank" else _counts_now(connection, list(whole), said.kind)
    of_frames = (New(pk, replace(said, count=many[pk]) if pk in many else said) for pk in whole)
    return [*of_frames, *(New(frame, said, box) for box, frame in boxes.items())]


def _counts_now(connection: Connection, pks: Sequence[int], kind: str) -> dict[int, int]:
    """Frame → how many of a kind are counted on it now, where any are: another name for them makes them no fewer."""
    boxes, said = summaries.boxes_of(connection, pks), summaries.reviews_of(connection, pks)
    lineage_of, wanted = Names().of(connection), SAID[kind]
    found: dict[int, int] = {}
    for pk in pks:
        counts = verdict(boxes.get(pk, ()), said.get(pk, ()), lineage_of).counts
        if mine := [each.count for each in counts if each.kind == wanted]:
            found[pk] = min(max(mine), reviews.MOST_COUNT)
    return found


def _confirmed(connection: Connection, pks: Sequence[int], boxes: Mapping[int, int], right: Right) -> list[New]:
    """The machine's own answers as a person's: of frames the surest kind for the whole and others for their boxes.

    What the person added is about the surest kind. Where the sequence's name is a finer one of the same animal, it is
    taken.
    """
    known = summaries.boxes_of(connection, {*pks, *boxes.values()})
    lineage_of = Names().of(connection)
    taxa = _sequence_taxa(connection, pks)
    new: list[New] = []
    for pk in pks:
        mine = [(each, _said_by_machine([each], lineage_of, taxa.get(pk, ""))[0]) for each in known.get(pk, ())]
        said = _said_by_machine(known.get(pk, ()), lineage_of, taxa.get(pk, ""))
        new.append(New(pk, right.about(said[0] if said else Said("blank", count=0))))
        names = {(each.kind, each.taxon) for each in said[:1]}
        new += [New(pk, one, box.pk) for box, one in mine if (one.kind, one.taxon) not in names]
    for box, frame in boxes.items():
        one = next((each for each in known.get(frame, ()) if each.pk == box), None)
        if one is not None:
            new.append(New(frame, right.about(_said_by_machine([one], lineage_of, "")[0]), box))
    return new


def _said_by_machine(boxes: Sequence[summaries.BoxRow], lineage_of: Lineages, finer: str) -> list[Said]:
    """What the machine says of these boxes of one frame, the surest first."""
    seen = sorted(verdict(boxes, (), lineage_of).machine, key=lambda each: -each.sure)
    found: dict[tuple[str, str], Said] = {}
    for each in seen:
        taxon = each.taxon
        if finer and each.kind == "animal" and akin(lineage_of(taxon), lineage_of(finer)):
            taxon = max(taxon, finer, key=lambda name: len(lineage_of(name)))
        before = found.get((each.kind, taxon))
        count = max(each.count, before.count if before else 1)  # as the sequence's row counts one that has two names
        found[each.kind, taxon] = Said(each.kind, taxon, min(count, reviews.MOST_COUNT))
    return list(found.values())


def _sequence_taxa(connection: Connection, pks: Sequence[int]) -> dict[int, str]:
    """Frame → what the machine calls the animal of its sequence."""
    query = select(sequence_frames.c.frame_pk, sequences.c.taxon).join_from(
        sequence_frames, sequences, sequences.c.pk == sequence_frames.c.sequence_pk
    )
    query = query.where(sequence_frames.c.frame_pk.in_(_PKS))
    found: dict[int, str] = {}
    for few in _few(pks):
        found |= {pk: taxon for pk, taxon in connection.execute(query, {"pks": few})}  # noqa: C416  # because rows are no pairs to mypy
    return found


def _frames_of(connection: Connection, boxes: Sequence[int]) -> dict[int, int]:
    query = select(observations.c.pk, observations.c.frame_pk).where(observations.c.pk.in_(_PKS))
    return {box: frame for few in _few(boxes) for box, frame in connection.execute(query, {"pks": few})}


def _all_seen(connection: Connection, pks: Collection[int], scope: Collection[str] | None) -> bool:
    """Whether all of these are recorded frames that may be seen."""
    # the state is looked at here: SQLite would take the index of states, and read all recorded frames
    query = select(frames.c.station, frames.c.state).where(frames.c.pk.in_(_PKS))
    found = [row for few in _few(sorted(set(pks))) for row in connection.execute(query, {"pks": few})]
    recorded = [station for station, state in found if state == "recorded"]
    return len(recorded) == len(set(pks)) and (scope is None or set(recorded) <= set(scope))


def _same(connection: Connection, action: str, new: Sequence[New]) -> bool:
    """Whether an action was this, so that it may be told again.

    Of the same answer some pictures are enough: others may have joined their sequence since, or taken their place.
    """
    names = Said.__slots__
    columns = (review_rows.c.frame_pk, review_rows.c.observation_pk, *(review_rows.c[name] for name in names))
    stored = connection.execute(select(*columns).where(review_rows.c.action == action, reviews.NAMED))
    asked = {(each.frame, each.observation, *(getattr(each.said, name) for name in names)) for each in new}
    rows = [tuple(row) for row in stored]
    full_of = full_frames_of(connection, {row[0] for row in rows})
    both = {*rows, *((full_of.get(frame, frame), *rest) for frame, *rest in rows)}
    return not both.isdisjoint(asked)


def _few(values: Sequence[int]) -> list[list[int]]:
    return [list(values[start : start + reviews.FEW]) for start in range(0, len(values), reviews.FEW)]
