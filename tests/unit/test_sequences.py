"""Which frames belong together: bursts, gaps, two cameras at once, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.api import Shot, sequences
from edge.fieldwork.sequences import file_number

START = datetime(2021, 4, 11, 20, 43, 9, tzinfo=UTC)


def shot(seconds: float | None, **more: object) -> Shot:
    return replace(Shot("s", START + timedelta(seconds=seconds) if seconds is not None else None), **more)  # type: ignore[arg-type]  # because a test names its fields


def sizes(shots: list[Shot], gap_s: float = 30) -> list[int]:
    return [len(each) for each in sequences(shots, gap_s=gap_s, shot=lambda each: each)]


def test_pictures_of_one_trigger_are_one_sequence_whatever_the_gap() -> None:
    burst = [shot(9 * number, camera="RECONYX", burst="e1", burst_number=number) for number in range(1, 11)]

    assert sizes(burst, gap_s=0) == [10]
    assert sizes([*burst, shot(99, camera="RECONYX", burst="e2")], gap_s=5) == [10, 1]


def test_the_same_number_a_day_later_is_another_burst() -> None:
    assert sizes([shot(0, burst="e1"), shot(86_400, burst="e1")]) == [1, 1]


def test_without_a_burst_the_gap_decides() -> None:
    assert sizes([shot(0), shot(29), shot(58), shot(88), shot(89)]) == [3, 2]


def test_files_numbered_one_after_the_other_within_a_moment_are_a_burst() -> None:
    shots = [shot(0, file_number=1), shot(1, file_number=2), shot(2, file_number=7)]

    assert sizes(shots, gap_s=0) == [2, 1]


def test_a_clip_ends_when_it_ends() -> None:
    assert sizes([shot(0, lasts_s=60), shot(80)]) == [2]
    assert sizes([shot(0), shot(80)]) == [1, 1]


def test_two_cameras_at_a_station_have_sequences_of_their_own() -> None:
    turns = [shot(second, camera="AB"[second % 2]) for second in range(6)]

    groups = list(sequences([*turns, shot(1000)], gap_s=30, shot=lambda each: each))

    assert [[each.camera for each in group] for group in groups] == [["A"] * 3, ["B"] * 3, [""]]


def test_of_one_second_the_bursts_numbers_give_the_order() -> None:
    shots = [shot(0, burst="e", burst_number=number) for number in (3, 1, 2)]

    (group,) = sequences(shots, gap_s=30, shot=lambda each: each)

    assert [each.burst_number for each in group] == [1, 2, 3]


def test_frames_of_unknown_time_stand_alone_unless_their_burst_is_known() -> None:
    assert sizes([shot(None), shot(None), shot(None, burst="e"), shot(None, burst="e"), shot(0)]) == [1, 1, 2, 1]


def test_stations_are_never_mixed() -> None:
    assert sizes([shot(0), replace(shot(0), station="t")]) == [1, 1]


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from("AB"), st.sampled_from(["", "x", "y"])), max_size=40))
def test_every_frame_comes_out_once(drawn: list[tuple[int, str, str]]) -> None:
    shots = [shot(at, camera=camera, burst=burst) for at, camera, burst in sorted(drawn)]

    groups = list(sequences(shots, gap_s=20, shot=lambda each: each))

    assert sorted(id(each) for group in groups for each in group) == sorted(map(id, shots))


def test_a_camera_that_never_stops_fills_no_memory() -> None:
    def endless() -> Iterator[Shot]:
        for second in range(30_000):
            yield shot(second)

    tracemalloc.start()
    longest = max(len(each) for each in sequences(endless(), gap_s=30, shot=lambda each: each, longest=500))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert longest == 500
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("name", "number"),
    [("20210531082538-RCNX0031.JPG", 31), ("DCIM/100/IMG_0007.mp4", 7), ("blank.jpg", None), ("a.b/c", None)],
)
def test_a_files_number_is_at_its_end(name: str, number: int | None) -> None:
    assert file_number(name) == number
