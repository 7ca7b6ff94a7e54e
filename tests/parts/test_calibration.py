"""Calibration: a temperature that undoes a known one, thresholds by taxon, what is refused, and the plot."""

import math
import random
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge.errors import ConfigError, FatalError
from edge.model import Classification
from edge.models.taxa import all_taxa
from edge.models.taxonomy import LabelledClass, Taxonomy
from edge.species.calibration import (
    NEVER,
    Reviewed,
    fit,
    heat,
    read_calibration,
    said_and_right,
    taxon_thresholds,
    write_calibration,
)
from edge.species.reliability import bins_of, calibration_error, reliability_svg

TAXA = all_taxa()
NAMES = {"puma": "Puma concolor", "lion": "Panthera leo", "dog": "Canis familiaris", "bear": "Ursus arctos"}
LABELS = (*NAMES, "rock")
FIVE = Taxonomy(
    "five", [LabelledClass(label, TAXA[name], TAXA[name]) for label, name in NAMES.items()] + [LabelledClass("rock")]
)


def softmax(logits: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(each / temperature) for each in logits]
    return [each / sum(powers) for each in powers]


def ranked(scores: list[float]) -> tuple[Classification, ...]:
    return tuple(sorted(map(Classification, LABELS, scores), key=lambda each: -each.score))


def overconfident(count: int, *, temperature: float, seed: int = 7) -> list[Reviewed]:
    """Boxes of a classifier that knows the right odds and says them at 1/temperature."""
    rng = random.Random(seed)
    boxes = []
    for _number in range(count):
        logits = [rng.gauss(0, 1.5) for _label in LABELS]
        (drawn,) = rng.choices(LABELS, softmax(logits))
        truth = TAXA[NAMES[drawn]] if drawn in NAMES else None
        boxes.append(Reviewed(ranked(softmax(logits, 1 / temperature)), truth))
    return boxes


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found_again(temperature: float) -> None:
    boxes = overconfident(1500, temperature=temperature)

    found = fit(boxes, FIVE)

    assert found.temperature == pytest.approx(temperature, rel=0.15)
    assert found.error_after < 0.05
    if temperature != 1.0:
        assert found.error_after < found.error_before / 2


def test_heat_is_a_softmax_at_another_temperature_and_keeps_the_order() -> None:
    logits = [2.0, 1.0, 0.0, -1.0, -2.0]

    heated = heat(ranked(softmax(logits)), temperature=3.0, class_count=5)

    assert [each.score for each in heated] == pytest.approx(softmax(logits, 3.0))
    assert [each.label for each in heated] == list(LABELS)


def test_what_was_not_kept_keeps_its_share_when_heated() -> None:
    kept = (Classification("puma", 0.8),)

    (hot,) = heat(kept, temperature=2.0, class_count=5)
    (cold,) = heat(kept, temperature=0.5, class_count=5)

    assert hot.score == pytest.approx(math.sqrt(0.8) / (math.sqrt(0.8) + 4 * math.sqrt(0.05)))
    assert cold.score > 0.8 > hot.score
    assert heat(kept, temperature=1.0, class_count=5) == kept


@pytest.mark.parametrize(("count", "says"), [(0, "0 reviewed boxes are too few.*100, 100 more"), (63, "63 .* 37 more")])
def test_too_few_boxes_are_refused_with_how_many_are_missing(count: int, says: str) -> None:
    with pytest.raises(FatalError, match=says):
        fit(overconfident(count, temperature=1.0), FIVE)


def test_boxes_of_one_kind_of_animal_are_refused() -> None:
    with pytest.raises(FatalError, match="show 1 kinds of animals: a calibration needs 3"):
        fit([Reviewed(ranked([0.6, 0.1, 0.1, 0.1, 0.1]), TAXA["Puma concolor"])] * 200, FIVE)


def puma(score: float, truth: str) -> Reviewed:
    return Reviewed((Classification("puma", score), Classification("rock", 1 - score)), TAXA[truth])


def test_a_taxon_gets_the_lowest_threshold_at_which_enough_was_right() -> None:
    boxes = [puma(0.9, "Puma concolor")] * 30 + [puma(0.8, "Puma concolor")] * 10
    boxes += [puma(0.7, "Canis familiaris")] * 20

    found = taxon_thresholds(boxes, FIVE, target=0.9)

    assert found["Puma concolor"] == pytest.approx(0.7, abs=2e-4)
    assert found["Puma concolor"] > 0.7
    assert found["Felidae"] == found["Puma concolor"]
    assert "Carnivora" not in found  # a dog is one, too: nothing was wrong


def test_a_threshold_falls_where_unsure_answers_were_right_and_does_not_rise_for_want_of_boxes() -> None:
    timid = [puma(0.9, "Puma concolor")] * 30 + [puma(0.5, "Puma concolor")] * 10
    sure = [puma(0.99, "Puma concolor")] * 40

    assert taxon_thresholds(timid, FIVE)["Puma concolor"] == pytest.approx(0.5)
    assert taxon_thresholds(sure, FIVE) == {}


def test_a_taxon_that_is_mostly_wrong_is_never_an_answer_and_a_rare_one_has_no_threshold() -> None:
    boxes = [Reviewed((Classification("puma", 0.8),), TAXA["Canis familiaris"])] * 25
    boxes += [Reviewed((Classification("bear", 0.8),), TAXA["Ursus arctos"])] * 19

    found = taxon_thresholds(boxes, FIVE)

    assert found["Puma concolor"] == NEVER
    assert "Ursus arctos" not in found


def test_a_review_coarser_than_the_classifier_is_compared_at_its_own_level() -> None:
    seen = (Classification("puma", 0.6), Classification("lion", 0.3))

    assert said_and_right([Reviewed(seen, TAXA["Felidae"])], FIVE) == [(pytest.approx(0.9), True)]
    assert said_and_right([Reviewed(seen, TAXA["Canis familiaris"])], FIVE) == [(0.6, False)]
    assert said_and_right([Reviewed(seen, None)], FIVE) == [(0.6, False)]


def test_calibration_error_is_the_weighed_distance_of_said_and_right() -> None:
    pairs = [(0.95, True)] * 6 + [(0.95, False)] * 2 + [(0.35, False)] * 2

    bins = bins_of(pairs)

    assert [each.count for each in bins] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 8]
    assert calibration_error(bins) == pytest.approx((8 * 0.2 + 2 * 0.35) / 10)
    assert calibration_error(bins_of([])) == 0
    assert bins_of([(1.0, True)])[-1].count == 1


def test_the_plot_is_well_formed_and_shows_a_bar_for_each_bin_that_has_boxes() -> None:
    svg = reliability_svg([("a < b", bins_of([(0.95, True), (0.15, False)])), ("after", bins_of([(0.5, True)]))])

    root = ET.fromstring(svg)
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("fill-opacity")]
    assert len(bars) == 3
    assert any("a < b" in (each.text or "") for each in root.iter("{http://www.w3.org/2000/svg}text"))


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = fit(overconfident(400, temperature=2.0), FIVE, model="net", model_sha256="0" * 64, made_of="labels.csv")

    write_calibration(found, tmp_path / "calibration.toml")

    assert read_calibration(tmp_path / "calibration.toml", FIVE) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temperature = 'hot'", "taxonomy: Field required"),
        ("taxonomy = 'four'\ntemperature = 1.0\nclass_count = 4\nboxes = 100", "made for the taxonomy 'four'.*'five'"),
        ("taxonomy = 'five'\ntemperature = 99.0\nclass_count = 5\nboxes = 100", "temperature: 0.2 to 10.0, got 99.0"),
        (
            "taxonomy = 'five'\ntemperature = 1.0\nclass_count = 5\nboxes = 100\n[thresholds]\nUnicornus = 0.5",
            "no answer can be 'Unicornus'",
        ),
        (
            "taxonomy = 'five'\ntemperature = 1.0\nclass_count = 5\nboxes = 100\n[thresholds]\nFelidae = 1.5",
            "Felidae: more than 0, at most 1",
        ),
        ("temperatur = 1.0", "nothing is called 'temperatur'"),
        ("=", "no calibration"),
    ],
)
def test_a_wrong_calibration_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(text, "utf-8")

    with pytest.raises(ConfigError, match=f"(?s){path}.*{says}"):
        read_calibration(path, FIVE)


def test_a_missing_calibration_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tigrillo calibrate"):
        read_calibration(tmp_path / "none.toml", FIVE)
