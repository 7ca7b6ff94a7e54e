"""The thread of the web page that keeps the summaries right: takes stale days, the newest first, and makes them again.

It computes on a reader and writes in one short transaction, in which the marks it read are taken away; a mark that came
meanwhile has another number and stays, and its day is made again. Whatever is cut short is begun anew: making a day
twice changes nothing.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from ..clock import Clock
from ..pipeline.runner import Failed, attempt
from ..services import Log, Station
from ..store import summaries as rows
from ..store.readers import Readers
from ..store.sql import Store
from .grouping import GAP_S
from .making import Change, Names, Rules, make, write
from .rows import Where
from .sums import INTERVAL

VERSION = 1  # of what is summed up and how; another one makes all of it anew
LOOK_S = 1.0
SETTINGS_EVERY_S = 60.0
PROGRESS_EVERY_S = 10.0
TAKEN = 2_000  # stale days that are looked at in one round; a round writes several times
FRAMES_A_WRITE = 600  # so that the daemon waits some tens of milliseconds for its turn
DAYS_A_WRITE = 25
SHARE = 10  # a day that took a second to make is not made again for so many: a busy camera changes it every second
BUSY_S = 2.0
PAUSE_S = 0.05  # after each station: pages are made by the same interpreter, and somebody waits for them
BACKLOG = 50  # days; more are worth a line in the log


@dataclass(slots=True)
class Summariser:
    """Keeps the summaries of a site right, in a thread of the web process.

    `Summariser(web.store, web.readers, web.plan.stations, web.plan.file.site.timezone, web.clock, web.log)` makes it;
    its `run` is the thread. stations: name → Station, may change while it runs. site_timezone: of those without one.
    """

    store: Store
    readers: Readers
    stations: Mapping[str, Station]
    site_timezone: str
    clock: Clock
    log: Log
    _names: Names = field(default_factory=Names, init=False)
    _not_before: dict[tuple[str, str], float] = field(default_factory=dict, init=False)
    _begun: tuple[float, int] | None = field(default=None, init=False)  # of a backlog: when, how many days
    _told_s: float = field(default=float("-inf"), init=False)

    def run(self, stop: threading.Event) -> None:
        """Refresh once a second until `stop` is set."""
        next_settings_s = self.clock.monotonic_s()
        while not stop.is_set():
            if self.clock.monotonic_s() >= next_settings_s:
                changed = attempt(self.check_settings)
                if isinstance(changed, Failed):
                    self.log.warning("summaries.failed", reason=changed.reason)
                next_settings_s = self.clock.monotonic_s() + SETTINGS_EVERY_S
            began_s = self.clock.monotonic_s()
            more = attempt(lambda: self._round(stop))
            if isinstance(more, Failed):
                self.log.warning("summaries.failed", reason=more.reason)
                stop.wait(BUSY_S)
            elif not more.value:
                stop.wait(max(LOOK_S, 2 * (self.clock.monotonic_s() - began_s)))

    def refresh(self, stop: threading.Event | None = None) -> int:
        """One round: how many stale days were made again. Raises StoreBusy; what was written until then stays."""
        with self.readers.read() as connection:
            marks = [each for each in rows.newest_stale(connection, limit=TAKEN) if self._is_due(each)]
        made = 0
        pending: list[Change] = []
        for mine in _by_station(marks):
            if stop is not None and stop.is_set():
                break
            began_s = self.clock.monotonic_s()
            pending.append(self._make(mine))
            spent_s = self.clock.monotonic_s() - began_s
            self._rest(mine, spent_s)
            if stop is not None:
                stop.wait(min(PAUSE_S, spent_s / 4))
            if _weight(pending) >= 1:
                made += self._write(pending)
                pending = []
        return made + self._write(pending)

    def _round(self, stop: threading.Event) -> bool:
        self.refresh(stop)
        return self._tell_progress()

    def check_settings(self) -> int:
        """Mark as stale what was made with other zones, places or rules; of how many stations that is so."""
        with self.readers.read() as connection:
            known = rows.made_with(connection)
            stations = rows.stations_with_frames(connection)
            now = {each: self._settings_of(connection, each) for each in stations}
            before: dict[str, object] = json.loads(known.get("made_with", "{}"))
            others = [each for each in stations if each in before and before[each] != now[each]]
            # with the local days that have sums: one may lie in no UTC day that has frames
            stale = {
                each: rows.days_with_frames(connection, each) | rows.days_summed(connection, each) for each in others
            }
        for each, found in stale.items():
            with self.store.transaction() as connection:
                rows.mark_stale(connection, [(each, day) for day in sorted(found)])
        text = json.dumps(now, sort_keys=True)
        if text != known.get("made_with"):
            with self.store.transaction() as connection:
                rows.set_made_with(connection, "made_with", text)
        return len(stale)

    def where(self, connection: Connection, station: str) -> Where:
        """Where a station stands; of one that nobody added, what its frames and deployments say."""
        known = self.stations.get(station)
        zone = known.timezone if known else rows.zone_of_newest(connection, station)
        place = (known.latitude, known.longitude) if known and known.latitude is not None else None
        latitude, longitude = place or rows.place_of_newest(connection, station) or (None, None)
        return Where(ZoneInfo(zone or self.site_timezone), latitude, longitude)

    def _settings_of(self, connection: Connection, station: str) -> list[object]:
        where = self.where(connection, station)
        return [where.zone.key, where.latitude, where.longitude, GAP_S, INTERVAL.total_seconds(), VERSION]

    def _make(self, marks: list[tuple[str, str, int]]) -> Change:
        with self.readers.read() as connection:
            # the marks as this state of the database has them: what came before it is in what is read now
            again = rows.marks_of(connection, marks)
            return make(connection, again or marks, Rules(self.where), self._names)

    def _write(self, pending: list[Change]) -> int:
        if pending:
            with self.store.transaction() as connection:
                write(connection, pending)
        return sum(len(each.marks) for each in pending)

    def _is_due(self, mark: tuple[str, str, int]) -> bool:
        return self.clock.monotonic_s() >= self._not_before.get(mark[:2], 0.0)

    def _rest(self, marks: Iterable[tuple[str, str, int]], spent_s: float) -> None:
        """Leave days alone that are dear to make; those that were are forgotten."""
        now_s = self.clock.monotonic_s()
        self._not_before = {key: at_s for key, at_s in self._not_before.items() if at_s > now_s}
        if spent_s * SHARE > LOOK_S:
            self._not_before |= {mark[:2]: now_s + spent_s * SHARE for mark in marks}

    def _tell_progress(self) -> bool:
        """Whether much is left to do; says so now and then, with how long it may take."""
        with self.readers.read() as connection:
            left = rows.count_stale(connection)
        now_s = self.clock.monotonic_s()
        if left < BACKLOG:
            if self._begun is not None and self._told_s > self._begun[0]:
                self.log.info("summaries.done", days=self._begun[1], seconds=round(now_s - self._begun[0]))
            self._begun = None
            return False
        if self._begun is None:
            self._begun = (now_s, left)
        since_s, at_first = self._begun
        if now_s - self._told_s >= PROGRESS_EVERY_S:
            self._told_s = now_s
            done = at_first - left
            eta_s = round((now_s - since_s) * left / done) if done > 0 else None
            self.log.info("summaries.progress", days_left=left, eta_s=eta_s)
        return True


def _by_station(marks: Iterable[tuple[str, str, int]]) -> list[list[tuple[str, str, int]]]:
    """The marks of each station together, at most DAYS_A_WRITE; the station with the newest day first."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for each in marks:
        found.setdefault(each[0], []).append(each)
    return [each[:DAYS_A_WRITE] for each in found.values()]


def _weight(pending: Iterable[Change]) -> float:
    """1 where a write is due: by frames that were read or by days."""
    changes = list(pending)
    frames, days = sum(each.frames for each in changes), sum(len(each.marks) for each in changes)
    return max(frames / FRAMES_A_WRITE, days / DAYS_A_WRITE)
