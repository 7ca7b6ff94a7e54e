"""Deployments in the record: what is added, refused, warned of and audited."""

from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import resources
from shutil import copy

import pytest
from sqlalchemy import insert, select

from edge.deployed import Deployment
from edge.errors import FatalError
from edge.fieldwork.changes import Change, as_json, write, write_json
from edge.fieldwork.deployments import Deployments
from edge.fieldwork.places import country_of, in_country, suspicion
from edge.services import Station
from edge.store.schema import audit, frames
from edge.store.signs import frames_of_no_deployment
from edge.store.sql import Store

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = datetime(2026, 11, 1, 19, tzinfo=UTC)
DAY = timedelta(days=1)
STATIONS = {"cam-01": Station("cam-01", "America/Bogota", 4.60971, -74.08175)}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database without rows, made once."""
    path = tmp_path_factory.mktemp("empty") / "site.sqlite"
    with Store(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture
def store(empty, tmp_path):
    with Store(f"sqlite:///{copy(empty, tmp_path)}") as opened:
        yield opened


@pytest.fixture
def site(store):
    return Deployments(store, partial(write, store, who="ana", now=NOW), STATIONS.get, "America/Bogota", NOW)


def new(**changes):
    return Deployment(**{"id": "", "station": "cam-01", "started_at": START, **changes})


def audited(store):
    with store.transaction() as connection:
        return [tuple(row) for row in connection.execute(select(audit.c.action, audit.c.subject, audit.c.who))]


def test_a_deployment_takes_its_id_from_station_and_local_day_and_its_place_from_the_station(site):
    added, warnings = site.add(new(started_at=datetime(2026, 11, 2, 3, tzinfo=UTC)))

    assert (added.id, added.latitude, added.longitude) == ("cam-01:2026-11-01", 4.60971, -74.08175)
    assert (site.all(), warnings) == ([added], [])


def test_a_place_that_is_given_counts_more_than_the_station_s(site):
    added, _warnings = site.add(new(latitude=4.7, longitude=-74.0))

    assert (added.latitude, added.longitude) == (4.7, -74.0)


def test_an_overlap_at_one_station_is_refused_naming_both_and_what_to_do(site):
    site.add(new())

    with pytest.raises(FatalError) as refused:
        site.add(new(id="second", started_at=START + 10 * DAY))

    [line] = str(refused.value).splitlines()
    assert "second (2026-11-11 14:00" in line
    assert "cam-01:2026-11-01 (2026-11-01 14:00" in line
    assert "tigrillo deployments end cam-01:2026-11-01 2026-11-11T14:00" in line
    assert len(site.all()) == 1


def test_one_may_begin_as_the_other_ends_and_other_stations_are_others(site):
    first, _warnings = site.add(new(ended_at=START + DAY))
    site.add(new(started_at=START + DAY))
    site.add(new(station="cam-02", latitude=4.6, longitude=-74.0))

    assert [each.station for each in site.all()] == ["cam-01", "cam-01", "cam-02"]
    with pytest.raises(FatalError, match="overlaps"):
        site.change(first, ended_at=START + 2 * DAY)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"ended_at": START - DAY}, "before it starts"),
        ({"ended_at": START}, "before it starts"),
        ({"started_at": datetime(1970, 1, 1, 12, tzinfo=UTC)}, "is the year right"),
        ({"started_at": NOW + 800 * DAY}, "is the year right"),
        ({"latitude": 4.6}, "needs latitude and longitude"),
        ({"latitude": 104.0, "longitude": 4.6}, "did you mean 4.60000, 104.00000"),
        ({"latitude": 91.0, "longitude": 181.0}, "no place on earth"),
        ({"latitude": float("nan"), "longitude": 4.6}, "no place on earth"),
        ({"station": "cámara 1"}, "did you mean 'cámara-1'"),
        ({"id": "a\nb"}, "one line of at most 128"),
        ({"timezone": "America/Bogotá"}, "did you mean 'America/Bogota'"),
        ({"heading_deg": 400.0}, "heading_deg: 400"),
    ],
)
def test_what_cannot_be_is_refused_with_one_line(site, wrong, line):
    with pytest.raises(FatalError) as refused:
        site.add(new(**wrong))

    assert line in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert site.all() == []


def test_every_change_is_audited_with_who_and_what_was_before(site, store):
    site.add(new())
    ended, _warnings = site.change(site.find("cam-01"), ended_at=START + 9 * DAY, details={"timelapse_min": 60})
    site.change(ended, bait=ended.bait)
    site.remove(ended)

    subject = "cam-01:2026-11-01"
    assert audited(store) == [(f"deployment.{what}", subject, "ana") for what in ("add", "change", "remove")]
    with store.transaction() as connection:
        [changed] = connection.scalars(select(audit.c.details).where(audit.c.action == "deployment.change"))
    assert changed["changed"]["ended_at"] == [None, "2026-11-10T19:00:00+00:00"]
    assert set(changed["changed"]) == {"ended_at", "details"}


def test_a_station_stands_for_its_deployment_that_goes_on(site):
    site.add(new(ended_at=START + DAY))
    second, _warnings = site.add(new(started_at=START + 2 * DAY))

    assert site.find("cam-01") == second
    with pytest.raises(FatalError, match=r"no deployment 'cam-0'; did you mean 'cam-01'"):
        site.find("cam-0")
    site.change(second, ended_at=NOW)
    with pytest.raises(FatalError, match="name one of cam-01:2026-11-01, cam-01:2026-11-03"):
        site.find("cam-01")


def test_changes_travel_as_json_and_written_twice_they_are_there_once(site, store):
    added = site.completed(new(tags=("ruta-1",), details={"problems": [["a", "b", "c"]]}))
    values = as_json([Change(None, added)], who="luis")

    assert write_json(store, values, now=NOW) == {"written": 1}
    assert write_json(store, values, now=NOW) == {"written": 0}
    assert site.all() == [added]
    assert len(audited(store)) == 1


def test_what_somebody_else_changed_in_between_is_not_written_over(site, store):
    added, _warnings = site.add(new())
    site.change(added, bait="sardine")

    with pytest.raises(FatalError, match="changed by somebody else"):
        write(store, [Change(added, None)], who="luis", now=NOW)
    with pytest.raises(FatalError, match="which somebody else added in between"):
        write(store, [Change(None, site.completed(new(id="other", started_at=START + DAY)))], who="luis", now=NOW)

    assert len(site.all()) == 1


def test_frames_that_no_deployment_holds_are_counted(site, store):
    site.add(new(ended_at=START + DAY))
    moments = [START, START + DAY + timedelta(milliseconds=300), START - DAY, START + 2 * DAY, None]
    row = {"station": "cam-01", "kind": "still", "path": "", "name": "", "sha256": "", "size_bytes": 1, "source": "t"}
    rows = [row | {"id": str(n), "captured_utc": at, "received_at": NOW} for n, at in enumerate(moments)]
    with store.transaction() as connection:
        connection.execute(insert(frames), rows)

        assert frames_of_no_deployment(connection) == [("cam-01", 2)]


@pytest.mark.parametrize(
    ("given", "zone", "right"),
    [
        ((-74.08, 4.61), "America/Bogota", (4.61, -74.08)),
        ((4.61, 74.08), "America/Bogota", (4.61, -74.08)),
        ((35.0, 39.0), "Europe/Istanbul", (39.0, 35.0)),
        ((-3.7, 40.4), "Europe/Madrid", (40.4, -3.7)),
        ((12.5, 42.0), "Europe/Rome", (42.0, 12.5)),
        ((4.61, -74.08), "America/Bogota", None),
        ((28.1, -15.4), "Atlantic/Canary", None),
        ((-0.7, -90.3), "Pacific/Galapagos", None),
        ((-74.08, 4.61), "UTC", None),  # nobody knows where that is
        ((10.4, -66.9), "America/Bogota", None),  # over the border, and no other reading is better
    ],
)
def test_a_swapped_position_is_told_by_the_country_of_the_zone(given, zone, right):
    found = suspicion(given, timezone=zone)

    assert (found.right if found else None) == right


def test_without_a_country_the_other_stations_tell():
    near = [(4.5, -74.0), (4.7, -74.2)]

    assert suspicion((-74.1, 4.6), timezone="UTC", others=near).right == (4.6, -74.1)
    assert suspicion((4.6, -74.1), timezone="UTC", others=near) is None
    assert suspicion((51.0, 10.0), timezone="UTC", others=near) is None  # far off, but so is every other reading


def test_0_0_is_said_to_be_no_position():
    assert suspicion((0.0, 0.0), timezone="Africa/Accra").right is None


def test_a_swapped_position_is_taken_with_a_warning_that_says_what_would_be_right(site):
    added, [warning] = site.add(new(latitude=-74.08175, longitude=4.60971))

    assert warning.startswith("cam-01:2026-11-01: -74.08175, 4.60971 lies outside CO")
    assert warning.endswith("; did you mean 4.60971, -74.08175?")
    assert site.all() == [added]


def test_every_zone_s_own_city_lies_in_its_country():
    wrong = []
    lines = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    for line in (each for each in lines if not each.startswith("#")):
        country, place, zone = line.split("\t")[:3]
        cut = max(place.rfind("+"), place.rfind("-"))
        latitude, longitude = (
            (1 if text[0] == "+" else -1) * (int(text[1 : 1 + digits]) + int(text[1 + digits : 3 + digits]) / 60)
            for text, digits in ((place[:cut], 2), (place[cut:], 3))
        )
        assert country_of(zone) == country
        if not in_country((latitude, longitude), country):
            wrong.append(zone)
    # islands that Natural Earth's 1:50m map leaves out, such as Lord Howe and Noronha
    assert len(wrong) <= 8, wrong
