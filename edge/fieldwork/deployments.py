"""Deployments of a site: added, ended, changed and removed, each with a row of `audit`; two never overlap at a station.

What is refused raises FatalError with one line for each fault, which names the deployments and what to do. What is only
odd (a position in another country) is returned as warnings.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..deployed import Deployment, overlap
from ..errors import FatalError
from ..i18n import _
from ..paths import is_safe_name
from ..services import Station
from ..store import deployments as rows
from ..store.sql import Store
from .changes import Change
from .entries import safe_name
from .places import Point, known_zones, suspicion

ID = re.compile(r"[^\x00-\x20\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,126}[^\x00-\x20\x7f-\x9f])?")
MOST_ID = 128
FIRST_YEAR = 1980  # earlier ones are clocks that were never set
AHEAD = timedelta(days=366)  # so far ahead nobody plans; a wrong year, rather
RANGES = {
    "uncertainty_m": (0.0, 20_037_508.0),  # half the way around the earth
    "height_m": (-10.0, 200.0),  # below ground, up to the canopy
    "tilt_deg": (-90.0, 90.0),
    "heading_deg": (0.0, 360.0),
}


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments of a site. station_of: what is known of a station, None for one that is not.

    store: only read. write: makes changes of it, all or none. timezone: of stations that nobody knows.
    """

    store: Store
    write: Callable[[Sequence[Change]], object]
    station_of: Callable[[str], Station | None]
    timezone: str
    now: datetime

    def all(self) -> list[Deployment]:
        """All of them, by station and start."""
        with self.store.transaction() as connection:
            return rows.all_deployments(connection)

    def zone_of(self, each: Deployment) -> str:
        """The IANA zone in which its times are told."""
        return each.timezone or self.timezone_of(each.station)

    def timezone_of(self, station: str) -> str:
        """The IANA zone of a station."""
        known = self.station_of(station)
        return known.timezone if known else self.timezone

    def find(self, name: str) -> Deployment:
        """The deployment of this id, or the one that goes on at the station of this name. Raises FatalError."""
        everything = self.all()
        for each in everything:
            if each.id == name:
                return each
        there = [each for each in everything if each.station == name]
        going_on = [each for each in there if each.ended_at is None]
        if len(going_on) == 1:
            return going_on[0]
        if len(there) == 1:
            return there[0]
        if there:
            text = _("{station}: has {count} deployments, none of which goes on: name one of {ids}")
            ids = ", ".join(each.id for each in there[-5:])
            raise FatalError(text.format(station=name, count=len(there), ids=ids))
        near = difflib.get_close_matches(name, [*(each.id for each in everything), *{e.station for e in everything}], 2)
        text = _("no deployment {name!r}{near}: `tigrillo deployments list` shows them")
        raise FatalError(text.format(name=name, near=_mean(near)))

    def completed(self, new: Deployment, others: Iterable[Deployment] = ()) -> Deployment:
        """The same with an id, and with the station's position where it has none. others: whose ids are taken."""
        known = self.station_of(new.station)
        if new.latitude is None and new.longitude is None and known is not None:
            new = replace(new, latitude=known.latitude, longitude=known.longitude)
        if new.id:
            return new
        named = f"{new.station}:{self._day(new.started_at, new)[: len('2026-11-22')]}"
        taken, number, found = {each.id for each in others}, 1, named
        while found in taken:
            number += 1
            found = f"{named}-{number}"
        return replace(new, id=found)

    def add(self, new: Deployment) -> tuple[Deployment, list[str]]:
        """Add one; returns it as it was added, and warnings. Raises FatalError when it can't be."""
        others = self.all()
        new = self.completed(new, others)
        _refuse(self.faults(new, others))
        self.write([Change(None, new)])
        return new, self.warnings(new, others)

    def change(self, old: Deployment, **values: Any) -> tuple[Deployment, list[str]]:
        """Change some fields of one; returns what it is now, and warnings. Raises FatalError when it can't be."""
        others = [each for each in self.all() if each.id != old.id]
        new = replace(old, **values)
        _refuse(self.faults(new, others))
        if new != old:
            self.write([Change(old, new)])
        moved = (new.latitude, new.longitude) != (old.latitude, old.longitude)
        return new, self.warnings(new, others) if moved else []

    def remove(self, old: Deployment) -> None:
        """Take one out; its frames stay, and belong to no deployment."""
        self.write([Change(old, None)])

    def faults(self, new: Deployment, others: Iterable[Deployment]) -> list[str]:
        """Why it can't be added beside the others, one line each; [] when it can."""
        found = [*_names(new), *self._times(new), *_numbers(new), *self._position(new)]
        if new.timezone and new.timezone not in known_zones():
            near = _mean(difflib.get_close_matches(new.timezone, known_zones(), 1))
            found.append(_("{name!r} is no IANA time zone{hint}").format(name=new.timezone, hint=near))
        if found:
            return found
        for each in others:
            if each.id == new.id:
                text = _(
                    "there is a deployment {id!r} already, at {station} from {start}: change it, or name another id"
                )
                found.append(text.format(id=each.id, station=each.station, start=self._day(each.started_at, each)))
            elif each.station == new.station and overlap(each, new):
                text = _("{new} overlaps {old} at station {station}: {next}")
                shown = {"new": self.span(new), "old": self.span(each), "station": new.station}
                found.append(text.format(**shown, next=self._next_step(new, each)))
        return found

    def warnings(self, new: Deployment, others: Iterable[Deployment]) -> list[str]:
        """What is odd about it, one line each."""
        if new.latitude is None or new.longitude is None:
            return [_("{id}: has no position: add --lat and --lon").format(id=new.id)]
        places: list[Point] = [
            (each.latitude, each.longitude)
            for each in others
            if each.latitude is not None and each.longitude is not None and each.station != new.station
        ]
        found = suspicion((new.latitude, new.longitude), timezone=self.zone_of(new), others=places)
        if found is None:
            return []
        line = f"{new.id}: {degrees(found.given)} {found.why}"
        if found.right is not None:
            line += _("; did you mean {place}?").format(place=degrees(found.right))
        return [line]

    def span(self, each: Deployment) -> str:
        """Its id and its time, in its zone, for people."""
        end = _("goes on") if each.ended_at is None else self._day(each.ended_at, each)
        return f"{each.id or each.station} ({self._day(each.started_at, each)} – {end})"

    def _times(self, new: Deployment) -> list[str]:
        for at in filter(None, (new.started_at, new.ended_at)):
            if at.astimezone(UTC).year < FIRST_YEAR or at > self.now + AHEAD:
                text = _("{at}: before {year}, or more than a year ahead: is the year right?")
                return [text.format(at=at.date().isoformat(), year=FIRST_YEAR)]
        if new.ended_at is not None and new.ended_at <= new.started_at:
            text = _("ends ({end}) before it starts ({start}): are they swapped?")
            return [text.format(start=self._day(new.started_at, new), end=self._day(new.ended_at, new))]
        return []

    def _position(self, new: Deployment) -> list[str]:
        latitude, longitude = new.latitude, new.longitude
        if (latitude is None) != (longitude is None):
            return [_("a position needs latitude and longitude")]
        if latitude is None or longitude is None or (abs(latitude) <= 90 and abs(longitude) <= 180):
            return []
        text = _("no place on earth: latitude {latitude:g} (-90 to 90), longitude {longitude:g} (-180 to 180)")
        line = text.format(latitude=latitude, longitude=longitude)
        if abs(longitude) <= 90 and abs(latitude) <= 180:
            line += _("; did you mean {place}?").format(place=degrees((longitude, latitude)))
        return [line]

    def _next_step(self, new: Deployment, old: Deployment) -> str:
        if old.ended_at is None and old.started_at < new.started_at:
            at = new.started_at.astimezone(ZoneInfo(self.zone_of(new))).strftime("%Y-%m-%dT%H:%M")
            return _("end that one first: tigrillo deployments end {id} {at}").format(id=old.id, at=at)
        return _("correct one of the two: tigrillo deployments change {id}").format(id=old.id)

    def _day(self, at: datetime, each: Deployment) -> str:
        zone = self.zone_of(each)
        return at.astimezone(ZoneInfo(zone if zone in known_zones() else "UTC")).strftime("%Y-%m-%d %H:%M")


def degrees(place: Point) -> str:
    """A position as people write it: 4.60971, -74.08175."""
    return f"{place[0]:.5f}, {place[1]:.5f}"


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise FatalError("\n".join(faults))


def _mean(near: Sequence[str]) -> str:
    return _("; did you mean {names}?").format(names=", ".join(map(repr, near))) if near else ""


def _names(new: Deployment) -> list[str]:
    found = []
    if not is_safe_name(new.station):
        text = _("station {name!r}: letters, digits, '_', '-' and '.' only, at most 64{hint}")
        near = safe_name(new.station)
        hint = _mean([near] if near else [])
        found.append(text.format(name=new.station[:80], hint=hint))
    if len(new.id) > MOST_ID or not ID.fullmatch(new.id):
        text = _("id {name!r}: one line of at most 128 characters, no space at its ends")
        found.append(text.format(name=new.id[:80]))
    return found


def _numbers(new: Deployment) -> list[str]:
    found = []
    for name, (least, most) in RANGES.items():
        value = getattr(new, name)
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            text = _("{name}: {value:g} is not from {least:g} to {most:g}")
            found.append(text.format(name=name, value=value, least=least, most=most))
    return found
