"""Tracks through a clip: what they promise for any boxes, and what is told of them."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model import Detection
from edge.tracking.kalman import boxes_of, correct, measure, predict, start
from edge.tracking.summary import best_points, boxes_seen, directions, duration_s, most_at_once
from edge.tracking.tracker import Tracker

ANY = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1e308, -1e308, math.nan, math.inf])
SHARES = st.floats(0, 1)
BOXES = st.tuples(SHARES, SHARES, SHARES, SHARES) | st.tuples(ANY, ANY, ANY, ANY)
DETECTIONS = st.builds(Detection, st.sampled_from(["animal", "person"]), SHARES, BOXES)
PICTURES = st.lists(
    st.tuples(st.floats(-1, 5), st.lists(DETECTIONS, max_size=4), st.integers(1, 3)), min_size=1, max_size=6
)


def animal(box, score=0.8, category="animal"):
    return Detection(category, score, box)


def tracked(pictures, dt_s=0.5, **options):
    """Tracks of pictures, each a list of boxes or detections."""
    tracker = Tracker(**options)
    for number, boxes in enumerate(pictures):
        tracker.step(number * dt_s, [each if isinstance(each, Detection) else animal(each) for each in boxes])
    return tracker.tracks()


def run(pictures, order=lambda detections: detections):
    tracker, number, states = Tracker(), -1, []
    for gap_s, detections, further in pictures:
        number += further
        tracker.step(gap_s + number / 2, order(detections), number=number)
        states.append(tracker.tracks())
    assert np.isfinite(tracker._filters.mean).all()
    assert np.isfinite(tracker._filters.cov).all()
    return states


@settings(max_examples=60, deadline=None)
@given(PICTURES)
def test_whatever_the_boxes_ids_are_never_reused_and_no_track_is_twice_in_a_picture(pictures):
    states = run(pictures)

    before = {}
    for tracks in states:
        ids = [track.id for track in tracks]
        assert ids == sorted(set(ids))
        for track in tracks:
            numbers = [point.number for point in track.points]
            assert numbers == sorted(set(numbers))
            assert {point.detection.category for point in track.points} == {track.category}
            assert all(math.isfinite(side) for point in track.points for side in point.detection.xywh_norm)
            old = before.get(track.id, ())
            assert track.points[: len(old)] == old  # what was told stays true
            before[track.id] = track.points
    finite = sum(all(map(math.isfinite, each.xywh_norm)) for _gap, seen, _further in pictures for each in seen)
    assert sum(point.matched for track in states[-1] for point in track.points) == finite


@settings(max_examples=40, deadline=None)
@given(PICTURES)
def test_the_order_of_detections_in_a_picture_changes_nothing(pictures):
    assert run(pictures) == run(pictures, order=lambda detections: detections[::-1])
    assert run(pictures) == run(pictures)


def test_the_filter_finds_speed_in_seconds_whatever_the_frame_rate():
    ends = []
    for steps in (np.full(30, 1 / 30), np.array([0.1, 0.3, 0.05, 0.25, 0.3])):
        filters, now = start(measure([(0.1, 0.4, 0.2, 0.2)])), 0.0
        for dt_s in steps:
            now += dt_s
            filters = correct(predict(filters, dt_s), measure([(0.1 + 0.3 * now, 0.4, 0.2, 0.2)]))
        ends.append(boxes_of(predict(filters, 1.0).mean)[0])

    np.testing.assert_allclose(ends, [(0.7, 0.4, 0.2, 0.2)] * 2, atol=0.01)


def test_filters_of_many_tracks_are_those_of_each_alone():
    boxes = [(0.1, 0.4, 0.2, 0.2), (0.6, 0.1, 0.05, 0.3)]
    together = correct(predict(start(measure(boxes)), 0.2), measure([(0.15, 0.4, 0.2, 0.2), (0.6, 0.2, 0.05, 0.3)]))
    alone = correct(predict(start(measure(boxes[1:])), 0.2), measure([(0.6, 0.2, 0.05, 0.3)]))

    np.testing.assert_allclose(together.mean[1:], alone.mean)
    np.testing.assert_allclose(together.cov[1:], alone.cov)


def test_an_animal_too_fast_to_overlap_is_one_track():
    (track,) = tracked([[(0.2 * step, 0.4, 0.1, 0.1)] for step in range(5)])

    assert len(track.points) == 5


def test_at_thirty_pictures_a_second_nothing_jumps():
    assert len(tracked([[(0.1, 0.4, 0.05, 0.05)], [(0.3, 0.4, 0.05, 0.05)]], dt_s=1 / 30)) == 2


def test_a_person_does_not_go_on_as_an_animal():
    box = (0.4, 0.4, 0.2, 0.2)

    assert [each.category for each in tracked([[box], [animal(box, category="person")]])] == ["animal", "person"]


def test_a_short_gap_is_filled_with_points_that_nobody_saw():
    (track,) = tracked([[(0.1, 0.4, 0.2, 0.2)], [], [(0.3, 0.4, 0.2, 0.2)], []])

    assert [point.matched for point in track.points] == [True, False, True]
    assert track.points[1].detection.xywh_norm == pytest.approx((0.2, 0.4, 0.2, 0.2))
    assert track.points[1].detection.score == 0
    assert len(boxes_seen(track)) == 2
    assert duration_s(track) == 1.0


@pytest.mark.parametrize(("missing", "expected"), [(4, 1), (5, 1), (6, 2)])
def test_a_track_is_taken_up_again_within_stitch_s_and_no_later(missing, expected):
    box = (0.4, 0.4, 0.2, 0.2)

    assert len(tracked([[box], *[[]] * missing, [box]], stitch_s=3.0)) == expected


def test_min_hits_leaves_out_what_flickers():
    box, flicker = (0.1, 0.4, 0.2, 0.2), (0.8, 0.8, 0.1, 0.1)
    pictures = [[box], [box, flicker], [box]]

    assert [each.id for each in tracked(pictures)] == [1, 2]
    assert [each.id for each in tracked(pictures, min_hits=2)] == [1]


def test_individuals_are_those_of_one_picture_hidden_ones_among_them():
    one, other, late = (0.1, 0.1, 0.1, 0.1), (0.8, 0.1, 0.1, 0.1), (0.4, 0.8, 0.1, 0.1)

    tracks = tracked([[one, other], [one, late], [one, other], [one]])

    assert len(tracks) == 3
    assert most_at_once(tracks) == 3
    assert most_at_once([]) == 0


def test_a_track_tells_where_it_leads():
    (track,) = tracked([[(0.1 + 0.1 * step, 0.4, 0.2, 0.2)] for step in range(5)])

    assert directions(boxes_seen(track)) == {"right"}


def test_best_points_are_spread_over_time_and_the_best_comes_first():
    scores = [0.9, 0.8, 0.3, 0.2, 0.5, 0.4]
    (track,) = tracked([[animal((0.4, 0.4, 0.2, 0.2), score)] for score in scores])

    assert [point.number for point in best_points(track, 1)] == [0]
    assert [point.number for point in best_points(track, 2)] == [0, 4]
    assert [point.number for point in best_points(track, 9)] == [0, 1, 4, 5, 2, 3]
    sharp = best_points(track, 2, sharpness=lambda point: float(point.number in {2, 3}))
    assert [point.number for point in sharp] == [2, 3]


def test_what_cannot_follow_is_refused():
    tracker = Tracker()
    tracker.step(0.0, [], number=3)

    for time_s, number in ((0.5, 3), (0.5, 1), (math.nan, 4)):
        with pytest.raises(ValueError, match="cannot follow picture 3"):
            tracker.step(time_s, [], number=number)
    with pytest.raises(ValueError, match="min_hits"):
        Tracker(min_hits=0)


def test_scipy_is_imported_only_where_two_want_the_same():
    code = (
        "import sys; from edge.model import Detection as D; from edge.tracking.tracker import Tracker; t = Tracker()\n"
        "for n in range(4): t.step(n / 2, [D('animal', .9, (.1 + n / 10, .4, .2, .2))])\n"
        "assert len(t.tracks()) == 1 and 'scipy' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
