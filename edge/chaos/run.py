"""The run: start all, kill them by chance and at their points, until every frame is through; then hold all together."""

import json
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ..crash import AGENT, SERVER, SERVER_PIECES
from ..demo.parts import EXIT_TERMINATED, broker_command, free_port
from .member import Member
from .pictures import make_pictures
from .verify import Camera, Verdict, progress_of, verify

KILL_S = 1.1  # of running time for each kill: a start of the server takes two, one of the others a tenth of that
FROM_OUTSIDE = 0.55  # of the kills, about; the others are stops at points
ARMED = 0.6  # of the starts
WEIGHTS = {"agent": 0.45, "broker": 0.25, "server": 0.30}  # whom a kill from outside meets
AGAIN_S = 0.8  # until it is started again, at most
TURN_S = 0.03
MOST_FAULTS = 20

AGENT_YAML = """\
station: {station}
broker: {{host: 127.0.0.1, port: {port}, keepalive_s: 10}}
spool: {{folder: spool, max_bytes: 2000000000}}
camera: {{use: replay, path: pictures}}
trigger: {{use: interval, every_s: {every_s:.4f}}}
"""
SITE_YAML = """\
site: {{name: Chaos}}
state_dir: state
sources: [{{use: mqtt, host: 127.0.0.1, port: {port}, client_id: chaos, keepalive_s: 10}}]
stages: [{{use: motion}}]
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run. large_every: every so many-th frame is too large for one message. limit_s: given up after."""

    kills: int = 200
    frames: int = 5_000
    agents: int = 3
    seed: int = 1
    limit_s: float = 900.0
    large_every: int = 40


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands. eta_s: None until something can be said."""

    spent_s: float
    kills: int
    captured: int
    received: int
    done: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. killed: by role, from outside; stopped: by point. untried: points at which nothing stopped."""

    verdict: Verdict
    killed: dict[str, int]
    stopped: dict[str, int]
    untried: tuple[str, ...]
    spent_s: float
    drained_s: float  # from the last kill until every frame was through
    faults: tuple[str, ...]

    @property
    def kills(self) -> int:
        """All of them."""
        return sum(self.killed.values()) + sum(self.stopped.values())


@dataclass(slots=True)
class Chaos:
    """One run in `folder`, which is empty at its start."""

    folder: Path
    wish: Wish
    tell: Callable[[Progress], None] = lambda _progress: None
    members: list[Member] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    _chance: Random = field(default_factory=Random)
    _began_s: float = 0.0
    _last_kill_s: float = 0.0

    def run(self) -> Ended:
        """Do it all; nothing that was started is left running, however this ends."""
        self._chance.seed(self.wish.seed)
        self._set_up()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
        try:
            self._began_s = self._last_kill_s = time.monotonic()
            whole = self._work()
            spent_s = time.monotonic() - self._began_s
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for member in reversed(self.members):
                member.end()
        return self._sum_up(spent_s, whole=whole)

    def _set_up(self) -> None:
        wish, port = self.wish, free_port()
        share, more = divmod(wish.frames, wish.agents)
        every_s = wish.agents * wish.kills * KILL_S / wish.frames
        broker = broker_command(self.folder, port)[1]
        self._add("broker", "broker", broker, ())
        (self.folder / "site.yaml").write_text(SITE_YAML.format(port=port), "utf-8")
        pieces = SERVER_PIECES if wish.frames >= wish.large_every else ()
        # mixed, so that a short run tries some of each
        points = self._chance.sample((*SERVER, *pieces), len(SERVER) + len(pieces))
        site = str(self.folder / "site.yaml")
        self._add("server", "server", [sys.executable, "-m", "edge.cli", "run", site, "--log-json"], points)
        for number in range(wish.agents):
            station = f"cam-{number + 1:02}"
            folder = self.folder / station
            count = share + (number < more)
            pictures = make_pictures(
                folder / "pictures", count=count, large_every=wish.large_every, seed=f"{wish.seed}/{station}"
            )
            camera = Camera(station, folder, pictures)
            (folder / "agent.yaml").write_text(
                AGENT_YAML.format(station=station, port=port, every_s=max(every_s, 0.002)), "utf-8"
            )
            command = [sys.executable, "-m", "edge.chaos.witness", str(camera.record), str(folder / "agent.yaml")]
            self._add(station, "agent", command, self._chance.sample(AGENT, len(AGENT)))
            self.cameras.append(camera)

    def _add(self, name: str, role: str, command: list[str], points: "tuple[str, ...] | list[str]") -> None:
        self.members.append(Member(name, role, command, self.folder / f"{name}.log", deque(points)))

    def _work(self) -> bool:
        """Until all is through: True; or the time is over, or too much went wrong: False."""
        kill_at_s, tell_at_s, progress = self._began_s + 2.0, self._began_s, self._progress()
        while True:
            now_s = time.monotonic()
            for member in self.members:
                self._tend(member, now_s)
            if now_s >= kill_at_s:
                if self._kills() < self.wish.kills:
                    self._kill_one()
                kill_at_s = now_s + self._gap_s(progress)
            if now_s >= tell_at_s:
                tell_at_s, progress = now_s + 1.0, self._progress()
                self.tell(progress)
                if progress.done >= self.wish.frames and all(each.done for each in self._agents()):
                    return True
            faults = sum(len(member.faults) for member in self.members)
            if now_s - self._began_s > self.wish.limit_s or faults >= MOST_FAULTS:
                return False
            time.sleep(TURN_S)

    def _tend(self, member: Member, now_s: float) -> None:
        stops = sum(member.stops.values())
        if member.look(again_in_s=self._chance.uniform(0, AGAIN_S)) or member.done:
            return
        if sum(member.stops.values()) > stops:
            self._last_kill_s = now_s
        if now_s >= member.due_at_s:
            armed = sum(bool(each.armed) for each in self.members)  # each of them is a kill to come
            arm = self._kills() + armed < self.wish.kills and self._chance.random() < ARMED
            member.start(self._chance, arm=arm)

    def _kill_one(self) -> None:
        there = [member for member in self.members if member.runs]
        if not there:
            return
        # An armed one may wait long for its point: killing it takes that point's turn again at the next start.
        shares = Counter(member.role for member in there)
        weights = [WEIGHTS[member.role] / shares[member.role] for member in there]
        victim = self._chance.choices(there, weights)[0]
        before = victim.kills
        victim.kill(again_in_s=self._chance.uniform(0, AGAIN_S))
        if victim.kills > before:
            self._last_kill_s = time.monotonic()

    def _gap_s(self, progress: Progress) -> float:
        """Until the next kill from outside; shorter when the cameras will be done before the killing is."""
        behind = progress.captured / self.wish.frames > self._kills() / max(self.wish.kills, 1)
        return self._chance.uniform(0.2, 1.8) * KILL_S / FROM_OUTSIDE * (0.4 if behind else 1.0)

    def _kills(self) -> int:
        return sum(member.kills + sum(member.stops.values()) for member in self.members)

    def _agents(self) -> list[Member]:
        return [member for member in self.members if member.role == "agent"]

    def _progress(self) -> Progress:
        received, done = progress_of(self.folder / "state")
        captured = sum(_lines(camera.record) for camera in self.cameras)
        spent_s, kills = time.monotonic() - self._began_s, self._kills()
        share = min(kills / self.wish.kills if self.wish.kills else 1.0, done / self.wish.frames)
        eta_s = spent_s * (1 - share) / share if share > 0.02 else None
        return Progress(spent_s, kills, captured, received, done, eta_s)

    def _sum_up(self, spent_s: float, *, whole: bool) -> Ended:
        verdict = verify(self.cameras, self.folder / "state")
        killed, stopped = Counter[str](), Counter[str]()
        for member in self.members:
            killed[member.role] += member.kills
            stopped.update(member.stops)
        faults = [fault for member in self.members for fault in member.faults]
        if not whole:
            faults.append(f"not finished after {spent_s:.0f} s")
        if self._kills() < self.wish.kills:
            faults.append(f"all was through after {self._kills()} of {self.wish.kills} kills")
        tried = {point for member in self.members for point in member.points}
        untried = tuple(sorted(point for point in tried if not stopped[point]))
        drained_s = self._began_s + spent_s - self._last_kill_s
        all_faults = (*faults, *verdict.faults)
        return Ended(verdict, dict(killed), dict(stopped), untried, spent_s, drained_s, all_faults)


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def as_json(ended: Ended) -> str:
    """For programs."""
    verdict = ended.verdict
    return json.dumps(
        {
            "ok": not ended.faults,
            "frames": verdict.frames,
            "rows": verdict.rows,
            "recorded": verdict.recorded,
            "quarantined": verdict.quarantined,
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "mismatched": verdict.mismatched,
            "strays": verdict.strays,
            "kills": ended.kills,
            "killed": ended.killed,
            "stopped": ended.stopped,
            "untried": ended.untried,
            "seconds": round(ended.spent_s, 1),
            "drained_s": round(ended.drained_s, 1),
            "faults": ended.faults,
        }
    )
