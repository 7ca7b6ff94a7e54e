"""`tigrillo deployments` as people type it: without a running site, and beside one."""

import json
import threading

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.clock import SystemClock
from edge.daemon import only_one
from edge.errors import FatalError
from edge.pipeline.housekeeping import handlers
from edge.pipeline.requests import Requests
from edge.store.sql import Store
from edge.testing import fake_services

SITE = """
site: {name: Selva, timezone: America/Bogota}
state_dir: state
sources: [{use: watch, folder: inbox, station: cam-01}]
stages: [{use: detect, model: megadetector-lite}]
stations: [{name: cam-01, latitude: 4.60971, longitude: -74.08175}]
"""
SHEET = "Estación;Inicio;Fin;Latitud;Longitud\ncam-02;2026-10-01;2026-10-11;-74,1;4,6\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "inbox").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIGRILLO_LANG", "en")
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


def tigrillo(*arguments):
    return CliRunner().invoke(app, ["deployments", *arguments])


def test_from_the_first_deployment_to_the_effort(site):
    tigrillo("add", "cam-01", "--start", "2026-10-01T14:30", "--bait", "sardine", "--by", "ana")
    overlapping = tigrillo("add", "cam-01", "--start", "2026-10-11T10:00")
    tigrillo("end", "cam-01", "2026-10-11T10:00")
    (site / "sheet.csv").write_text(SHEET)
    taken = tigrillo("import", "sheet.csv")
    (site / "bad.csv").write_text("station,start\ncam-03,soon\n")
    bad = tigrillo("import", "bad.csv")

    efforts = json.loads(tigrillo("effort", "--json").stdout)

    assert isinstance(overlapping.exception, FatalError)
    assert "overlaps cam-01:2026-10-01 (2026-10-01 14:30 – goes on)" in str(overlapping.exception)
    assert "did you mean 4.60000, -74.10000?" in taken.stderr
    assert (bad.exit_code, "row 2: 'soon' is no date" in bad.stderr) == (1, True)
    assert [(each["deployment"], each["trap_nights"], each["active_nights"]) for each in efforts] == [
        ("cam-01:2026-10-01", 10, 0),
        ("cam-02:2026-10-01", 10, 0),
    ]
    assert efforts[0]["gaps"][0]["kind"] == "unknown"
    months = [(each["month"], each["trap_nights"]) for each in efforts[0]["months"]]
    assert months == [("2026-10", 10)]


def test_what_is_noted_can_be_corrected_shown_and_taken_out(site):
    del site
    tigrillo("add", "cam-01", "--start", "2026-10-01", "--end", "2026-10-20", "--lat", "4,7", "--lon", "74.1 W")

    changed = tigrillo(
        *("change", "cam-01", "--clear", "end", "--tag", "ruta-1", "--timelapse", "60"),
        *("--problem", "2026-10-03/2026-10-05 card full", "--json"),
    )
    shown = tigrillo("show", "cam-01").stdout
    nothing = tigrillo("change", "cam-01")
    wrong = tigrillo("change", "cam-01", "--clear", "station")
    tigrillo("remove", "cam-01")

    found = json.loads(changed.stdout)
    assert (found["ended_at"], found["tags"], found["latitude"], found["longitude"]) == (None, ["ruta-1"], 4.7, -74.1)
    problem = ["2026-10-03T05:00:00+00:00", "2026-10-06T04:59:59+00:00", "card full"]
    assert found["details"] == {"timelapse_min": 60.0, "problems": [problem]}
    assert "cam-01:2026-10-01: failed 2026-10-03 00:00 – 2026-10-05 23:59: card full" in shown
    assert "say what to change" in str(nothing.exception)
    assert "one of lat, lon" in str(wrong.exception)
    assert json.loads(tigrillo("list", "--json").stdout) == []


def test_beside_a_running_site_it_is_the_site_that_writes(site):
    state, stop = site / "state", threading.Event()
    with only_one(state), Store(f"sqlite:///{state}/tigrillo.sqlite") as store:
        requests = Requests(state, handlers(store, SystemClock()), fake_services().log)

        def run():
            while not stop.wait(0.05):
                requests.take_in()

        daemon = threading.Thread(target=run)
        daemon.start()
        try:
            added = json.loads(tigrillo("add", "cam-01", "--start", "2026-10-01", "--json").stdout)
        finally:
            stop.set()
            daemon.join()

    assert (added["id"], added["latitude"], added["warnings"]) == ("cam-01:2026-10-01", 4.60971, [])
    assert not list((state / "requests").glob("*.json"))
    assert "cam-01:2026-10-01" in tigrillo("list").stdout
