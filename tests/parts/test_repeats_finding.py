"""Stones and branches are told from animals that come back; over a small made-up year whose truth is known."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from benchmarks.repeats_kit.year import ANIMAL, make_year
from edge.repeats.clusters import BLUR, JOINS, Seen, overlap
from edge.repeats.finding import find_repeats

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
STONE = (0.4, 0.6, 0.1, 0.08)


def seen(number, day, hour, box, name="", category="animal", score=0.5):
    at = FIRST + timedelta(days=int(day), hours=int(hour))
    return Seen(number, number, at, at.date().toordinal(), at.hour, category, score, box, name)


def each_day(days, box=STONE, *, jitter=0.0, seed=0, hours=(3, 9, 15, 21), name=""):
    """A box at these hours of these days; jitter: of its sides, new every day."""
    rng, rows = np.random.default_rng(seed), []
    for day in days:
        x, y, w, h = box
        dx, dy, dw, dh = rng.normal(0, jitter, 4)
        moved = (x + dx * w, y + dy * h, w * np.exp(dw), h * np.exp(dh))
        rows += [seen(len(rows) + day * 100, day, hour, moved, name) for hour in hours]
    return rows


def found(rows, days=range(200)):
    ordinals = [(date(2026, 1, 1) + timedelta(days=day)).toordinal() for day in days]
    return list(find_repeats(iter(sorted(rows, key=lambda each: each.at)), ordinals))


def test_a_made_up_year_has_its_planted_things_suspected_and_its_animals_not():
    things = things_in = animals = animals_in = 0
    for station in (1, 3, 75, 120):
        year = make_year(station, seed=2, days=120)
        truth = dict(zip([each.pk for each in year.seen], year.truth, strict=True))
        inside = [truth[pk] for repeat in find_repeats(iter(year.seen), year.days) for pk in repeat.pks]
        things += sum(what != ANIMAL for what in year.truth)
        things_in += sum(what != ANIMAL for what in inside)
        animals += sum(what == ANIMAL for what in year.truth)
        animals_in += sum(what == ANIMAL for what in inside)

    assert min(things, animals) > 1_000
    assert things_in / things >= 0.95
    assert animals_in / animals <= 0.002  # so few that one passing by counts; benchmarks/repeats.py asks for 0.001


def test_a_stone_is_one_repeat_with_all_of_its_boxes():
    rows = each_day(range(40), jitter=0.02)

    (repeat,) = found(rows)

    assert sorted(repeat.pks) == sorted(each.pk for each in rows)
    assert (repeat.frames, repeat.days, repeat.hours) == (160, 40, 4)
    assert (repeat.first_at, repeat.last_at) == (rows[0].at, rows[-1].at)
    assert overlap(repeat.box, STONE) > 0.9


def test_few_days_are_no_repeat():
    assert found(each_day(range(4))) == []
    assert len(found(each_day(range(5)))) == 1


def test_an_animal_that_lies_otherwise_every_night_is_no_suspect():
    assert found(each_day(range(60), (0.3, 0.5, 0.3, 0.2), jitter=0.1, hours=(1, 2, 3))) == []


def test_what_lies_a_little_otherwise_is_suspected_only_when_it_is_seen_at_all_hours():
    at_night = each_day(range(60), jitter=0.033, hours=(1, 2))
    at_all_hours = each_day(range(60), jitter=0.033)

    assert found(at_night) == []
    assert len(found(at_all_hours)) == 1


def test_what_is_surely_the_same_animal_must_lie_stiller_and_longer():
    assert len(found(each_day(range(8), jitter=0.01, name="Puma concolor"))) == 0
    assert len(found(each_day(range(30), jitter=0.01, name="Puma concolor", hours=range(0, 24, 3)))) == 1
    assert len(found(each_day(range(30), jitter=0.01, name="Puma concolor", hours=(1, 2)))) == 0


def test_a_camera_that_was_moved_begins_anew():
    before = each_day(range(40), jitter=0.01)
    after = each_day(range(40, 80), (0.6, 0.6, 0.1, 0.08), jitter=0.01)

    one, other = sorted(found(before + after), key=lambda repeat: repeat.first_at)

    assert one.last_at < other.first_at
    assert (overlap(one.box, STONE) > 0.9, overlap(other.box, STONE)) == (True, 0.0)


def test_what_was_missing_for_a_month_of_pictures_is_something_new():
    rows = each_day([*range(20), *range(60, 80)])

    assert len(found(rows, days=range(80))) == 2
    assert len(found(rows, days=[*range(20), *range(60, 80)])) == 1  # the camera was out in between


def test_a_camera_that_sags_keeps_its_stone():
    rows = [row for day in range(150) for row in each_day([day], (0.4, 0.5 + 0.0006 * day, 0.1, 0.08))]

    (repeat,) = found(rows)

    assert repeat.days == 150
    assert overlap(repeat.box, (0.4, 0.5 + 0.0006 * 149, 0.1, 0.08)) > 0.85


def test_categories_are_kept_apart():
    rows = each_day(range(10))
    as_person = [seen(each.pk + 5_000, 20, each.hour, each.box, category="person") for each in rows]

    assert [repeat.category for repeat in found(rows + as_person)] == ["animal"]


def test_boxes_of_no_size_are_passed_over():
    assert found([seen(day, day, 1, (0.5, 0.5, 0.0, 0.1)) for day in range(20)]) == []


def test_a_thing_of_a_few_pixels_overlaps_itself_a_pixel_off():
    small = (0.5, 0.5, 0.02, 0.02)

    assert overlap(small, (0.5 + BLUR, 0.5, 0.02, 0.02)) > JOINS
