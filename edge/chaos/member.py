"""One process of the run: started, killed, armed with a point at which it kills itself, and started again."""

import os
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ..crash import VARIABLE

RARE = ("counters.json", "-*.json", "pieces.", "media.linked")  # of a point's name: reached a few times a run only
MOST_COUNT = 25  # so often a point is passed at most before the stop
STOP_S = 20.0


@dataclass(slots=True)
class Member:
    """A process. role: agent | broker | server. points: where it is to stop by itself, the next one first.

    most_count: so often it passes a point at most before it stops there.
    """

    name: str
    role: str
    command: Sequence[str]
    log: Path
    points: deque[str] = field(default_factory=deque)
    process: subprocess.Popen[bytes] | None = None
    armed: str = ""
    due_at_s: float = 0.0  # when it is started again
    kills: int = 0  # from outside
    stops: Counter[str] = field(default_factory=Counter)  # at which point it stopped by itself, how often
    faults: list[str] = field(default_factory=list)  # ends that nobody had caused
    done: bool = False
    most_count: int = MOST_COUNT

    @property
    def runs(self) -> bool:
        """Whether there is a process, as far as we looked."""
        return self.process is not None

    def start(self, chance: Random, *, arm: bool) -> None:
        """Start it; with `arm` it stops at the next of its points, after passing it a few times."""
        self.armed = self.points[0] if arm and self.points else ""
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        if self.armed:
            most = 2 if any(word in self.armed for word in RARE) else self.most_count
            environment[VARIABLE] = f"{self.armed}:{chance.randint(1, most)}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def kill(self, *, again_in_s: float) -> None:
        """Send it SIGKILL, kill -9, unless it has ended already."""
        if self.process is not None and self.look(again_in_s=again_in_s):
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.kills += 1
            self._gone(again_in_s)

    def look(self, *, again_in_s: float) -> bool:
        """Whether it runs; when it has ended since the last look, why."""
        if self.process is None:
            return False
        code = self.process.poll()
        if code is None:
            return True
        if code == 0 and self.role == "agent":
            self.done = True
        elif code == -signal.SIGKILL and self.armed:
            self.stops[self.armed] += 1
            self.points.rotate(-1)
        else:
            self.faults.append(f"{self.name} ended by itself with {code}: see {self.log}")
        self._gone(again_in_s)
        return False

    def end(self) -> None:
        """SIGTERM, wait, SIGKILL."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.faults.append(f"{self.name} did not end within {STOP_S:.0f} s of SIGTERM")
            self.process.kill()
            self.process.wait()

    def _gone(self, again_in_s: float) -> None:
        self.process, self.armed = None, ""
        self.due_at_s = time.monotonic() + again_in_s
