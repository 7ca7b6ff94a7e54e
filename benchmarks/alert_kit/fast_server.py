"""`tigrillo run SITE.yaml` by a clock that runs fast: `python fast_server.py SITE.yaml BEGINS ZERO_S SPEED`.

At ZERO_S, seconds since 1970, it is BEGINS. Both clocks are fast, so the daemon does not take it for a clock that was
set; sockets and sleeps take no notice.
"""

import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from edge.config import load_plan
from edge.logs import make_log
from edge.registry import load_registry
from edge.running import run_site


@dataclass(frozen=True, slots=True)
class FastClock:
    """See edge.clock.Clock."""

    begins: datetime
    zero_s: float
    speed: float

    def now(self) -> datetime:
        return self.at(time.time())

    def monotonic_s(self) -> float:
        return time.monotonic() * self.speed

    def at(self, real_s: float) -> datetime:
        """What it says when other clocks say this, seconds since 1970."""
        return self.begins + timedelta(seconds=(real_s - self.zero_s) * self.speed)


if __name__ == "__main__":
    site, begins, zero_s, speed = sys.argv[1:]
    clock = FastClock(datetime.fromisoformat(begins), float(zero_s), float(speed))
    registry = load_registry()
    run_site(load_plan(Path(site), registry), registry, log=make_log(json_lines=True, level="info"), clock=clock)
