"""Zones: what lies in a polygon, in a circle, in a list."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from edge.alerts.zones import Zone, distance_m, is_inside

ZONE = TypeAdapter(Zone)
GRID = st.tuples(st.integers(-20, 20), st.integers(-20, 20))


def on_a_side(place, corners):
    """Exactly, in fractions: collinear, and between the two ends."""
    y, x = map(Fraction, place)
    for (ay, ax), (by, bx) in zip(corners, [*corners[1:], corners[0]], strict=True):
        on_line = (bx - ax) * (y - ay) == (by - ay) * (x - ax)
        if on_line and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return True
    return False


def turns(place, corners):
    """The winding number, as the sum of the angles under which the sides are seen."""
    total = 0.0
    for (ay, ax), (by, bx) in zip(corners, [*corners[1:], corners[0]], strict=True):
        one, other = (ay - place[0], ax - place[1]), (by - place[0], bx - place[1])
        cross, dot = one[1] * other[0] - one[0] * other[1], one[0] * other[0] + one[1] * other[1]
        total += math.atan2(cross, dot)
    return round(total / math.tau)


@settings(max_examples=400, deadline=None)
@given(st.lists(GRID, min_size=3, max_size=9), GRID)
def test_a_point_is_inside_as_the_sum_of_angles_says_and_sides_belong_to_it(corners, place):
    inside = is_inside((float(place[0]), float(place[1])), [(float(y), float(x)) for y, x in corners])

    assert inside == (on_a_side(place, corners) or turns(place, corners) != 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(GRID, min_size=3, max_size=6), GRID, st.sampled_from([170.0, -175.0, 180.0]))
def test_a_polygon_across_the_180th_meridian_is_like_any_other(corners, place, middle):
    def moved(point):
        return (float(point[0]), (point[1] + middle + 180) % 360 - 180)

    there = is_inside(moved(place), [moved(each) for each in corners])

    assert there == is_inside((float(place[0]), float(place[1])), [(float(y), float(x)) for y, x in corners])


@settings(max_examples=100, deadline=None)
@given(st.lists(GRID, min_size=3, max_size=6), st.data())
def test_corners_and_points_on_sides_are_inside_at_real_coordinates(corners, data):
    """Where numbers have no exact binary form, a hair's breadth (0.1 mm) counts as on it."""
    real = [(4.6 + y / 997, -74.1 + x / 983) for y, x in corners]
    index = data.draw(st.integers(0, len(real) - 1))
    share = data.draw(st.floats(0, 1))
    start, end = real[index], real[(index + 1) % len(real)]

    assert is_inside((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])), real)


def test_the_order_of_corners_and_a_repeated_first_one_make_no_difference():
    square = [[0, 0], [0, 2], [2, 2], [2, 0]]

    for form in (square, square[::-1], [*square, square[0]]):
        zone = ZONE.validate_python(form)
        assert zone.holds("any", (1.0, 1.0))
        assert zone.holds("any", (0.0, 1.0))
        assert not zone.holds("any", (3.0, 1.0))


def test_a_list_of_stations_needs_no_coordinates():
    zone = ZONE.validate_python(["ridge", "river"])

    assert (zone.holds("ridge", None), zone.holds("other", None)) == (True, False)
    assert not zone.needs_place


def test_without_coordinates_nobody_knows_what_lies_in_a_polygon_or_a_circle():
    circle = ZONE.validate_python({"latitude": 4.6, "longitude": -74.1, "radius_m": 500})

    assert circle.holds("ridge", None) is None
    assert ZONE.validate_python([[0, 0], [0, 2], [2, 2]]).holds("ridge", None) is None


def test_a_circle_is_measured_on_the_ground():
    circle = ZONE.validate_python({"latitude": 60.0, "longitude": 179.999, "radius_m": 1000})

    assert circle.holds("a", (60.0, -179.99))  # 0.011° of longitude at 60° N: 612 m
    assert not circle.holds("a", (60.01, 179.999))  # 0.01° of latitude: 1112 m


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        # Vincenty on WGS 84, within 0.6 %
        ((4.60971, -74.08175), (6.25184, -75.56359), 245_300),  # Bogotá–Medellín
        ((52.52, 13.405), (48.8566, 2.3522), 879_700),  # Berlin–Paris
        ((0, 0), (0, 180), 20_015_087),
    ],
)
def test_distances_are_those_of_the_atlas(one, other, metres):
    assert distance_m(one, other) == pytest.approx(metres, rel=0.006)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "a zone is a list"),
        ([], "at least 1 item|a zone is a list"),
        ({"stations": ["a"], "polygon": [[0, 0], [0, 1], [1, 1]]}, "a zone is a list"),
        ({"latitude": 1, "longitude": 2}, "a circle needs"),
        ({"latitude": 91, "longitude": 2, "radius_m": 5}, "less than or equal to 90"),
        ({"latitude": 1, "longitude": 2, "radius_m": 0}, "greater than 0"),
        ({"latitude": 1, "longitude": 2, "radius": 5}, "Extra inputs"),
        ([[0, 0], [0, 1]], "3 different corners"),
        ([[0, 0], [0, 1], "ridge"], "valid tuple|valid list"),
        ([[n / 100, n % 7] for n in range(1001)], "at most 1000 corners"),
        ("ridge", "valid dictionary"),
    ],
)
def test_zones_that_make_no_sense_are_refused(data, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ZONE.validate_python(data)
