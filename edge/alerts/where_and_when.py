"""Where and when it was seen, and which way it goes: the reasons that station, time and clip give."""

from collections.abc import Iterator
from datetime import datetime

from ..sunlight import sun_degrees
from .because import JOINT, Because
from .conditions import Condition
from .hours import WEEKDAYS, local_time, minute_of, parse_span, phases
from .sight import Sight
from .tracks import directions, track_of
from .zones import is_inside


def place_leaves(condition: Condition, sight: Sight) -> Iterator[Because]:
    """The reasons of stations, zones and polygon."""
    here = sight.station.name
    if condition.stations:
        fields = {"station": here, "wanted": JOINT.join(condition.stations)}
        yield Because("stations", here in condition.stations, fields)
    if condition.zones:
        yield _zones(condition, sight)
    if condition.polygon and sight.place is None:
        yield Because("polygon.unplaced", holds=False, fields={"station": here})
    elif condition.polygon and sight.place:
        yield Because("polygon", is_inside(sight.place, condition.polygon), {"station": here})


def time_leaves(condition: Condition, sight: Sight) -> Iterator[Because]:
    """The reasons of hours, sun and weekdays."""
    local = local_time(sight.at, sight.station.timezone) if sight.at else None
    fields = {"station": sight.station.name, "zone": sight.station.timezone}
    if condition.hours:
        yield _hours(condition, local, fields)
    if condition.sun:
        yield _sun(condition, sight)
    if condition.weekdays:
        yield _weekdays(condition, local, fields)


def way_leaves(condition: Condition, sight: Sight) -> Iterator[Because]:
    """The reason of the direction."""
    if not condition.direction:
        return
    fields = {"wanted": JOINT.join(condition.direction)}
    if sight.outcome.spooled.kind == "still":
        yield Because("direction.still", holds=False, fields=fields)
        return
    track = track_of(sight.detection, sight.picture, sight.outcome)
    found = directions(track)
    fields |= {"got": JOINT.join(sorted(found)), "pictures": str(len(track))}
    if len(track) < 2:
        yield Because("direction.untracked", holds=False, fields=fields)
    elif not found:
        yield Because("direction.none", holds=False, fields=fields)
    else:
        yield Because("direction", not found.isdisjoint(condition.direction), fields)


def _zones(condition: Condition, sight: Sight) -> Because:
    fields = {"station": sight.station.name, "wanted": JOINT.join(condition.zones)}
    known = [zone for each in condition.zones if (zone := condition.zone(each))]
    if not known:
        return Because("zones.unknown", holds=False, fields=fields)
    found = [zone.holds(sight.station.name, sight.place) for zone in known]
    if None in found and True not in found:
        return Because("zones.unplaced", holds=False, fields=fields)
    return Because("zones", True in found, fields)


def _hours(condition: Condition, local: datetime | None, fields: dict[str, str]) -> Because:
    fields = fields | {"wanted": JOINT.join(condition.hours)}
    if local is None:
        return Because("hours.untimed", holds=False, fields=fields)
    holds = any(minute_of(local) in parse_span(each) for each in condition.hours)
    return Because("hours", holds, fields | {"time": f"{local:%H:%M}"})


def _sun(condition: Condition, sight: Sight) -> Because:
    fields = {"station": sight.station.name, "wanted": JOINT.join(condition.sun)}
    if sight.place is None:
        return Because("sun.unplaced", holds=False, fields=fields)
    latitude, longitude = sight.place
    height = sun_degrees(sight.at, latitude=latitude, longitude=longitude) if sight.at else None
    if height is None:
        return Because("sun.untimed", holds=False, fields=fields)
    now = phases(height)
    fields |= {"height": f"{height:.1f}", "got": JOINT.join(sorted(now))}
    return Because("sun", not now.isdisjoint(condition.sun), fields)


def _weekdays(condition: Condition, local: datetime | None, fields: dict[str, str]) -> Because:
    fields = fields | {"wanted": JOINT.join(condition.weekdays)}
    if local is None:
        return Because("weekdays.untimed", holds=False, fields=fields)
    day = WEEKDAYS[local.weekday()]
    return Because("weekdays", day in condition.weekdays, fields | {"got": day})
