"""Alerts without a daemon: real store, desk and outbox, channels that keep what they get, a stepped clock."""

import atexit
import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import select

from edge.alerts.cooldowns import Cooldowns
from edge.alerts.desk import AlertDesk, AlertSettings
from edge.alerts.digest import Digests
from edge.alerts.people import OwnAddressees, Recipient, directory
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.model import AgentFacts, Answer, CaptureTime, Detection, Outcome, PictureResult, Taxon
from edge.notices import Notice
from edge.pipeline.compose import Composer
from edge.pipeline.lanes import Outlet
from edge.pipeline.outbox import Outbox, Post
from edge.pipeline.recording import note_outcome
from edge.services import Services, Station
from edge.store import notices as notice_rows
from edge.store.notices import Notices
from edge.store.schema import notices
from edge.store.sql import Store
from edge.testing import FakeMedia, fake_services, spooled_frame

SOON_S = 10  # a thread that is not done by then hangs
_CATS = ("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae")
FELIDAE = Taxon("Felidae", "family", _CATS, "cat", "felino")
JAGUAR = Taxon("Panthera onca", "species", (*_CATS, "Panthera", "Panthera onca"), "jaguar", "jaguar")
PUMA = Taxon("Puma concolor", "species", (*_CATS, "Puma", "Puma concolor"), "puma", "puma")


def animal(taxon: Taxon | None = None, score: float = 0.9, side: float = 0.3) -> Detection:
    """An animal in the middle of the picture, `side` of it wide and high."""
    answer = Answer(taxon, score) if taxon else None
    return Detection("animal", score, (0.5 - side / 2, 0.5 - side / 2, side, side), answer=answer)


def person(score: float = 0.9) -> Detection:
    """A person."""
    return Detection("person", score, (0.25, 0.25, 0.5, 0.5))


@dataclass
class Inbox:
    """A channel that takes what it gets after failing as often as it is told to."""

    failures: list[Exception] = field(default_factory=list)
    got: list[Notice] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Keep it, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        self.got.append(notice)
        self.pictures.append(picture)
        self.arrived.set()

    @property
    def headlines(self) -> list[str]:
        """Of what it got."""
        return [notice.words.headline for notice in self.got]


@cache
def _empty_database() -> Path:
    """A database without rows: making its tables takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="tigrillo-rig-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Store(f"sqlite:///{folder / 'site.sqlite'}").close()
    return folder / "site.sqlite"


@dataclass
class Rig:
    """One site. Everything goes by `clock`; frames are captured and received now unless a test says otherwise."""

    folder: Path
    rules: Sequence[Rule]
    recipients: Sequence[Recipient] = ()
    channels: Sequence[str] = ("mail",)
    stations: dict[str, Station] = field(default_factory=dict)
    settings: AlertSettings = field(default_factory=AlertSettings)
    timezone: str = "UTC"
    language: str = "en"
    digest: str | None = "07:00"
    media: FakeMedia = field(default_factory=FakeMedia)
    clock: SteppedClock = field(default_factory=SteppedClock)
    give_up_after: timedelta = timedelta(hours=24)
    events: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        shutil.copy(_empty_database(), self.folder / "site.sqlite")
        self.store = Store(f"sqlite:///{self.folder / 'site.sqlite'}")
        people = [OwnAddressees(name) for name in self.channels]
        self.directory = directory(
            self.recipients, people, language=self.language, timezone=self.timezone, digest=self.digest
        )
        self.services: Services = fake_services(
            clock=self.clock,
            media=self.media,
            stations=self.stations,
            default_timezone=self.timezone,
            language=self.language,
            state_dir=self.folder,
            emit=self.events.append,
        )
        self.desk = AlertDesk(self.rules, self.directory, self.stations, self.settings, self.timezone)
        self.inboxes = {name: Inbox() for name in self.channels}
        self.box = self.outbox(**self.inboxes)

    def outbox(self, *, jitter: float = 0.0, store: Store | None = None, **notifiers: object) -> Outbox:
        """A new outbox, as after a restart."""
        kept = store or self.store
        lengths = {rule.name: timedelta(minutes=rule.cooldown_min) for rule in self.rules if rule.cooldown_min}
        composer = Composer(kept, self.services)
        post = Post(
            self.directory,
            composer,
            Cooldowns(lengths, self.clock),
            Digests(self.directory, composer.line),
            give_up_after=self.give_up_after,
        )
        outlets = {name: each if isinstance(each, Outlet) else Outlet(each) for name, each in notifiers.items()}
        return Outbox(
            Notices(kept), outlets, post, self.clock, self.events.append, lambda: jitter, poll_s=0.05, grace_s=0.2
        )

    def hurry(self) -> None:
        """Let SQLite write no commit to the disk, for tests that make many small ones."""
        engine = self.store._engine  # because this is a promise that the store does not take back
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA synchronous=OFF")

    def see(
        self,
        *detections: Detection,
        station: str = "ridge",
        frame_id: str = "",
        captured: datetime | None = None,
        late: timedelta = timedelta(0),
        kind: str = "still",
        number: int = 0,
        agent: AgentFacts | None = None,
    ) -> Outcome:
        """Record a frame with these in one picture. late: how long it took from its capture to here."""
        now = self.clock.now()
        name = frame_id or f"f{next(self._numbers)}"
        taken = CaptureTime(captured or now - late, "", self.timezone, "agent")
        spooled = spooled_frame(Path(f"/spool/{name}"), id=name, station=station, kind=kind, captured=taken)
        self.store.add_frames([(replace(spooled, received_at=now, agent=agent), 0)])
        claimed = self.store.claim_next(now)
        outcome = Outcome(claimed, (PictureResult(number, 0.0, tuple(detections)),), width=64, height=48)
        self.record(outcome)
        return outcome

    def record(self, outcome: Outcome) -> None:
        """Record what was seen in a claimed frame."""
        now = self.clock.now()
        assert self.store.record(outcome, now=now, also=lambda found: note_outcome(found, outcome, self.desk, now))

    def send(self) -> int:
        """Send what is due now."""
        return self.box.dispatch_due()

    def live(self, seconds: float, *, every_s: float = 30.0) -> None:
        """Let time pass, with the outbox looking every so often."""
        left = seconds
        while left > 0:
            step = min(every_s, left)
            self.clock.step(step)
            left -= step
            self.send()

    def rows(self) -> list[notice_rows.NoticeRow]:
        """All messages, oldest first."""
        return list(reversed(Notices(self.store).newest(10_000)))

    def states(self) -> list[tuple[str, str, str]]:
        """(addressee, state, reason) of all messages, oldest first."""
        return [(row.addressee, row.state, row.reason) for row in self.rows()]

    def ages(self, *, channel: str) -> Iterable[tuple[str, int, str]]:
        """(state, attempts, error) of a channel's messages."""
        query = select(notices.c.state, notices.c.attempts, notices.c.error).where(notices.c.channel == channel)
        with self.store.transaction() as connection:
            return [tuple(row) for row in connection.execute(query.order_by(notices.c.pk))]
