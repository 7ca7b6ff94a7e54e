"""Is the site that just started a good one? A new configuration is kept only when all its parts stay up for a while."""

import os
from dataclasses import dataclass, field
from typing import Literal

from .pulse import Pulse
from .watchman import Failures
from .web_child import WebChild

STEADY_S = 10.0  # all is up for so long: a port that is taken, a channel that can't be built show within a second
STEADY_VARIABLE = "TIGRILLO_TRIAL_S"  # of the environment: another time, for slow machines and for tests
MOST_S = 90.0  # what is not up then will not be: a page needs some seconds to start, a slow board a minute

Verdict = Literal["wait", "well", "bad"]


def steady_s() -> float:
    """How long all must stay up, seconds."""
    try:
        return max(0.0, float(os.environ.get(STEADY_VARIABLE, STEADY_S)))
    except ValueError:
        return STEADY_S


@dataclass(slots=True)
class Steady:
    """Looks once a second. sources, parts: what failed, of sources and beside them. excused: what failed before, too.

    Times are monotonic seconds.
    """

    began_s: float
    pulse: Pulse
    sources: Failures
    parts: Failures
    web: WebChild | None = None
    excused: frozenset[str] = frozenset()
    steady_s: float = field(default_factory=steady_s)
    most_s: float = MOST_S
    _well_since_s: float | None = None

    def look(self, now_s: float, *, store: bool) -> tuple[Verdict, str]:
        """(verdict, reason when it is bad). store: whether the database answered just now."""
        for failures in (self.parts, self.sources):
            for name, reason in failures.reasons().items():
                if name not in self.excused:
                    return "bad", f"{name}: {reason}"
        missing = self._missing(store=store)
        if not missing:
            self._well_since_s = now_s if self._well_since_s is None else self._well_since_s
            return ("well" if now_s - self._well_since_s >= self.steady_s else "wait"), ""
        self._well_since_s = None
        return (
            ("bad", f"not up after {self.most_s:.0f} s: {missing}")
            if now_s - self.began_s > self.most_s
            else ("wait", "")
        )

    def _missing(self, *, store: bool) -> str:
        """What does not answer, "" when all do."""
        waited = [] if store else ["the database"]
        if self.pulse.pings < 2:  # only the second ping shows that the first was answered
            waited += self.pulse.silent() or ["the workers"]
        if self.web is not None and "web" not in self.excused and not self.web.listens():
            waited.append(f"the web page at port {self.web.port}")
        return ", ".join(waited)
