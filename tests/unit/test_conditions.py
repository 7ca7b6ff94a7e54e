"""Conditions: what YAML may say, what it is refused for, and what names in it are resolved to."""

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from edge.alerts.conditions import MOST_LEVELS, Condition
from edge.alerts.groups import BUILT_IN, Members, check_groups
from edge.alerts.resolve import resolve
from edge.alerts.zones import Zone
from edge.model import Taxon
from edge.models.taxa import all_taxa, taxon_named
from edge.models.taxonomy import load_taxonomy
from edge.services import Station


@dataclass
class AllTaxa:
    """Knows the whole table."""

    def find(self, name: str) -> Taxon | None:
        return taxon_named(name)

    def suggest(self, name: str) -> list[str]:
        return ["jaguar"] if name.startswith("jag") else []


TABLE = (AllTaxa(),)
PLACED = {"ridge": Station("ridge", "America/Bogota", 4.6, -74.1), "river": Station("river")}


def resolved(condition, *, taxonomies=TABLE, groups=None, zones=None, stations=PLACED):
    if isinstance(condition, dict):
        condition = Condition.model_validate(condition)
    return resolve(condition, taxonomies=taxonomies, groups=groups or {}, zones=zones or {}, stations=stations)


def faults(condition, **known):
    return resolved(condition, **known)[1]


def nested(levels):
    return {"taxon": "Felidae"} if levels == 1 else {"not": nested(levels - 1)}


# ── the type ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_text_may_stand_for_a_list():
    short = Condition.model_validate({"taxon": "Felidae", "category": "animal", "hours": "6:00-7:30", "sun": "night"})
    long = Condition.model_validate(
        {"taxon": ["Felidae"], "category": ["animal"], "hours": ["06:00-07:30"], "sun": ["night"]}
    )

    assert short == long


def test_weekdays_are_understood_in_both_languages():
    said = ["mon", "Tuesday", "MIÉ", "jueves", "vie", "Sábado", "dom"]

    assert Condition(weekdays=said).weekdays == ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def test_a_condition_survives_being_written_and_read():
    data = {
        "group": ["felinos"],
        "zones": ["north"],
        "polygon": [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)],
        "hours": ["18:00-06:00"],
        "seen_times": {"times": 3, "days": 7},
        "any": [{"sun": ["night"]}, {"weekdays": ["sat"], "min_score": 0.8}],
        "not": {"direction": ["away"]},
    }
    condition = Condition.model_validate(data)

    written = condition.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    assert set(written) == set(data)
    assert Condition.model_validate(written) == condition


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"hours": "25:00-26:00"}, "00:00 to 24:00"),
        ({"hours": "24:00-06:00"}, "00:00 to 24:00"),
        ({"hours": "18:60-19:00"}, "00:00 to 24:00"),
        ({"hours": "18:00-18:00"}, "begins and ends at once"),
        ({"hours": "evening"}, "18:00-06:00"),
        ({"hours": "18:00-06:00x"}, "18:00-06:00"),
        ({"hours": []}, "hours: .* is empty"),
        ({"taxon": []}, "taxon: .* is empty"),
        ({"any": []}, "any: .* is empty"),
        ({"not": {"all": []}}, "all: .* is empty"),
        ({"weekdays": "funday"}, "no weekday"),
        ({"sun": "noon"}, "'day', 'night' or 'twilight'"),
        ({"category": "plant"}, "'animal', 'person' or 'vehicle'"),
        ({"direction": "up"}, "'toward'"),
        ({"stations": ["../x"]}, "letters, digits"),
        ({"taxon": "a\nb"}, "printable"),
        ({"taxon": ["Felidae", " "]}, "printable"),
        ({"min_score": 1.5}, "less than or equal to 1"),
        ({"min_count": 0}, "greater than or equal to 1"),
        ({"first_in_days": 0}, "greater than 0"),
        ({"first_in_days": float("inf")}, "less than|finite"),
        ({"seen_times": {"times": 1, "days": 3}}, "greater than or equal to 2"),
        ({"seen_times": {"times": 3}}, "Field required"),
        ({"polygon": [(0, 0), (1, 1)]}, "3 different corners"),
        ({"polygon": [(0, 0), (1, 1), (0, 0), (1, 1)]}, "3 different corners"),
        ({"polygon": [(0, 0), (1, 1), (3, 3)]}, "on one line"),
        ({"polygon": [(-74.1, 4.6), (-174.0, 4.6), (-74.0, 4.7)]}, r"\[latitude, longitude\]"),
        ({"polygon": [(0, 0), (0, 181), (1, 0)]}, "-180 to 180"),
        ({"polygon": [(0, 0), (float("nan"), 1), (1, 0)]}, "-90 to 90"),
        ({"taxa": "Felidae"}, "Extra inputs"),
        ({"any": [{"channels": ["mail"]}]}, "Extra inputs"),
        (nested(MOST_LEVELS + 1), "more than 8 deep"),
    ],
)
def test_what_makes_no_sense_is_refused(data, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Condition.model_validate(data)


def test_conditions_may_lie_in_each_other_to_a_bound():
    assert Condition.model_validate(nested(MOST_LEVELS)).levels() == MOST_LEVELS


@pytest.mark.parametrize("data", [{"hours": "25:00-26:00"}, {"weekdays": "funday"}, {"polygon": [(0, 0), (0, 999)]}])
def test_faults_are_told_in_spanish(data, monkeypatch):
    told = []
    for language in ("en", "es"):
        monkeypatch.setenv("TIGRILLO_LANG", language)
        with pytest.raises(ValidationError) as caught:
            Condition.model_validate(data)
        told.append(str(caught.value))

    assert told[0] != told[1]


# ── taxa ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_become_scientific_at_every_depth():
    condition, found = resolved({"taxon": ["yaguareté", "puma"], "any": [{"not": {"taxon": "perro"}}, {"sun": "day"}]})

    assert found == []
    assert condition.taxon == ("Panthera onca", "Puma concolor")
    assert condition.any[0].not_.taxon == ("Canis familiaris",)


def test_a_resolved_condition_stays_what_it_was():
    class Special(Condition):
        colour: str

    condition, _faults = resolved(Special(colour="red", taxon="jaguar"))

    assert type(condition) is Special
    assert (condition.colour, condition.taxon) == ("red", ("Panthera onca",))


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"taxon": "jagar"}, ("taxon",), "did you mean 'jaguar'?"),
        ({"taxon": ["puma", "jagar"]}, ("taxon", 1), "knows a taxon 'jagar'"),
        ({"all": [{"sun": "day"}, {"not": {"taxon": "jagar"}}]}, ("all", 1, "not", "taxon"), "'jaguar'"),
        ({"taxon": "felinos"}, ("taxon",), "write `group: felinos`"),
        ({"taxon": "cazadores"}, ("taxon",), "write `group: cazadores`"),
        ({"taxon": "vehicle"}, ("taxon",), "write `category: vehicle`"),
        ({"group": "cazadors"}, ("group",), "did you mean 'cazadores'?"),
        ({"group": "zzz"}, ("group",), "there are: felinos, cats"),
        ({"zones": "nrth"}, ("zones",), "did you mean 'north'?"),
        ({"taxon": "puma", "any": [{}]}, ("any", 0), "asks for nothing"),
        ({"taxon": "puma", "not": {}}, ("not",), "asks for nothing"),
    ],
)
def test_unknown_names_are_told_with_their_place_and_near_ones(data, path, message):
    found = faults(data, zones={"north": Zone(stations=("ridge",))})

    assert [where for where, _message in found] == [path]
    assert message in found[0][1]


def test_without_a_taxonomy_taxa_and_cats_say_what_is_missing():
    for data in ({"taxon": "Felidae"}, {"group": "felinos"}):
        ((_path, message),) = faults(data, taxonomies=())
        assert "add a classifier" in message


# ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_built_in_groups_name_taxa_that_exist():
    assert {name for members in BUILT_IN.values() for name in members.taxa} <= set(all_taxa())


def test_poachers_come_without_the_dog_where_no_model_can_tell_one():
    with_dog, _faults = resolved({"group": "Cazadores"})
    without, found = resolved({"group": "poachers"}, taxonomies=())

    assert with_dog.members("Cazadores") == Members(frozenset({"person", "vehicle"}), frozenset({"Canis familiaris"}))
    assert without.members("poachers") == Members(frozenset({"person", "vehicle"}))
    assert found == []


def test_groups_of_the_site_may_hold_each_other_categories_and_taxa():
    groups = {"big": ["jaguar", "PUMA"], "alarm": ["Big", "person", "poachers", "tapir"]}

    condition, found = resolved({"group": "alarm"}, groups=groups)

    assert found == check_groups(groups, TABLE) == []
    assert condition.members("alarm").categories == {"person", "vehicle"}
    assert {"Panthera onca", "Puma concolor", "Canis familiaris"} < condition.members("alarm").taxa


def test_the_site_may_redefine_a_built_in_group():
    condition, _faults = resolved({"group": "felinos"}, groups={"felinos": ["jaguar"]})

    assert condition.members("felinos") == Members(taxa=frozenset({"Panthera onca"}))


@pytest.mark.parametrize(
    ("groups", "path", "message"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, ("c", 0), "a → b → c → a"),
        ({"a": ["A"]}, ("a", 0), "contains itself: a → A"),
        ({"felinos": ["felinos"]}, ("felinos", 0), "contains itself"),
        ({"a": ["jagar"]}, ("a", 0), "did you mean 'jaguar'?"),
        ({"a": ["persn"]}, ("a", 0), "did you mean 'person'"),
        ({"a": []}, ("a",), "needs a member"),
        ({"a": ["jaguar"], "A": ["puma"]}, ("A",), "there twice"),
    ],
)
def test_groups_that_make_no_sense_are_refused(groups, path, message):
    found = [text for where, text in check_groups(groups, TABLE) if where == path]

    assert found
    assert message in found[0]


def test_a_fault_in_a_group_is_told_where_the_group_stands_only():
    groups = {"inner": ["jagar"], "outer": ["inner", "puma"]}

    assert [where for where, _message in check_groups(groups, TABLE)] == [("inner", 0)]
    assert faults({"group": "outer"}, groups=groups) == []


def test_the_real_taxonomy_knows_the_built_in_groups():
    taxonomy = load_taxonomy("imagenet")

    assert [found for name in BUILT_IN for found in faults({"group": name}, taxonomies=(taxonomy,))] == []


# ── zones and coordinates ─────────────────────────────────────────────────────────────────────────────────────────────

SQUARE = Zone(polygon=((4.0, -75.0), (4.0, -74.0), (5.0, -74.0), (5.0, -75.0)))


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"sun": "night", "stations": ["ridge"]}, None),
        ({"sun": "night", "stations": ["ridge", "river"]}, ("sun",)),
        ({"sun": "night", "stations": ["elsewhere"]}, ("sun",)),
        ({"sun": "night"}, None),
        ({"stations": ["river"], "any": [{"sun": "day"}, {"category": "person"}]}, ("any", 0, "sun")),
        ({"polygon": SQUARE.polygon, "stations": ["river"]}, ("polygon",)),
        ({"zones": ["sq"], "stations": ["river"]}, ("zones",)),
        ({"zones": ["sq", "by name"], "stations": ["river"]}, None),
        ({"zones": ["by name"], "sun": "night"}, ("sun",)),
    ],
)
def test_what_needs_coordinates_says_which_station_has_none(data, path):
    found = faults(data, zones={"sq": SQUARE, "by name": Zone(stations=("river",))})

    assert [where for where, _message in found] == ([path] if path else [])
    if path:
        assert "`latitude`" in found[0][1]


@pytest.mark.parametrize("data", [{"sun": "night"}, {"polygon": SQUARE.polygon}, {"zones": ["sq"]}])
def test_a_site_without_any_coordinates_is_told_once(data):
    found = faults(data, zones={"sq": SQUARE}, stations={"river": PLACED["river"]})

    assert [message for _where, message in found] == ["no station has `latitude` and `longitude`, which this needs"]
