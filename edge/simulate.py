"""`tigrillo alerts simulate`: recorded history through other rules, on a clock that runs ahead; nothing is sent.

The very parts that decide in the daemon (desk, gate, outbox, digest) run on a database in memory, with channels that
only note what they are given. Every channel works, nobody answers: what would have failed or been acknowledged then is
not known.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from .alerts.cooldowns import Cooldowns
from .alerts.digest import Digests, next_time
from .clock import Clock, SteppedClock
from .config import Plan
from .daemon import alert_desk
from .errors import DecodeError
from .logs import make_log
from .model import Card, Kind, Outcome
from .notices import Notice
from .pipeline.compose import Composer
from .pipeline.lanes import Outlet
from .pipeline.outbox import DIGESTS_EVERY_S, Outbox, Post
from .services import Clip, Services, Session, Station
from .stations.book import Book
from .stations.folders import Folders
from .stations.known import KnownStations
from .store import notices
from .store.notices import Notices
from .store.sql import Store

AGAIN = timedelta(seconds=5)  # while a channel's rate limit holds back what is due
AFTERWARDS = timedelta(hours=26)  # so that the last day's digest comes, too


@dataclass(frozen=True, slots=True)
class Message:
    """What would have left. rule: "" for a digest. lines: of a digest."""

    at: datetime
    addressee: str
    kind: str
    severity: str
    rule: str
    headline: str
    frame_id: str
    lines: tuple[str, ...] = ()


@dataclass(slots=True)
class Simulated:
    """What rules would have done. held_back: reason → how many messages were not sent at once. frames: looked at."""

    frames: int = 0
    encounters: int = 0
    messages: list[Message] = field(default_factory=list)
    held_back: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Noting:
    """A channel that notes what it is given."""

    channel: str
    messages: list[Message]
    clock: Clock

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Note it."""
        del picture
        lines = tuple(f"{label}: {value}" for label, value in notice.words.rows) if notice.kind == "digest" else ()
        self.messages.append(
            Message(
                at=self.clock.now(),
                addressee=f"{notice.person}/{self.channel}" if notice.person else f"@{self.channel}",
                kind=notice.kind,
                severity=notice.severity,
                rule=notice.alert.rule if notice.alert else "",
                headline=notice.words.headline,
                frame_id=notice.alert.frame_id if notice.alert else "",
                lines=lines,
            )
        )


class _Nothing:
    """Compute, models and media of a simulation: no model runs and no picture is opened."""

    def session(self, card: Card) -> Session:
        """None."""
        raise NotImplementedError(card.name)

    def card(self, name: str) -> Card:
        """None."""
        raise NotImplementedError(name)

    def open(self, path: Path, kind: Kind) -> AbstractContextManager[Clip]:
        """None."""
        raise DecodeError(f"{path.name}: no {kind} is opened in a simulation")


def simulate(
    plan: Plan, history: Iterator[Outcome], *, since: datetime, now: datetime, tell: Callable[[int], None]
) -> Simulated:
    """Run a site's rules over recorded frames received since then, in the order of their arrival.

    tell: called with the number of frames that were looked at. Encounters from before `since` are not known to it, so
    "first in days" counts from there.
    """
    found, clock = Simulated(), SteppedClock(since)
    with Store("sqlite:///:memory:") as store, still_services(plan, clock) as services:
        desk, outbox = alert_desk(plan, services), _outbox(plan, store, services, found, clock)
        for outcome in history:
            if not since <= outcome.spooled.received_at <= now:
                continue
            _run_until(outcome.spooled.received_at, clock, outbox)
            _record(store, outcome, desk.note, clock)
            outbox.dispatch_due()
            found.frames += 1
            tell(found.frames)
        _run_until(min(now, clock.now() + AFTERWARDS), clock, outbox)
        for row in Notices(store).newest(1_000_000):
            if row.reason:
                found.held_back[row.reason] += 1
        found.encounters = store.count_encounters()
    found.messages.sort(key=lambda message: message.at)
    return found


def _record(store: Store, outcome: Outcome, note: Callable[[Connection, Outcome, datetime], int], clock: Clock) -> None:
    now = clock.now()
    store.add_frames([(replace(outcome.spooled, pk=0, attempts=0), 0)])
    claimed = store.claim_next(now)
    assert claimed is not None  # nothing else is in this database
    again = replace(outcome, spooled=claimed)
    store.record(again, now=now, also=lambda connection: note(connection, again, now))


def _run_until(end: datetime, clock: SteppedClock, outbox: Outbox) -> None:
    """Let the clock run, with the outbox looking whenever something that waits is due."""
    while (now := clock.now()) < end:
        moment = min(max(_next_moment(outbox, now, end), now + AGAIN), end)
        clock.step((moment - now).total_seconds())
        outbox.dispatch_due()


def _next_moment(outbox: Outbox, now: datetime, end: datetime) -> datetime:
    """When the first of what waits is due: a message, or a digest; `end` when nothing waits."""
    directory = outbox.post.directory
    with outbox.notices.store.transaction() as connection:
        moments = [end, notices.next_attempt_at(connection) or end]
        waiting = {name for oldest in notices.digest_waits(connection).values() for name in oldest}
    for name in waiting:
        to = directory.find(name)
        reader = directory.find(to.digest_to) if to is not None else None
        if reader is not None and reader.digest is not None:
            # not before the outbox makes digests again
            moments.append(next_time(reader, now) + timedelta(seconds=DIGESTS_EVERY_S))
    return min(moments)


def _outbox(plan: Plan, store: Store, services: Services, found: Simulated, clock: SteppedClock) -> Outbox:
    composer = Composer(store, services)
    lengths = {rule.name: timedelta(minutes=rule.cooldown_min) for rule in plan.rules if rule.cooldown_min}
    post = Post(plan.directory, composer, Cooldowns(lengths, clock), Digests(plan.directory, composer.line))
    outlets = {
        channel.name: Outlet(_Noting(channel.name, found.messages, clock), None, channel.per_minute)
        for channel in plan.file.channels
    }
    return Outbox(Notices(store), outlets, post, clock, lambda _event: None, lambda: 0.0)


@contextmanager
def still_services(plan: Plan, clock: Clock) -> Iterator[Services]:
    """Services for commands that look at no picture: stations and settings, no models and no media."""
    nothing = _Nothing()
    named = {
        each.name: Station(each.name, each.timezone or "", each.latitude, each.longitude) for each in plan.file.stations
    }
    known = KnownStations(Book(Folders.of(plan.state_dir).book), named, plan.file.site.timezone, clock)
    yield Services(
        compute=nothing,
        models=nothing,
        media=nothing,
        log=make_log(json_lines=False, level="warning"),
        state_dir=plan.state_dir,
        clock=clock,
        stations=known,
        default_timezone=plan.file.site.timezone,
        language=plan.file.site.language,
        site_name=plan.file.site.name,
    )
