"""The rules of detector and classifier together: SpeciesNet's, one row each, and what a local list does to answers."""

import pytest

from edge.model import Answer, Category, Classification
from edge.models.taxa import all_taxa
from edge.models.taxonomy import LabelledClass, Taxonomy, load_taxonomy
from edge.species.ensemble import Rules, decide, sum_up
from edge.species.fence import Fence
from edge.species.lists import list_from

TAXA = all_taxa()
ANIMALS = {"lion": "Panthera leo", "jaguar": "Panthera onca", "puma": "Puma concolor", "brown bear": "Ursus arctos"}
ANIMALS |= {"felid": "Felidae", "deer": "Cervidae", "tick": "Ixodida"}
WILDLIFE = Taxonomy(
    "wildlife",
    [LabelledClass(label, TAXA[name], TAXA[name]) for label, name in ANIMALS.items()]
    + [LabelledClass(label) for label in ("blank", "human", "vehicle", "rock")],
)


def classes(**scores: float) -> tuple[Classification, ...]:
    ordered = sorted(scores.items(), key=lambda each: -each[1])
    return tuple(Classification(label.replace("_", " "), score) for label, score in ordered)


def fence(*names: str, closed: bool = True, weight: float = 0.1) -> Fence:
    species, faults = list_from("\n".join(("species", *names)), name="here")
    assert species is not None
    assert not faults
    return Fence(species, weight, closed)


# detector's category and score, classes, what is said, its answer, the rule
PUBLISHED: list[tuple[Category, float, dict[str, float], str, str, str]] = [
    ("person", 0.71, {}, "human", "", "1a"),
    ("person", 0.71, {"lion": 0.95}, "human", "", "1a"),
    ("person", 0.70, {"human": 0.51}, "human", "", "1b"),
    ("person", 0.21, {"vehicle": 0.51}, "human", "", "1b"),
    ("person", 0.20, {"human": 0.99}, "unknown", "", ""),
    ("person", 0.21, {"human": 0.50}, "unknown", "", ""),
    ("vehicle", 0.21, {"human": 0.51}, "human", "", "2a"),
    ("vehicle", 0.90, {"human": 0.51}, "human", "", "2a"),
    ("vehicle", 0.71, {"lion": 0.10}, "vehicle", "", "2b"),
    ("vehicle", 0.21, {"vehicle": 0.41}, "vehicle", "", "2c"),
    ("vehicle", 0.21, {"vehicle": 0.40}, "unknown", "", ""),
    ("animal", 0.19, {"blank": 0.51}, "blank", "", "3a"),
    ("animal", 0.20, {"blank": 0.51}, "unknown", "", ""),
    ("animal", 0.95, {"blank": 0.991}, "blank", "", "3b"),
    ("animal", 0.95, {"blank": 0.99}, "animal", "Animalia", "5b"),
    ("animal", 0.05, {"lion": 0.81}, "animal", "Panthera leo", "4a"),
    ("person", 0.30, {"lion": 0.81}, "animal", "Panthera leo", "4a"),
    ("animal", 0.21, {"lion": 0.66}, "animal", "Panthera leo", "4b"),
    ("animal", 0.20, {"lion": 0.66}, "animal", "Panthera", "5a"),
    ("person", 0.30, {"lion": 0.66}, "animal", "Panthera", "5a"),
    ("animal", 0.21, {"felid": 0.66}, "animal", "Felidae", "4b"),
    ("animal", 0.30, {"lion": 0.40, "jaguar": 0.30}, "animal", "Panthera", "5a"),
    ("animal", 0.30, {"lion": 0.40, "puma": 0.30}, "animal", "Felidae", "5a"),
    ("animal", 0.30, {"lion": 0.40, "brown_bear": 0.30}, "animal", "Carnivora", "5a"),
    ("animal", 0.30, {"lion": 0.40, "deer": 0.30}, "animal", "Mammalia", "5a"),
    ("animal", 0.30, {"lion": 0.40, "tick": 0.30}, "animal", "Animalia", "5a"),
    ("animal", 0.51, {"lion": 0.30, "rock": 0.60}, "animal", "Animalia", "5b"),
    ("animal", 0.50, {"lion": 0.30, "rock": 0.60}, "unknown", "", ""),
    ("animal", 0.51, {}, "animal", "Animalia", "5b"),
    ("animal", 0.50, {}, "unknown", "", ""),
    ("animal", 0.30, {"rock": 0.95}, "unknown", "", ""),
]


@pytest.mark.parametrize(("category", "score", "scores", "said", "answer", "rule"), PUBLISHED)
def test_published_rules(
    category: Category, score: float, scores: dict[str, float], said: str, answer: str, rule: str
) -> None:
    verdict = decide(category, score, classes(**scores), Rules(WILDLIFE))

    assert (verdict.said, verdict.rule) == (said, rule)
    assert (verdict.answer.taxon.scientific_name if verdict.answer else "") == answer


@pytest.mark.parametrize(
    ("names", "answer", "score"),
    [
        (("Panthera onca",), "Felidae", 0.92),  # not the genus: the published geofence begins at the family
        (("Ursidae",), "Carnivora", 0.97),
        (("deer",), "Mammalia", 0.97),
        (("Ixodida",), "Animalia", 0.97),
        (("Aves",), "Animalia", 0.97),
    ],
)
def test_published_geofence_rolls_up_from_the_family_and_says_what_it_was(
    names: tuple[str, ...], answer: str, score: float
) -> None:
    seen = classes(lion=0.9, puma=0.02, brown_bear=0.05)

    verdict = decide("animal", 0.9, seen, Rules(WILDLIFE, fence=fence(*names)))

    assert verdict.rule == "4a+geofence"
    assert verdict.answer is not None
    assert verdict.answer.taxon.scientific_name == answer
    assert verdict.answer.score == pytest.approx(score)
    assert verdict.answer.remark == "not-listed:Panthera leo"


def test_a_classifier_that_knows_no_people_can_not_make_an_animal_of_one() -> None:
    imagenet = load_taxonomy("imagenet")

    verdict = decide("person", 0.5, classes(jaguar=0.95), Rules(imagenet))

    assert verdict.said == "unknown"


def summed(seen: tuple[Classification, ...], *, within: Fence | None = None, **thresholds: float) -> Answer | None:
    return sum_up(seen, Rules(WILDLIFE, fence=within, thresholds=thresholds))


def named(answer: Answer | None) -> tuple[str, str]:
    assert answer is not None
    return answer.taxon.scientific_name, answer.remark


def test_what_can_not_be_here_is_rolled_up_and_marked_and_never_dropped() -> None:
    assert named(summed(classes(lion=0.9), within=fence("Panthera onca"))) == ("Panthera", "not-listed:Panthera leo")
    assert named(summed(classes(lion=0.9), within=fence("Puma concolor"))) == ("Felidae", "not-listed:Panthera leo")
    assert named(summed(classes(lion=0.9), within=fence("Aves"))) == ("Animalia", "not-listed:Panthera leo")


def test_a_geofence_that_is_off_lets_the_answer_be() -> None:
    off = fence("Puma concolor", closed=False, weight=1.0)

    assert named(summed(classes(lion=0.9), within=off)) == ("Panthera leo", "")


def test_the_list_decides_between_two_where_the_classifier_can_not() -> None:
    seen = classes(lion=0.45, puma=0.4)

    assert named(summed(seen)) == ("Felidae", "")
    assert named(summed(seen, within=fence("Puma concolor"))) == ("Puma concolor", "not-listed:Panthera leo")
    assert named(summed(seen, within=fence("Puma concolor", weight=1.0))) == ("Felidae", "")


def test_a_list_changes_nothing_for_what_is_on_it_and_makes_no_answer_coarser() -> None:
    seen = classes(puma=0.5, lion=0.3, rock=0.2)

    plain, here = summed(seen), summed(seen, within=fence("Puma concolor", "deer"))

    assert named(plain) == ("Felidae", "")
    assert named(here) == ("Puma concolor", "")
    assert named(summed(classes(puma=0.7), within=fence("Puma concolor"))) == ("Puma concolor", "")
    assert named(summed(classes(felid=0.7, rock=0.3), within=fence("Puma concolor"))) == ("Felidae", "")


def test_unknown_stays_unknown() -> None:
    seen = classes(rock=0.6, lion=0.2, tick=0.1)

    assert summed(seen) is None
    assert summed(seen, within=fence("Puma concolor")) is None
    assert summed((), within=fence("Puma concolor")) is None


def test_a_taxon_with_a_threshold_of_its_own_needs_that_much() -> None:
    strict = Rules(WILDLIFE, thresholds={"Panthera leo": 0.95, "Panthera": 0.95})
    lax = Rules(WILDLIFE, thresholds={"Panthera leo": 0.5})

    assert named(sum_up(classes(lion=0.9), strict)) == ("Felidae", "")
    assert named(sum_up(classes(lion=0.55), lax)) == ("Panthera leo", "")
    verdict = decide("animal", 0.9, classes(lion=0.9), strict)
    assert verdict.answer is not None
    assert (verdict.answer.taxon.scientific_name, verdict.rule) == ("Felidae", "5a")


def test_a_prior_moves_probability_and_makes_none() -> None:
    seen = classes(lion=0.4, puma=0.3, blank=0.1)

    weighed = fence("Puma concolor").weigh(seen, WILDLIFE)

    assert [each.label for each in weighed] == ["lion", "puma", "blank"]
    assert sum(each.score for each in weighed) <= 1
    assert weighed[1].score == pytest.approx(0.3 / 0.64)  # 0.4 × 0.1 + 0.3 + 0.1 + the 0.2 that was not kept
