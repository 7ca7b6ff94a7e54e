"""How high the sun stands, and whether that is day, twilight or night. Pure: moment and place come in by argument."""

from datetime import UTC, datetime
from typing import Literal

SunPhase = Literal["day", "twilight", "night"]

HORIZON_DEG = -0.833  # the sun's upper edge is seen at the horizon: refraction 34' + radius 16', as almanacs have it
TWILIGHT_DEG = -6.0  # end of civil twilight


def sun_degrees(at: datetime, *, latitude: float, longitude: float) -> float | None:
    """Height of the sun's centre above the horizon, degrees, without refraction; None where it can't be told.

    at: aware. Source: astral 3, which follows NOAA's solar calculator.
    """
    import astral  # noqa: PLC0415  # because most rules ask for no sun
    import astral.sun  # noqa: PLC0415  # because most rules ask for no sun

    try:
        observer = astral.Observer(latitude=latitude, longitude=longitude)
        return float(astral.sun.elevation(observer, at.astimezone(UTC), with_refraction=False))
    except (OverflowError, ValueError):
        return None


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
