"""A daemon that is killed again and again while it sends alerts, and what its mailbox says in the end.

Real: an agent with its spool, mosquitto, `tigrillo run`, the mail server. Only the daemon is killed; the mail server is
a process of its own and counts. The detector is a stand-in that takes 5 ms and sees an animal in every frame.
"""

import sqlite3
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import simplejpeg

from edge.chaos.member import Member
from edge.crash import OUTBOX
from edge.demo.parts import Crew, broker_command, free_port, wait_for_port
from plugins.notifiers.email_names import digest

from . import Notes, picture_of, start_mailbox

SERVER = Path(__file__).resolve().parents[1] / "delivery_kit" / "server.py"
LIFE_S = 3.0  # of a daemon that receives, until it is killed, at most
AT_START, START_S = 0.15, 2.0  # share of the kills that meet it before it receives, and when at the latest
AGAIN_S = 0.5  # until it is started again, at most
MOST_COUNT = 6  # messages that an armed one sends before it stops
TURN_S = 0.02
KILL_S = 3.5  # a kill and the life before it take so long, about
AGENT = """\
station: cam-01
broker: {{host: 127.0.0.1, port: {port}, keepalive_s: 10}}
spool: {{folder: spool, max_bytes: 2000000000}}
camera: {{use: replay, path: pictures}}
trigger: {{use: interval, every_s: {every_s:.4f}}}
"""
SITE = """\
site: {{name: Kills}}
state_dir: state
sources: [{{use: mqtt, host: 127.0.0.1, port: {port}, client_id: kills, keepalive_s: 10}}]
stages: [{{use: stand-in, detector_ms: 5}}]
alerts: {{gap_min: 0, queue: 10000}}
channels:
  - {{name: mail, use: email, host: 127.0.0.1, port: {smtp}, security: none, sender: traps@example.org,
      recipients: [ana@example.org]}}
rules: [{{name: any, category: animal, channels: [mail]}}]
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run. armed: share of the starts that end at a point of the outbox. limit_s: given up after."""

    alerts: int = 500
    kills: int = 48
    seed: int = 1
    armed: float = 0.0
    limit_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. eta_s: None until something can be said."""

    spent_s: float
    kills: int
    delivered: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended.

    lost: alerts of which no mail came. strays: mails that no alert has sent. duplicates: mails too many, whatever made
    them. same_id: mails whose Message-ID had come before. shared: alerts under which two different pictures came.
    split: pictures that came under two. stopped: by point. quarantined: frames that never became an alert. faults:
    anything unexpected.
    """

    alerts: int
    mails: int
    lost: int
    strays: int
    duplicates: int
    same_id: int
    shared: int
    split: int
    quarantined: int
    killed: int
    stopped: dict[str, int]
    spent_s: float
    faults: tuple[str, ...]

    @property
    def kills(self) -> int:
        """All of them."""
        return self.killed + sum(self.stopped.values())

    @property
    def by_chance(self) -> int:
        """The duplicates that kills from outside made: each stop at outbox.accepted makes one."""
        return self.duplicates - self.stopped.get("outbox.accepted", 0)


@dataclass(slots=True)
class Life:
    """When a daemon is killed: a little after it was started, or after it receives. said: bytes of its log before."""

    said: int = 0
    kill_at_s: float = float("inf")

    @classmethod
    def of(cls, daemon: Member, chance: Random, now_s: float) -> "Life":
        """Of one that was started now; an armed one has its end in itself."""
        early = not daemon.armed and chance.random() < AT_START
        return cls(daemon.log.stat().st_size, now_s + chance.uniform(0, START_S) if early else float("inf"))

    def is_over(self, daemon: Member, chance: Random, now_s: float) -> bool:
        """Whether it is to be killed now."""
        if self.kill_at_s == float("inf") and not daemon.armed:
            with daemon.log.open("rb") as log:
                log.seek(self.said)
                if b"mqtt.connected" in log.read():
                    self.kill_at_s = now_s + chance.uniform(0, LIFE_S)
        return now_s >= self.kill_at_s


@dataclass(slots=True)
class Kills:
    """One run in `folder`, which is empty at its start."""

    folder: Path
    wish: Wish
    tell: Callable[[Progress], None] = lambda _progress: None
    chance: Random = field(default_factory=Random)

    def run(self) -> Ended:
        """Do it all; nothing that was started is left running, however this ends."""
        self.chance.seed(self.wish.seed)
        make_pictures(self.folder / "pictures", self.wish.alerts)
        with Crew(self.folder) as crew:
            mailbox, port = start_mailbox(crew), free_port()
            crew.start("broker", broker_command(self.folder, port)[1])
            wait_for_port(port)
            site, agent = self.folder / "site.yaml", self.folder / "agent.yaml"
            site.write_text(SITE.format(port=port, smtp=mailbox.port), "utf-8")
            every_s = max(self.wish.kills * KILL_S / self.wish.alerts, 0.02)
            agent.write_text(AGENT.format(port=port, every_s=every_s), "utf-8")
            command = [sys.executable, str(SERVER), str(site), "email"]
            points = deque(self.chance.sample(OUTBOX, len(OUTBOX)))
            daemon = Member("daemon", "server", command, self.folder / "daemon.log", points, most_count=MOST_COUNT)
            crew.start("agent", [sys.executable, "-m", "raspberry_pi.agent", str(agent)])
            began_s = time.monotonic()
            try:
                whole = self._work(daemon, mailbox)
            finally:
                daemon.end()
        return self._sum_up(daemon, mailbox, time.monotonic() - began_s, whole=whole)

    def _work(self, daemon: Member, mailbox: Notes) -> bool:
        """Until all is delivered: True; or the time is over, or too much went wrong: False."""
        began_s, tell_at_s, life = time.monotonic(), 0.0, Life()
        while True:
            now_s = time.monotonic()
            kills, again_in_s = daemon.kills + sum(daemon.stops.values()), self.chance.uniform(0, AGAIN_S)
            if not daemon.look(again_in_s=again_in_s):
                if now_s >= daemon.due_at_s:
                    daemon.start(self.chance, arm=kills < self.wish.kills and self.chance.random() < self.wish.armed)
                    life = Life.of(daemon, self.chance, now_s)
            elif kills < self.wish.kills and life.is_over(daemon, self.chance, now_s):
                daemon.kill(again_in_s=again_in_s)
            if now_s >= tell_at_s:
                tell_at_s = now_s + 1.0
                delivered = len({each["notice"] for each in mailbox.read()})
                self._tell(now_s - began_s, kills, delivered)
                if delivered >= self.wish.alerts and not self._unsent():
                    return True
            if now_s - began_s > self.wish.limit_s or len(daemon.faults) > 5:
                return False
            time.sleep(TURN_S)

    def _tell(self, spent_s: float, kills: int, delivered: int) -> None:
        share = min(kills / self.wish.kills if self.wish.kills else 1.0, delivered / self.wish.alerts)
        self.tell(Progress(spent_s, kills, delivered, spent_s * (1 - share) / share if share > 0.02 else None))

    def _unsent(self) -> int:
        return self._rows("select pk from notices where state != 'sent'") != []

    def _rows(self, query: str) -> list[tuple[str, ...]]:
        path = self.folder / "state" / "tigrillo.sqlite"
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                return list(connection.execute(query))
        except sqlite3.OperationalError:
            return [("busy",)]  # or not made yet

    def _sum_up(self, daemon: Member, mailbox: Notes, spent_s: float, *, whole: bool) -> Ended:
        keys = [str(key) for (key,) in self._rows("select key from notices")]
        expected = [digest(key) for key in keys]
        mails = mailbox.read()
        came = Counter(str(each["notice"]) for each in mails)
        pairs = {(str(each["notice"]), picture_of(Path(each["mail"]))) for each in mails}
        pictures, alerts = Counter(picture for _one, picture in pairs), Counter(each for each, _picture in pairs)
        faults = list(daemon.faults)
        if not whole:
            faults.append(f"not finished after {spent_s:.0f} s")
        if len(set(expected)) != len(keys):
            faults.append("two alerts have one key")
        unsent = self._rows("select key, state, reason, error from notices where state != 'sent'")
        faults += [f"{key}: {state} {reason} {error}" for key, state, reason, error in unsent]
        return Ended(
            alerts=self.wish.alerts,
            mails=len(mails),
            lost=self.wish.alerts - len(set(expected) & set(came)),
            strays=len(set(came) - set(expected)),
            duplicates=sum(came.values()) - len(came),
            same_id=len(mails) - len({each["id"] for each in mails}),
            shared=sum(count > 1 for count in alerts.values()),
            split=sum(count > 1 for count in pictures.values()),
            quarantined=len(self._rows("select pk from frames where state = 'quarantined'")),
            killed=daemon.kills,
            stopped=dict(daemon.stops),
            spent_s=spent_s,
            faults=tuple(faults),
        )


def make_pictures(folder: Path, count: int) -> None:
    """Stills of which no two look alike, so that a mail's picture says which frame it is about."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(1)
    for number in range(count):
        coarse = chance.integers(0, 255, (12, 16, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(coarse), quality=80, colorspace="BGR")
        (folder / f"fresh-{number:04}.jpg").write_bytes(jpeg)
