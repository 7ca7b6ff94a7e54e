"""Names in conditions → what they are: taxa, groups, zones; each fault with its place and what would be right.

Done once, when a site or rules are loaded. What the types can tell alone (hours, corners, numbers) they have refused
before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..i18n import _
from ..models.taxa import fold
from ..services import Station
from .conditions import Condition
from .groups import (
    BUILT_IN,
    CATEGORIES,
    Faults,
    Members,
    NamesTaxa,
    did_you_mean,
    find_taxon,
    group_members,
    nearest,
    unknown_taxon,
)
from .zones import Zone

C = TypeVar("C", bound=Condition)
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Site:
    """What names can mean here."""

    taxonomies: Sequence[NamesTaxa]
    groups: Mapping[str, Sequence[str]]
    zones: Mapping[str, Zone]
    stations: Mapping[str, Station]


def resolve(
    condition: C,
    *,
    taxonomies: Sequence[NamesTaxa],
    groups: Mapping[str, Sequence[str]],
    zones: Mapping[str, Zone],
    stations: Mapping[str, Station],
) -> tuple[C, Faults]:
    """Give a condition, and those inside it, scientific names, the members of its groups and its zones.

    Returns the condition, ready for `judge`, and (where in it, what is wrong and what would be right) for each fault.
    What is wrong within `groups` themselves: `check_groups`.
    """
    site = _Site(taxonomies, groups, zones, stations)
    faults: Faults = []
    resolved = _resolve(condition, site, (), faults)
    faults += _places(resolved, site, (), frozenset())
    return resolved, faults


def _resolve(condition: C, site: _Site, path: Path, faults: Faults) -> C:
    if path and condition.is_empty:
        faults.append((path, _("a condition that asks for nothing: name something, or remove it")))
    members = {
        name: found
        for index, name in enumerate(condition.group)
        if (found := _group(name, site, _at(path, "group", index, condition.group), faults))
    }
    places = {
        name: zone
        for index, name in enumerate(condition.zones)
        if (zone := _zone(name, site, _at(path, "zones", index, condition.zones), faults))
    }
    changes = {
        "taxon": tuple(
            _taxon(name, site, _at(path, "taxon", index, condition.taxon), faults)
            for index, name in enumerate(condition.taxon)
        ),
        "any": tuple(_resolve(each, site, (*path, "any", index), faults) for index, each in enumerate(condition.any)),
        "all": tuple(_resolve(each, site, (*path, "all", index), faults) for index, each in enumerate(condition.all)),
        "not_": condition.not_ and _resolve(condition.not_, site, (*path, "not"), faults),
    }
    return condition.knowing(members=members, zones=places, **changes)


def _at(path: Path, key: str, index: int, names: Sequence[str]) -> Path:
    """Where a name stands; one alone may have been written without a list."""
    return (*path, key) if len(names) == 1 else (*path, key, index)


def _taxon(name: str, site: _Site, path: Path, faults: Faults) -> str:
    """The scientific name; the name itself, and a fault, when no model can answer it."""
    if taxon := find_taxon(name, site.taxonomies):
        return taxon.scientific_name
    plain = fold(name)
    for key, names in (("group", (*site.groups, *BUILT_IN)), ("category", CATEGORIES)):
        if same := next((each for each in names if fold(each) == plain), None):
            text = _("{name!r} is no taxon: write `{key}: {same}`")
            faults.append((path, text.format(name=name, key=key, same=same)))
            return name
    faults.append((path, unknown_taxon(name, site.taxonomies)))
    return name


def _group(name: str, site: _Site, path: Path, faults: Faults) -> Members | None:
    plain = fold(name)
    if not any(fold(each) == plain for each in (*site.groups, *BUILT_IN)):
        close = nearest(name, (*site.groups, *BUILT_IN))
        hint = did_you_mean(close) or _known((*site.groups, *BUILT_IN))
        faults.append((path, _("no group is called {name!r}").format(name=name) + hint))
        return None
    members, inside = group_members(name, site.groups, site.taxonomies)
    # a built-in group has no place of its own in the file: what it lacks is told here
    faults += [(path, message) for where, message in inside if not where]
    return members


def _zone(name: str, site: _Site, path: Path, faults: Faults) -> Zone | None:
    if found := site.zones.get(name):
        return found
    if same := next((each for each in site.zones if fold(each) == fold(name)), None):
        return site.zones[same]
    faults.append((path, _("no zone is called {name!r}").format(name=name) + _hint(name, site.zones)))
    return None


def _hint(name: str, names: Mapping[str, object]) -> str:
    return did_you_mean(nearest(name, names)) or _known(tuple(names))


def _known(names: Sequence[str]) -> str:
    return "; " + _("there are: {names}").format(names=", ".join(names) or "–")


def _places(condition: Condition, site: _Site, path: Path, named: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Where coordinates are needed that stations don't have. named: stations that the conditions around it name."""
    listed = {each for name in condition.zones if (zone := condition.zone(name)) for each in zone.stations}
    named |= frozenset(condition.stations) | listed
    for key in ("sun", "zones", "polygon"):
        if not _needs_coordinates(condition, key):
            continue
        bare = sorted(each for each in named if not _has_place(site.stations.get(each)))
        if bare:
            text = _("station {name!r} has no `latitude` and `longitude`, which this needs")
            yield (*path, key), text.format(name=bare[0])
        elif not named and not any(map(_has_place, site.stations.values())):
            yield (*path, key), _("no station has `latitude` and `longitude`, which this needs")
    for where, each in condition.nested():
        yield from _places(each, site, (*path, *where), named)


def _needs_coordinates(condition: Condition, key: str) -> bool:
    if key == "zones":
        found = [zone for name in condition.zones if (zone := condition.zone(name))]
        # one of several may hold a station by its name
        return bool(found) and all(each.needs_place for each in found)
    return bool(getattr(condition, key))


def _has_place(station: Station | None) -> bool:
    return station is not None and station.latitude is not None and station.longitude is not None
