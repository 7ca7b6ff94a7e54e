"""Positions that were probably written wrong: latitude and longitude swapped, a minus forgotten. No network is asked.

Two things are known of where a station may be: the country whose clock it goes by, and the other stations. Only when
the position as it stands fits neither, and another reading of the same two numbers does, is something said.

countries.csv: boxes of countries in degrees, several where a country has parts far from each other; from Natural Earth
1:50m map subunits (public domain, naturalearthdata.com) as in country-bounding-boxes 0.2.3 (Apache-2.0), rounded
outwards to 0.1°. Boxes of a country without one there (BV, GI, TV, UM) are unknown. Zone → country: zone.tab of tzdata.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import available_timezones

from ..i18n import _

Point = tuple[float, float]  # latitude, longitude in degrees
Box = tuple[float, float, float, float]  # south, west, north, east in degrees
COUNTRIES = Path(__file__).resolve().parent / "countries.csv"
MARGIN_DEG = 0.5  # coasts and borders are drawn coarsely
EARTH_KM = 6371.0
NEAR_KM, FAR_KM = 150.0, 600.0  # a study's stations: nearest neighbour; what no study spans without its own zone
ZERO_DEG = 0.01  # "0, 0" stands for an unknown position in many exports


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A position that is probably wrong. right: what may have been meant. why: in the reader's language."""

    given: Point
    right: Point | None
    why: str


def suspicion(given: Point, *, timezone: str = "", others: Iterable[Point] = ()) -> Suspicion | None:
    """What is wrong with a position, None when nothing seems to be.

    timezone: the IANA zone of the station, whose country it should be in. others: positions of the other stations.
    """
    if max(map(abs, given)) < ZERO_DEG:
        return Suspicion(given, None, _("0, 0 lies in the Gulf of Guinea: leave a position that is unknown empty"))
    others = [each for each in others if max(map(abs, each)) >= ZERO_DEG]
    country = country_of(timezone)
    if country and in_country(given, country):
        return None
    nearest_km = min((distance_km(given, each) for each in others), default=None)
    if nearest_km is not None and nearest_km < FAR_KM:
        return None
    for right, what in _readings(given):
        if country and in_country(right, country):
            text = _("lies outside {country}, {what} lies in it")
            return Suspicion(given, right, text.format(country=country, what=what))
        if nearest_km is not None and min(distance_km(right, each) for each in others) < NEAR_KM:
            text = _("lies {km} km from the nearest other station, {what} lies near it")
            return Suspicion(given, right, text.format(km=f"{nearest_km:.0f}", what=what))
    return None


def _readings(given: Point) -> Iterator[tuple[Point, str]]:
    """Other readings of the same two numbers, the likeliest first, each with what it is."""
    latitude, longitude = given
    swapped, minus = _("the same with latitude and longitude swapped"), _("the same with another sign")
    if abs(longitude) <= 90:
        yield (longitude, latitude), swapped
    yield (latitude, -longitude), minus
    yield (-latitude, longitude), minus
    yield (-latitude, -longitude), minus
    if abs(longitude) <= 90:
        both = _("the same swapped and with another sign")
        yield (-longitude, latitude), both
        yield (longitude, -latitude), both


def country_of(timezone: str) -> str:
    """The ISO 3166 code of the country whose zone this is; "" for UTC and zones of no country."""
    return _countries_of_zones().get(timezone, "")


def in_country(place: Point, country: str) -> bool:
    """Whether a position lies in a box of the country, or not far outside; True where the country has no box."""
    latitude, longitude = place
    boxes = _boxes().get(country)
    return not boxes or any(
        south - MARGIN_DEG <= latitude <= north + MARGIN_DEG and west - MARGIN_DEG <= longitude <= east + MARGIN_DEG
        for south, west, north, east in boxes
    )


def distance_km(one: Point, other: Point) -> float:
    """Kilometres along the ground, on a sphere; haversine."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*one, *other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


@cache
def known_zones() -> frozenset[str]:
    """Every IANA zone; looked up once, for that takes long."""
    return frozenset(available_timezones())


@cache
def _boxes() -> dict[str, list[Box]]:
    found: dict[str, list[Box]] = {}
    with COUNTRIES.open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            box = (float(row["south"]), float(row["west"]), float(row["north"]), float(row["east"]))
            found.setdefault(row["country"], []).append(box)
    return found


@cache
def _countries_of_zones() -> dict[str, str]:
    """Zone → country; {} where the package tzdata brings no table."""
    table = resources.files("tzdata") / "zoneinfo" / "zone.tab"
    if not table.is_file():
        return {}
    lines = (line.split("\t") for line in table.read_text("utf-8").splitlines() if line and line[0] != "#")
    return {zone: country for country, _place, zone, *_comment in lines}
