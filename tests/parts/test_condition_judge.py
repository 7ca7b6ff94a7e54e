"""Judging a detection by a condition: what holds, and the reasons that are given."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.alerts.because import LINES, Because, tell
from edge.alerts.conditions import Condition
from edge.alerts.judge import NoPast, Sight, judge
from edge.alerts.tracks import directions, track_of
from edge.alerts.zones import Zone
from edge.i18n import LANGUAGES, translate
from edge.model import Answer, Detection, Outcome, PictureResult
from edge.models.taxa import all_taxa
from edge.services import Station
from edge.testing import spooled_frame

BOX = (0.4, 0.4, 0.2, 0.2)
NIGHT = datetime(2026, 6, 10, 3, 0, tzinfo=UTC)  # Tuesday 22:00 in Bogotá
NOON = datetime(2026, 6, 10, 17, 10, tzinfo=UTC)  # Wednesday 12:10 there
RIDGE = Station("ridge", "America/Bogota", 4.6, -74.1)
BARE = Station("bare", "America/Bogota")
TREE = {
    "taxon": "Felidae",
    "any": [{"sun": "night", "hours": "18:00-06:00"}, {"stations": "bare"}],
    "not": {"taxon": "Puma concolor"},
}


class Records:
    """A Past with encounters (station, lineage, category, begin)."""

    def __init__(self, *encounters):
        self.encounters = encounters
        self.asked = 0

    def times(self, station, *, names, category, since, before):
        self.asked += 1
        return [
            begin
            for where, lineage, kind, begin in self.encounters
            if where == station
            and since <= begin < before
            and (names is None or not names.isdisjoint(each.casefold() for each in lineage))
            and (category is None or category == kind)
        ]


def seen(name="", *, category="animal", score=0.9, sure=0.8, box=BOX):
    answer = Answer(all_taxa()[name], sure) if name else None
    return Detection(category, score, box, answer=answer)


def sight(detection, *others, station=RIDGE, at=NIGHT, began=None):
    picture = PictureResult(0, 0.0, (detection, *others))
    outcome = Outcome(spooled_frame(Path("/spool/f"), station=station.name), (picture,), width=64, height=48)
    return Sight(detection, picture, outcome, station, at, began)


def condition(data):
    return Condition.model_validate(data)


def holds(data, what, past=None):
    return judge(condition(data), what, past or NoPast()).holds


def lines(data, what, past=None, language="en"):
    verdict = judge(condition(data), what, past or NoPast())
    return ["  " * each.depth + ("+ " if each.holds else "- ") + tell(each, language) for each in verdict.because]


# ── what ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"taxon": "Felidae"}, True),
        ({"taxon": ["Canidae", "Panthera onca"]}, True),
        ({"taxon": "Panthera onca"}, True),
        ({"taxon": "Puma concolor"}, False),
        ({"group": "cats"}, True),
        ({"group": ["poachers", "felinos"]}, True),
        ({"group": "poachers"}, False),
        ({"group": "nobody defined it"}, False),
        ({"category": "animal"}, True),
        ({"category": ["person", "vehicle"]}, False),
        ({"taxon": "Felidae", "category": "person"}, False),
        ({}, True),
    ],
)
def test_taxon_group_and_category(data, expected):
    assert holds(data, sight(seen("Panthera onca"))) is expected


@pytest.mark.parametrize("who", [seen(category="person"), seen(category="vehicle"), seen("Canis familiaris")])
def test_poachers_are_people_vehicles_and_dogs(who):
    assert holds({"group": "cazadores"}, sight(who))
    assert not holds({"group": "cazadores"}, sight(seen("Canis")))


def test_the_answers_score_counts_where_a_taxon_matched_else_the_detectors():
    unsure = sight(seen("Panthera onca", score=0.9, sure=0.7))

    assert not holds({"taxon": "Felidae", "min_score": 0.8}, unsure)
    assert not holds({"group": "felinos", "min_score": 0.8}, unsure)
    assert holds({"category": "animal", "min_score": 0.8}, unsure)
    assert judge(condition({"taxon": "Felidae"}), unsure, NoPast()).score == 0.7
    assert judge(condition({"category": "animal"}), unsure, NoPast()).score == 0.9


def test_half_is_enough_where_no_score_is_named():
    assert holds({"category": "animal"}, sight(seen(score=0.5)))
    assert not holds({"category": "animal"}, sight(seen(score=0.499)))
    assert not holds({"not": {"category": "person"}}, sight(seen(score=0.499)))
    assert not holds({"stations": "ridge"}, sight(seen(score=0.499)))


def test_conditions_inside_take_the_score_of_the_one_around_unless_they_name_one():
    rule = {"min_score": 0.8, "any": [{"taxon": "Felidae"}, {"category": "person", "min_score": 0.3}]}

    assert not holds(rule, sight(seen("Puma", sure=0.7)))
    assert holds(rule, sight(seen("Puma", sure=0.85)))
    assert holds(rule, sight(seen(category="person", score=0.35)))


def test_a_condition_about_the_place_asks_for_no_second_score():
    assert holds({"taxon": "Felidae", "any": [{"sun": "night"}]}, sight(seen("Puma", score=0.3, sure=0.9)))


def test_what_is_excluded_is_excluded_however_unsure_it_is():
    rule = {"category": "animal", "min_score": 0.8, "not": {"taxon": "Felis catus"}}

    assert not holds(rule, sight(seen("Felis catus", sure=0.66)))
    for sure_only in (
        {"taxon": "Felis catus", "min_score": 0.7},
        {"min_score": 0.7, "any": [{"taxon": "Felis catus"}]},
    ):
        assert holds(rule | {"not": sure_only}, sight(seen("Felis catus", sure=0.66)))
        assert not holds(rule | {"not": sure_only}, sight(seen("Felis catus", sure=0.75)))


def test_count_is_of_the_same_kind_in_the_same_picture():
    herd = sight(seen("Puma"), seen("Panthera onca"), seen("Canis"), seen("Puma", sure=0.4), seen(category="person"))

    assert holds({"taxon": "Felidae", "min_count": 2}, herd)
    assert not holds({"taxon": "Felidae", "min_count": 3}, herd)
    assert holds({"taxon": "Felidae", "min_score": 0.3, "min_count": 3}, herd)
    assert holds({"category": "animal", "min_count": 4}, herd)
    assert holds({"taxon": "Felidae", "any": [{"min_count": 2}]}, herd)
    assert not holds({"taxon": "Felidae", "any": [{"min_count": 3}]}, herd)
    assert holds({"min_count": 4}, herd)
    assert not holds({"min_count": 5}, herd)


# ── where and when ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_zones_and_polygons():
    square = ((4.0, -75.0), (4.0, -74.0), (5.0, -74.0), (5.0, -75.0))
    zones = {"sq": Zone(polygon=square), "names": Zone(stations=("bare",))}
    cat, bare = sight(seen("Puma")), sight(seen("Puma"), station=BARE)

    def inside(names, what):
        return judge(Condition(zones=names).knowing(members={}, zones=zones), what, NoPast()).holds

    assert inside("sq", cat)
    assert not inside("names", cat)
    assert inside(["names", "sq"], bare)
    assert not inside("sq", bare)
    assert holds({"polygon": square}, cat)
    assert not holds({"polygon": [(y + 2, x) for y, x in square]}, cat)
    assert not holds({"polygon": square}, bare)


@pytest.mark.parametrize(
    ("data", "at", "expected"),
    [
        ({"hours": "18:00-06:00"}, NIGHT, True),
        ({"hours": "18:00-06:00"}, NOON, False),
        ({"hours": ["12:00-12:10", "12:10-12:11"]}, NOON, True),
        ({"hours": ["12:00-12:10"]}, NOON, False),
        ({"sun": "night"}, NIGHT, True),
        ({"sun": ["day", "twilight"]}, NIGHT, False),
        ({"sun": "day"}, NOON, True),
        ({"weekdays": "tue"}, NIGHT, True),  # Wednesday in UTC
        ({"weekdays": "wed"}, NIGHT, False),
        ({"weekdays": ["lun", "mié"]}, NOON, True),
    ],
)
def test_hours_sun_and_weekdays_are_those_of_the_station(data, at, expected):
    assert holds(data, sight(seen("Puma"), at=at)) is expected


@pytest.mark.parametrize(
    "data", [{"hours": "00:00-24:00"}, {"sun": ["day", "night"]}, {"weekdays": ["mon", "tue", "wed", "thu", "fri"]}]
)
def test_without_a_capture_time_no_time_holds_and_the_reason_says_so(data):
    unknown = sight(seen("Puma"), at=None)

    assert not holds(data, unknown)
    assert "nobody knows when it was captured" in lines(data, unknown)[-1]


# ── before ────────────────────────────────────────────────────────────────────────────────────────────────────────────

CAT, PUMA = ("Felidae", "Panthera", "Panthera onca"), ("Felidae", "Puma", "Puma concolor")


def days_ago(days):
    return NIGHT - timedelta(days=days)


def test_the_first_of_what_the_condition_names():
    records = Records(("ridge", PUMA, "animal", days_ago(10)), ("other", CAT, "animal", days_ago(1)))
    jaguar = sight(seen("Panthera onca"))

    assert holds({"taxon": "Panthera onca", "first_in_days": 30}, jaguar, records)
    assert not holds({"taxon": "Felidae", "first_in_days": 30}, jaguar, records)
    assert holds({"taxon": "Felidae", "first_in_days": 9}, jaguar, records)
    assert not holds({"group": "felinos", "first_in_days": 30}, jaguar, records)
    # where it names no taxon: the one that was seen
    assert holds({"category": "animal", "first_in_days": 30}, jaguar, records)
    assert holds({"taxon": "Felidae", "any": [{"first_in_days": 9}]}, jaguar, records)
    assert not holds({"taxon": "Felidae", "any": [{"first_in_days": 30}]}, jaguar, records)


def test_a_group_is_seen_again_when_any_of_it_is():
    records = Records(("ridge", (), "vehicle", days_ago(2)))

    assert not holds({"group": "poachers", "first_in_days": 3}, sight(seen(category="person")), records)
    assert holds({"category": "person", "first_in_days": 3}, sight(seen(category="person")), records)


def test_the_encounter_that_goes_on_is_not_an_earlier_one():
    began = NIGHT - timedelta(minutes=5)
    records = Records(("ridge", CAT, "animal", began))
    jaguar = sight(seen("Panthera onca"), began=began)

    assert holds({"taxon": "Felidae", "first_in_days": 30}, jaguar, records)
    assert not holds({"taxon": "Felidae", "seen_times": {"times": 2, "days": 1}}, jaguar, records)


def test_seen_times_counts_this_one_and_those_within_the_days():
    records = Records(*(("ridge", CAT, "animal", days_ago(each)) for each in (1, 2, 6, 8)))
    jaguar = sight(seen("Panthera onca"))

    assert holds({"taxon": "Felidae", "seen_times": {"times": 4, "days": 7}}, jaguar, records)
    assert not holds({"taxon": "Felidae", "seen_times": {"times": 5, "days": 7}}, jaguar, records)


def test_records_are_looked_up_only_where_they_make_a_difference():
    records = Records()
    rule = {"taxon": "Felidae", "hours": "06:00-18:00", "first_in_days": 3, "any": [{"first_in_days": 5}]}

    told = lines(rule, sight(seen("Panthera onca")), records)

    assert records.asked == 0
    assert [each for each in told if "first_in_days" in each] == [
        "- first_in_days: not looked up, as something else already speaks against it",
        "  - first_in_days: not looked up, as something else already speaks against it",
    ]


def test_without_a_time_or_a_calendar_nobody_knows_what_was_before():
    rule = {"first_in_days": 3, "seen_times": {"times": 2, "days": 3}}
    for at in (None, datetime.min.replace(tzinfo=UTC)):
        codes = [each.code for each in judge(condition(rule), sight(seen("Puma"), at=at), Records()).because]
        assert codes == ["min_score.box", "first_in_days.untimed", "seen_times.untimed"]


# ── which way ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def clip(*pictures, of=0, seconds=0.5):
    """Each picture is a tuple of detections; the sight is the first of number `of`."""
    results = tuple(PictureResult(number, number * seconds, each) for number, each in enumerate(pictures))
    frame = replace(spooled_frame(Path("/spool/f"), station="ridge"), kind="clip")
    outcome = Outcome(frame, results, width=64, height=48)
    return Sight(pictures[of][0], results[of], outcome, RIDGE, NIGHT)


def walk(*boxes):
    return tuple((seen("Puma", box=box),) for box in boxes)


LEFT = walk(*((0.8 - step / 10, 0.4, 0.1, 0.2) for step in range(6)))
NEARER = walk(*((0.4 - step / 40, 0.4 - step / 40, 0.1 + step / 20, 0.1 + step / 20) for step in range(6)))


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [(LEFT, {"left"}), (LEFT[::-1], {"right"}), (NEARER, {"toward"}), (NEARER[::-1], {"away"}), (LEFT[:1] * 4, set())],
)
@pytest.mark.parametrize("of", [0, 2, -1])
def test_direction_is_that_of_the_track_through_the_detection(pictures, expected, of):
    what = clip(*pictures, of=of % len(pictures))

    assert directions(track_of(what.detection, what.picture, what.outcome)) == expected
    assert len(track_of(what.detection, what.picture, what.outcome)) == len(pictures)
    for way in ("left", "right", "toward", "away"):
        assert holds({"direction": way}, what) is (way in expected)


def test_two_animals_that_cross_keep_their_own_way():
    other = walk(*((0.1 + step / 10, 0.7, 0.1, 0.2) for step in range(6)))
    both = [(*one, *two) for one, two in zip(LEFT, other, strict=True)]

    assert holds({"direction": "left"}, clip(*both))
    assert not holds({"direction": "right"}, clip(*both))


def test_an_animal_that_was_away_for_long_is_another_one():
    gone = [LEFT[0], LEFT[1], (), (), (), (), (), LEFT[2], LEFT[3]]

    assert len(track_of(LEFT[0][0], clip(*gone).picture, clip(*gone).outcome)) == 2


def test_other_categories_and_rejected_pictures_are_no_part_of_a_track():
    what = clip(*LEFT)
    pictures = [replace(each, rejected="blurred") if each.number else each for each in what.outcome.pictures]
    people = [
        replace(each, detections=tuple(replace(d, category="person") for d in each.detections)) for each in pictures
    ]

    for changed in (pictures, [pictures[0], *(replace(each, rejected="") for each in people[1:])]):
        outcome = replace(what.outcome, pictures=tuple(changed))
        assert track_of(what.detection, what.picture, outcome) == (what.detection.xywh_norm,)


def test_a_still_and_a_single_picture_say_that_they_show_no_direction():
    assert lines({"direction": "left"}, sight(seen("Puma")))[-1] == (
        "- direction: a still picture shows none, wanted to the left"
    )
    assert "in one picture of the clip only" in lines({"direction": "left"}, clip(LEFT[0]))[-1]


# ── the tree ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_reason_is_kept_with_its_depth():
    assert lines(TREE, sight(seen("Panthera onca"))) == [
        "+ taxon: Panthera onca, within Felidae",
        "+ min_score: 0.800 of the answer, 0.5 at least",
        "+ any: one of these holds",
        "  + together: all of these hold",
        "    + hours: 22:00 at ridge (America/Bogota) is in 18:00-06:00",
        "    + sun: -50.5° over the horizon at ridge, night",
        "  - stations: ridge is none of bare",
        "+ not: this does not hold",
        "  - taxon: Panthera onca, wanted Puma concolor",
    ]


def test_reasons_are_told_in_spanish():
    told = lines(TREE | {"weekdays": "fri"}, sight(seen("Panthera onca")), language="es")

    assert "    + hours: 22:00 en ridge (America/Bogota) está en 18:00-06:00" in told
    assert "- weekdays: martes en ridge (America/Bogota), se pide viernes" in told


def test_reasons_survive_being_written_and_read():
    verdict = judge(condition(TREE), sight(seen("Panthera onca")), NoPast())

    read = tuple(Because.from_json(json.loads(json.dumps(each.to_json()))) for each in verdict.because)

    assert read == verdict.because


def test_a_reason_of_another_version_is_told_plainly():
    assert tell(Because("moon", holds=True, fields={"got": "full"}), "es") == "moon got=full"
    assert tell(Because("hours", holds=True, fields={"got": "full"}), "en") == "hours got=full"


# ── properties ────────────────────────────────────────────────────────────────────────────────────────────────────────

TAXA = ["Felidae", "Panthera onca", "Puma concolor", "Canis familiaris", "Mammalia"]
PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "taxon": st.lists(st.sampled_from(TAXA), min_size=1, max_size=2),
        "group": st.sampled_from(["cats", "poachers", "unheard of"]),
        "category": st.sampled_from(["animal", "person"]),
        "stations": st.sampled_from(["ridge", "bare"]),
        "zones": st.sampled_from(["sq", "unheard of"]),
        "polygon": st.just([(4.0, -75.0), (4.0, -74.0), (5.0, -74.0)]),
        "hours": st.sampled_from(["18:00-06:00", "06:00-18:00"]),
        "sun": st.sampled_from(["day", "night", "twilight"]),
        "weekdays": st.sampled_from(["tue", "wed"]),
        "min_score": st.sampled_from([0.0, 0.3, 0.75, 0.95]),
        "min_count": st.integers(1, 3),
        "first_in_days": st.sampled_from([1, 20]),
        "seen_times": st.builds(lambda times: {"times": times, "days": 20}, st.integers(2, 3)),
        "direction": st.sampled_from(["left", "toward"]),
    },
)
CONDITIONS = st.recursive(
    PLAIN,
    lambda inner: st.builds(
        lambda plain, nested: plain | nested,
        PLAIN,
        st.fixed_dictionaries(
            {},
            optional={
                "any": st.lists(inner, min_size=1, max_size=3),
                "all": st.lists(inner, min_size=1, max_size=3),
                "not": inner,
            },
        ),
    ),
    max_leaves=4,
)
NUMBERS = st.one_of(st.floats(0, 1), st.sampled_from([float("nan"), float("inf"), -1.0, 0.0]))
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
DETECTIONS = st.builds(
    lambda category, score, box, name, sure: Detection(
        category, score, box, answer=Answer(all_taxa()[name], sure) if name and category == "animal" else None
    ),
    st.sampled_from(["animal", "person", "vehicle"]),
    NUMBERS,
    BOXES,
    st.sampled_from([*TAXA, ""]),
    NUMBERS,
)
MOMENTS = st.one_of(
    st.none(),
    st.sampled_from([NIGHT, NOON]),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
)
STATIONS = st.sampled_from(
    [RIDGE, BARE, Station("pole", "Antarctica/Troll", 90, 0), Station("x", "No/Where", -90, 180)]
)
PAST = Records(*(("ridge", each, "animal", days_ago(day)) for each, day in ((CAT, 3), (PUMA, 12), (CAT, 15))))


@st.composite
def sights(draw):
    pictures = draw(st.lists(st.lists(DETECTIONS, min_size=1, max_size=3), min_size=1, max_size=4))
    what = clip(*map(tuple, pictures), of=draw(st.integers(0, len(pictures) - 1)), seconds=draw(NUMBERS))
    if draw(st.booleans()):
        what = replace(what, outcome=replace(what.outcome, spooled=replace(what.outcome.spooled, kind="still")))
    began = draw(st.none() | st.sampled_from([NIGHT, days_ago(3)]))
    return replace(what, station=draw(STATIONS), at=draw(MOMENTS), began=began)


@settings(max_examples=80, deadline=None)
@given(CONDITIONS, sights())
def test_judging_never_raises_and_every_reason_can_be_told(data, what):
    verdict = judge(condition(data), what, PAST)

    for because in verdict.because:
        assert because.code + ("" if because.holds else "!") in LINES
        for language in LANGUAGES:
            told = tell(because, language)
            assert "{" not in told
            assert (
                told.split(":")[0]
                == translate(LINES[because.code + ("" if because.holds else "!")], language).split(":")[0]
            )


@settings(max_examples=40, deadline=None)
@given(CONDITIONS, sights())
def test_not_not_says_the_same(data, what):
    assert judge(condition({"not": {"not": data}}), what, PAST) == judge(condition(data), what, PAST)


@settings(max_examples=40, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3), sights())
def test_any_and_all_are_those_of_python(branches, what):
    each = [judge(condition(data), what, PAST).holds for data in branches]

    assert judge(condition({"any": branches}), what, PAST).holds == any(each)
    assert judge(condition({"all": branches}), what, PAST).holds == all(each)


@settings(max_examples=40, deadline=None)
@given(CONDITIONS.map(lambda data: {"min_score": 0.0} | data), sights())
def test_not_turns_around_what_names_its_score(data, what):
    """Inside `not` a score that is not named is not asked for; where all name theirs, it is plain logic."""
    named = _with_scores(data)
    what = replace(what, detection=replace(what.detection, score=1.0))

    assert (
        judge(condition({"min_score": 0.0, "not": named}), what, PAST).holds
        != judge(condition(named), what, PAST).holds
    )


def _with_scores(data):
    inner = {key: [_with_scores(each) for each in data[key]] for key in ("any", "all") if key in data}
    if "not" in data:
        inner["not"] = _with_scores(data["not"])
    return {"min_score": 0.0} | data | inner


@settings(max_examples=40, deadline=None)
@given(CONDITIONS, sights())
def test_a_condition_holds_when_all_its_own_reasons_do(data, what):
    verdict = judge(condition(data), what, PAST)

    assert verdict.holds == all(each.holds for each in verdict.because if each.depth == 0)
