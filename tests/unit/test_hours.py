"""Hours, weekdays and the sun, at stations of several zones and over changes of the clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.alerts.hours import local_time, minute_of, parse_span, parse_weekday, phases
from edge.sunlight import sun_degrees


def utc(*numbers):
    return datetime(*numbers, tzinfo=UTC)


# Zone → (minutes from UTC before the first change, [(moment in UTC, minutes from then on)]), from the zones' own laws.
ZONES = {
    "America/New_York": (-300, [(utc(2026, 3, 8, 7, 0), -240), (utc(2026, 11, 1, 6, 0), -300)]),
    "America/Bogota": (-300, []),
    "Asia/Kathmandu": (345, []),
    "Australia/Lord_Howe": (660, [(utc(2026, 4, 4, 15, 0), 630), (utc(2026, 10, 3, 15, 30), 660)]),
}
AROUND = [
    utc(2026, 3, 7),
    utc(2026, 4, 4),
    utc(2026, 10, 3),
    utc(2026, 10, 31),
    utc(2026, 6, 9),
]
SPANS = [
    "18:00-06:00",
    "00:00-24:00",
    "22:30-01:45",
    "01:30-02:15",
    "02:00-03:00",
    "06:00-18:00",
    "23:59-00:00",
    "12:00-24:00",
]


def clock(zone, at):
    """Minutes since local midnight, from the table above."""
    offset, changes = ZONES[zone]
    for moment, after in changes:
        if at >= moment:
            offset = after
    local = at + timedelta(minutes=offset)
    return local.hour * 60 + local.minute


def lit(span):
    """Every minute of the day that a span goes through, walked from its start to its end."""
    start, end = (int(each[:2]) * 60 + int(each[3:]) for each in span.split("-"))
    found = set()
    while start != end:
        if start == 1440:
            start = 0
            continue
        found.add(start)
        start += 1
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("span", SPANS)
def test_hours_agree_with_a_clock_walked_minute_by_minute(zone, span):
    wanted, parsed, wrong = lit(span), parse_span(span), []
    for day in AROUND:
        for minute in range(0, 2880, 3):
            at = day + timedelta(minutes=minute)
            holds = minute_of(local_time(at, zone)) in parsed
            if holds != (clock(zone, at) in wanted):
                wrong.append(at)

    assert not wrong


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 1439))
def test_a_span_and_the_rest_of_the_day_share_no_minute(start, end, minute):
    if start == end or (start, end) == (0, 1440):
        return
    span = parse_span(f"{start // 60:02}:{start % 60:02}-{end // 60}:{end % 60:02}")
    if (end % 1440, start) == (0, 0):
        return
    rest = parse_span(f"{end % 1440 // 60}:{end % 60:02}-{start // 60}:{start % 60:02}")

    assert (minute in span) != (minute in rest)


def test_hours_are_written_back_as_they_are_meant():
    assert str(parse_span(" 6:05 – 18:00 ")) == "06:05-18:00"
    assert parse_span(str(parse_span("22:00-24:00"))) == parse_span("22:00-24:00")


def test_an_hour_that_the_clock_skips_never_is_and_one_it_shows_twice_is_twice():
    span = parse_span("02:00-03:00")

    def minutes(day):
        return sum(
            minute_of(local_time(day + timedelta(minutes=each), "America/New_York")) in span for each in range(1440)
        )

    assert minutes(utc(2026, 3, 8, 5)) == 0
    assert minutes(utc(2026, 11, 1, 4)) == 60
    again = parse_span("01:00-02:00")
    day = utc(2026, 11, 1, 4)
    assert (
        sum(minute_of(local_time(day + timedelta(minutes=m), "America/New_York")) in again for m in range(1440)) == 120
    )


def test_a_zone_that_the_system_does_not_know_gives_no_time():
    assert local_time(utc(2026, 1, 1), "Mars/Olympus") is None
    assert local_time(datetime.min.replace(tzinfo=UTC), "America/Bogota") is None


@pytest.mark.parametrize("text", ["", "mo", "funday", "martes 13"])
def test_what_is_no_weekday_is_refused(text):
    with pytest.raises(ValueError, match="no weekday"):
        parse_weekday(text)


# ── the sun ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("latitude", "longitude", "sunrise", "sunset"),
    [
        # almanac times for a flat horizon, UTC, to the minute: Greenwich at the solstices, Quito at an equinox
        (51.4779, 0.0, utc(2025, 6, 21, 3, 43), utc(2025, 6, 21, 20, 21)),
        (51.4779, 0.0, utc(2025, 12, 21, 8, 4), utc(2025, 12, 21, 15, 53)),
        (-0.18, -78.47, utc(2025, 3, 20, 11, 18), utc(2025, 3, 20, 23, 25)),
    ],
)
def test_night_begins_at_sunset_and_ends_at_sunrise_of_the_almanac(latitude, longitude, sunrise, sunset):
    def phase(at):
        return phases(sun_degrees(at, latitude=latitude, longitude=longitude))

    near = timedelta(minutes=3)  # the almanac's minute, and its day's table
    assert phase(sunrise - near) == {"night", "twilight"}
    assert phase(sunrise + near) == {"day"}
    assert phase(sunset - near) == {"day"}
    assert phase(sunset + near) == {"night", "twilight"}
    assert phase(sunset + timedelta(hours=2)) >= {"night"}


def test_beyond_the_polar_circle_a_day_may_be_all_night_and_a_night_all_day():
    def all_day(latitude, day):
        return [
            phases(sun_degrees(day + timedelta(minutes=30 * each), latitude=latitude, longitude=18.96))
            for each in range(48)
        ]

    summer, winter = utc(2026, 6, 21), utc(2026, 12, 21)

    assert set(all_day(69.65, summer)) == {frozenset({"day"})}  # Tromsø
    assert all("night" in each for each in all_day(69.65, winter))
    assert any("twilight" in each for each in all_day(69.65, winter))
    assert set(all_day(90.0, winter)) == {frozenset({"night"})}
    assert set(all_day(-90.0, winter)) == {frozenset({"day"})}


def test_the_horizon_is_where_the_almanacs_have_it():
    assert phases(-0.832) == {"day"}
    assert phases(-0.834) == {"night", "twilight"}
    assert phases(-6.01) == {"night"}


def test_a_year_that_no_calendar_has_gives_no_sun_and_no_error():
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        found = sun_degrees(at, latitude=4.6, longitude=-74.1)
        assert found is None or -90 <= found <= 90
