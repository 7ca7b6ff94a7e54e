"""When and how much is sent: shares of fresh frames and backlog, hours of the day, bytes a day.

What is next within fresh frames and backlog is for queues.py to say.
"""

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edge.paths import write_atomically

from .ledger import DISK_IS_FULL

log = logging.getLogger(__name__)
DAY_S = 86_400
HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(slots=True)
class Shares:
    """Deals bytes out between fresh frames and backlog while both wait. fresh_share: 0 to 1, of the bytes.

    Nobody saves up: when one of the two had nothing to send, both begin anew.
    """

    fresh_share: float = 0.75
    _fresh: int = 0
    _rest: int = 0
    _alone: bool = True

    def fresh_is_next(self, *, fresh_waits: bool, rest_waits: bool) -> bool:
        """Which of the two may send now."""
        self._alone = not (fresh_waits and rest_waits)
        if self._alone:
            self._fresh = self._rest = 0
            return fresh_waits
        return self._fresh * (1 - self.fresh_share) <= self._rest * self.fresh_share

    def sent(self, size: int, *, fresh: bool) -> None:
        """So many bytes went out."""
        if self._alone:
            return
        if fresh:
            self._fresh += size
        else:
            self._rest += size


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of the day at which sending is allowed, (begin, end) in seconds after midnight; none: always.

    An end before its begin is on the next day.
    """

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Hours":
        """Read "06:00-07:30". Raises ValueError naming what can't be read."""
        spans = []
        for text in texts:
            found = HOURS.fullmatch(text)
            if not found:
                raise ValueError(f"{text!r} is not like 06:00-07:30")
            begin_h, begin_m, end_h, end_m = map(int, found.groups())
            spans.append((begin_h * 3600 + begin_m * 60, end_h * 3600 + end_m * 60))
        return cls(tuple(sorted(spans)))

    def open_at(self, second_of_day: float) -> bool:
        """Whether sending is allowed at this second of the day, 0 to 86400."""
        return not self.spans or any(
            begin <= second_of_day < end if begin < end else second_of_day >= begin or second_of_day < end
            for begin, end in self.spans
        )

    def second_of_day(self, local: datetime | None, *, uptime_s: float) -> float:
        """The second of the day by the local time; without a clock a day that begins with the first span at the start.

        So an agent that does not know the time opens at once, asks for it, and keeps to the same share of the day.
        """
        if local is not None:
            return local.hour * 3600 + local.minute * 60 + local.second
        return (uptime_s + (self.spans[0][0] if self.spans else 0)) % DAY_S


@dataclass(slots=True)
class Budget:
    """Bytes that may be sent a day; counted on disk, ahead, so that no restart makes room for more.

    per_day: None for no bound. A day is a local date; without a clock, 24 hours of running time added up over restarts.
    At most a hundredth of the budget is lost to a kill -9, and never sent twice.
    """

    path: Path
    per_day: int | None = None
    spent: int = 0
    _day: str = ""
    _elapsed_s: float = 0.0
    _booked: int = 0  # on disk; ahead of `spent`
    _seen_s: float | None = field(default=None)
    _booked_at_s: float = 0.0

    def load(self) -> None:
        """Read what an earlier run spent."""
        try:
            found = json.loads(self.path.read_bytes())
            self._day, self._elapsed_s = str(found["day"]), float(found["elapsed_s"])
            self.spent = self._booked = int(found["spent"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as exc:
            log.warning("budget.damaged path=%s reason=%r; this day begins anew", self.path, str(exc))

    def begin(self, local: datetime | None, *, now_s: float) -> None:
        """Tell what time it is; a new day begins with nothing spent. local: None without a clock."""
        self._elapsed_s += now_s - (self._seen_s if self._seen_s is not None else now_s)
        self._seen_s = now_s
        day = local.date().isoformat() if local is not None else ""
        if day and not self._day:
            self._day = day  # the clock came: what was spent without one counts
        new = day != self._day if day else self._elapsed_s >= DAY_S
        if new:
            self._day, self._elapsed_s, self.spent, self._booked = day or self._day, 0.0, 0, 0
        if self.per_day is not None and (new or now_s - self._booked_at_s >= 600):
            self._book(self._booked, now_s)

    def allows(self, size: int) -> bool:
        """Whether so many bytes may be sent today. When none was spent, also more than a day's budget."""
        return self.per_day is None or self.spent + size <= self.per_day or self.spent == 0

    def spend(self, size: int) -> None:
        """So many bytes are about to be sent."""
        self.spent += size
        if self.per_day is not None and self.spent > self._booked:
            self._book(self.spent + self.per_day // 100, self._seen_s or 0.0)

    def close(self) -> None:
        """Write down exactly what was spent."""
        if self.per_day is not None:
            self._book(self.spent, self._seen_s or 0.0)

    def _book(self, spent: int, now_s: float) -> None:
        self._booked, self._booked_at_s = spent, now_s
        content = json.dumps({"day": self._day, "elapsed_s": round(self._elapsed_s), "spent": spent}).encode()
        try:
            write_atomically(self.path, content)
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            log.warning("budget.not_saved reason=%r; counted in memory", exc.strerror)
