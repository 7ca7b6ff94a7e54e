"""What a sequence shows, made again at once: for who has just answered, so that the list is right when it is drawn."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from ..store import summaries as rows
from ..store.thumbnails import full_frames_of
from .making import Names
from .rows import Material, shown_in


def sequence_now(connection: Connection, frame_pks: Iterable[int]) -> dict[int, Mapping[str, Any]]:
    """Make the rows of these frames' sequences anew, within the caller's transaction; by pk, as they stand now.

    Of thumbnails those of their full frames, too. Which frames a sequence has stays as it is, and days and tallies
    follow when the summariser comes by. A frame that is in no sequence yet gets one then.
    """
    pks = set(frame_pks)
    owners = rows.owners_of(connection, pks.union(full_frames_of(connection, pks).values()))
    old = rows.sequences_in(connection, {sequence for sequence, _place in owners.values()})
    members = rows.members_of(connection, old)
    mine = [frame for each in members.values() for frame in each]
    frames = {each.pk: each for each in rows.frames_in(connection, mine)}
    material = Material(
        rows.boxes_of(connection, mine),
        rows.reviews_of(connection, mine),
        rows.favourites_in(connection, mine),
        Names().of(connection),
    )
    fresh: dict[int, Mapping[str, Any]] = {
        pk: {**row, **shown_in([frames[each] for each in members[pk]], material)}
        for pk, row in old.items()
        if members.get(pk)
    }
    rows.change_sequences(connection, [row for pk, row in fresh.items() if row != old[pk]])
    return fresh
