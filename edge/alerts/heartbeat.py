"""The heartbeat: what is watched besides animals, and when something is wrong. Pure; the looking is watchman.py's.

A Finding says of one thing, by name, whether it is wrong now. Between two thresholds, and where nobody can tell, it
says neither: then what was so before stays so. What is told of it, and how often, is watch.py's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..i18n import _
from ..model import Severity
from .people import PlainName

GB = 1e9
DISK_SHARE, DISK_MOST_BYTES = 0.1, 5 * GB  # free below the smaller of the two is little
CARD_MOST_BYTES = 1 * GB  # of a station's own disk
ROOM_AGAIN = 1.2  # times the limit: only then there is room again
LAST_BYTES = 0.2  # of the limit: below it frames will soon be refused
SPOOL_FULL, SPOOL_FINE = 0.9, 0.75  # shares of limits.spool_bytes
VOLTS_AGAIN = 1.026  # times battery_v: 11.5 V and 11.8 V
PERCENT_AGAIN = 10.0
QUEUE_LONG, QUEUE_FINE = timedelta(hours=1), timedelta(minutes=15)
STUCK = timedelta(minutes=5)
AT_ONCE, A_WHILE, LONG, A_DAY = timedelta(0), timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)
HEALTH_GOOD_FOR = A_DAY  # what a station said longer ago says nothing about today

Elapsed = Callable[[str, datetime], timedelta]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StationHeartbeat(_Strict):
    """What is different for one station; None: as for all."""

    silent_h: float | None = Field(default=None, gt=0, le=24 * 366)
    battery_v: float | None = Field(default=None, gt=0, le=100)


class HeartbeatConfig(_Strict):
    """Who is told when the system itself is unwell, and what unwell means; docs/alerts.md has each key.

    to, channels: as a rule's. silent_h: for stations with an agent. card_silent_days: for those whose frames come
    another way, such as cards that people fetch. disk_free_gb, battery_v: None for the default, and for not at all.
    """

    to: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    silent_h: float = Field(default=24, gt=0, le=24 * 366)
    card_silent_days: float = Field(default=35, gt=0, le=3660)
    forget_days: float = Field(default=30, gt=0, le=3660)
    disk_free_gb: float | None = Field(default=None, gt=0, le=1e6)
    battery_v: float | None = Field(default=None, gt=0, le=100)
    battery_percent: float = Field(default=20, ge=0, le=90)
    backlog_h: float = Field(default=24, gt=0, le=24 * 366)
    channel_h: float = Field(default=1, gt=0, le=24 * 7)
    quarantined: int = Field(default=50, ge=1, le=1000)
    quiet_days: float = Field(default=7, ge=1, le=366)
    remind_days: float = Field(default=7, ge=1, le=366)
    stations: Mapping[PlainName, StationHeartbeat] = {}

    @model_validator(mode="after")
    def _says_whom(self) -> "HeartbeatConfig":
        if not self.channels and not self.to:
            raise ValueError(_("the heartbeat needs `to:` (recipients) or `channels:`: whom is it to tell?"))
        return self

    @property
    def names(self) -> list[str]:
        """All it tells, as the site's Directory knows them; nobody twice."""
        return list(dict.fromkeys((*(f"@{each}" for each in self.channels), *self.to)))

    def of(self, station: str) -> StationHeartbeat:
        """What is different for this station."""
        return self.stations.get(station, _AS_ALL)


_AS_ALL = StationHeartbeat()


@dataclass(frozen=True, slots=True)
class StationReading:
    """What is known of a station. heard_at: None for never. known: it was added, or the site names it.

    health, health_at: what its agent said last, and when that came. drifts, drift_s: its clock and ours.
    """

    name: str
    heard_at: datetime | None = None
    known: bool = True
    has_agent: bool = False
    health: Mapping[str, Any] | None = None
    health_at: datetime | None = None
    drifts: bool = False
    drift_s: float | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """One look at everything. Bytes; None where nothing can be measured.

    just_started: agents come back within minutes after the server was away, so nobody is called silent yet.
    oldest_waiting: when the first fresh frame that nobody has looked at yet came. stuck: how long workers do not
    answer, and which. channels: those that fail, since when and why. sources: those that fail again and again, and why.
    quarantined, half_quarantined: when the n-th newest, and the half of it, was put into quarantine.
    """

    stations: Sequence[StationReading] = ()
    just_started: bool = False
    disk_free: float | None = None
    disk_bytes: float | None = None
    spool_bytes: float = 0
    spool_limit: float = 1
    oldest_waiting: datetime | None = None
    stuck: timedelta = AT_ONCE
    stuck_workers: Sequence[str] = ()
    channels: Mapping[str, tuple[datetime, str]] = field(default_factory=dict)
    all_channels: Sequence[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    all_sources: Sequence[str] = ()
    quarantined: datetime | None = None
    half_quarantined: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is watched. name: unique, "silent/cam-03". sort: which texts tell it. bad: None for neither.

    lasts: how long it must be bad before it is told; calm: how long good before it counts as over. since: of what is
    bad, when that began, None for now. facts: what its text names: numbers, times, lengths of time, names.
    """

    name: str
    sort: str
    bad: bool | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    station: str = ""
    severity: Severity = "warning"
    lasts: timedelta = AT_ONCE
    calm: timedelta = AT_ONCE
    since: datetime | None = None


def findings(readings: Readings, config: HeartbeatConfig, elapsed: Elapsed, now: datetime) -> Iterator[Finding]:
    """All that is watched, as it is now. elapsed: (key, moment) → how long ago, whatever was done to the clock."""
    for station in readings.stations:
        found = _silence(station, config, elapsed)
        yield replace(found, bad=None) if readings.just_started and found.bad else found
        yield from _hardware(station, config, elapsed)
    yield from _room(readings, config)
    yield from _work(readings, now)
    yield from _around(readings, config, elapsed)
    yield _quarantine(readings, config, now)


def silent_after(station: StationReading, config: HeartbeatConfig) -> timedelta:
    """How long a station may say nothing."""
    hours = config.of(station.name).silent_h
    if hours is None:
        hours = config.silent_h if station.has_agent else config.card_silent_days * 24
    return timedelta(hours=hours)


def disk_limit(readings: Readings, config: HeartbeatConfig) -> float:
    """Free bytes below which the disk counts as nearly full."""
    if config.disk_free_gb is not None:
        return config.disk_free_gb * GB
    return min(DISK_SHARE * (readings.disk_bytes or 0), DISK_MOST_BYTES)


def _silence(station: StationReading, config: HeartbeatConfig, elapsed: Elapsed) -> Finding:
    name, most = f"silent/{station.name}", silent_after(station, config)
    if station.heard_at is None:
        return Finding(name, "never", bad=True, facts={"gone": most}, station=station.name, lasts=most)
    gone = elapsed(name, station.heard_at)
    forgotten = not station.known and gone > timedelta(days=config.forget_days)
    bad = None if forgotten else gone >= most
    facts = {"gone": gone, "at": station.heard_at}
    return Finding(name, "silent", bad, facts, station.name, since=station.heard_at)


def _hardware(station: StationReading, config: HeartbeatConfig, elapsed: Elapsed) -> Iterator[Finding]:
    """What the agent says of itself; nothing when that is too old."""
    said, at, name = station.health, station.health_at, station.name
    if said is None or at is None or elapsed(f"health/{name}", at) > HEALTH_GOOD_FOR:
        return
    bad, facts = _battery(said, config, name)
    yield Finding(f"battery/{name}", "battery", bad, facts, name, lasts=A_WHILE, calm=A_DAY)
    low = said.get("supply_low")
    low = low if isinstance(low, bool) else None
    yield Finding(f"supply/{name}", "supply", low, {}, name, lasts=timedelta(minutes=10), calm=A_DAY)
    free, size = _number(said.get("disk_free_bytes")), _number(said.get("disk_bytes"))
    if free is not None and size is not None:
        bad = _below(free, min(DISK_SHARE * size, CARD_MOST_BYTES), ROOM_AGAIN)
        yield Finding(f"card/{name}", "card", bad, {"free": free}, name, lasts=A_WHILE, calm=LONG)
    spool = said.get("spool")
    if isinstance(spool, Mapping):
        oldest_h = (_number(spool.get("oldest_s")) or 0.0) / 3600
        bad = None if config.backlog_h / 2 < oldest_h <= config.backlog_h else oldest_h > config.backlog_h
        facts = {"gone": timedelta(hours=oldest_h), "count": int(_number(spool.get("frames")) or 0)}
        yield Finding(f"backlog/{name}", "backlog", bad, facts, name, lasts=A_WHILE, calm=LONG)
    off = timedelta(seconds=abs(station.drift_s or 0.0))
    yield Finding(f"clock/{name}", "clock", station.drifts, {"off": off}, name, lasts=LONG, calm=LONG)


def _battery(said: Mapping[str, Any], config: HeartbeatConfig, station: str) -> tuple[bool | None, dict[str, Any]]:
    """The chip named `battery`; another that tells a charge measures one, too. Volts only where a limit is set."""
    chips = {name: each for name, each in said.items() if isinstance(each, Mapping)}
    volts_least = config.of(station).battery_v or config.battery_v
    volts = _number(chips.get("battery", {}).get("volts"))
    if volts_least is not None and volts is not None:
        return _below(volts, volts_least, VOLTS_AGAIN), {"volts": volts}
    charges = [charge for each in chips.values() if (charge := _number(each.get("percent"))) is not None]
    if not charges:
        return None, {}
    charge, least = min(charges), config.battery_percent
    return (True if charge < least else False if charge >= least + PERCENT_AGAIN else None), {"percent": charge}


def _room(readings: Readings, config: HeartbeatConfig) -> Iterator[Finding]:
    free = readings.disk_free
    if free is not None:
        limit, facts = disk_limit(readings, config), {"free": free}
        last = _below(free, limit * LAST_BYTES, ROOM_AGAIN)
        yield Finding("disk/last", "disk_last", last, facts, severity="critical", calm=LONG)
        low = None if last else _below(free, limit, ROOM_AGAIN)  # one that is full is not told to be nearly full, too
        yield Finding("disk", "disk", low, facts, lasts=timedelta(minutes=5), calm=LONG)
    share = readings.spool_bytes / readings.spool_limit
    bad = True if share > SPOOL_FULL else False if share < SPOOL_FINE else None
    yield Finding("spool", "spool", bad, {"share": share}, lasts=timedelta(minutes=10), calm=LONG)


def _work(readings: Readings, now: datetime) -> Iterator[Finding]:
    # by the wall clock, as another frame is the oldest each time; a jump of the clock does not last
    waits = now - readings.oldest_waiting if readings.oldest_waiting is not None else AT_ONCE
    bad = True if waits > QUEUE_LONG else False if waits < QUEUE_FINE else None
    yield Finding("queue", "queue", bad, {"gone": waits}, lasts=timedelta(minutes=10), calm=A_WHILE)
    facts = {"names": ", ".join(readings.stuck_workers)}
    yield Finding("workers", "workers", readings.stuck >= STUCK, facts, severity="critical", calm=timedelta(minutes=5))


def _around(readings: Readings, config: HeartbeatConfig, elapsed: Elapsed) -> Iterator[Finding]:
    for name in readings.all_channels:
        facts: dict[str, Any] = {"name": name}
        bad = False
        if name in readings.channels:
            since, reason = readings.channels[name]
            gone = elapsed(f"channel/{name}", since)
            bad = gone >= timedelta(hours=config.channel_h)
            facts |= {"gone": gone, "reason": reason}
        yield Finding(f"channel/{name}", "channel", bad, facts, calm=timedelta(minutes=10))
    for name in readings.all_sources:
        reason = readings.sources.get(name, "")
        facts = {"name": name, "reason": reason}
        yield Finding(f"source/{name}", "source", name in readings.sources, facts, calm=A_WHILE)


def _quarantine(readings: Readings, config: HeartbeatConfig, now: datetime) -> Finding:
    many, some = (
        at is not None and AT_ONCE <= now - at < A_DAY for at in (readings.quarantined, readings.half_quarantined)
    )
    return Finding("quarantine", "quarantine", True if many else None if some else False, {"count": config.quarantined})


def _below(value: float, limit: float, again: float) -> bool | None:
    """Whether it is below; neither up to `again` times the limit."""
    return True if value < limit else False if value >= limit * again else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
