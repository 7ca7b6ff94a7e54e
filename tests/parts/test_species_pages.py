"""The species pages: sums of a time in both languages, never people, never stations of others."""

import re
from datetime import timedelta

import pytest

from edge.summaries.work import Summariser
from tests.alert_rig import JAGUAR, PUMA, animal, person
from tests.web_rig import NOW, WebRig

LONG_AGO = NOW - timedelta(days=800)


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """A site with a past that no test changes."""
    with WebRig(tmp_path_factory.mktemp("site")) as made:
        record_some(made)
        yield made


def settle(rig):
    web = rig.web
    summariser = Summariser(web.store, web.readers, web.plan.stations, web.plan.file.site.timezone, rig.clock, web.log)
    while summariser.refresh():
        pass


def record_some(rig):
    """Pumas at two stations, a jaguar long ago, a person."""
    rig.record("cam-01", "a", [animal(PUMA)], at=NOW)
    rig.record("cam-01", "b", [animal(PUMA), animal(PUMA)], at=NOW - timedelta(hours=3))
    rig.record("cam-02", "c", [animal(PUMA)], at=NOW - timedelta(days=40))
    rig.record("cam-02", "d", [animal(JAGUAR)], at=LONG_AGO)
    rig.record("cam-02", "e", [person()], at=NOW)
    rig.record("cam-02", "f", [animal()], at=NOW - timedelta(days=3))
    settle(rig)


def test_the_list_says_how_often_each_species_was_there(rig):
    told = rig.client().get("/api/v1/species").json()

    [puma] = told["items"]
    assert (puma["taxon"], puma["names"]["es"]) == ("Puma concolor", "puma")
    assert [puma[name] for name in ("events", "frames", "individuals", "stations")] == [3, 3, 4, 2]
    assert (told["unnamed_events"], told["next"]) == (1, None)


def test_people_are_never_among_the_species(rig):
    told = rig.client().get("/api/v1/species", params={"period": "all"}).json()

    assert {each["taxon"] for each in told["items"]} == {"Puma concolor", "Panthera onca"}
    assert rig.client().get("/api/v1/species/Homo sapiens", params={"period": "all"}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "species"),
    [
        ({}, {"Puma concolor"}),
        ({"period": "all"}, {"Puma concolor", "Panthera onca"}),
        ({"from": f"{LONG_AGO:%Y-%m}", "to": f"{LONG_AGO:%Y-%m}"}, {"Panthera onca"}),
        ({"station": "cam-01"}, {"Puma concolor"}),
        ({"station": "cam-03"}, set()),
        ({"station": "no such"}, set()),
    ],
)
def test_the_time_and_the_station_can_be_chosen_alike_for_page_and_api(rig, asked, species):
    items = rig.client().get("/api/v1/species", params=asked).json()["items"]
    page = rig.client().get("/species", params=asked).text

    assert {each["taxon"] for each in items} == species
    assert {name for name in ("Puma concolor", "Panthera onca") if name in page} == species


@pytest.mark.parametrize("asked", [{"from": "2026-13"}, {"from": "2026-05", "to": "2026-01"}, {"from": "1980-01"}])
def test_a_time_that_is_none_is_refused_with_what_is_wrong(rig, asked):
    assert rig.client().get("/species", params=asked).status_code == 422
    assert rig.client().get("/api/v1/species", params=asked).status_code == 422


def test_who_may_see_one_station_sees_the_species_of_that_one(rig):
    client = rig.client("viewer", stations=["cam-01"])

    [puma] = client.get("/api/v1/species", params={"period": "all"}).json()["items"]

    assert [puma[name] for name in ("events", "stations")] == [2, 1]
    assert client.get("/api/v1/species", params={"station": "cam-02"}).json()["items"] == []
    assert client.get("/api/v1/species/Panthera onca", params={"period": "all"}).status_code == 404
    assert "cam-02" not in client.get("/species/Puma concolor").text


def test_a_species_tells_hours_months_and_stations(rig):
    told = rig.client().get("/api/v1/species/Puma concolor").json()

    assert [hour for hour, count in enumerate(told["hours"]) if count] == [7, 10]  # in Bogotá
    assert [(each["name"], each["events"]) for each in told["by_month"]] == [("2026-01", 1), ("2026-03", 2)]
    assert [(each["name"], each["events"]) for each in told["by_station"]] == [("cam-01", 2), ("cam-02", 1)]


def test_rates_are_by_trap_nights(rig):
    told = rig.client().get("/api/v1/species", params={"period": "all", "station": "cam-02"}).json()

    assert (told["trap_nights"], told["trap_nights_exact"]) == (800, False)
    assert told["items"][0]["per_100_trap_nights"] == pytest.approx(100 / 800)


def test_species_are_plotted_against_the_trap_nights_until_each_was_met(rig):
    page = rig.client().get("/species", params={"period": "all"}).text
    [points] = re.findall(r'<polyline class="line" points="([^"]+)"', page)

    places = [tuple(map(float, each.split(","))) for each in points.split()]
    assert [x for x, _y in places] == [44.0, 44.0, 44.0, 610.2, 610.2, 640.0]  # after 0, and after 760 of 800
    assert re.search(r"≈ 800 trap-nights</text>.*?Mar 10, 2026</text>", page)
    assert re.search(r"<td>Jan 29, 2026</td><td class=\"number\">760</td><td>Puma</td>", page)


def test_how_many_species_may_be_expected_is_the_same_on_the_page_and_in_the_api(rig):
    client, asked = rig.client(), {"period": "all"}

    told = client.get("/api/v1/species", params=asked).json()["expected"]

    known = {"found": 2, "once": 1, "twice": 0, "coverage": 0.75, "least": 2.0, "low": None, "high": None}
    assert told == known
    page = client.get("/species", params=asked).text
    assert "Hardly more than the 2 that were found" in page
    assert 'href="/review?species=Panthera%20onca">Jaguar</a>' in page.replace("+", "%20")
    assert client.get("/api/v1/species").json()["expected"] is None


def test_the_page_of_a_species_has_plots_with_words_and_links_on(rig):
    page = rig.client("reviewer").get("/species/Puma concolor").text

    assert page.count('<svg class="plot') == page.count("<desc ") == 2
    assert 'href="/review?from=2025-04-01&amp;to=2026-03-31&amp;species=Puma+concolor"' in page.replace("%20", "+")
    assert "/media/" in page
    assert "/export?taxon=Puma" in page
    assert "/export" not in rig.client("viewer").get("/species/Puma concolor").text.split("<main", 1)[1]


def test_names_are_in_the_readers_language_with_the_other_beside(rig):
    asked = {"period": "all"}

    spanish = rig.client(language="es").get("/species", params=asked).text
    english = rig.client(language="en").get("/species", params=asked).text

    assert ">Jaguar</a>" in english
    assert '<html lang="es">' in spanish
    assert "Especies" in spanish


def test_an_empty_site_says_what_to_do(tmp_path):
    with WebRig(tmp_path) as empty:
        page = empty.client().get("/species")

    assert page.status_code == 200
    assert "/review" in page.text.split("<main", 1)[1]


def test_a_species_that_was_not_there_then_offers_all_time_and_one_that_never_was_is_not_found(rig):
    assert "period=all" in rig.client().get("/species/Panthera onca").text
    assert rig.client().get("/species/No such").status_code == 404


def test_a_name_with_markup_is_shown_as_text(rig):
    page = rig.client().get("/species", params={"station": "<img src=x onerror=alert(1)>"})

    assert "<img src=x" not in page.text
