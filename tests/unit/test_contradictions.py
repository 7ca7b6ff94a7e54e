"""Times that can't be true are found, and only those."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.deployed import Deployment
from edge.fieldwork.contradictions import Finding, Look
from edge.store.clocks import Faced

NOON = datetime(2026, 3, 1, 17, tzinfo=UTC)  # local noon
MIDNIGHT = datetime(2026, 3, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
HERE = {"latitude": 4.6, "longitude": -74.1, "timezone": "America/Bogota"}


def frame(at: datetime, number: int = 0, **more: object) -> Faced:
    name = f"100/IMG_{number:04}.JPG" if number else "picture.jpg"
    faced = Faced(name, at, "", max(at, NOON) + 100 * DAY, "", None, None, at)
    return replace(faced, **more)  # type: ignore[arg-type]  # because a test names its fields


def found(frames: list[Faced], **more: object) -> dict[str, Finding]:
    look = Look(**{**HERE, **more})  # type: ignore[arg-type]
    return {each.kind: each for each in look.findings(frames)}


def test_good_frames_contradict_nothing() -> None:
    day = [frame(NOON + day * DAY, day + 1, brightness=0.5, infrared=False) for day in range(50)]
    night = [frame(MIDNIGHT + day * DAY, 100 + day, brightness=0.1, infrared=True) for day in range(50)]
    stands = Deployment("d", "s", MIDNIGHT - DAY, None)

    assert not found(sorted(day, key=lambda each: each.captured), deployments=[stands])
    assert not found(night, deployments=[stands])


def test_a_frame_cannot_be_taken_after_it_came() -> None:
    soon, later = (frame(NOON, received=NOON - timedelta(minutes=each)) for each in (5, 30))

    assert found([soon, later])["future"].count == 1


def test_frames_outside_of_the_stations_deployments_are_told_apart() -> None:
    stood = [Deployment("a", "s", NOON, NOON + DAY), Deployment("b", "s", NOON + 5 * DAY, NOON + 6 * DAY)]
    frames = [frame(NOON + days * DAY) for days in (-1, 0, 1, 3, 5.5, 6, 9, 10)]

    kinds = {kind: each.count for kind, each in found(frames, deployments=stood).items()}

    assert kinds == {"before": 1, "between": 1, "after": 2}


def test_a_station_without_deployments_says_nothing_of_them() -> None:
    assert not found([frame(NOON)])


@pytest.mark.parametrize("year", [1970, 1980, 2000, 2003])
def test_the_years_in_which_clocks_begin_are_nobodys(year: int) -> None:
    factory = found([frame(datetime(year, 1, 1, 7, minute, tzinfo=UTC)) for minute in range(4)])["factory"]

    assert (factory.count, len(factory.examples)) == (4, 3)


def test_many_frames_in_a_years_first_hour_are_a_clock_that_was_never_set() -> None:
    """One may be fireworks, and a camera that was at work before is right; local time counts."""
    first_hour = [frame(datetime(2019, 1, 1, 5, minute, tzinfo=UTC)) for minute in range(6)]

    assert found(first_hour)["factory"].count == 6
    assert not found(first_hour[:4])
    assert not found([frame(first_hour[0].captured - timedelta(minutes=9)), *first_hour])


def test_a_clock_set_back_shows_in_the_files_numbers() -> None:
    before = [frame(NOON + hours * timedelta(hours=1), 100 + hours) for hours in range(0, 20, 2)]
    after = [frame(NOON + hours * timedelta(hours=1), 200 + hours) for hours in range(1, 20, 2)]

    assert found(sorted([*before, *after], key=lambda each: each.captured))["order"].count == 9


def test_counting_that_begins_anew_is_no_contradiction() -> None:
    numbers = [9998, 9999, 1, 2, 3, 1, 2]

    assert not found([frame(NOON + each * DAY, number) for each, number in enumerate(numbers)])


def test_a_second_of_pictures_may_come_in_any_order() -> None:
    assert not found([frame(NOON, number) for number in (100, 99, 98, 97, 96)])


def test_bright_colours_at_midnight_are_a_clock_half_a_day_off() -> None:
    night = [frame(MIDNIGHT + day * DAY, brightness=0.5, infrared=False) for day in range(10)]

    assert (found(night)["sunlit"].count, found(night)["sunlit"].of) == (10, 10)
    assert not found(night, latitude=None)


def test_a_single_flash_in_many_nights_is_none() -> None:
    dark = [frame(MIDNIGHT + day * DAY, brightness=0.1, infrared=True) for day in range(40)]

    assert not found([*dark, frame(MIDNIGHT + 41 * DAY, brightness=0.5, infrared=False)])


def test_infrared_at_noon_is_a_clock_half_a_day_off() -> None:
    noon = [frame(NOON + day * DAY, brightness=0.2, infrared=True) for day in range(3)]

    assert found(noon)["infrared"].count == 3


def test_frames_without_a_time_are_counted() -> None:
    (only,) = Look().findings([], unknown=7)

    assert (only.kind, only.count) == ("unknown", 7)
