"""Deployments from sheets, GPS devices and Camtrap DPs: what is understood, and what is said of bad rows."""

import csv
import io
import json
import zipfile
from datetime import UTC, date, datetime
from functools import partial
from shutil import copy

import pytest

from edge.errors import FatalError
from edge.fieldwork.changes import write
from edge.fieldwork.deployments import Deployments
from edge.fieldwork.entries import Reading, read_degrees, read_moment
from edge.fieldwork.intake import read_file, take_in
from edge.services import Station
from edge.store.sql import Store

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BOGOTA = Station("cam-01", "America/Bogota", 4.6, -74.1)
SPANISH = """Estación;Fecha de instalación;Hora inicio;Fecha de retiro;Latitud;Longitud;Altura (m);Cebo;Dueño
cam-01;2026-10-01;14:30;2026-10-15;4,60971;-74,08175;0,4;sardina;Don José
cam-01;2026-10-15;;2026-11-01;4,60971;-74,08175;;;
"""
ENGLISH = """Station,Setup_date,Retrieval_date,Latitude,Longitude,Problem1_from,Problem1_to,notes
cam-01,25/10/2026,01/11/2026,4.6,-74.1,28/10/2026,30/10/2026,"wet, muddy"
"""
GPX = """<?xml version="1.0"?>
<gpx version="1.1" creator="device" xmlns="http://www.topografix.com/GPX/1/1">
  <metadata><name>not a station</name></metadata>
  <wpt lat="4.60971" lon="-74.08175">
    <ele>2640</ele><time>2026-11-01T19:30:00Z</time><name>cam-01</name><desc>by the &amp; brook</desc>
    <extensions><x:name xmlns:x="urn:x">not this</x:name></extensions>
  </wpt>
  <wpt lat="4.7" lon="-74.1"><name>cam-02</name></wpt>
</gpx>
"""
PACKAGE_ROW = {
    "deploymentID": "dep-7",
    "locationID": "Río Claro 3",
    "locationName": "Río Claro",
    "latitude": "4.5",
    "longitude": "-74.0",
    "coordinateUncertainty": "30",
    "deploymentStart": "2026-10-01T14:30:00-05:00",
    "deploymentEnd": "2026-10-31T09:00:00-05:00",
    "cameraID": "R-12",
    "cameraDelay": "2",
    "cameraHeight": "0.5",
    "baitUse": "false",
    "timestampIssues": "true",
    "deploymentTags": "ruta-1 | forest",
    "myOwn": "kept",
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database without rows, made once."""
    path = tmp_path_factory.mktemp("empty") / "site.sqlite"
    with Store(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture
def site(empty, tmp_path):
    with Store(f"sqlite:///{copy(empty, tmp_path)}") as store:
        yield Deployments(
            store, partial(write, store, who="ana", now=NOW), {"cam-01": BOGOTA}.get, "America/Bogota", NOW
        )


@pytest.fixture
def read(tmp_path):
    """Entries of a file of this content."""

    def reading(name, content, **how):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_file(path, Reading(lambda _station: "America/Bogota", **how))

    return reading


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def faults(entries):
    return [f"{each.place}: {each.fault}" for each in entries if each.fault]


def table(*rows):
    text = io.StringIO()
    written = csv.DictWriter(text, list(rows[0]))
    written.writeheader()
    written.writerows(rows)
    return text.getvalue()


def zipped(tmp_path, **files):
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv").replace("_json", ".json"), content)
    return path


def test_a_spanish_sheet_with_semicolons_and_decimal_commas_is_understood(read, site):
    done = take_in(site, read("hoja.csv", SPANISH.encode("cp1252")))

    first, second = site.all()
    assert (done.faults, done.added) == ([], [first, second])
    assert (first.started_at, first.latitude, first.longitude) == (utc(2026, 10, 1, 19, 30), 4.60971, -74.08175)
    assert (first.height_m, first.bait, first.details) == (0.4, "sardina", {"Dueño": "Don José"})
    # the day on which one camera took the other's place: noon, there
    assert first.ended_at == second.started_at == utc(2026, 10, 15, 17)
    assert second.ended_at == utc(2026, 11, 2, 4, 59, 59)


def test_a_camtrapr_table_is_understood_with_its_problems(read, site):
    take_in(site, read("table.csv", ENGLISH))

    [found] = site.all()
    assert (found.started_at, found.comments) == (utc(2026, 10, 25, 5), "wet, muddy")
    assert found.details == {"problems": [["2026-10-28T05:00:00+00:00", "2026-10-31T04:59:59+00:00", "problem"]]}


def test_every_bad_row_is_one_line_with_its_number_and_nothing_is_taken(read, site):
    rows = [
        "station,start,end,lat,lon,height",
        "cam-01,2026-10-01,2026-10-20,4.6,-74.1,",
        "cam-01,2026-10-10,,4.6,-74.1,",
        ",2026-10-10,,4.6,-74.1,",
        "cam-02,,,4.6,-74.1,",
        "cam-03,yesterday,,4.6,-74.1,",
        "cam-04,2026-10-10,2026-10-01,4.6,-74.1,",
        "cam-05,2026-10-10,,4.6,-74.1,tall",
        "cam-06,2026-10-10,,4,6,-74,1",
        "cam-07,2026-10-10,,north,-74.1,",
        "cam-08,2026-02-30,,4.6,-74.1,",
        "cam-09,2026-10-10,,4.6,,",
    ]

    done = take_in(site, read("bad.csv", "\n".join(rows)))

    assert [line.split(":")[0] for line in done.faults] == [f"row {number}" for number in range(3, 13)]
    for line, words in zip(
        done.faults,
        (
            "overlaps",
            "no station",
            "no start",
            "'yesterday' is no date",
            "before it starts",
            "'tall'",
            "7 cells",
            "'north'",
            "'2026-02-30'",
            "latitude and longitude",
        ),
        strict=True,
    ):
        assert words in line
    assert site.all() == []


def test_with_skip_bad_the_good_rows_are_taken_and_known_ones_are_not_taken_again(read, site):
    entries = read("half.csv", "station,start,end\ncam-01,2026-10-01,2026-10-20\ncam-02,nonsense,\n")

    first = take_in(site, entries, skip_bad=True)
    again = take_in(site, entries, skip_bad=True)

    assert (len(first.added), first.known, len(first.faults)) == (1, 0, 1)
    assert (len(again.added), again.known, len(again.faults)) == (0, 1, 1)
    assert [each.id for each in site.all()] == ["cam-01:2026-10-01"]


def test_a_day_that_may_be_two_days_is_asked_for(read):
    rows = "station,start\ncam-01,01/02/2026\n"

    assert "may be two days" in faults(read("dates.csv", rows))[0]
    assert read("dates.csv", rows, dates="dmy")[0].starts_on == date(2026, 2, 1)
    assert read("dates.csv", rows, dates="mdy")[0].starts_on == date(2026, 1, 2)
    assert read("dates.csv", rows + "cam-02,25/02/2026\n")[0].starts_on == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "no column for station, start; there are a, b"),
        ("station,estación,start\n1,2,3\n", "'station' and 'estación' are both the station"),
        (b"PK\x03\x04\x00\x00", "is no text"),
        ('station,start\n"cam-01,2026-10-01\n', "is no CSV file"),
    ],
)
def test_what_is_no_sheet_is_refused_with_one_line(read, content, words):
    with pytest.raises(FatalError) as refused:
        read("sheet.csv", content)

    assert words in str(refused.value)
    assert "sheet.csv" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "longitude", "degrees"),
    [
        ("4,60971", False, 4.60971),
        ("-74.08175", True, -74.08175),
        ("74,08 W", True, -74.08),
        ("74°4'54.3\"O", True, -74.081750),
        ("4° 36′ 34.956″ N", False, 4.60971),
        ("2.5S", False, -2.5),
        ("−3.5", False, -3.5),
    ],
)
def test_degrees_as_people_write_them(text, longitude, degrees):
    assert read_degrees(text, longitude=longitude) == pytest.approx(degrees, abs=1e-6)


@pytest.mark.parametrize(
    "text", ["4.6 E", "4.6.1", "four", "", "4 6", "nan", "1e400", pytest.param(f"1{' ' * 10**6}x", id="long")]
)
def test_what_is_no_latitude(text):
    with pytest.raises(ValueError, match="are no degrees"):
        read_degrees(text, longitude=False)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", utc(2026, 11, 1, 5)),
        ("2026-11-01 14:30", utc(2026, 11, 1, 19, 30)),
        ("2026-11-01T14:30:15-03:00", utc(2026, 11, 1, 17, 30, 15)),
        ("2026-11-01T14:30:15.250Z", utc(2026, 11, 1, 14, 30, 15)),
        ("13/11/2026 2:30 p.m.", utc(2026, 11, 13, 19, 30)),
        ("2026/11/1 12:05 am", utc(2026, 11, 1, 5, 5)),
    ],
)
def test_moments_as_people_write_them(text, moment):
    assert read_moment(text, "America/Bogota")[0] == moment


def test_waypoints_are_stations_and_their_time_is_the_start(read):
    first, second = read("points.gpx", GPX)

    found = first.deployment
    assert (found.station, found.started_at, found.ended_at) == ("cam-01", utc(2026, 11, 1, 19, 30), None)
    assert (found.latitude, found.longitude) == (4.60971, -74.08175)
    assert (found.comments, found.details, found.origin) == ("by the & brook", {"ele": "2640"}, "gpx")
    assert "cam-02" in second.place
    assert "--start" in second.fault


def test_a_start_can_be_given_for_waypoints_without_a_time(read):
    second = read("points.gpx", GPX, start="2026-11-05")[1]

    assert (second.deployment.started_at, second.starts_on) == (utc(2026, 11, 5, 5), date(2026, 11, 5))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GPX.replace("<gpx", '<!DOCTYPE gpx [<!ENTITY a "b">]><gpx', 1), "document type"),
        (
            GPX.replace('"1.0"', '"1.0" encoding="utf-16"', 1)
            .replace("<gpx", '<!DOCTYPE gpx SYSTEM "file:///etc/passwd"><gpx', 1)
            .encode("utf-16"),
            "document type",
        ),
        ("<gpx><wpt", "is no GPX file"),
        ("<gpx/>", "has no waypoints"),
        ("", "is no GPX file"),
    ],
)
def test_a_gpx_file_with_entities_or_without_waypoints_is_refused(read, content, words):
    with pytest.raises(FatalError) as refused:
        read("points.gpx", content)

    assert words in str(refused.value)


def test_a_package_s_deployments_keep_what_there_is_no_column_for(read, site):
    done = take_in(site, read("deployments.csv", table(PACKAGE_ROW)))

    [found] = site.all()
    assert done.faults == []
    assert (found.id, found.station) == ("dep-7", "Río-Claro-3")
    assert (found.started_at, found.ended_at) == (utc(2026, 10, 1, 19, 30), utc(2026, 10, 31, 14))
    assert (found.uncertainty_m, found.height_m, found.camera_id, found.bait) == (30, 0.5, "R-12", "")
    assert (found.tags, found.timezone) == (("ruta-1", "forest"), "")
    assert found.details == {
        "locationID": "Río Claro 3",
        "locationName": "Río Claro",
        "cameraDelay": "2",
        "baitUse": "false",
        "timestampIssues": "true",
        "myOwn": "kept",
    }


def test_a_deployment_of_the_same_id_and_time_is_known_whatever_else_was_noted_since(read, site):
    entries = read("deployments.csv", table(PACKAGE_ROW))
    [added] = take_in(site, entries).added
    site.change(added, comments="moved by a bear")

    again = take_in(site, entries)

    assert (again.added, again.known, again.faults) == ([], 1, [])
    other = take_in(site, read("deployments.csv", table(PACKAGE_ROW | {"deploymentEnd": "2026-10-30T09:00:00-05:00"})))
    assert "there is a deployment 'dep-7' already" in other.faults[0]


def test_a_package_in_a_zip_is_read_where_its_datapackage_says(tmp_path):
    package = {"resources": [{"name": "deployments", "path": "data/dep.csv"}]}
    row = PACKAGE_ROW | {"deploymentStart": "2026-10-01T14:30:00+02:00", "coordinateUncertainty": "20037508"}
    files = {"mine__datapackage_json": json.dumps(package), "mine__data__dep_csv": table(row)}

    [entry] = read_file(zipped(tmp_path, **files), Reading(lambda _station: "America/Bogota"))

    found = entry.deployment
    assert (found.timezone, found.started_at) == ("Etc/GMT-2", utc(2026, 10, 1, 12, 30))
    assert (found.latitude, found.uncertainty_m) == (None, None)  # it could be anywhere


def test_a_package_folder_and_a_package_that_names_files_outside(tmp_path):
    (tmp_path / "deployments.csv").write_text(table(PACKAGE_ROW, PACKAGE_ROW | {"deploymentID": ""}))
    (tmp_path / "datapackage.json").write_text('{"resources": [{"name": "deployments", "path": "../../etc/passwd"}]}')

    entries = read_file(tmp_path, Reading(lambda _station: "America/Bogota"))

    assert entries[0].deployment.id == "dep-7"
    assert faults(entries) == ["row 3: no deploymentID"]


@pytest.mark.parametrize(
    ("files", "words"), [({"a_csv": "x"}, "has no deployments.csv"), ({"deployments_csv": "a,b\n"}, "no columns")]
)
def test_a_zip_that_is_no_package_is_refused(tmp_path, files, words):
    with pytest.raises(FatalError, match=words):
        read_file(zipped(tmp_path, **files), Reading(lambda _station: "UTC"))


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "package.zip").write_bytes(b"nothing of the kind")

    with pytest.raises(FatalError, match="is no zip that can be read"):
        read_file(tmp_path / "package.zip", Reading(lambda _station: "UTC"))
