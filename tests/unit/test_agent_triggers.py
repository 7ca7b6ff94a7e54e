"""When pictures are taken: sensors on pins (gpiozero's mock ones), motion, intervals, schedules. Time is stepped."""

import sys
import threading
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from raspberry_pi.cameras.base import Luma
from raspberry_pi.hardware_config import (
    IntervalSettings,
    MotionSettings,
    PirSettings,
    Place,
    ScheduleSettings,
)
from raspberry_pi.needs import HardwareError
from raspberry_pi.sun import open_sun
from raspberry_pi.triggers.base import Now
from raspberry_pi.triggers.interval import Interval
from raspberry_pi.triggers.moments import PlanError, read_plan
from raspberry_pi.triggers.motion import Motion
from raspberry_pi.triggers.opening import make_schedule, open_triggers
from raspberry_pi.triggers.pir import Pir

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOGOTA = Place(4.6, -74.1, "America/Bogota")


class Time:
    """Both clocks of the trap, stepped by the test."""

    def __init__(self, clock=NOON):
        self.steady_s, self.clock = 1_000.0, clock

    def step(self, seconds):
        self.steady_s += seconds
        self.clock += timedelta(seconds=seconds)

    def now(self):
        return Now(self.steady_s, self.clock)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def pins(monkeypatch):
    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


@pytest.fixture
def pir(pins, time):
    made = []

    def make(**settings):
        chosen = {"use": "pir", "pin": 17, "warm_up_s": 0.0, "debounce_s": 0.1, "hold_off_s": 5.0} | settings
        made.append(Pir(PirSettings(**chosen), steady_s=lambda: time.steady_s))
        made[-1].start(lambda: None)
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_sensor_fires_once_its_pulse_is_long_enough(pir, pins, time):
    trigger = pir()

    pins.pin(17).drive_high()
    assert not trigger.poll(time.now())
    assert trigger.wait_s(time.now()) == pytest.approx(0.1)
    time.step(0.2)
    assert trigger.poll(time.now())
    assert trigger.pulses == 1


def test_a_shorter_pulse_is_noise(pir, pins, time):
    trigger = pir()

    pins.pin(17).drive_high()
    time.step(0.05)
    pins.pin(17).drive_low()
    time.step(1.0)

    assert not trigger.poll(time.now())
    assert trigger.pulses == 0


def test_a_pulse_that_came_and_went_while_nobody_looked_still_fires(pir, pins, time):
    trigger = pir()

    pins.pin(17).drive_high()
    time.step(2.0)
    pins.pin(17).drive_low()
    time.step(3.0)

    assert trigger.poll(time.now())
    assert not trigger.poll(time.now())


def test_pulses_within_the_hold_off_are_counted_but_take_no_picture(pir, pins, time):
    trigger = pir()
    fired = 0
    for _ in range(4):
        pins.pin(17).drive_high()
        time.step(1.0)
        fired += trigger.poll(time.now())
        pins.pin(17).drive_low()
        time.step(0.5)
        fired += trigger.poll(time.now())

    assert (fired, trigger.pulses) == (1, 4)


def test_a_sensor_that_stays_on_fires_again_after_the_hold_off(pir, pins, time):
    trigger = pir()
    pins.pin(17).drive_high()
    fired = 0
    for _ in range(21):
        time.step(0.5)
        fired += trigger.poll(time.now())

    assert fired == 3  # at 0.5, 5.5 and 10.5 s
    assert trigger.pulses == 1


def test_a_warming_sensor_is_not_believed(pir, pins, time):
    time.steady_s = 10.0
    trigger = pir(warm_up_s=60.0)

    pins.pin(17).drive_high()
    time.step(5)
    pins.pin(17).drive_low()
    assert not trigger.poll(time.now())
    time.steady_s = 61.0
    pins.pin(17).drive_high()
    time.step(0.2)
    assert trigger.poll(time.now())


def test_a_sensor_that_pulls_down_is_read_the_other_way_round(pir, pins, time):
    trigger = pir(active_high=False)
    time.step(1)
    assert not trigger.poll(time.now())

    pins.pin(17).drive_low()
    time.step(1)

    assert trigger.poll(time.now())


def test_without_pins_there_is_one_line(monkeypatch, time):
    monkeypatch.setitem(sys.modules, "gpiozero", None)

    with pytest.raises(HardwareError, match="apt install python3-gpiozero"):
        Pir(PirSettings("pir", 17), steady_s=lambda: 0.0).start(lambda: None)


def picture(width=64, height=36, *, level=80, box=0):
    pixels = bytearray([level]) * (width * height)
    for row in range(box):
        pixels[row * width : row * width + box] = bytes([230]) * box
    return Luma(width, height, bytes(pixels))


def motion(scene, **settings):
    return Motion(MotionSettings("motion", **settings), luma=lambda: scene[0])


def test_something_that_appears_is_motion_and_a_cloud_is_not(time):
    scene = [picture()]
    trigger = motion(scene)

    def look():
        time.step(1)
        return trigger.poll(time.now())

    assert not look()
    scene[0] = picture(level=140)
    assert not look(), "all of the picture got brighter"
    scene[0] = picture(level=140, box=8)  # 64 of 2304 pixels, 2.8 %
    assert look()


def test_motion_is_looked_for_in_its_rhythm_and_held_off(time):
    scene, looks = [picture()], []
    trigger = Motion(MotionSettings("motion", every_s=0.5), luma=lambda: looks.append(1) or scene[0])
    trigger.poll(time.now())
    time.step(0.3)
    trigger.poll(time.now())
    assert len(looks) == 1

    fired = 0
    for number in range(8):
        scene[0] = picture(box=8 * (number % 2))
        time.step(0.5)
        fired += trigger.poll(time.now())
    assert fired == 1


def test_after_pictures_the_background_begins_anew(time):
    scene = [picture()]
    trigger = motion(scene, hold_off_s=0)
    trigger.poll(time.now())
    time.step(1)
    scene[0] = picture(box=12)
    assert trigger.poll(time.now())

    trigger.captured()
    time.step(1)

    assert not trigger.poll(time.now())


@pytest.mark.parametrize(
    ("plan", "now", "then"),
    [
        ("06:30", "2026-06-01 05:00", "2026-06-01 06:30"),
        ("06:30", "2026-06-01 06:30", "2026-06-02 06:30"),
        ("22:00-05:00 every 10 min", "2026-06-01 21:00", "2026-06-01 22:00"),
        ("22:00-05:00 every 10 min", "2026-06-01 23:55", "2026-06-02 00:00"),
        ("22:00-05:00 every 10 min", "2026-06-02 04:55", "2026-06-02 05:00"),
        ("22:00-05:00 every 10 min", "2026-06-02 05:00", "2026-06-02 22:00"),
        ("08:00 - 10:00 every 1 h", "2026-06-01 08:30", "2026-06-01 09:00"),
    ],
)
def test_clock_times_are_those_of_the_place(plan, now, then):
    zone = ZoneInfo("America/Bogota")
    start = datetime.fromisoformat(now).replace(tzinfo=zone)

    found = read_plan(plan).after(start.astimezone(UTC), zone, lambda *_: None)

    assert found == datetime.fromisoformat(then).replace(tzinfo=zone)


def test_the_sun_over_bogota_sets_when_almanacs_say():
    sun = open_sun(BOGOTA, wanted_by="test")

    sunset = sun.time("sunset", date(2026, 6, 1))
    found = read_plan("sunset-00:30").after(sunset - timedelta(hours=2), None, sun.time)

    # 18:05 in Bogotá on 1 June, UTC-5
    assert abs(sunset - datetime(2026, 6, 1, 23, 5, tzinfo=UTC)) < timedelta(minutes=4)
    assert found == sunset - timedelta(minutes=30)


def test_a_range_may_run_from_sun_to_sun_or_clock():
    sun = open_sun(BOGOTA, wanted_by="test")
    evening = datetime(2026, 6, 2, 2, tzinfo=UTC)  # 21:00 there

    for text in ("sunset-sunrise every 1 h", "sunset-00:30-sunrise+01:00 every 1 h", "sunset-05:00 every 1 h"):
        found = read_plan(text).after(evening, ZoneInfo("America/Bogota"), sun.time)
        assert timedelta() < found - evening <= timedelta(hours=1), text


def test_where_the_sun_does_not_set_nothing_is_made_up():
    sun = open_sun(Place(78.2, 15.6), wanted_by="test")

    assert read_plan("sunset").after(NOON, UTC, sun.time) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "25:00", "6:30", "sunset-0:30", "06:00-07:00", "06:00 every 5 min", "noonish", "06:00-07:00 every 0 min",
        "06:00-07:00 every 999 h", "22:00–05:00 every 10 min",
    ],
)  # fmt: skip
def test_what_is_no_time_of_a_day_is_refused_with_examples(text):
    with pytest.raises(PlanError):
        read_plan(text)


def test_a_schedule_fires_at_its_moments_and_makes_up_for_nothing(time):
    schedule = make_schedule(["12:10", "12:20"], place=Place(timezone="UTC"))
    assert not schedule.poll(time.now())
    assert schedule.wait_s(time.now()) == 600

    time.step(299)
    assert not schedule.poll(time.now())
    time.step(299)
    assert not schedule.poll(time.now())
    time.step(5)
    assert schedule.poll(time.now())
    assert not schedule.poll(time.now())
    time.clock += timedelta(hours=1)  # the clock was set
    assert not schedule.poll(time.now())
    time.clock -= timedelta(hours=1, minutes=30)
    assert not schedule.poll(time.now())
    time.step(200)
    assert not schedule.poll(time.now())


def test_a_schedule_without_a_moment_looks_again(time):
    schedule = make_schedule(["sunset"], place=Place(78.2, 15.6))

    assert not schedule.poll(time.now())
    assert schedule.wait_s(time.now()) == 3600
    for _ in range(20):
        time.step(290)
        assert not schedule.poll(time.now())


def opened(time, *settings, is_night=lambda: False, luma=lambda: None):
    triggers = open_triggers(
        settings, place=Place(timezone="UTC"), luma=luma, is_night=is_night,
        clock=lambda: time.clock, steady=lambda: time.steady_s,
    )  # fmt: skip
    triggers.start()
    return triggers


def test_any_of_several_triggers_fires_and_two_at_once_are_one(time, pins):
    pir = PirSettings("pir", 4, warm_up_s=0, debounce_s=0)
    triggers = opened(time, pir, IntervalSettings("interval", 60), ScheduleSettings("schedule", ("12:01",)))
    stop = threading.Event()

    assert triggers.wait(stop, timeout_s=0) == "interval"
    assert triggers.wait(stop, timeout_s=0) == ""
    pins.pin(4).drive_high()
    assert triggers.wait(stop, timeout_s=0) == "pir"
    pins.pin(4).drive_low()
    time.step(60)
    assert triggers.wait(stop, timeout_s=0) == "interval", "the schedule's moment is the same"
    assert triggers.wait(stop, timeout_s=0) == ""
    assert triggers.pir_count == 1
    triggers.close()


def test_one_that_is_active_by_night_does_not_fire_by_day(time):
    night = [False]
    triggers = opened(time, IntervalSettings("interval", 60, active="night"), is_night=lambda: night[0])
    stop = threading.Event()

    assert triggers.wait(stop, timeout_s=0) == ""
    night[0] = True
    time.step(60)
    assert triggers.wait(stop, timeout_s=0) == "interval"


def test_a_picture_may_be_asked_for_from_another_thread():
    triggers = open_triggers(
        [IntervalSettings("interval", 3600)], place=Place(), luma=lambda: None, is_night=lambda: False
    )
    stop = threading.Event()
    assert triggers.wait(stop, timeout_s=1) == "interval"
    threading.Timer(0.05, triggers.fire).start()

    assert triggers.wait(stop, timeout_s=30) == "command"


def test_the_schedule_can_be_replaced_while_it_runs(time):
    triggers = opened(time, ScheduleSettings("schedule", ("12:01",)))
    triggers.set_schedule(make_schedule(["12:02"], place=Place(timezone="UTC")))
    stop = threading.Event()

    fired = []
    for _ in range(150):
        if triggers.wait(stop, timeout_s=0):
            fired.append(time.clock.replace(second=0))
        time.step(1)

    assert fired == [NOON + timedelta(minutes=2)]


def test_the_interval_fires_at_once_and_leaves_out_what_it_missed(time):
    trigger = Interval(10)
    fired = 0
    for step in (0, 5, 5, 35, 1, 9):
        time.step(step)
        fired += trigger.poll(time.now())

    assert fired == 4  # at 0, 10, 45 and 55 s


def test_a_stopped_wait_gives_nothing(time):
    triggers = opened(time, IntervalSettings("interval", 1))
    stop = threading.Event()
    stop.set()

    assert triggers.wait(stop, timeout_s=3600) == ""


def test_the_systems_own_zone_is_used_where_none_is_given():
    found = read_plan("06:30").after(NOON, None, lambda *_: None)

    assert found.astimezone().strftime("%H:%M") == "06:30"
    assert found.tzinfo is not None
