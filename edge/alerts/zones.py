"""Where: zones of a site. A zone is a list of stations, a polygon of [latitude, longitude] or a circle.

Edges and corners of a polygon belong to it. Its sides are straight on a map of latitude and longitude (as in GeoJSON),
each goes the shorter way round the earth, so that a zone may lie across the 180th meridian; none holds a pole.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..i18n import _

Point = tuple[float, float]  # latitude, longitude in degrees

EDGE_DEG = 1e-9  # 0.1 mm on the ground: nearer to a side than this is on it
EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG 1980
MOST_CORNERS = 1000


def check_polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The corners, when they enclose something on earth; a last one equal to the first is dropped. Else ValueError."""
    for latitude, longitude in points:
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            text = _("[{latitude}, {longitude}]: write [latitude, longitude], -90 to 90 and -180 to 180, in this order")
            raise ValueError(text.format(latitude=latitude, longitude=longitude))
    corners = points[:-1] if len(points) > 1 and points[0] == points[-1] else points
    if len(set(corners)) < 3:
        raise ValueError(_("a polygon has 3 different corners at least, got {count}").format(count=len(set(corners))))
    if len(corners) > MOST_CORNERS:
        raise ValueError(
            _("a polygon has at most {most} corners, got {count}").format(most=MOST_CORNERS, count=len(corners))
        )
    if all(_is_on(corner, *_farthest(corners)) for corner in corners):
        raise ValueError(_("these corners lie on one line: a polygon encloses something"))
    return corners


Polygon = Annotated[tuple[Point, ...], AfterValidator(check_polygon)]


class Zone(BaseModel):
    """An entry of the site's `zones:`, one of three forms.

    stations: names, or the bare list. polygon: corners in order, or the bare list. latitude, longitude, radius_m: a
    circle on the ground.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    stations: tuple[str, ...] = Field(default=(), min_length=1)
    polygon: Polygon = ()
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    radius_m: float | None = Field(default=None, gt=0, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, data: Any) -> Any:
        if isinstance(data, list | tuple):
            return {"stations" if all(isinstance(each, str) for each in data) else "polygon": data}
        return data

    @model_validator(mode="after")
    def _one_form(self) -> "Zone":
        circle = [self.latitude is not None, self.longitude is not None, self.radius_m is not None]
        if any(circle) and not all(circle):
            raise ValueError(_("a circle needs `latitude`, `longitude` and `radius_m`"))
        if [bool(self.stations), bool(self.polygon), any(circle)].count(True) != 1:
            raise ValueError(
                _("a zone is a list of stations, a polygon of [latitude, longitude], or a circle with `radius_m`")
            )
        return self

    @property
    def needs_place(self) -> bool:
        """Whether a station must have coordinates to be judged."""
        return not self.stations

    def holds(self, station: str, place: Point | None) -> bool | None:
        """Whether a station lies in it; None when that takes coordinates and there are none."""
        if self.stations:
            return station in self.stations
        if place is None:
            return None
        if self.polygon:
            return is_inside(place, self.polygon)
        assert self.latitude is not None
        assert self.longitude is not None
        assert self.radius_m is not None
        return distance_m(place, (self.latitude, self.longitude)) <= self.radius_m


def is_inside(place: Point, polygon: Sequence[Point]) -> bool:
    """Whether a place lies in a polygon, sides and corners included.

    Where sides cross, what they go round in any direction is inside (nonzero winding).
    Source: Sunday 2001, "Inclusion of a point in a polygon": signed crossings of a ray.
    """
    corners = _unrolled(polygon)
    return any(_winds((place[0], place[1] + turn), corners) for turn in (-360.0, 0.0, 360.0))


def _winds(place: Point, corners: Sequence[Point]) -> bool:
    winding = 0
    for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
        if _is_on(place, start, end):
            return True
        if start[0] <= place[0] < end[0]:
            winding += _side(place, start, end) > 0
        elif end[0] <= place[0] < start[0]:
            winding -= _side(place, start, end) < 0
    return winding != 0


def _side(place: Point, start: Point, end: Point) -> float:
    """> 0 when the place is west of the side going north; twice the area of the three."""
    return (place[1] - start[1]) * (start[0] - end[0]) - (place[0] - start[0]) * (start[1] - end[1])


def _is_on(place: Point, start: Point, end: Point) -> bool:
    """Whether a place is within EDGE_DEG of a side."""
    north, east = end[0] - start[0], end[1] - start[1]
    squared = north * north + east * east
    along = ((place[0] - start[0]) * north + (place[1] - start[1]) * east) / squared if squared else 0.0
    along = min(1.0, max(0.0, along))
    return math.hypot(place[0] - start[0] - along * north, place[1] - start[1] - along * east) <= EDGE_DEG


def _unrolled(polygon: Sequence[Point]) -> list[Point]:
    """The corners with longitudes that run on past 180°, each side going the shorter way."""
    corners = [polygon[0]]
    for latitude, longitude in polygon[1:]:
        before = corners[-1][1]
        corners.append((latitude, longitude + 360.0 * round((before - longitude) / 360.0)))
    return corners


def _farthest(corners: Sequence[Point]) -> tuple[Point, Point]:
    """The first corner and the one farthest from it."""
    return corners[0], max(corners, key=lambda corner: math.dist(corner, corners[0]))


def distance_m(one: Point, other: Point) -> float:
    """Metres between two places along the ground, on a sphere (within 0.6 % of the ellipsoid); haversine."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*one, *other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))
