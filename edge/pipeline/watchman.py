"""The watchman: looks once a minute at all that keeps a site alive, and tells people in time; hop 7's second half.

It reads, judges (edge/alerts/heartbeat.py), and queues messages of kind "health" in the transaction that notes what was
told, so that neither a crash nor a restart tells a thing twice. They go out as all others do, through the outbox.
"""

import secrets
import shutil
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from ..alerts.heartbeat import HeartbeatConfig, Readings, StationReading, findings, silent_after
from ..alerts.people import Addressee, Directory
from ..alerts.watch import GATHER, Told, Watch, Watched
from ..model import SEVERITIES, Severity
from ..services import Services
from ..store import arrivals, notices, watched
from ..store.notices import NewNotice
from ..store.sql import Store
from .health_words import Report, report_words, told_words
from .outbox import Outbox
from .pulse import Pulse
from .runner import Failed, attempt

EVERY_S = 60.0
SETTLED = timedelta(minutes=30)  # after the start: agents that were cut off are back by then
FAILS_OFTEN, FAILS_WITHIN_S = 3, 600.0  # a source that failed so often within so long
REPORT_HOURS = range(8, 20)  # of the site's day; a message that all is well wakes nobody
QUIET = "quiet"  # the row of the report: since the first look, told_at the last report


@dataclass(slots=True)
class Failures:
    """When sources failed, and why. Any thread may note one."""

    _lately: dict[str, deque[float]] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, reason: str, now_s: float) -> None:
        """It has failed."""
        with self._lock:
            self._lately.setdefault(name, deque(maxlen=FAILS_OFTEN)).append(now_s)
            self._reasons[name] = reason

    def reasons(self) -> dict[str, str]:
        """All that have failed since the start, with the last reason."""
        with self._lock:
            return dict(self._reasons)

    def often(self, now_s: float) -> dict[str, str]:
        """Those that fail again and again, with the last reason."""
        with self._lock:
            return {
                name: self._reasons[name]
                for name, times in self._lately.items()
                if len(times) == FAILS_OFTEN and now_s - times[0] <= FAILS_WITHIN_S
            }


@dataclass(frozen=True, slots=True)
class Around:
    """What of the running site is looked at, beside the store. spool_limit: bytes. sources: their names."""

    spool_limit: int = 1
    outbox: Outbox | None = None
    pulse: Pulse | None = None
    failures: Failures = field(default_factory=Failures)
    sources: Sequence[str] = ()
    disk: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage


@dataclass(slots=True)
class Watchman:
    """Looks, and tells. One thread runs it."""

    store: Store
    services: Services
    directory: Directory
    config: HeartbeatConfig
    around: Around = field(default_factory=Around)
    gather: timedelta = GATHER
    _watch: Watch = field(init=False)
    _started_s: float = field(init=False)
    _pings: tuple[int, float] = field(init=False, default=(-1, 0.0))

    def __post_init__(self) -> None:
        self._watch = Watch(timedelta(days=self.config.remind_days), self.gather)
        self._started_s = self.services.clock.monotonic_s()

    def run(self, stop: threading.Event) -> None:
        """Look once a minute until `stop` is set; what fails is said in the log and tried again."""
        while not stop.wait(EVERY_S):
            looked = attempt(partial(self.look, self.services.clock.now()))
            if isinstance(looked, Failed):
                self.services.log.error("heartbeat.failed", reason=looked.reason, again_in_s=EVERY_S)

    def look(self, now: datetime) -> list[NewNotice]:
        """Look at everything once; returns the messages that were queued. Raises StoreBusy."""
        now_s = self.services.clock.monotonic_s()
        addressees = self._addressees()
        named = set(self.services.stations)
        readings = self._around(now_s)
        queued: list[NewNotice] = []
        with self.store.transaction() as connection:
            readings = self._from_store(connection, readings, named)
            self._watch.ages.look(now, now_s)
            rows = {name: Watched(name, *each) for name, each in watched.rows(connection).items()}
            as_kept = dict(rows)
            quiet = _sane(rows.pop(QUIET, None), now)
            found = list(findings(readings, self.config, self._watch.ages.elapsed, now))
            changes = self._watch.turn(rows, found, now, now_s)
            if changes.told:
                queued += self._tell(connection, _with_length(changes.told, now), addressees, now)
            gone = _without_owner(rows.values(), readings)
            told = {each.name: each for each in (*rows.values(), *changes.keep)}
            for name in (*changes.drop, *gone):
                told.pop(name, None)
            report = self._report_if_due(connection, quiet, readings, now)
            if report is not None:
                still = [
                    Told(each, "begun", told[each.name].since)
                    for each in found
                    if each.bad and each.name in told and told[each.name].told_at is not None
                ]
                queued += self._queue(connection, partial(report_words, report, still), addressees, "info", now)
                quiet = replace(quiet, told_at=now)
                told |= {each.finding.name: replace(told[each.finding.name], told_at=now) for each in still}
            told[QUIET] = quiet
            kept = [each for each in told.values() if each != as_kept.get(each.name)]
            watched.keep(connection, [(each.name, each.since, each.told_at) for each in kept])
            watched.drop(connection, (*changes.drop, *gone))
        for each in changes.told:
            say = self.services.log.info if each.way == "over" else self.services.log.warning
            say("heartbeat.told", what=each.finding.name, way=each.way, station=each.finding.station)
        return queued

    def _addressees(self) -> list[Addressee]:
        found = (self.directory.find(name) for name in self.config.names)
        return list({each.name: each for each in found if each is not None}.values())

    def _around(self, now_s: float) -> Readings:
        """What is to be read without the store."""
        around = self.around
        usage = attempt(partial(around.disk, self.services.state_dir))
        free, size = (None, None) if isinstance(usage, Failed) else (usage.value[2], usage.value[0])
        channels: dict[str, tuple[datetime, str]] = {}
        states = around.outbox.snapshot() if around.outbox else {}
        for name, each in states.items():
            if each["since"]:
                channels[name] = datetime.fromisoformat(each["since"]), str(each["error"])
        stuck, workers = self._stuck(now_s)
        return Readings(
            just_started=now_s - self._started_s < SETTLED.total_seconds(),
            disk_free=free,
            disk_bytes=size,
            spool_limit=around.spool_limit,
            stuck=stuck,
            stuck_workers=workers,
            channels=channels,
            all_channels=list(states),
            sources=around.failures.often(now_s),
            all_sources=around.sources,
        )

    def _stuck(self, now_s: float) -> tuple[timedelta, Sequence[str]]:
        """For how long the pulse has not gone on, and who does not answer."""
        pulse = self.around.pulse
        if pulse is None:
            return timedelta(0), ()
        if pulse.pings != self._pings[0]:
            self._pings = pulse.pings, now_s
        return timedelta(seconds=now_s - self._pings[1]), pulse.silent()

    def _from_store(self, connection: Connection, readings: Readings, named: Collection[str]) -> Readings:
        agents, heard = watched.agents_said(connection), watched.frames_heard(connection)
        allowed = filter(self.services.is_allowed, sorted({*named, *agents, *heard}))
        stations = []
        for name in allowed:
            said = agents.get(name)
            times = [each for each in (said.heard_at if said else None, heard.get(name)) if each is not None]
            stations.append(
                StationReading(
                    name,
                    max(times, default=None),
                    known=name in named,
                    has_agent=said is not None,
                    health=said.health if said else None,
                    health_at=said.health_at if said else None,
                    drifts=said is not None and said.drifts,
                    drift_s=said.drift_s if said else None,
                )
            )
        many = self.config.quarantined
        return replace(
            readings,
            stations=stations,
            spool_bytes=arrivals.waiting_bytes(connection),
            oldest_waiting=watched.oldest_waiting(connection),
            quarantined=watched.quarantined_at(connection, many),
            half_quarantined=watched.quarantined_at(connection, max(1, many // 2)),
        )

    def _report_if_due(
        self, connection: Connection, quiet: Watched, readings: Readings, now: datetime
    ) -> Report | None:
        """The report, when no alert was sent and none was made for long enough, by day."""
        length = timedelta(days=self.config.quiet_days)
        last = watched.last_alert_at(connection)
        began = max(each for each in (quiet.since, quiet.told_at, last) if each is not None)
        gone = self._watch.ages.elapsed(QUIET, began)
        since_alert = self._watch.ages.elapsed("last alert", last or quiet.since)
        if gone < length or now.astimezone(ZoneInfo(self.services.default_timezone)).hour not in REPORT_HOURS:
            return None
        silences = [(self._silence(each), each) for each in readings.stations]
        counted = [(gone, each) for gone, each in silences if each.known or gone is None or not self._forgotten(gone)]
        oldest = max(((gone, each.name) for gone, each in counted if gone is not None), default=None)
        frames = watched.frames_since(connection, now - gone)
        return Report(
            days=max(1, round(since_alert / timedelta(days=1))),
            heard=sum(gone is not None and gone < silent_after(each, self.config) for gone, each in counted),
            stations=len(counted),
            frames=frames,
            blank=watched.blank_share(connection, frames),
            oldest=(oldest[1], oldest[0]) if oldest else None,
            disk_free=readings.disk_free,
            last_alert=last,
        )

    def _silence(self, station: StationReading) -> timedelta | None:
        if station.heard_at is None:
            return None
        return self._watch.ages.elapsed(f"silent/{station.name}", station.heard_at)

    def _forgotten(self, gone: timedelta) -> bool:
        return gone > timedelta(days=self.config.forget_days)

    def _tell(
        self, connection: Connection, told: Sequence[Told], addressees: Sequence[Addressee], now: datetime
    ) -> list[NewNotice]:
        severities: list[Severity] = ["info" if each.way == "over" else each.finding.severity for each in told]
        stations = {each.finding.station for each in told}
        station = stations.pop() if len(stations) == 1 else ""
        severity = max(severities, key=SEVERITIES.index)
        return self._queue(connection, partial(told_words, told), addressees, severity, now, station=station)

    def _queue(
        self,
        connection: Connection,
        words: Callable[[Addressee], Mapping[str, object]],
        addressees: Sequence[Addressee],
        severity: Severity,
        now: datetime,
        *,
        station: str = "",
    ) -> list[NewNotice]:
        """One message for each addressee; a key of chance, for what is told is noted in the same transaction."""
        one = f"health/{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        queued = []
        for to in addressees:
            new = NewNotice(
                key=f"{one}/{to.key}",
                kind="health",
                addressee=to.name,
                who=to.who,
                channel=to.channel,
                severity=severity,
                station=station,
                words=words(to),
            )
            if notices.add(connection, new, now) is not None:
                queued.append(new)
        return queued


def _sane(quiet: Watched | None, now: datetime) -> Watched:
    """The row of the report; without times to come, which a clock gave that was set back since."""
    if quiet is None:
        return Watched(QUIET, now)
    told_at = min(quiet.told_at, now) if quiet.told_at else None
    return Watched(QUIET, min(quiet.since, now), told_at)


def _with_length(told: Sequence[Told], now: datetime) -> list[Told]:
    """With how long each has lasted, which the row knows."""
    return [
        replace(each, finding=replace(each.finding, facts={**each.finding.facts, "lasted": now - each.since}))
        for each in told
    ]


def _without_owner(rows: Collection[Watched], readings: Readings) -> list[str]:
    """Rows of stations that were revoked, and of channels and sources that the site has no more."""
    there = {each.name for each in readings.stations}
    owners = {"channel": set(readings.all_channels), "source": set(readings.all_sources), "disk": {"last"}}
    found = []
    for row in rows:
        sort, _slash, owner = row.name.partition("/")
        if owner and owner not in owners.get(sort, there):
            found.append(row.name)
    return found
