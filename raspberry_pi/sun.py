"""The sun over the trap, by astral, which is imported only when it is asked for; the zone of the trap's clock."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.i18n import _

from . import needs
from .hardware_config import Place
from .needs import HardwareError


def zone_of(place: Place) -> tzinfo | None:
    """The place's time zone; None, the system's own, where none is given. Raises HardwareError for an unknown one."""
    if not place.timezone:
        return None
    try:
        return ZoneInfo(place.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        what = _("place.timezone: {name!r} is unknown; write it like America/Bogota")
        raise HardwareError(what.format(name=place.timezone)) from exc


@dataclass(frozen=True, slots=True)
class Sun:
    """Times and height of the sun at one place."""

    observer: Any
    library: ModuleType

    def time(self, name: str, day: date) -> datetime | None:
        """sunrise, sunset, dawn, dusk (6° below the horizon) or noon of that day, UTC; None where there is none."""
        try:
            found: datetime = getattr(self.library, name)(self.observer, date=day, tzinfo=UTC)
        except ValueError:  # astral's word for a sun that never reaches this height on that day
            return None
        return found

    def degrees(self, now: datetime) -> float:
        """Height of the sun above the horizon, negative below it. now: aware."""
        return float(self.library.elevation(self.observer, now.astimezone(UTC)))


def open_sun(place: Place, *, wanted_by: str) -> Sun:
    """The sun here. Raises HardwareError without astral or without a place."""
    if place.latitude is None:
        raise HardwareError(_("{setting}: place.latitude and place.longitude are needed").format(setting=wanted_by))
    astral = needs.load("astral", wanted_by=wanted_by)
    library = needs.load("astral.sun", wanted_by=wanted_by)
    if not hasattr(astral, "Observer"):  # Debian 12's python3-astral is 1.6, another interface
        raise HardwareError(
            _("{setting}: astral is too old; install it: {how}").format(setting=wanted_by, how=needs.INSTALL["astral"])
        )
    return Sun(astral.Observer(latitude=place.latitude, longitude=place.longitude), library)
