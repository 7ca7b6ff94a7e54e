"""Changes of deployments on their way to the record: worked out by a command, written by whoever may write.

They are JSON in between, and may be written twice: what is there already is left alone, and audited once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from ..deployed import Deployment, overlap
from ..errors import FatalError
from ..i18n import _
from ..store import deployments as rows
from ..store.sql import Store


@dataclass(frozen=True, slots=True)
class Change:
    """One deployment as it was (None: it is added) and as it is to be (None: it is removed)."""

    old: Deployment | None
    new: Deployment | None


_CHANGES = TypeAdapter(list[Change])


def as_json(changes: Sequence[Change], *, who: str) -> dict[str, Any]:
    """What `write_json` takes. who: for the audit."""
    return {"who": who, "changes": _CHANGES.dump_python(list(changes), mode="json")}


def write_json(store: Store, values: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Write them, all or none. Raises FatalError when the record has changed in between."""
    changes = _CHANGES.validate_python(values["changes"])
    return {"written": write(store, changes, who=str(values["who"]), now=now)}


def write(store: Store, changes: Iterable[Change], *, who: str, now: datetime) -> int:
    """Write changes, all or none, with a row of `audit` each; returns how many were not there already.

    Raises FatalError when one was made for a row that is no longer so, or one now overlaps another at its station.
    """
    written = 0
    with store.transaction() as connection:
        there = {each.id: each for each in rows.all_deployments(connection)}
        changed = []
        for each in changes:
            subject = each.new or each.old
            assert subject is not None
            found = there.get(subject.id)
            if found == each.new:
                continue
            if found != each.old:
                text = _("{id}: was changed by somebody else in between: look at it again")
                raise FatalError(text.format(id=subject.id))
            if each.old is None and each.new is not None:
                rows.add(connection, each.new, who=who, now=now)
            elif each.new is None and each.old is not None:
                rows.remove(connection, each.old, who=who, now=now)
            elif each.old is not None and each.new is not None:
                rows.change(connection, each.old, each.new, who=who, now=now)
            written += 1
            there.pop(subject.id, None)
            if each.new is not None:
                there[each.new.id] = each.new
                changed.append(each.new)
        _refuse_overlaps(there.values(), changed)
    return written


def _refuse_overlaps(everything: Iterable[Deployment], changed: Iterable[Deployment]) -> None:
    by_station: dict[str, list[Deployment]] = {}
    for each in everything:
        by_station.setdefault(each.station, []).append(each)
    for new in changed:
        for other in by_station[new.station]:
            if other.id != new.id and overlap(new, other):
                text = _("{new} now overlaps {old}, which somebody else added in between: look at both")
                raise FatalError(text.format(new=new.id, old=other.id))
