"""A camera at a place for a time, and what came of it: values that the record, the commands and exporters share.

Effort is told apart in three: the camera worked, it failed, or nothing tells whether it worked. Sums never mix them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

WHOLE_S = timedelta(seconds=1)  # ends are written to the second; a frame of that second is still part of it
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Deployment:
    """When a camera stood where. ended_at: None while it stands there, after started_at; both aware.

    latitude, longitude: degrees, both or neither; uncertainty_m: how far off they may be. timezone: IANA name, "" for
    the station's. feature: what it looks at (a trail, a burrow). origin: typed, csv, gpx or camtrap-dp. details: what
    an imported record says beside these; `timelapse_min`: it takes a picture every so many minutes whatever happens;
    `problems`: [[from, until, why], …], ISO 8601, when people know that it did not work.
    """

    id: str
    station: str
    started_at: datetime
    ended_at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    uncertainty_m: float | None = None
    timezone: str = ""
    camera_id: str = ""
    camera_model: str = ""
    height_m: float | None = None
    tilt_deg: float | None = None
    heading_deg: float | None = None
    bait: str = ""
    feature: str = ""
    habitat: str = ""
    setup_by: str = ""
    tags: tuple[str, ...] = ()
    comments: str = ""
    origin: str = "typed"
    details: Mapping[str, Any] = field(default_factory=dict)

    def holds(self, at: datetime) -> bool:
        """Whether the camera stood there then; both ends belong to it."""
        return self.started_at <= at and (self.ended_at is None or at < self.ended_at + WHOLE_S)


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of a deployment in which the camera failed, or of which nothing is known. why: English, for people."""

    start: datetime
    end: datetime
    kind: Literal["failed", "unknown"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of a deployment's time its camera looked.

    start, end: what is counted: the whole deployment, for one that goes on until now. zone: whose midnights make its
    nights. gaps: in order, apart from each other, within start … end; the rest of the time it worked. frames: taken
    then; first_frame, last_frame: None without any.
    """

    deployment: str
    station: str
    start: datetime
    end: datetime
    zone: str = "UTC"
    gaps: tuple[Gap, ...] = ()
    frames: int = 0
    first_frame: datetime | None = None
    last_frame: datetime | None = None

    @property
    def days(self) -> float:
        """Days of 24 h from start to end."""
        return (self.end - self.start) / DAY

    @property
    def failed_days(self) -> float:
        """Days of 24 h in which it failed."""
        return self._days_of("failed")

    @property
    def unknown_days(self) -> float:
        """Days of 24 h of which nothing tells whether it worked."""
        return self._days_of("unknown")

    @property
    def active_days(self) -> float:
        """Camera-days: days of 24 h in which it worked."""
        return (self.end - self.start - sum((gap.end - gap.start for gap in self.gaps), timedelta())) / DAY

    @property
    def trap_nights(self) -> int:
        """Local midnights from start to end."""
        return sum(1 for _midnight in self.midnights())

    @property
    def active_nights(self) -> int:
        """Those of the trap-nights at whose midnight it worked."""
        return sum(self.state_at(midnight) == "active" for midnight in self.midnights())

    def midnights(self) -> Iterator[datetime]:
        """The local midnights after start, up to end; aware, UTC."""
        day = self.start.astimezone(ZoneInfo(self.zone)).date() + DAY
        while (midnight := self._midnight(day)) <= self.end:
            yield midnight
            day += DAY

    def state_at(self, at: datetime) -> Literal["active", "failed", "unknown"]:
        """What the camera did right before a moment of the deployment."""
        before = bisect_left(self.gaps, at, key=lambda gap: gap.start)
        if before and at <= self.gaps[before - 1].end:
            return self.gaps[before - 1].kind
        return "active"

    def within(self, since: datetime, until: datetime) -> "Effort | None":
        """The part between two moments, None when there is none; `frames` are no longer those of the part: 0."""
        start, end = max(self.start, since), min(self.end, until)
        if start >= end:
            return None
        gaps = tuple(
            Gap(max(gap.start, start), min(gap.end, end), gap.kind, gap.why)
            for gap in self.gaps
            if gap.start < end and gap.end > start
        )
        return Effort(self.deployment, self.station, start, end, self.zone, gaps)

    def by_month(self) -> Iterator[tuple[date, "Effort"]]:
        """(first day of a month, the effort in it), local, in order; a night's month is that of its evening."""
        month = self.start.astimezone(ZoneInfo(self.zone)).date().replace(day=1)
        while (begin := self._midnight(month)) < self.end:
            after = (month + 31 * DAY).replace(day=1)
            if part := self.within(begin, self._midnight(after)):
                yield month, part
            month = after

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.zone)).astimezone(UTC)

    def _days_of(self, kind: str) -> float:
        return sum(((gap.end - gap.start) / DAY for gap in self.gaps if gap.kind == kind), 0.0)


def overlap(one: Deployment, other: Deployment) -> bool:
    """Whether two, which are at one station, share more than a moment: one may begin as the other ends."""
    first, second = sorted((one, other), key=lambda each: each.started_at)
    if first.started_at == second.started_at:
        return True
    return first.ended_at is None or first.ended_at > second.started_at


class Deployed:
    """Deployments by station and time: to which one a frame belongs."""

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        self._by_station: dict[str, list[Deployment]] = {}
        for each in sorted(deployments, key=lambda one: (one.station, one.started_at, one.id)):
            self._by_station.setdefault(each.station, []).append(each)

    def at(self, station: str, moment: datetime | None) -> Deployment | None:
        """The deployment whose time holds the moment; None when there is none, or the moment is unknown.

        Where one ends as the next begins the moment is the next one's.
        """
        mine = self._by_station.get(station)
        if not mine or moment is None:
            return None
        before = bisect_right(mine, moment, key=lambda one: one.started_at)
        if before and mine[before - 1].holds(moment):
            return mine[before - 1]
        return None
