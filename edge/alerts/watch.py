"""What the heartbeat tells, and when: each thing once an episode, some together, a reminder now and then. Pure.

An episode: bad for as long as it must last, told; over when it was good for as long as that takes. Lengths of time
go by a clock that nobody sets; only over a restart the wall clock has to do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .heartbeat import Finding

GATHER = timedelta(minutes=10)  # from the first thing that is to be told to the message: others come with it
NEVER_S = float("-inf")


@dataclass(frozen=True, slots=True)
class Watched:
    """A row of `watched`: since when something is bad; told_at None: nobody was told."""

    name: str
    since: datetime
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What goes into a message. way: "begun", "still" or "over". since: when it began."""

    finding: Finding
    way: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look leads to: rows to keep and to remove, and what is told, all in one message."""

    keep: tuple[Watched, ...] = ()
    drop: tuple[str, ...] = ()
    told: tuple[Told, ...] = ()


@dataclass(slots=True)
class Ages:
    """How long ago moments are that came from the wall clock, by a clock that is never set.

    A moment that is met first when the process starts is as old as the wall clock says; one that turns up while it
    runs can't be older than the look before. A moment in time to come is now.
    """

    _known: dict[str, tuple[datetime, float]] = field(default_factory=dict)
    _now: datetime | None = None
    _now_s: float = 0.0
    _before_s: float = NEVER_S

    def look(self, now: datetime, now_s: float) -> None:
        """A new look begins."""
        self._before_s = NEVER_S if self._now is None else self._now_s
        self._now, self._now_s = now, now_s

    def elapsed(self, key: str, at: datetime) -> timedelta:
        """How long ago `at` was; key: what it is the moment of."""
        known = self._known.get(key)
        if known is None or known[0] != at:
            assert self._now is not None
            ago_s = max(0.0, (self._now - at).total_seconds())
            known = self._known[key] = at, max(self._now_s - ago_s, self._before_s)
        return timedelta(seconds=max(0.0, self._now_s - known[1]))


@dataclass(slots=True)
class Watch:
    """Decides what is told. remind: how often of what is still bad. gather: how long a message waits for more."""

    remind: timedelta
    gather: timedelta = GATHER
    ages: Ages = field(default_factory=Ages)
    _good_s: dict[str, float] = field(default_factory=dict)  # told, and good since then
    _due_s: float | None = None  # since when something is to be told

    def turn(self, rows: Mapping[str, Watched], found: Iterable[Finding], now: datetime, now_s: float) -> Changes:
        """What is to be done after a look. rows: as they are kept, by name. Call `ages.look` before."""
        keep: dict[str, Watched] = {}
        drop: list[str] = []
        due: list[Told] = []
        for finding in found:
            row = rows.get(finding.name)
            if row is None and finding.bad:
                row = keep[finding.name] = Watched(finding.name, finding.since or now)
            elif (
                row is not None and row.told_at is not None and row.told_at > now
            ):  # by a clock that was set back since
                row = keep[finding.name] = Watched(row.name, row.since, now)
            if row is None:
                continue
            if row.told_at is None and finding.bad is False:
                drop.append(row.name)
            elif way := self._way(row, finding, now_s):
                due.append(Told(finding, way, row.since))
        told = self._gathered(due, now_s)
        for each in told:
            name = each.finding.name
            if each.way == "over":
                drop.append(name)
                keep.pop(name, None)
                self._good_s.pop(name, None)
            else:
                keep[name] = Watched(name, each.since, now)
        return Changes(tuple(keep.values()), tuple(drop), tuple(told))

    def _way(self, row: Watched, finding: Finding, now_s: float) -> str:
        """As what it is to be told now; "" for not."""
        if row.told_at is None:
            lasted = self.ages.elapsed(f"since/{row.name}", row.since)
            return "begun" if finding.bad and lasted >= finding.lasts else ""
        told_ago = self.ages.elapsed(f"told/{row.name}", row.told_at)
        # what began at the same moment is not over: a clock that was set makes it look newer
        if finding.bad is False and finding.since != row.since:
            good_s = now_s - self._good_s.setdefault(row.name, now_s)
            return "over" if good_s >= finding.calm.total_seconds() else ""
        if finding.bad:
            self._good_s.pop(row.name, None)
        return "still" if finding.bad and told_ago >= self.remind else ""

    def _gathered(self, due: list[Told], now_s: float) -> list[Told]:
        """All that is due when it is time for a message; what is critical waits for nothing."""
        if not due:
            self._due_s = None
            return []
        if self._due_s is None:
            self._due_s = now_s
        at_once = any(each.finding.severity == "critical" and each.way == "begun" for each in due)
        if not at_once and now_s - self._due_s < self.gather.total_seconds():
            return []
        self._due_s = None
        return due
