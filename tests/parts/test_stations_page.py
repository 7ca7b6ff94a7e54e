"""Stations: what is wrong is said at once, positions are for those who may know them, deployments and commands."""

import gzip
import re
import struct
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select

from edge.alerts.heartbeat import HeartbeatConfig
from edge.deployed import Deployment
from edge.store.schema import audit, deployments, station_health, station_state
from edge.store.web_schema import days
from server.rights import Principal, rights_of
from server.stations.calendar import calendar_of
from server.stations.places import place_for
from server.stations.trend import fall_of
from tests.web_rig import NOW, WebRig

UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def say(rig, station, *, volts=(12.6,), online=True, **fields):
    """An agent's word now, and at the same hour of the days before, newest first."""
    with rig.store.transaction() as connection:
        for ago, value in enumerate(volts):
            at = NOW - timedelta(days=ago) + (timedelta(minutes=1) if ago else timedelta())
            health = {"battery": {"volts": value}, "temperature_c": 21.0}
            row = {"station": station, "at": at, "received_at": at, "drift_s": 1.0, "health": health}
            connection.execute(insert(station_health).values(row))
        state = {"station": station, "online": online, "heard_at": NOW, "health_at": NOW, "version": "1", **fields}
        connection.execute(
            insert(station_state).values({"health": {"battery": {"volts": volts[0]}}, "drift_s": 1.0, **state})
        )


def test_the_station_that_is_dying_stands_first_and_says_why(rig):
    rig.record("cam-01", "a", at=NOW - timedelta(hours=1))
    say(rig, "cam-02", volts=(12.0, 12.1, 12.2, 12.3))
    rig.record("cam-03", "b", at=NOW - timedelta(days=40))

    page = rig.client("viewer").get("/stations").text

    rows = re.findall(r'id="s-(cam-\d+)"', page)
    assert rows == ["cam-03", "cam-02", "cam-01"]
    assert "silent, last heard 40.0 d ago" in page
    assert "battery 12 V and falling by 0.1 V a day" in page


def test_a_falling_battery_with_a_limit_says_how_long_it_lasts():
    config = HeartbeatConfig(channels=("a",), battery_v=11.5)
    readings = [{"battery": {"volts": volts}} for volts in (11.8, 11.9, 12.0, 12.1)]

    found = fall_of(readings, config, "cam-01")

    assert found.days_left == pytest.approx(3.0)
    assert fall_of([readings[0], readings[0], *readings[2:]], config, "cam-01") is None
    assert fall_of([readings[0], None, *readings[2:]], config, "cam-01") is None


def test_a_battery_that_rises_by_day_and_falls_by_night_is_not_dying(rig):
    say(rig, "cam-02", volts=(12.1, 12.3, 12.2, 12.3))

    assert "falling" not in rig.client("viewer").get("/stations").text


def test_a_station_that_was_taken_down_is_not_missed(rig):
    rig.record("cam-01", "a", at=NOW - timedelta(days=60))
    row = {"id": "d", "station": "cam-01", "started_at": NOW - timedelta(days=90), "created_at": NOW}
    with rig.store.transaction() as connection:
        connection.execute(insert(deployments).values(**row, ended_at=NOW - timedelta(days=59)))

    found = rig.client("viewer").get("/api/v1/stations/cam-01").json()

    assert (found["state"], found["troubles"]) == ("resting", [])


def test_viewers_see_positions_rounded_everywhere(rig):
    with rig.store.transaction() as connection:
        row = {"id": "d", "station": "cam-01", "started_at": NOW, "created_at": NOW}
        connection.execute(insert(deployments).values(**row, latitude=4.61234, longitude=-74.09876))
    paths = ("/stations", "/stations/cam-01", "/stations/cam-01/deployment?id=d", "/api/v1/stations")
    paths += ("/api/v1/stations/cam-01", "/api/v1/stations/cam-01/deployments", "/api/v1/stations/cam-01/deployments/d")

    viewer = rig.client("viewer")
    for path in paths:
        text = viewer.get(path).text
        assert "4.61234" not in text, path
        assert "74.09876" not in text, path
    assert "4.61234" in rig.client("reviewer").get("/stations/cam-01").text


def test_rounding_gives_the_middle_of_a_cell_and_the_same_one_each_time():
    viewer = Principal("v", "viewer", rights_of("viewer", sees_people="admin", sees_originals="admin"))

    assert [place_for(viewer, each, each).latitude for each in (4.60001, 4.65, 4.69999)] == [4.65] * 3
    assert place_for(viewer, -0.01, 179.99) == place_for(viewer, -0.09, 179.91)
    assert place_for(viewer, 4.6, None) is None


def test_what_lies_outside_the_scope_is_not_there(rig):
    rig.record("cam-02", "a")
    client = rig.client("manager", stations=["cam-01"])

    assert "cam-02" not in client.get("/stations").text
    assert [each["name"] for each in client.get("/api/v1/stations").json()["items"]] == ["cam-01"]
    for path in ("/stations/cam-02", "/stations/cam-02/deployment", "/api/v1/stations/cam-02/health"):
        assert client.get(path).status_code == 404
    assert client.post("/stations/cam-02/command", data={"command": "reboot"}).status_code == 404
    assert client.post("/stations/cam-02/deployment", data={"start": "2026-01-01T10:00"}).status_code == 404


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_station_shows_strips_with_a_table_a_year_and_no_inline_style(rig, language):
    say(rig, "cam-01", volts=(12.6, 12.7))
    with rig.store.transaction() as connection:
        row = dict.fromkeys(("blanks", "animals", "humans", "vehicles", "sequences", "unreviewed"), 1)
        times = {"first_at": NOW, "last_at": NOW, "received": NOW}
        connection.execute(insert(days).values(station="cam-01", day="2026-03-01", frames=7, **row, **times))

    page = rig.client("viewer", language=language).get("/stations/cam-01").text

    assert page.count('<svg class="strip"') == 3  # battery, temperature, clock
    assert ("12,6 V" if language == "es" else "12.6 V") in page
    assert page.count('<rect class="frames l1"') == 1
    assert "style=" not in page
    assert re.search(r"<script(?![^>]*\bsrc=)", page) is None


def test_days_without_a_sign_are_told_apart_from_days_nobody_was_there():
    broken = (NOW - timedelta(days=2)).isoformat()
    details = {"problems": [[broken, broken, "x"]]}
    stood = [Deployment("d", "s", NOW - timedelta(days=5), NOW - timedelta(days=1), details=details)]
    heard = {date(2026, 3, 7)}
    rows = {date(2026, 3, 6): {"frames": 30}}

    made = calendar_of(rows, heard, stood, until=NOW.date(), zone=UTC_ZONE, days=7)

    assert [each.state for each in made.cells] == ["away", "nothing", "frames", "heard", "problem", "nothing", "away"]
    assert made.cells[2].level == 2


def test_a_deployment_whose_minus_was_forgotten_is_saved_and_doubted(rig):
    client = rig.client("manager", follow_redirects=False)
    form = {"start": "2026-03-01T10:00", "latitude": "4.6", "longitude": "74.1"}

    answer = client.post("/stations/cam-01/deployment", data=form)
    page = client.get(answer.headers["location"])
    nowhere = form | {"id": "cam-01:2026-03-01", "latitude": "", "longitude": ""}
    client.post("/stations/cam-01/deployment", data=nowhere)

    assert answer.headers["location"] == "/stations/cam-01/deployment?id=cam-01%3A2026-03-01"
    assert re.search(r'class="notice warn" role="status">cam-01:2026-03-01: 4\.6.*did you mean', page.text)
    assert "It has no position" in client.get(answer.headers["location"]).text
    assert "It has no position" not in rig.client("viewer").get(answer.headers["location"]).text


def test_a_manager_notes_changes_ends_and_removes_a_deployment(rig):
    client = rig.client("manager", name="ana", follow_redirects=False)
    form = {"start": "2026-03-01T10:00", "latitude": "4,61", "longitude": "74.1 W", "bait": "sardina", "tags": "a, b"}
    answer = client.post("/stations/cam-01/deployment", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/stations/cam-01#deployments")
    [made] = client.get("/api/v1/stations/cam-01/deployments").json()["items"]
    assert made["id"] == "cam-01:2026-03-01"
    assert made["started_at"] == "2026-03-01T15:00:00Z"  # 10:00 in Bogotá
    assert (made["place"]["latitude"], made["place"]["longitude"]) == (4.61, -74.1)
    assert made["tags"] == ["a", "b"]

    page = client.get("/stations/cam-01/deployment", params={"id": made["id"]})
    assert 'value="2026-03-01T10:00"' in page.text
    client.post("/stations/cam-01/deployment", data={"id": made["id"], "action": "end"})
    [made] = client.get("/api/v1/stations/cam-01/deployments").json()["items"]
    assert made["ended_at"] == "2026-03-10T15:00:00Z"
    assert made["bait"] == "sardina"

    client.post("/stations/cam-01/deployment", data={"id": made["id"], "action": "remove"})
    assert client.get("/api/v1/stations/cam-01/deployments").json()["items"] == []
    with rig.store.transaction() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.who).order_by(audit.c.pk)).all()
    assert rows == [("deployment.add", "ana"), ("deployment.change", "ana"), ("deployment.remove", "ana")]


def test_slips_come_back_beside_their_fields_with_what_was_typed(rig):
    client = rig.client("manager", language="es")
    first = client.post("/stations/cam-01/deployment", data={"start": "ayer", "latitude": "norte", "bait": '"><b>'})

    assert first.status_code == 422
    assert "no son grados" in first.text
    assert 'value="norte"' in first.text
    assert "&#34;&gt;&lt;b&gt;" in first.text

    client.post("/stations/cam-01/deployment", data={"start": "2026-03-01T10:00"})
    overlapping = client.post("/stations/cam-01/deployment", data={"start": "2026-03-02T10:00"})
    assert overlapping.status_code == 409
    assert "se traslapa" in overlapping.text or "superpone" in overlapping.text


@pytest.mark.parametrize("minutes", ["1e300", "-5", "0", "inf"])
def test_minutes_that_are_none_are_refused(rig, minutes):
    form = {"start": "2026-03-01T10:00", "timelapse_min": minutes}

    assert rig.client("manager").post("/stations/cam-01/deployment", data=form).status_code == 422


def test_viewers_change_nothing(rig):
    client = rig.client("reviewer")

    assert client.post("/stations/cam-01/deployment", data={"start": "2026-03-01"}).status_code == 403
    assert client.post("/stations/cam-01/command", data={"command": "capture"}).status_code == 403
    assert client.get("/stations/cam-01/deployment").status_code == 404


def test_a_command_waits_for_the_daemon_and_is_audited(rig):
    say(rig, "cam-01")
    client = rig.client("manager", name="ana", follow_redirects=False)

    assert client.post("/stations/cam-01/command", data={"command": "capture"}).status_code == 303
    assert client.post("/api/v1/stations/cam-02/commands", json={"name": "reboot"}).status_code == 409

    [file] = (rig.plan.state_dir / "commands").glob("*.json")
    assert '"station": "cam-01"' in file.read_text("utf-8")
    with rig.store.transaction() as connection:
        assert connection.execute(select(audit.c.action, audit.c.who)).all() == [("station.command", "ana")]


def test_a_change_through_the_api_needs_what_is_there_now(rig):
    client = rig.client("manager")
    body = {"started_at": "2026-03-01T10:00:00Z", "camera_id": "B1", "id": "a/b c"}
    made = client.post("/api/v1/stations/cam-01/deployments", json=body)
    assert made.status_code == 201
    path = "/api/v1/stations/cam-01/deployments/a/b%20c"
    tag = client.get(path).headers["etag"]

    changed = client.put(path, json={**body, "camera_id": "B2"}, headers={"if-match": tag})
    late = client.put(path, json={**body, "camera_id": "B3"}, headers={"if-match": tag})

    assert changed.json()["camera_id"] == "B2"
    assert late.status_code == 412
    assert client.get(path.replace("deployments", "effort")).json()["trap_nights"] == 9
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_lists_go_on_with_their_cursor(rig):
    client, names, after = rig.client("viewer"), [], ""
    for _page in range(5):
        found = client.get("/api/v1/stations", params={"limit": 2, "cursor": after}).json()
        names += [each["name"] for each in found["items"]]
        if not (after := found["next"]):
            break

    assert names == ["cam-01", "cam-02", "cam-03"]
    assert client.get("/api/v1/stations", params={"cursor": "AAAA"}).status_code == 400


def tile_file(root: bytes = b"\x00", *, packed: int = 1, tiles: bytes = b"tiles", said: int | None = None) -> bytes:
    """A PMTiles file of PNGs. said: how long the header says that its tiles are."""
    begins = 127 + len(root)
    parts = struct.pack("<8Q", 127, len(root), begins, 0, begins, 0, begins, len(tiles) if said is None else said)
    header = b"PMTiles\x03" + parts + bytes(25) + bytes([packed, 1, 2, 0, 14]) + bytes(25)
    return header + root + tiles


def test_tiles_come_in_ranges_and_only_from_a_file_that_is_one(tmp_path):
    (tmp_path / "map.pmtiles").write_bytes(tile_file(gzip.compress(b"\x00"), packed=2))
    site = WebRig.__init__.__defaults__[0].replace("web: {}", "web: {tiles: map.pmtiles}")
    with WebRig(tmp_path, site) as rig:
        client = rig.client("viewer")
        part = client.get("/tiles.pmtiles", headers={"range": "bytes=0-6", "accept-encoding": "gzip"})
        assert (part.status_code, part.content) == (206, b"PMTiles")
        assert 'data-kind="raster"' in client.get("/stations").text
        assert rig.client(None).get("/tiles.pmtiles", follow_redirects=False).status_code == 303
        (tmp_path / "map.pmtiles").write_bytes(b"secret: 4711")
        assert client.get("/tiles.pmtiles").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(tile_file(said=10**9), id="copied half"),
        pytest.param(tile_file()[:127], id="header alone"),
        pytest.param(tile_file(b""), id="no directory"),
        pytest.param(tile_file(b"garbage", packed=2), id="directory that is none"),
        pytest.param(tile_file(packed=4), id="packed as no browser unpacks"),
        pytest.param(None, id="not there"),
    ],
)
def test_a_map_that_can_not_be_drawn_is_said_and_the_points_are_shown(tmp_path, body):
    if body is not None:
        (tmp_path / "map.pmtiles").write_bytes(body)
    site = WebRig.__init__.__defaults__[0].replace("web: {}", "web: {tiles: map.pmtiles}")
    with WebRig(tmp_path, site) as rig:
        page = rig.client("viewer").get("/stations").text

        assert "The map can not be drawn: map.pmtiles" in page
        assert 'data-tiles=""' in page
        assert "cam-01" in page
        assert rig.client("viewer").get("/tiles.pmtiles").status_code == 404


def test_a_site_without_tiles_has_a_map_without_them(rig):
    page = rig.client("viewer").get("/stations").text

    assert 'data-tiles=""' in page
    assert "pmtiles" not in page
    assert rig.client("viewer").get("/tiles.pmtiles").status_code == 404
