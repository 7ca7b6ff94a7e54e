"""Rules: what they must say, and which frame makes them hold; what a condition means is tested by itself."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from edge.alerts.rules import Rule
from edge.model import PictureResult
from edge.store import encounters
from tests.alert_rig import FELIDAE, JAGUAR, PUMA, Rig, animal, person


def rule(**fields):
    return Rule(**{"name": "cats", "taxon": "Felidae", "channels": ("mail",)} | fields)


@pytest.fixture
def seen(tmp_path):
    """Names of the rules that hold for a frame, in their order."""
    made = []

    def look(rules, *detections, **options):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Rig(folder, rules))
        outcome = made[-1].see(*detections, **options)
        with made[-1].store.transaction() as connection:
            return [each.rule for each in encounters.matches_of(connection, outcome.spooled.pk)]

    yield look
    for each in made:
        each.store.close()


def test_each_rule_is_judged_by_itself(seen):
    rules = [rule(), rule(name="people", taxon="", category="person"), rule(name="pumas", taxon="Puma concolor")]

    assert seen(rules, animal(JAGUAR)) == ["cats"]
    assert seen(rules, animal(PUMA), person()) == ["cats", "pumas", "people"]
    assert seen(rules, animal()) == []


def test_a_taxon_is_judged_by_its_answers_score_and_a_category_by_the_box(seen):
    unsure = replace(animal(JAGUAR, score=0.6), score=0.9)

    assert seen([rule(min_score=0.7)], unsure) == []
    assert seen([rule(min_score=0.6)], unsure) == ["cats"]
    assert seen([rule(taxon="", category="animal", min_score=0.7)], unsure) == ["cats"]


def test_pictures_that_a_stage_rejected_do_not_count(tmp_path):
    site = Rig(tmp_path, [rule()])
    outcome = site.see()
    rejected = PictureResult(0, 0.0, (animal(FELIDAE),), rejected="nothing moved")
    with site.store.transaction() as connection:
        queued = site.desk.note(connection, replace(outcome, pictures=(rejected,)), site.clock.now())
    site.store.close()

    assert queued == 0


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"taxon": ""}, "a rule needs `taxon:`"),
        ({"taxon": "  "}, "a rule needs `taxon:`"),
        ({"taxon": "", "stations": ("a",)}, "a rule needs `taxon:`"),
        ({"channels": ()}, "a rule needs `to:`"),
        ({"min_score": 1.5}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"category": "bird"}, "category"),
        ({"name": "two\r\nlines"}, "printable"),
        ({"name": "x" * 81}, "printable"),
        ({"stations": ("../../etc",)}, "letters, digits"),
        ({"specie": "jaguar"}, "specie"),
        ({"severity": "urgent"}, "severity"),
        ({"cooldown_min": -1}, "cooldown_min"),
        ({"escalate": [{"after_min": 15, "to": []}]}, "escalate"),
        ({"hours": "25:00-26:00"}, "hours"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        rule(**fields)


def test_what_a_rule_is_about_may_stand_in_a_condition_inside_it():
    found = rule(taxon="", any=[{"taxon": "jaguar"}, {"category": "person"}])

    assert [each.taxon for each in found.any] == [("jaguar",), ()]
