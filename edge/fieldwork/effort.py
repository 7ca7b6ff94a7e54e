"""Effort: how much of a deployment's time its camera looked, from what was recorded, without asking more of it.

A camera that only takes what moves says nothing while nothing moves: a gap in its frames is no failure, and how it was
after its last frame is unknown. One that takes pictures by the clock, or whose agent says how it is, tells more:

- an agent that was silent and is then heard again says how long it has been running: where that is longer than the
  silence, the link was cut and the camera worked; else it failed from its last sign until it was started again;
- pictures that an agent could not take, and none that it took, between two of its words: the camera failed;
- silence up to the end of a deployment that is over is a failure, up to now it is unknown: what waits may come yet;
- problems that people wrote down are failures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from sqlalchemy import Connection

from ..deployed import Deployment, Effort, Gap
from ..i18n import mark
from ..store.signs import (
    Said,
    Taken,
    agent_speaks,
    frames_taken,
    health_said,
    last_frame,
    pauses,
    timed_pauses_s,
)
from ..store.sql import Store

SILENT_TIMES = 3  # so many usual pauses without a sign are silence: one or two messages may be lost
SILENT_AT_LEAST = timedelta(hours=1)
# Pictures by the clock may be of some hours of the day only; after a day and an hour the same hour has passed again.
TIMED_AT_LEAST = timedelta(hours=25)
QUIET_AT_MOST = timedelta(days=7)  # a longer pause at the end of a deployment is never taken for granted
LEAST_TIMED = 3  # pauses from which the usual one is told

# Gap.why, in English; commands show it in the reader's language.
NO_PICTURE = mark("no picture at all")
NO_TIMED = mark("no picture, though some are taken by the clock")
NO_FRAME = mark("no frame, and nothing else tells")
NO_FRAME_ANY_MORE = mark("no frame any more, and nothing else tells")
NOT_HEARD = mark("nothing was heard of its agent any more")
NO_CAMERA = mark("the camera gave no picture")
STARTED_AGAIN = mark("its agent was silent and was then started again")
PROBLEM = mark("problem")  # of a sheet that says no more


@dataclass(slots=True)
class EffortByDeployment(Mapping[str, Effort]):
    """Id → effort of some deployments; worked out when it is asked for, once."""

    store: Store
    deployments: Mapping[str, Deployment]
    timezone_of: Callable[[str], str]
    now: datetime
    _known: dict[str, Effort] = field(default_factory=dict, init=False)

    def __getitem__(self, number: str) -> Effort:
        if number not in self._known:
            each = self.deployments[number]
            zone = each.timezone or self.timezone_of(each.station)
            with self.store.reading() as connection:
                self._known[number] = effort_of(connection, each, zone=zone, now=self.now)
        return self._known[number]

    def __iter__(self) -> Iterator[str]:
        return iter(self.deployments)

    def __len__(self) -> int:
        return len(self.deployments)


def effort_of(connection: Connection, deployment: Deployment, *, zone: str, now: datetime) -> Effort:
    """The effort of a deployment until its end, or until now while it goes on. zone: IANA, whose nights are counted."""
    start = deployment.started_at
    over = deployment.ended_at is not None and deployment.ended_at <= now
    end = max(start, min(deployment.ended_at or now, now))
    taken = frames_taken(connection, deployment.station, start, end)
    look = _Look(connection, deployment.station, start, end, taken, over=over)
    timelapse_min = deployment.details.get("timelapse_min")
    if isinstance(timelapse_min, int | float) and timelapse_min > 0:
        limit = max(SILENT_TIMES * timedelta(minutes=timelapse_min), SILENT_AT_LEAST)
        gaps = look.by_timed_frames(limit)
    elif agent_speaks(connection, deployment.station):
        gaps = look.by_health()
    else:
        gaps = look.by_frames()
    gaps = [*_problems(deployment, start, end), *gaps]
    return Effort(
        deployment.id, deployment.station, start, end, zone, _apart(gaps), taken.count, taken.first, taken.last
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """The signs of one station in one time. over: nothing more of it will come."""

    connection: Connection
    station: str
    start: datetime
    end: datetime
    taken: Taken
    over: bool

    def by_frames(self) -> list[Gap]:
        """Nothing but frames, whatever made the camera take them."""
        timed = timed_pauses_s(self.connection, self.station, self.start, self.end)
        if len(timed) >= LEAST_TIMED:
            return self.by_timed_frames(max(SILENT_TIMES * timedelta(seconds=median(timed)), TIMED_AT_LEAST))
        return self._unknown_after(self.taken, self.end)

    def by_timed_frames(self, limit: timedelta) -> list[Gap]:
        """The camera takes pictures by the clock: a longer pause is a failure."""
        if self.taken.last is None or self.taken.first is None:
            return [self._silence(self.start, self.end, NO_PICTURE)]
        found = pauses(self.connection, self.station, self.start, self.end, longer_than_s=limit.total_seconds())
        gaps = [Gap(*each, "failed", NO_TIMED) for each in found]
        if self.taken.first - self.start > limit:
            gaps.insert(0, Gap(self.start, self.taken.first, "failed", NO_TIMED))
        if self.end - self.taken.last > limit:
            gaps.append(self._silence(self.taken.last, self.end, NO_TIMED))
        return gaps

    def by_health(self) -> list[Gap]:
        """An agent says how it is."""
        said = health_said(self.connection, self.station, self.start, self.end)
        heard = [each for each in said if each.at <= self.end]
        limit = _limit_of(heard)
        if not said:
            return self._unknown_after(self.taken, self.end)
        gaps = self._before(said[0])
        for before, after in pairwise(said):
            gaps += self._between(before, after, limit)
        if len(heard) == len(said) and self.end - said[-1].at > limit:
            last = max(said[-1].at, self.taken.last or self.start)
            if self.end - last > limit:
                gaps.append(self._silence(last, self.end, NOT_HEARD))
        return gaps

    def _before(self, first: Said) -> list[Gap]:
        """What is known of the time before the first word: no more than frames tell, until the agent was started."""
        began = min(first.at - timedelta(seconds=first.uptime_s), self.end)
        if began <= self.start:
            return []
        return self._unknown_after(frames_taken(self.connection, self.station, self.start, began), began)

    def _between(self, before: Said, after: Said, limit: timedelta) -> list[Gap]:
        silent, began = after.at - before.at, after.at - timedelta(seconds=after.uptime_s)
        until = min(after.at, self.end)
        if after.camera_failed > before.camera_failed and began < before.at:
            worked = last_frame(self.connection, self.station, before.at, until)
            return [] if worked else [Gap(before.at, until, "failed", NO_CAMERA)]
        if silent <= limit or began <= before.at:
            return []  # it ran all the time: only the link, or the server, was away
        until = min(began, self.end)
        last = last_frame(self.connection, self.station, before.at, until) or before.at
        if until - last <= SILENT_AT_LEAST:
            return []
        return [Gap(last, until, "failed", STARTED_AGAIN)]

    def _unknown_after(self, taken: Taken, end: datetime) -> list[Gap]:
        """Unknown after the last frame, unless it is over, and the pause no longer than one that it came back from."""
        last = taken.last or self.start
        usual = min(timedelta(seconds=taken.longest_s), QUIET_AT_MOST) if self.over and taken.count else timedelta()
        if last >= end or end - last <= usual:
            return []
        return [Gap(last, end, "unknown", NO_FRAME if taken.last is None else NO_FRAME_ANY_MORE)]

    def _silence(self, start: datetime, end: datetime, why: str) -> Gap:
        return Gap(start, end, "failed" if self.over else "unknown", why)


def _limit_of(heard: Sequence[Said]) -> timedelta:
    """How long an agent may be silent: some times as long as it usually is."""
    usual = [after.at - before.at for before, after in pairwise(heard)]
    if not usual:
        return SILENT_AT_LEAST
    return max(SILENT_TIMES * sorted(usual)[len(usual) // 2], SILENT_AT_LEAST)


def _problems(deployment: Deployment, start: datetime, end: datetime) -> Iterator[Gap]:
    """What people wrote down: `problems` of its details."""
    found: Any = deployment.details.get("problems")
    for each in found if isinstance(found, list) else ():
        since, until, why = each
        begin, stop = max(start, datetime.fromisoformat(since)), min(end, datetime.fromisoformat(until))
        if begin < stop:
            yield Gap(begin, stop, "failed", str(why))


def _apart(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """The same without overlaps, in order: where two overlap the first named is kept, of the other what is left."""
    kept: list[Gap] = []
    for gap in gaps:
        kept += _left_of(gap, kept)
    return tuple(sorted(kept, key=lambda gap: gap.start))


def _left_of(gap: Gap, kept: Iterable[Gap]) -> list[Gap]:
    parts = [(gap.start, gap.end)]
    for each in kept:
        parts = [
            piece
            for start, end in parts
            for piece in ((start, min(end, each.start)), (max(start, each.end), end))
            if piece[0] < piece[1]
        ]
    return [Gap(start, end, gap.kind, gap.why) for start, end in parts]
