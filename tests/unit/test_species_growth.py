"""How many species there may be, and after how many trap-nights each was met."""

from datetime import date

import pytest

from server.species.charts import LEFT, WIDE, accumulation
from server.species.effort import Nights
from server.species.richness import richness_of


def test_chao1_and_its_interval_are_those_of_a_survey_worked_out_by_hand():
    found = richness_of([1, 1, 1, 2, 2, 5, 10, 0])

    assert (found.found, found.once, found.twice) == (7, 3, 2)
    assert found.coverage == pytest.approx(19 / 22)
    assert found.least == pytest.approx(7 + 21 / 22)
    assert (found.low, found.high) == (pytest.approx(7.0886, abs=1e-3), pytest.approx(17.284, abs=1e-2))


def test_chao1_is_that_of_a_plot_of_barro_colorado_where_many_were_counted():
    # BCI, plot 1 of R's vegan: 93 species, 31 of them once, 18 twice; estimateR says 117.47
    found = richness_of([1] * 31 + [2] * 18 + [10**6] * 44)

    assert found.least == pytest.approx(117.4737, abs=1e-3)


@pytest.mark.parametrize("events", [[], [5], [0, 0, 3], [0]])
def test_fewer_than_two_species_tell_nothing(events):
    assert richness_of(events) is None


@pytest.mark.parametrize("events", [[1, 1], [1, 1, 1, 2], [1, 1, 9], [1, 1, 1, 40, 50]])
def test_nothing_is_expected_of_what_is_too_thin(events):
    found = richness_of(events)

    assert (found.least, found.low, found.high) == (None, None, None)


@pytest.mark.parametrize("events", [[2, 2], [3, 4, 9], [1, 2, 9], [1, 4, 5]])
def test_where_at_most_one_was_met_once_hardly_more_are_expected(events):
    found = richness_of(events)

    assert (found.least, found.low) == (len(events), None)


def nights(*stays):
    begins, ends = (tuple(sorted(date.fromisoformat(each[place]).toordinal() for each in stays)) for place in (0, 1))
    return Nights(sum(ends) - sum(begins), True, begins, ends)


def test_trap_nights_of_stays_that_overlap_and_pause_are_added_up():
    some = nights(("2026-01-01", "2026-01-11"), ("2026-01-06", "2026-01-11"), ("2026-02-01", "2026-02-03"))

    days = ["2025-12-31", "2026-01-01", "2026-01-06", "2026-01-08", "2026-01-20", "2026-02-02", "2026-03-01"]
    assert [some.until(date.fromisoformat(day)) for day in days] == [0, 0, 5, 9, 15, 16, 17]
    assert some.count == 17
    assert [some.when(count) for count in (0, 5, 15, 17)] == [
        date(2026, 1, 1),
        date(2026, 1, 6),
        date(2026, 1, 11),
        date(2026, 2, 3),
    ]


def test_of_no_stay_there_are_no_nights_and_no_day():
    none = nights()

    assert (none.count, none.until(date(2026, 1, 1)), none.when(0), none.rate(3)) == (0, 0, None, None)


def test_the_curve_has_a_step_where_each_species_was_met():
    curve = accumulation([50, 0, 100], 100)

    assert [point.split(",")[0] for point in curve.points.split()][-3:] == ["640.0", "640.0", "640.0"]
    assert [(tick.x, tick.nights) for tick in curve.ticks] == [(LEFT, 0), ((LEFT + WIDE) / 2, 50), (WIDE, 100)]
