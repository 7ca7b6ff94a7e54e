"""Who sees where a trap stands. A camera's position is where the jaguar walks: poachers would like to know it.

Those who review see positions exactly. Everybody else sees the middle of a cell of 0.1°, which is 11 km from south to
north: enough for a map of the reserve, too coarse to walk there. Rounding, not noise: asking often tells no more.
"""

import math
from dataclasses import dataclass

from ..rights import Principal

CELL_DEG = 0.1
ABOUT_KM = 11  # a cell's side along a meridian


@dataclass(frozen=True, slots=True)
class Place:
    """A position, degrees. exact: not rounded."""

    latitude: float
    longitude: float
    exact: bool = True


def place_for(principal: Principal, latitude: float | None, longitude: float | None) -> Place | None:
    """What this person sees of a position; None where there is none."""
    if latitude is None or longitude is None:
        return None
    if principal.may("review"):
        return Place(latitude, longitude)
    return Place(_middle(latitude), _middle(longitude), exact=False)


def place_text(principal: Principal, latitude: float | None, longitude: float | None) -> str:
    """The same in a line, "≈" before what is rounded; "" where there is none."""
    place = place_for(principal, latitude, longitude)
    if place is None:
        return ""
    digits = 5 if place.exact else 2
    return f"{'' if place.exact else '≈ '}{place.latitude:.{digits}f}, {place.longitude:.{digits}f}"


def _middle(degrees: float) -> float:
    """The middle of the cell that holds it."""
    return round((math.floor(round(degrees / CELL_DEG, 6)) + 0.5) * CELL_DEG, 2)
