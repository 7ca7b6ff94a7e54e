"""Tracks of a clip on its way through the stages: numbers for every detection, one answer for every animal."""

from dataclasses import replace

import numpy as np
import pytest

from edge.alerts.tracks import directions, track_of
from edge.daemon import answering_from
from edge.hookspecs import StageSpec
from edge.model import Classification, Detection
from edge.pipeline.runner import KEPT_CLASSES, Runner
from edge.testing import spooled_frame
from edge.tracking.follow import BEST_CROPS, Following
from plugins.stages.rollup import RollupConfig, build
from tests.parts.test_runner_and_worker import Pictures

BOX = (0.4, 0.4, 0.2, 0.2)


def says(box=BOX, score=0.8, **classes):
    said = [Classification(label, share) for label, share in sorted(classes.items(), key=lambda each: -each[1])]
    return Detection("animal", score, box, classifications=tuple(said))


def finder(pictures):
    """A stage that finds in picture n what pictures[n] says."""
    return lambda frame: replace(frame, detections=tuple(pictures[frame.number]))


def looked_at(pictures, kind="clip"):
    with build(RollupConfig(), None) as rollup:
        stages = [("find", finder(pictures)), ("rollup", rollup)]
        runner = Runner(Pictures(len(pictures)), stages, answering=stages[1:])
        return runner.look_at(spooled_frame(kind=kind))


def test_one_picture_that_says_otherwise_does_not_change_what_a_track_is():
    chimps = [{"chimpanzee": 0.9, "siamang": 0.1}] * 5
    pictures = [[says(**each)] for each in [*chimps, {"siamang": 0.7, "chimpanzee": 0.1}]]

    outcome = looked_at(pictures)

    found = outcome.detections()
    assert {each.track for each in found} == {1}
    assert {each.answer.taxon.scientific_name for each in found} == {"Pan"}
    assert found[-1].classifications[0].label == "siamang"  # what was said of each picture stays


def test_crops_that_contradict_each_other_end_at_what_they_have_in_common():
    outcome = looked_at([[says(chimpanzee=0.95)], [says(siamang=0.95)]])

    (answer,) = {each.answer for each in outcome.detections()}
    assert answer.taxon.rank not in {"species", "genus"}
    assert answer.taxon.lineage[-1] == "Hominoidea" or "Primates" in answer.taxon.lineage


def test_two_animals_have_two_tracks_and_two_answers():
    far = (0.05, 0.05, 0.1, 0.1)
    outcome = looked_at([[says(chimpanzee=0.9), says(far, siamang=0.9)]] * 3)

    answers = {each.track: each.answer.taxon.scientific_name for each in outcome.detections()}
    assert len(answers) == 2
    assert len(set(answers.values())) == 2


def test_a_still_has_no_tracks_and_keeps_the_answer_of_its_box():
    (found,) = looked_at([[says(chimpanzee=0.9)]], kind="still").detections()

    assert found.track is None
    assert found.answer.taxon.scientific_name == "Pan"


def test_a_box_without_classes_is_tracked_and_stays_unanswered():
    (one, other) = looked_at([[says()], [says()]]).detections()

    assert (one.track, other.track, one.answer) == (1, 1, None)


def test_a_track_tells_its_way_to_the_alerts():
    walk = [(0.1 + 0.15 * step, 0.4, 0.2, 0.2) for step in range(5)]
    outcome = looked_at([[says(box), says((0.0, 0.8, 0.1, 0.1))] for box in walk])

    picture = outcome.pictures[2]
    assert track_of(picture.detections[0], picture, outcome) == tuple(walk)
    assert directions(track_of(picture.detections[0], picture, outcome)) == {"right"}


def test_only_the_best_crops_have_a_say_one_of_each_moment():
    following = Following()
    for number in range(100):
        following.look(number, number / 10, [says(score=0.9 if number == 50 else 0.5, chimpanzee=number / 100)])

    (crops,) = following._crops.values()

    times = sorted(crop.time_s for crop in crops)
    assert len(crops) <= BEST_CROPS
    assert 5.0 in times
    assert min(np.diff(times)) >= 0.9


def test_what_is_combined_is_the_mean_weighted_by_worth():
    following = Following()
    following.look(0, 0.0, [says(score=0.9, chimpanzee=1.0)])
    following.look(1, 2.0, [says(score=0.3, siamang=1.0)])

    said = following.combined()[1].classifications

    assert [(each.label, round(each.score, 6)) for each in said] == [("chimpanzee", 0.75), ("siamang", 0.25)]


def test_no_more_classes_are_kept_of_a_track_than_of_a_box():
    classes = {f"class {n}": 0.01 for n in range(30)}
    runner = Runner(Pictures(2), [("find", finder([[says(**classes)]] * 2))])

    found = runner.look_at(spooled_frame(kind="clip")).detections()

    assert [len(each.classifications) for each in found] == [KEPT_CLASSES] * 2


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([{"picture"}, {"picture", "detections"}, {"detections"}, {"detections"}], 2),
        ([{"detections"}, {"picture"}, set()], 3),
        ([], 0),
    ],
)
def test_stages_that_need_no_picture_are_asked_again(reads, expected):
    specs = [StageSpec("any", RollupConfig, build, frozenset(each), frozenset({"detections"})) for each in reads]

    assert answering_from(specs) == expected
