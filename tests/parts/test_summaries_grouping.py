"""Which frames are one sequence does not depend on which part of the record is looked at."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from edge.store.summaries import FrameRow
from edge.summaries.grouping import MOST, REACH, in_sequences

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def frame(pk, at, *, camera="", burst="", number=None, timed=True):
    return FrameRow(pk, "north", at, timed, at, False, f"x{pk}a.jpg", camera, burst, number, 0.0, None, False)


def train(start, steps, **columns):
    """Frames one after the other, so many seconds apart."""
    found, at = [], start
    for pk, step in enumerate(steps, 1):
        at += timedelta(seconds=step)
        found.append(frame(pk, at, **columns))
    return found


def pks(sequences):
    return sorted(tuple(each.pk for each in one) for one in sequences)


def test_a_pause_parts_two_sequences():
    frames = train(MIDNIGHT, [0, 3, 3, 60, 3])

    assert pks(in_sequences(frames, since=MIDNIGHT - REACH)) == [(1, 2, 3), (4, 5)]


def test_a_sequence_over_midnight_stays_one():
    frames = train(MIDNIGHT - timedelta(seconds=9), [0, 4, 4, 4, 4])

    assert pks(in_sequences(frames, since=MIDNIGHT - REACH)) == [(1, 2, 3, 4, 5)]


def test_two_cameras_of_a_station_have_sequences_of_their_own():
    one, other = train(MIDNIGHT, [0, 4, 4]), train(MIDNIGHT + timedelta(seconds=2), [0, 4], camera="second")
    other = [frame(each.pk + 10, each.at, camera="second") for each in other]

    mixed = sorted([*one, *other], key=lambda each: each.at)

    assert pks(in_sequences(mixed, since=MIDNIGHT - REACH)) == [(1, 2, 3), (11, 12)]


def test_a_camera_that_never_stops_gives_sequences_of_bounded_length():
    frames = train(MIDNIGHT, [0] + [5] * 2_000)

    found = list(in_sequences(frames, since=MIDNIGHT - REACH))

    assert sum(map(len, found)) == len(frames)
    assert len(found) > 10
    assert all(each[-1].at - each[0].at <= MOST for each in found)


def test_frames_of_unknown_time_are_together_only_as_a_burst():
    frames = [
        frame(1, MIDNIGHT, timed=False, burst="b", number=1),
        frame(2, MIDNIGHT, timed=False, burst="b", number=2),
    ]
    alone = [frame(3, MIDNIGHT, timed=False), frame(4, MIDNIGHT, timed=False)]

    assert pks(in_sequences([*frames, *alone], since=MIDNIGHT)) == [(1, 2), (3,), (4,)]


@pytest.mark.parametrize("seed", range(20))
def test_a_part_of_the_record_gives_the_same_sequences_as_all_of_it(seed):
    chance = random.Random(seed)
    steps = [chance.choice((1, 4, 8, 9, 9, 12 if seed % 2 else 9, 700 if seed % 3 else 9)) for _each in range(3_000)]
    frames = train(MIDNIGHT - timedelta(hours=3), steps)
    since, until = frames[0].at - REACH, frames[-1].at - REACH
    whole = [each for each in in_sequences(frames, since=since) if each[-1].at >= MIDNIGHT and each[0].at < until]

    near = [each for each in frames if each.at >= MIDNIGHT - REACH]
    part = [
        each for each in in_sequences(near, since=MIDNIGHT - REACH) if each[-1].at >= MIDNIGHT and each[0].at < until
    ]

    assert pks(part) == pks(whole)
    assert len(whole) > 3
