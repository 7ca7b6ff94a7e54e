"""Times that can't be true: what a station's frames say against its deployments, its sun, its files and the calendar.

Pure and streamed: frames come in the order of time, sums and a few examples are kept. Nothing is changed; each finding
says how many frames and which, and docs/field-data.md what to do about it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from ..deployed import Deployment
from ..store.clocks import Faced
from ..sunlight import sun_degrees
from .sequences import file_number

Kind = Literal["future", "before", "after", "between", "factory", "order", "sunlit", "infrared", "unknown"]

AHEAD = timedelta(minutes=10)  # of its arrival: clocks are off by that without anybody minding
FACTORY_YEAR = 2004  # before it no camera here was built: 1970, 1980, 2000 and 2003 are what clocks begin with
NEW_YEAR_FRAMES = 5  # in the first hour of a year: clocks that were never set begin at that of their making,
QUIET = timedelta(hours=6)  # and nothing was there before
DARK_DEG, HIGH_DEG = -12.0, 30.0  # nautical dusk: nothing is lit; a sun that lights the ground of a forest, too
BRIGHT = 0.35  # mean luma; a white flash gives less, but for what stands right before it
OFTEN = 0.05  # of the frames that could: single ones are flashes, torches and lenses that were covered
BACK = 3  # times that a file's number goes back
LOW_NUMBER = 20  # where counting begins anew
EXAMPLES = 3
SLOT_MIN = 10  # the sun moves 2.5 degrees in that
MOST_FOLDERS = 1_000


@dataclass(slots=True)
class Finding:
    """Frames of a station that contradict something. of: how many could have. first, last: their times."""

    kind: Kind
    count: int = 0
    of: int = 0
    first: datetime | None = None
    last: datetime | None = None
    examples: list[str] = field(default_factory=list)

    def add(self, frame: Faced) -> None:
        """Count a frame; frames come in the order of time."""
        self.count += 1
        self.first, self.last = self.first or frame.captured, frame.captured
        if len(self.examples) < EXAMPLES:
            self.examples.append(frame.name)


class Look:
    """Looks at the frames of one station.

    latitude, longitude: degrees, None where not known; then the sun says nothing. timezone: IANA name of the station's.
    deployments: of the station, by start; without any nothing is outside of one.
    """

    def __init__(
        self,
        *,
        latitude: float | None = None,
        longitude: float | None = None,
        timezone: str = "UTC",
        deployments: Sequence[Deployment] = (),
    ) -> None:
        self._place = None if latitude is None or longitude is None else (latitude, longitude)
        self._zone = ZoneInfo(timezone)
        self._deployments = deployments
        self._found: dict[Kind, Finding] = {}
        self._heights: dict[tuple[int, int], float | None] = {}
        self._numbers: dict[tuple[str, str], tuple[int, datetime]] = {}
        self._new_year = Finding("factory")
        self._last: datetime | None = None
        self._begins: datetime | None = None

    def findings(self, frames: Iterable[Faced], *, unknown: int = 0) -> list[Finding]:
        """What contradicts. frames: in the order of time. unknown: how many more have no time at all."""
        for frame in frames:
            self._calendar(frame)
            self._outside(frame)
            self._order(frame)
            self._light(frame)
        if self._new_year.count >= NEW_YEAR_FRAMES and "factory" not in self._found:
            self._found["factory"] = self._new_year
        if unknown:
            self._found["unknown"] = Finding("unknown", unknown)
        return [each for each in self._found.values() if _matters(each)]

    def _note(self, kind: Kind, frame: Faced | None) -> None:
        """Count a frame that could contradict, with `frame` one that does."""
        found = self._found.setdefault(kind, Finding(kind))
        if frame is not None:
            found.add(frame)

    def _calendar(self, frame: Faced) -> None:
        if frame.captured > frame.received + AHEAD:
            self._note("future", frame)
        if frame.captured.year < FACTORY_YEAR:
            self._note("factory", frame)
            return
        local = frame.captured.astimezone(self._zone)
        if (local.month, local.day, local.hour) == (1, 1, 0):
            if self._last is None or frame.captured - self._last > QUIET:
                self._begins = frame.captured
            if self._begins and frame.captured - self._begins < timedelta(hours=1):
                self._new_year.add(frame)
        self._last = frame.captured

    def _outside(self, frame: Faced) -> None:
        known = self._deployments
        if not known or any(each.holds(frame.captured) for each in known):
            return
        end = max((each.ended_at for each in known if each.ended_at), default=None)
        goes_on = any(each.ended_at is None for each in known)
        if frame.captured < min(each.started_at for each in known):
            self._note("before", frame)
        elif not goes_on and end is not None and frame.captured > end:
            self._note("after", frame)
        else:
            self._note("between", frame)

    def _order(self, frame: Faced) -> None:
        """A file's number goes back while time goes on: the clock was set back, or jumped, in between."""
        number = file_number(frame.name)
        if number is None:
            return
        whose = (frame.camera, frame.name.rpartition("/")[0])
        before = self._numbers.get(whose)
        if before is None and len(self._numbers) >= MOST_FOLDERS:
            return
        self._numbers[whose] = number, frame.captured
        # within a second frames come in any order
        if before is not None and LOW_NUMBER < number < before[0] and frame.captured > before[1]:
            self._note("order", frame)

    def _light(self, frame: Faced) -> None:
        if frame.brightness is None or frame.infrared is None:
            return
        height = self._height(frame.captured)
        if height is None:
            return
        if height < DARK_DEG:
            self._could("sunlit", frame, frame.brightness >= BRIGHT and not frame.infrared)
        elif height > HIGH_DEG:
            self._could("infrared", frame, frame.infrared)

    def _could(self, kind: Kind, frame: Faced, does: bool) -> None:
        self._note(kind, frame if does else None)
        self._found[kind].of += 1

    def _height(self, at: datetime) -> float | None:
        """The sun's height, degrees; once for each ten minutes of each day of the year, as years are much alike."""
        if self._place is None:
            return None
        slot = at.timetuple().tm_yday, (at.hour * 60 + at.minute) // SLOT_MIN
        if slot not in self._heights:
            self._heights[slot] = sun_degrees(at, latitude=self._place[0], longitude=self._place[1])
        return self._heights[slot]


def _matters(found: Finding) -> bool:
    if found.kind in {"sunlit", "infrared"}:
        return found.count > 0 and found.count >= OFTEN * found.of
    return found.count >= (BACK if found.kind == "order" else 1)
