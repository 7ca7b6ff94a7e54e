"""Where things are between the pictures that were looked at."""

import pytest

from edge.model import Detection, PictureResult
from edge.tracking.between import Between


def seen(time_s, *detections):
    return PictureResult(round(time_s * 10), time_s, detections)


def box(left, track=1, category="animal"):
    return Detection(category, 0.8, (left, 0.4, 0.2, 0.2), track=track)


def test_a_box_moves_evenly_from_sight_to_sight():
    between = Between([seen(0.0, box(0.1)), seen(1.0, box(0.5))])

    lefts = [between.at(time_s)[0].xywh_norm[0] for time_s in (0.0, 0.25, 0.75, 1.0)]

    assert lefts == pytest.approx([0.1, 0.2, 0.4, 0.5])


def test_what_is_in_one_picture_only_is_there_until_halfway():
    between = Between([seen(0.0, box(0.1, 1)), seen(1.0, box(0.5, 2))])

    assert [[each.track for each in between.at(time_s)] for time_s in (0.4, 0.6)] == [[1], [2]]


def test_nothing_is_drawn_long_after_it_was_seen():
    between = Between([seen(0.0, box(0.1)), seen(20.0)])

    assert between.at(0.9)
    assert not between.at(1.1)
    assert not Between([seen(0.0, box(0.1))]).at(5.0)


@pytest.mark.parametrize("category", ["person", "vehicle"])
def test_people_are_hidden_wherever_they_may_be_between_two_pictures(category):
    between = Between([seen(0.0, box(0.1, category=category)), seen(2.0, box(0.7, category=category)), seen(4.0)])

    covered = [each.xywh_norm for each in between.people(1.0)]
    assert any(left < 0.101 and left + wide > 0.899 for left, _top, wide, _high in covered)
    assert between.people(3.9)  # until the next picture shows that nobody is there
    assert not between.people(4.1)


def test_animals_are_no_people():
    between = Between([seen(0.0, box(0.1)), seen(1.0, box(0.2), box(0.5, 2, "person")), seen(2.0), seen(3.0)])

    assert [each.track for each in between.people(0.5)] == [2]
    assert between.has_people(0.2, 0.4)
    assert not between.has_people(2.5, 2.9)
