"""How high the sun stands, and whether that is day, twilight or night. Pure: moment and place come in by argument."""

from datetime import UTC, datetime
from functools import lru_cache
from math import asin, cos, degrees, radians, sin
from typing import Literal

SunPhase = Literal["day", "twilight", "night"]

HOUR_S = 3600.0
HORIZON_DEG = -0.833  # the sun's upper edge is seen at the horizon: refraction 34' + radius 16', as almanacs have it
TWILIGHT_DEG = -6.0  # end of civil twilight


def sun_degrees(at: datetime, *, latitude: float, longitude: float) -> float | None:
    """Height of the sun's centre above the horizon, degrees, without refraction; None where it can't be told.

    at: aware. Right to 0.02 degrees against astral 3, which follows NOAA's solar calculator. Declination and equation
    of time are astral's, once an hour: asked for each of a million frames, it takes most of a minute.
    """
    try:
        seconds = at.timestamp()
        declination, equation_min = _sun(int(seconds // HOUR_S))
    except (OverflowError, ValueError):
        return None
    here = radians(latitude)
    # 0 at true noon; the sun goes 15 degrees an hour, a quarter of one a minute
    angle = radians((seconds / 60 + equation_min) % 1440 / 4 + longitude - 180)
    height = sin(here) * sin(declination) + cos(here) * cos(declination) * cos(angle)
    return degrees(asin(max(-1.0, min(1.0, height))))


@lru_cache(maxsize=16_384)  # a year has 8,766 hours
def _sun(hour: int) -> tuple[float, float]:
    """Declination, radians, and equation of time, minutes, in the middle of an hour since 1970."""
    from astral import julian  # noqa: PLC0415  # because most rules ask for no sun
    from astral import sun as astral_sun  # noqa: PLC0415  # because most rules ask for no sun

    middle = datetime.fromtimestamp((hour + 0.5) * HOUR_S, UTC)
    century = julian.julianday_to_juliancentury(julian.julianday(middle))
    return radians(astral_sun.sun_declination(century)), float(astral_sun.eq_of_time(century))


def light_at(at: datetime | None, *, latitude: float | None, longitude: float | None) -> SunPhase | None:
    """What it is by the sun at a moment and a place: day, (civil) twilight or night; None where either is not known.

    Works within the polar circles: a midnight sun is day, a noon below the horizon is night.
    """
    if at is None or latitude is None or longitude is None:
        return None
    degrees = sun_degrees(at, latitude=latitude, longitude=longitude)
    if degrees is None:
        return None
    return "day" if degrees >= HORIZON_DEG else "twilight" if degrees >= TWILIGHT_DEG else "night"
