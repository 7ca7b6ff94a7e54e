"""Identities that the tracker keeps, beside those that plain SORT keeps on the same boxes, scene by scene.

Two references: SORT as published (max_age=1, min_hits=3), counted on the boxes for which both tell a track, and SORT
with our memory, by time, which tells a track of every box as ours does.
"""

import pytest

from edge.tracking.tracker import Tracker
from tests.unit.track_scenes import clip, crossing, merged_away, ours, reference, switches, where_told

MEMORIES_S = (2.0, 3.0)  # the tracker's max_age_s and stitch_s


def compared(pictures, rate_hz):
    """(reference, ours, SORT): switches of each reference."""
    mine, published = ours(pictures), reference(pictures)
    found = [("as published", switches(pictures, where_told(mine, published)), switches(pictures, published))]
    for memory_s in MEMORIES_S:
        patient = reference(pictures, max_age=max(1, round(memory_s * rate_hz)), min_hits=0)
        found.append((f"with {memory_s} s", switches(pictures, mine), switches(pictures, patient)))
    return found


def test_the_references_remember_as_long_as_the_tracker_does():
    tracker = Tracker()

    assert (tracker._max_age_s, tracker._stitch_s) == MEMORIES_S


@pytest.mark.parametrize("rate_hz", [2, 5, 10, 30])
@pytest.mark.parametrize("animals", [2, 4])
@pytest.mark.parametrize("seed", range(7000, 7004))
def test_no_more_identities_are_switched_at_a_crossing_than_by_sort(seed, animals, rate_hz):
    for name, mine, theirs in compared(crossing(seed, rate_hz, animals=animals), rate_hz):
        assert mine <= theirs, name


def test_no_more_identities_are_switched_in_the_30_fps_clip_than_by_sort():
    found = compared(clip(), 30)

    print(found)
    for name, mine, theirs in found:
        assert mine <= theirs, name


@pytest.mark.parametrize("every", [1, 3, 15])
def test_the_same_holds_for_its_single_animals_however_often_the_clip_is_looked_at(every):
    found = compared(merged_away(clip(every)), 30 / every)

    print(every, found)
    for name, mine, theirs in found:
        assert mine <= theirs, name


def test_the_animal_that_walks_through_the_real_clip_is_one_track():
    pictures = clip()

    ids = {
        one
        for (_number, _time_s, seen), these in zip(pictures, ours(pictures), strict=True)
        for (_box, _score, who), one in zip(seen, these, strict=True)
        if who == "walker"
    }

    assert len(ids) == 1
