"""Day or night, as the configuration tells them apart."""

from collections.abc import Callable
from datetime import datetime, tzinfo

from .cameras.base import Luma
from .hardware_config import Place, ProfileSettings
from .sun import Sun, open_sun, zone_of
from .triggers.moments import clock_minutes


class Profile:
    """Says whether it is night. luma: what the camera sees, asked for only with `use: brightness`."""

    def __init__(
        self,
        settings: ProfileSettings,
        *,
        place: Place,
        clock: Callable[[], datetime],
        luma: Callable[[], Luma | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._luma = luma
        self._zone: tzinfo | None = zone_of(place)
        self._sun: Sun | None = open_sun(place, wanted_by="profile") if settings.use == "sun" else None
        self._was_night = False

    def is_night(self) -> bool:
        """Whether it is night now."""
        match self._settings.use:
            case "sun":
                assert self._sun is not None
                return self._sun.degrees(self._clock()) < self._settings.sun_degrees
            case "clock":
                return self._by_clock()
            case "brightness":
                return self._by_brightness()
            case fixed:
                return fixed == "night"

    def _by_clock(self) -> bool:
        now = self._clock().astimezone(self._zone)
        minute = now.hour * 60 + now.minute
        start, end = (clock_minutes(each) for each in self._settings.night)
        return start <= minute < end if start <= end else minute >= start or minute < end

    def _by_brightness(self) -> bool:
        """Two limits, so that dusk does not switch to and fro. Where the camera says nothing it stays as it was."""
        seen = self._luma()
        if seen is not None:
            self._was_night = seen.mean < (self._settings.bright if self._was_night else self._settings.dark)
        return self._was_night
