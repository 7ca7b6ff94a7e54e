"""All triggers of a trap as one: any of them fires."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, tzinfo

from ..cameras.base import Luma
from ..hardware_config import IntervalSettings, MotionSettings, PirSettings, Place, TriggerSettings
from ..sun import open_sun, zone_of
from .base import Now, Trigger
from .interval import Interval
from .moments import SunTime, read_plan
from .motion import Motion
from .pir import Pir
from .schedule import Schedule

ASKED_AT_MOST = 8  # pictures asked for by command that wait


def steady_s() -> float:
    """Seconds since the machine was switched on, time asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_clock() -> datetime:
    """The system's clock, UTC."""
    return datetime.now(UTC)


class Triggers:
    """Waits for any of its triggers. is_night: asked only for triggers that are active by day or by night alone."""

    def __init__(
        self,
        triggers: Sequence[Trigger],
        *,
        is_night: Callable[[], bool] = lambda: False,
        clock: Callable[[], datetime] = wall_clock,
        steady: Callable[[], float] = steady_s,
    ) -> None:
        self._triggers = tuple(triggers)
        self._is_night = is_night
        self._clock = clock
        self._steady = steady
        self._woken = threading.Event()
        self._asked: deque[str] = deque(maxlen=ASKED_AT_MOST)

    def start(self) -> None:
        """Open all of them. Raises HardwareError; those that were open are closed again then."""
        with ExitStack() as opened:
            for each in self._triggers:
                opened.callback(each.close)
                each.start(self._woken.set)
            opened.pop_all()

    def wait(self, stop: threading.Event, *, timeout_s: float) -> str:
        """The name of the trigger that fired; "" after `timeout_s`, or when `stop` is set (seen after that time)."""
        end = self._steady() + timeout_s
        while not stop.is_set():
            self._woken.clear()
            if self._asked:
                return self._asked.popleft()
            now = Now(self._steady(), self._clock())
            fired = [each for each in self._triggers if each.poll(now)]
            name = next((each.name for each in fired if self._is_active(each)), "")
            left_s = end - self._steady()
            if name or left_s <= 0:
                return name
            waits = [wait_s for each in self._triggers if (wait_s := each.wait_s(now)) is not None]
            self._woken.wait(min([left_s, *waits]))
        return ""

    def fire(self, name: str = "command") -> None:
        """Have a picture taken now, from any thread; `wait` gives `name`."""
        self._asked.append(name)
        self._woken.set()

    def captured(self) -> None:
        """Pictures were taken."""
        for each in self._triggers:
            each.captured()

    def set_schedule(self, schedule: Schedule) -> None:
        """Replace all schedules by this one, until the agent ends. Called by the thread that waits."""
        self._triggers = (*(each for each in self._triggers if not isinstance(each, Schedule)), schedule)

    @property
    def pir_count(self) -> int | None:
        """Pulses of all PIR sensors since the start; None where there is none."""
        counts = [each.pulses for each in self._triggers if isinstance(each, Pir)]
        return sum(counts) if counts else None

    def close(self) -> None:
        """Give back what they listened to."""
        for each in self._triggers:
            each.close()

    def _is_active(self, trigger: Trigger) -> bool:
        return trigger.active == "always" or (trigger.active == "night") == self._is_night()


def open_triggers(
    settings: Sequence[TriggerSettings],
    *,
    place: Place,
    luma: Callable[[], Luma | None],
    is_night: Callable[[], bool],
    clock: Callable[[], datetime] = wall_clock,
    steady: Callable[[], float] = steady_s,
) -> Triggers:
    """The triggers that the settings ask for, not started yet. Raises HardwareError."""
    made: list[Trigger] = []
    for each in settings:
        match each:
            case IntervalSettings():
                made.append(Interval(each.every_s, each.active))
            case PirSettings():
                made.append(Pir(each, steady_s=steady))
            case MotionSettings():
                made.append(Motion(each, luma=luma))
            case _:
                made.append(make_schedule(each.at, place=place, active=each.active))
    return Triggers(made, is_night=is_night, clock=clock, steady=steady)


def make_schedule(lines: Sequence[str], *, place: Place, active: str = "always") -> Schedule:
    """A schedule of these lines here. Raises HardwareError when the sun is asked for and can't be told."""
    plans = [read_plan(line) for line in lines]
    sun_time: SunTime = _no_sun
    if any(plan.needs_sun for plan in plans):
        sun_time = open_sun(place, wanted_by="triggers: schedule").time
    zone: tzinfo | None = zone_of(place)
    return Schedule(plans, zone=zone, sun_time=sun_time, active=active)


def _no_sun(name: str, day: object) -> None:
    del name, day
