"""Suspects as rows: looked for in what is recorded, matched with those that are known, decided on, taken back.

Looking reads only, so it may run beside the daemon; what it found is written by whoever may write the database.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from ..errors import FatalError
from ..i18n import _
from ..store import suspects as rows
from ..store.sql import Store
from ..store.suspects import State, Stay, Suspect
from .clusters import Seen, overlap
from .finding import Repeat, find_repeats

SAME = 0.5  # overlap of the boxes of a known suspect and of what was found again
TO: Mapping[str, State] = {"suppress": "suppressed", "keep": "kept", "undo": "suspect"}


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one place, a deployment or what lies outside any."""

    station: str
    deployment: str
    repeats: tuple[Repeat, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """How many suspects are new, were found again, and were forgotten."""

    new: int = 0
    again: int = 0
    forgotten: int = 0


def look_for_repeats(store: Store, station: str, timezone: str) -> Iterator[Found]:
    """What repeats at a station, place by place; places of one name together. Reads only, in pages."""
    zone = ZoneInfo(timezone)
    stays = [each for each in rows.stays_of(store, station) if each.start is None or each.start != each.end]
    for deployment, of_it in groupby(sorted(stays, key=lambda stay: stay.id), key=lambda stay: stay.id):
        repeats: list[Repeat] = []
        for stay in of_it:
            days = sorted({each.astimezone(zone).toordinal() for each in rows.times_of(store, station, stay)})
            repeats += find_repeats(_seen(store, station, stay, zone), days)
        yield Found(station, deployment, tuple(repeats))


def keep_found(store: Store, found: Found, *, now: datetime) -> Kept:
    """Write what was found: known suspects are refreshed, undecided ones that were not found again are forgotten.

    What a person decided stays. Several transactions; one that was interrupted is made good by the next search.
    """
    with store.transaction() as connection:
        known = [each for each in rows.listed(connection, station=found.station) if each.deployment == found.deployment]
    new = again = 0
    for each in sorted(found.repeats, key=lambda repeat: -repeat.frames):
        same = max(
            (one for one in known if one.category == each.category and _may_be(one, each)),
            key=lambda one: overlap(one.box, each.box),
            default=None,
        )
        with store.transaction() as connection:
            if same is None:
                fixed = {"station": found.station, "deployment": found.deployment, "found_at": now}
                pk = rows.add(connection, _values(each) | fixed)
                new += 1
            else:
                known.remove(same)
                pk, again = same.pk, again + 1
                rows.refresh(connection, pk, _values(each))
        rows.mark(store, pk, each.pks)
    gone = [each for each in known if each.state == "suspect"]
    for suspect in gone:
        with store.transaction() as connection:
            rows.forget(connection, suspect.pk)
    return Kept(new, again, len(gone))


def decide(store: Store, pks: Sequence[int], what: str, *, who: str, why: str, now: datetime) -> list[Suspect]:
    """`suppress`, `keep` or `undo` these suspects, all or none; returns them as they are now. Raises FatalError."""
    with store.transaction() as connection:
        found = {each.pk: each for each in rows.find(connection, pks)}
        if missing := [str(pk) for pk in pks if pk not in found]:
            raise FatalError(
                _("no suspect {numbers}: `tigrillo repeats list` shows which there are").format(
                    numbers=", ".join(missing)
                )
            )
        for suspect in found.values():
            if suspect.state != TO[what]:
                rows.decide(connection, suspect, TO[what], who=who, now=now, details={"why": why} if why else {})
        return rows.find(connection, pks)


def as_json(found: Found) -> dict[str, Any]:
    """What `from_json` reads, of plain types."""
    return {
        "station": found.station,
        "deployment": found.deployment,
        "repeats": [
            {name: getattr(each, name) for name in Repeat.__slots__ if name not in {"first_at", "last_at", "pks"}}
            | {"first_at": each.first_at.isoformat(), "last_at": each.last_at.isoformat(), "pks": list(each.pks)}
            for each in found.repeats
        ],
    }


def from_json(value: Mapping[str, Any]) -> Found:
    """What `as_json` made. Raises KeyError, TypeError, ValueError for anything else."""
    return Found(
        str(value["station"]),
        str(value["deployment"]),
        tuple(
            Repeat(
                **{
                    **each,
                    "box": tuple(each["box"]),
                    "first_at": datetime.fromisoformat(each["first_at"]),
                    "last_at": datetime.fromisoformat(each["last_at"]),
                }
            )
            for each in value["repeats"]
        ),
    )


def _seen(store: Store, station: str, stay: Stay, zone: ZoneInfo) -> Iterator[Seen]:
    for pk, frame_pk, at, category, score, x, y, w, h, taxon, fine in rows.boxes_of(store, station, stay):
        local = at.astimezone(zone)
        yield Seen(
            pk, frame_pk, at, local.toordinal(), local.hour, category, score, (x, y, w, h), taxon if fine else ""
        )


def _may_be(known: Suspect, found: Repeat) -> bool:
    """Whether it is the same thing: the same place, and no time between them in which it was not there."""
    together = known.first_at <= found.last_at and found.first_at <= known.last_at
    return together and overlap(known.box, found.box) >= SAME


def _values(found: Repeat) -> dict[str, Any]:
    x, y, w, h = found.box
    return {
        "category": found.category,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "frames": found.frames,
        "days": found.days,
        "first_at": found.first_at,
        "last_at": found.last_at,
        "example_pk": found.example_pk,
    }
