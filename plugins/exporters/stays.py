"""Which camera stood where when a frame was taken: the deployment that people noted down, else one that is inferred."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from edge.api import Deployed, Deployment, Outcome, Period, Services

from .found import position, when


@dataclass(slots=True)
class Stay:
    """A time in which a camera stood at a station. end: None while it stands there.

    latitude, longitude: both or neither. noted: what people wrote down; None when the station's first and last frames
    are all that is known, and `frames` widens it.
    """

    id: str
    station: str
    timezone: str
    start: datetime
    end: datetime | None
    latitude: float | None = None
    longitude: float | None = None
    noted: Deployment | None = None
    frames: int = 0
    last_frame: datetime | None = None

    @property
    def has_place(self) -> bool:
        """Whether it is known where it stood."""
        return self.latitude is not None and self.longitude is not None


class Stays:
    """The stays of an export; takes note of each frame."""

    def __init__(self, services: Services) -> None:
        self._services = services
        context = services.exporting
        self._deployed = Deployed(context.deployments)
        self._noted = {each.id: self._of_deployment(each) for each in context.deployments}
        self._inferred: dict[str, Stay] = {}
        loose: Mapping[str, Period] | None = context.loose
        periods = context.periods if loose is None else loose.values()
        with_deployment = {each.station for each in context.deployments} if loose is None else set()
        for period in periods:
            if period.station not in with_deployment:
                self._inferred[period.station] = self._infer(period.station, period.first, period.last)

    def of(self, outcome: Outcome) -> Stay:
        """The stay that the frame belongs to."""
        spooled = outcome.spooled
        at = when(outcome)
        deployment = self._deployed.at(spooled.station, spooled.captured.utc)
        if deployment is not None:
            stay = self._noted[deployment.id]
        else:
            stay = self._inferred.get(spooled.station) or self._inferred.setdefault(
                spooled.station, self._infer(spooled.station, at, at)
            )
            stay.start = min(stay.start, at)
            stay.end = max(stay.end or at, at)
        stay.frames += 1
        stay.last_frame = at if stay.last_frame is None else max(stay.last_frame, at)
        return stay

    def __iter__(self) -> Iterator[Stay]:
        """All of them, by station and start, also those without a frame: effort must not shrink with a filter."""
        everything = (*self._noted.values(), *self._inferred.values())
        yield from sorted(everything, key=lambda each: (each.station, each.start, each.id))

    def end_of(self, stay: Stay) -> datetime:
        """When it ended; of one that goes on, now."""
        return stay.end or max(stay.start, self._services.clock.now())

    def _of_deployment(self, each: Deployment) -> Stay:
        latitude, longitude = each.latitude, each.longitude
        if latitude is None or longitude is None:
            latitude, longitude = position(self._services, each.station) or (None, None)
        zone = each.timezone or self._services.timezone_of(each.station)
        return Stay(each.id, each.station, zone, each.started_at, each.ended_at, latitude, longitude, each)

    def _infer(self, station: str, first: datetime, last: datetime) -> Stay:
        latitude, longitude = position(self._services, station) or (None, None)
        zone = self._services.timezone_of(station)
        return Stay(f"{station}:inferred", station, zone, first, last, latitude, longitude)
