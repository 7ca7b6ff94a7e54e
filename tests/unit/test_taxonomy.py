"""The class table, the tree of taxa, names, and probability summed up the tree."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import RANKS, Answer, Classification, Taxon
from edge.models.taxa import DATA, all_taxa, common_and_scientific_names, describe_lineage, fold, read_rows
from edge.models.taxonomy import LabelledClass, class_labels, load_taxonomy

IMAGENET = load_taxonomy("imagenet")
ANIMALS = class_labels("imagenet")[:398]


def roll(min_score: float = 0.65, **scores: float) -> Answer:
    answer = IMAGENET.rollup(
        [Classification(label.replace("_", " "), score) for label, score in scores.items()], min_score=min_score
    )
    assert answer is not None
    return answer


def test_labels_stand_in_the_order_of_the_models_outputs() -> None:
    labels = class_labels("imagenet")

    assert len(labels) == len({label.casefold() for label in labels}) == 1000
    known = {0: "tench", 134: "crane (bird)", 281: "tabby", 386: "African elephant", 517: "crane (machine)"}
    assert {index: labels[index] for index in known} == known
    assert labels[999] == "toilet tissue"


def test_unknown_table_is_refused_with_the_names_of_those_there_are() -> None:
    for ask in (class_labels, load_taxonomy):
        for name in ("imagnet", "taxa", "../../etc/passwd"):
            with pytest.raises(ValueError, match=r"no taxonomy is called .*: there is imagenet"):
                ask(name)


def test_the_398_animals_have_taxa_and_nothing_else_has() -> None:
    having = [label for label in class_labels("imagenet") if IMAGENET.taxon_of(label)]

    assert tuple(having) == ANIMALS


def test_every_lineage_runs_from_the_kingdom_down_without_a_rank_twice() -> None:
    taxa = all_taxa()

    for name, taxon in taxa.items():
        ranks = [RANKS.index(taxa[each].rank) for each in taxon.lineage]
        assert ranks == sorted(set(ranks)), name
        assert taxon.lineage[0] == "Animalia", name
        assert taxon.lineage[-1] == name


def test_every_genus_stands_in_its_species_name_and_below_a_family() -> None:
    taxa = all_taxa()

    for taxon in taxa.values():
        if taxon.rank == "species":
            assert taxon.scientific_name.split()[0] == taxon.lineage[-2], taxon.scientific_name
        if taxon.rank in {"genus", "species"}:
            assert {"class", "order", "family"} <= {taxa[each].rank for each in taxon.lineage}, taxon.scientific_name


def test_every_taxon_has_names_in_both_languages_that_no_other_taxon_has() -> None:
    owners: dict[str, str] = {}

    for row in read_rows(DATA / "taxa.csv"):
        assert row["english"], row
        assert row["spanish"], row
        for name in {fold(each) for language in ("english", "spanish") for each in row[language].split(";")}:
            assert name, row
            assert owners.setdefault(name, row["scientific_name"]) == row["scientific_name"], name


def test_labels_are_trusted_to_their_taxon_or_above_and_a_limit_has_its_reason() -> None:
    for label in ANIMALS:
        known = IMAGENET.classes[label]
        assert known.stands_for is not None
        assert known.trusted is not None
        assert known.trusted.scientific_name in known.stands_for.lineage
        assert bool(known.note) == (known.trusted != known.stands_for), label


@pytest.mark.parametrize(
    ("name", "scientific"),
    [
        ("Felidae", "Felidae"),
        ("felino", "Felidae"),
        ("OSO", "Ursidae"),
        ("  African   Elephant ", "Loxodonta"),
        ("león", "Panthera leo"),
        ("leon", "Panthera leo"),
        ("puma", "Puma concolor"),
        ("Puma", "Puma"),
        ("gris zorro", None),
        ("", None),
    ],
)
def test_find_reads_scientific_english_and_spanish_names(name: str, scientific: str | None) -> None:
    found = IMAGENET.find(name)

    assert (found.scientific_name if found else None) == scientific


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("ocelote", "Felidae"),
        ("jaguar", "Felidae"),
        ("zorro gris", "Canidae"),
        ("oso andino", "Ursidae"),
        ("saíno", "Artiodactyla"),
        ("zarigüeya", "Mammalia"),
    ],
)
def test_a_taxon_no_answer_can_reach_is_not_found_and_the_nearest_above_is_suggested(name: str, instead: str) -> None:
    assert IMAGENET.find(name) is None
    assert IMAGENET.suggest(name) == [instead]


def test_a_misspelt_name_gets_near_names_that_can_be_answers() -> None:
    assert IMAGENET.suggest("elefannte")[0] == "elefante"
    assert IMAGENET.suggest("ocelotte")[0] == "Felidae"
    assert IMAGENET.suggest("qqqqqq") == []


@given(st.sampled_from(sorted(common_and_scientific_names())))
def test_whatever_is_suggested_can_be_found(name: str) -> None:
    for suggestion in IMAGENET.suggest(name[1:]):
        assert IMAGENET.find(suggestion) is not None


def test_every_answer_is_found_again_by_its_scientific_name() -> None:
    for known in IMAGENET.classes.values():
        if known.trusted:
            assert IMAGENET.find(known.trusted.scientific_name) == known.trusted


def test_an_ocelot_called_jaguar_is_a_felid() -> None:
    answer = roll(jaguar=0.87, leopard=0.05)

    assert answer.taxon.scientific_name == "Felidae"
    assert answer.score == pytest.approx(0.92)


@pytest.mark.parametrize(
    ("label", "family"),
    [
        ("grey fox", "Canidae"),
        ("American black bear", "Ursidae"),
        ("African elephant", "Elephantidae"),
        ("Indian elephant", "Elephantidae"),
        ("tusker", "Elephantidae"),
        ("cougar", "Felidae"),
        ("skunk", "Mephitidae"),
        ("beagle", "Canidae"),
    ],
)
def test_a_sure_class_is_answered_within_its_family(label: str, family: str) -> None:
    answer = IMAGENET.rollup([Classification(label, 0.93)])

    assert answer is not None
    assert family in answer.taxon.lineage


def test_breeds_sum_up_to_the_dog_but_those_that_look_wild_only_to_the_family() -> None:
    assert roll(beagle=0.3, pug=0.4).taxon.scientific_name == "Canis familiaris"
    assert roll(Siberian_husky=0.4, malamute=0.4).taxon.scientific_name == "Canidae"


def test_the_answer_climbs_until_it_is_sure() -> None:
    assert roll(cougar=0.7).taxon.rank == "species"
    assert roll(lion=0.4, tiger=0.4).taxon.scientific_name == "Panthera"
    assert roll(cougar=0.4, tiger=0.4).taxon.scientific_name == "Felidae"
    assert roll(cougar=0.4, hyena=0.4).taxon.scientific_name == "Carnivora"
    assert roll(cougar=0.4, hare=0.4).taxon.scientific_name == "Mammalia"
    assert roll(cougar=0.4, tick=0.4).taxon.scientific_name == "Animalia"


def test_things_do_not_count_as_animals() -> None:
    assert IMAGENET.rollup([Classification("cougar", 0.5), Classification("chainlink fence", 0.5)]) is None
    assert IMAGENET.rollup([]) is None


def test_a_score_just_at_the_threshold_is_enough() -> None:
    assert roll(cougar=0.65).taxon.rank == "species"
    assert IMAGENET.rollup([Classification("cougar", 0.6499)]) is None


def test_of_two_of_one_rank_the_more_probable_is_taken() -> None:
    assert roll(0.3, tiger=0.4, cougar=0.45).taxon.scientific_name == "Puma concolor"


def test_probabilities_that_round_to_more_than_one_give_a_score_of_one() -> None:
    assert roll(tiger=0.6, lion=0.4 + 1e-7).score == 1.0


def test_a_class_of_another_model_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"taxonomy 'imagenet' has no class 'ocelot'"):
        IMAGENET.rollup([Classification("ocelot", 0.9)])


def test_lineage_text_has_the_fields_of_the_field_and_an_id_that_never_changes() -> None:
    taxa = all_taxa()

    assert describe_lineage(taxa["Panthera onca"]) == (
        "7aeac8e5-8a74-59b0-9869-7a7943b45baf;mammalia;carnivora;felidae;panthera;onca;jaguar"
    )
    assert describe_lineage(taxa["Felidae"]).split(";")[1:] == [
        "mammalia",
        "carnivora",
        "felidae",
        "",
        "",
        "cat family",
    ]
    assert describe_lineage(taxa["Animalia"]).split(";")[1:] == ["", "", "", "", "", "animal"]


def probabilities() -> st.SearchStrategy[list[Classification]]:
    """Some classes of ImageNet with probabilities that sum to at most 1, as a softmax gives them."""

    def scale(drawn: dict[str, float]) -> list[Classification]:
        total = max(sum(drawn.values()), 1.0)
        return [Classification(label, value / total) for label, value in drawn.items()]

    return st.dictionaries(st.sampled_from(class_labels("imagenet")), st.floats(0, 1), max_size=30).map(scale)


def mass_below(taxon: Taxon, classifications: list[Classification]) -> float:
    """What the definition says: the probability of all labels that are trusted to be this taxon or below."""

    def is_below(known: LabelledClass) -> bool:
        return known.trusted is not None and taxon.scientific_name in known.trusted.lineage

    return sum(each.score for each in classifications if is_below(IMAGENET.classes[each.label]))


@given(probabilities(), st.floats(0.05, 1))
def test_the_answer_is_sure_enough_and_nothing_finer_is(drawn: list[Classification], min_score: float) -> None:
    answer = IMAGENET.rollup(drawn, min_score=min_score)

    sure = [taxon for taxon in all_taxa().values() if mass_below(taxon, drawn) >= min_score]
    assert (answer is None) == (not sure)
    if answer:
        assert answer.score >= min_score
        assert answer.score == pytest.approx(mass_below(answer.taxon, drawn))
        assert all(RANKS.index(each.rank) <= RANKS.index(answer.taxon.rank) for each in sure)


@given(probabilities(), st.lists(st.floats(0.05, 1), min_size=2, max_size=4))
def test_asking_for_more_certainty_never_gives_a_finer_or_less_sure_answer(
    drawn: list[Classification], thresholds: list[float]
) -> None:
    answers = [IMAGENET.rollup(drawn, min_score=each) for each in sorted(thresholds)]

    for lax, strict in itertools.pairwise(answers):
        if strict is not None:
            assert lax is not None
            assert RANKS.index(strict.taxon.rank) <= RANKS.index(lax.taxon.rank)


@given(probabilities())
def test_a_parent_holds_at_least_what_its_child_holds(drawn: list[Classification]) -> None:
    for low, high in itertools.pairwise([0.2, 0.4, 0.6, 0.8]):
        child, parent = IMAGENET.rollup(drawn, min_score=low), IMAGENET.rollup(drawn, min_score=high)
        if child and parent and parent.taxon.scientific_name in child.taxon.lineage:
            assert parent.score >= child.score
