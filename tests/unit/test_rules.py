"""Rules: which outcome raises which alert."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.alerts.rules import Rule, alert_key, matches, resolve_taxa
from edge.model import Answer, Detection, Outcome, PictureResult, Taxon
from edge.testing import spooled_frame

JAGUAR = Taxon(
    "Panthera onca",
    "species",
    ("Animalia", "Mammalia", "Carnivora", "Felidae", "Panthera", "Panthera onca"),
    "jaguar",
    "yaguareté",
)
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cats", "felinos")
BOX = (0.1, 0.2, 0.3, 0.4)


def animal(taxon=None, *, score=0.9, sure=0.8):
    return Detection("animal", score, BOX, answer=Answer(taxon, sure) if taxon else None)


def outcome(*pictures, station="ridge", kind="still"):
    """Each picture is a tuple of detections, or a finished PictureResult."""
    results = [
        each if isinstance(each, PictureResult) else PictureResult(number, 0.0, each)
        for number, each in enumerate(pictures)
    ]
    spooled = spooled_frame(Path("/spool/frame-1"), station=station, kind=kind)
    return Outcome(spooled, tuple(results), width=64, height=48)


def rule(**fields):
    return Rule(**{"name": "cats", "taxon": "Felidae", "channels": ("mail",)} | fields)


@pytest.mark.parametrize(
    "name",
    ["Panthera onca", "panthera ONCA", "Felidae", "Carnivora", "Animalia", "jaguar", "Yaguarete", "  yaguareté "],
)
def test_a_taxon_means_itself_and_all_below_it_in_any_language(name):
    alerts = matches(outcome((animal(JAGUAR),)), [rule(taxon=name)])

    assert [each.detection.answer.taxon for each in alerts] == [JAGUAR]


@pytest.mark.parametrize("name", ["Canidae", "Panthera leo", "onca", "puma"])
def test_another_taxon_raises_nothing(name):
    assert matches(outcome((animal(JAGUAR),)), [rule(taxon=name)]) == []


def test_a_species_rule_is_silent_when_only_the_family_is_sure():
    assert matches(outcome((animal(FELIDAE),)), [rule(taxon="Panthera onca")]) == []


def test_a_taxon_rule_judges_by_the_answer_and_a_category_rule_by_the_box():
    seen = outcome((animal(JAGUAR, score=0.9, sure=0.6),))

    assert matches(seen, [rule(min_score=0.7)]) == []
    assert len(matches(seen, [rule(min_score=0.6)])) == 1
    assert len(matches(seen, [rule(taxon="", category="animal", min_score=0.7)])) == 1


def test_category_and_taxon_must_both_hold():
    person_like_cat = replace(animal(JAGUAR), category="person")

    assert matches(outcome((person_like_cat,)), [rule(category="animal")]) == []
    assert len(matches(outcome((person_like_cat,)), [rule(category="person")])) == 1


def test_an_animal_without_answer_raises_no_taxon_rule():
    assert matches(outcome((animal(),)), [rule()]) == []


def test_a_rule_counts_for_its_stations_only():
    seen = outcome((animal(JAGUAR),), station="ridge")

    assert matches(seen, [rule(stations=("river",))]) == []
    assert len(matches(seen, [rule(stations=("river", "ridge"))])) == 1


def test_a_clip_raises_one_alert_a_rule_and_channel_for_its_best_picture():
    seen = outcome(
        (animal(JAGUAR, sure=0.7),),
        (animal(FELIDAE, sure=0.7), animal(JAGUAR, sure=0.95)),
        (animal(JAGUAR),),
        kind="clip",
    )

    alerts = matches(seen, [rule(channels=("mail", "console", "mail")), rule(name="jaguars", taxon="jaguar")])

    assert [(each.rule, each.channel) for each in alerts] == [
        ("cats", "mail"),
        ("cats", "console"),
        ("jaguars", "mail"),
    ]
    assert {each.picture_number for each in alerts} == {1}
    assert {each.detection.answer.score for each in alerts} == {0.95}
    assert {(each.kind, each.picture_path, each.received_at) for each in alerts} == {
        ("clip", seen.spooled.path, seen.spooled.received_at)
    }


def test_a_rejected_picture_raises_nothing():
    rejected = PictureResult(0, 0.0, (animal(JAGUAR, sure=1.0),), rejected="nothing moved")

    assert matches(outcome(rejected), [rule()]) == []
    assert [each.picture_number for each in matches(outcome(rejected, (animal(JAGUAR),)), [rule()])] == [1]


def test_the_key_is_the_same_for_the_same_alert_and_another_for_any_other():
    seen = outcome((animal(JAGUAR),))
    again = matches(seen, [rule()])[0].key
    keys = {
        alert_key(rule="a/b", channel="c", station="s", frame_id="f"),
        alert_key(rule="a", channel="b/c", station="s", frame_id="f"),
        alert_key(rule="a%2Fb", channel="c", station="s", frame_id="f"),
        matches(seen, [rule(name="cats 2")])[0].key,
        matches(outcome((animal(JAGUAR),), station="river"), [rule()])[0].key,
        again,
    }

    assert matches(seen, [rule()])[0].key == again
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"taxon": ""}, "a rule needs `taxon:`"),
        ({"taxon": "  "}, "a rule needs `taxon:`"),
        ({"channels": ()}, "channels"),
        ({"min_score": 1.5}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"category": "bird"}, "category"),
        ({"name": "two\r\nlines"}, "printable"),
        ({"name": "x" * 81}, "printable"),
        ({"stations": ("../../etc",)}, "letters, digits"),
        ({"specie": "jaguar"}, "specie"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        rule(**fields)


class TwoTaxa:
    def find(self, name):
        return {"felinos": FELIDAE, "jaguar": JAGUAR}.get(name)

    def suggest(self, name):
        return ["jaguar"] if name.startswith("jag") else []


def test_a_common_name_of_a_family_matches_its_species_once_resolved():
    rules, faults = resolve_taxa([rule(taxon=" felinos "), rule(taxon="", category="person")], [TwoTaxa()])

    assert faults == []
    assert [each.taxon for each in rules] == ["Felidae", ""]
    assert len(matches(outcome((animal(JAGUAR),)), rules)) == 1


def test_an_unknown_taxon_is_reported_with_near_names():
    rules = [rule(taxon="jaguar"), rule(taxon="jagaur"), rule(taxon="zzz")]

    _rules, faults = resolve_taxa(rules, [TwoTaxa()])

    assert [index for index, _message in faults] == [1, 2]
    assert faults[0][1] == "no model of this site knows a taxon 'jagaur'; did you mean 'jaguar'?"
    assert faults[1][1] == "no model of this site knows a taxon 'zzz'"


def test_a_taxon_rule_without_any_taxonomy_says_what_is_missing():
    _rules, faults = resolve_taxa([rule(taxon="jaguar")], [])

    assert "add a classifier with a taxonomy" in faults[0][1]
