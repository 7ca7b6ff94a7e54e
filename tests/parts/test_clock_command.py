"""`tigrillo clock`: shown, checked, corrected and taken back; wrong input is one line with what would be right."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.deployed import Deployment
from edge.errors import FatalError
from edge.model import CaptureTime
from edge.store import deployments
from edge.store.sql import Store
from edge.testing import spooled_frame

CAME = datetime(2026, 11, 20, tzinfo=UTC)
SITE = """
site: {name: Reserve, timezone: America/Bogota}
state_dir: .
stations: [{name: cam-1, latitude: 2.2, longitude: -73.8}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A station whose clock began in 1970, and one frame that knows no time."""
    (tmp_path / "site.yaml").write_text(SITE, "utf-8")
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as store:
        rows = []
        for hour in range(10):
            taken = datetime(1970, 1, 1, 5, tzinfo=UTC) + timedelta(hours=hour)
            captured = CaptureTime(taken, f"1970:01:01 {hour:02}:00:00", "America/Bogota", "exif")
            rows.append(
                (replace(spooled_frame(), id=f"f{hour}", station="cam-1", captured=captured, received_at=CAME), 0)
            )
        nobody = replace(spooled_frame(), id="x", station="cam-1", captured=CaptureTime(None), received_at=CAME)
        store.add_frames([*rows, (nobody, 0)])
    return tmp_path


def run(site: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["clock", *arguments, "--site", str(site / "site.yaml")])


def told(site: Path, *arguments: str) -> Any:
    result = run(site, *arguments, "--json")
    assert result.exit_code == 0, result.output + str(result.exception)
    return json.loads(result.stdout)


KNOWN = ("correct", "cam-1", "--known", "1970-01-01T00:00=2026-10-01T12:00")


def test_a_clock_of_1970_is_found_tried_put_right_and_taken_back(site: Path) -> None:
    kinds = {each["kind"]: each["frames"] for each in told(site, "check")}
    assert kinds == {"factory": 10, "unknown": 1}

    tried = told(site, *KNOWN, "--dry-run")
    assert (tried["frames"], len(tried["some"])) == (10, 6)
    assert tried["some"][0]["after"] == "2026-10-01T17:00:00+00:00"
    assert told(site, "show")["corrections"] == []

    made = told(site, *KNOWN, "--why", "watch in the picture", "--by", "ana")
    assert made == {"correction": 1, "station": "cam-1", "frames": 10, "changed": 10, "encounters": 0}
    assert [each["kind"] for each in told(site, "check")] == ["unknown"]

    assert told(site, "undo", "1", "--by", "ben")["changed"] == 10
    (row,) = told(site, "show", "cam-1")["corrections"]
    assert (row["made_by"], row["undone_by"], row["why"], row["applied"]) == (
        "ana",
        "ben",
        "watch in the picture",
        True,
    )
    assert {each["kind"] for each in told(site, "check")} == {"factory", "unknown"}
    assert told(site, "resume") == {}


def test_a_part_of_the_frames_is_chosen_by_what_their_clock_said(site: Path) -> None:
    made = told(
        site, "correct", "cam-1", "--offset", "+1h", "--since", "1970-01-01T03:00", "--until", "1970-01-01T05:00"
    )

    assert made["changed"] == 3


def test_a_deployment_is_the_time_in_which_its_frames_were_really_taken(site: Path) -> None:
    with Store(f"sqlite:///{site}/tigrillo.sqlite") as store, store.transaction() as connection:
        stood = Deployment("d1", "cam-1", datetime(2026, 10, 1, 20, tzinfo=UTC), datetime(2026, 10, 1, 22, tzinfo=UTC))
        deployments.add(connection, stood, who="ana", now=CAME)

    assert told(site, *KNOWN, "--deployment", "d1")["changed"] == 3


def test_tables_are_for_people(site: Path) -> None:
    assert "1970:01:01 00:00:00" in run(site, *KNOWN, "--dry-run").stdout
    run(site, "correct", "cam-1", "--camera-timezone", "UTC", "--by", "ana")

    shown = run(site, "show").stdout

    assert "read in UTC" in shown
    assert "never set" in run(site, "check").stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("correct", "cam-1"), "say one of --offset, --known and --camera-timezone"),
        (("correct", "cam-1", "--offset", "1h", "--camera-timezone", "UTC"), "say one of"),
        (("correct", "cam-2", "--offset", "1h"), "did you mean 'cam-1'?"),
        (("correct", "cam-1", "--offset", "soon"), "write an offset such as"),
        (("correct", "cam-1", "--known", "2026-01-01T00:00"), "write CAMERA=REAL"),
        (("correct", "cam-1", "--known", "x=2026-01-01T00:00"), "write a moment such as"),
        (("correct", "cam-1", "--camera-timezone", "Bogota"), "no such zone"),
        (("correct", "cam-1", "--offset", "1h", "--deployment", "d9"), "has no deployment 'd9'"),
        (("correct", "cam-1", "--offset", "1h", "--since", "2026-01-02", "--until", "2026-01-01"), "no frame would be"),
        (("undo", "7"), "no correction 7"),
    ],
)
def test_wrong_input_is_one_line(site: Path, arguments: tuple[str, ...], complaint: str) -> None:
    result = run(site, *arguments)

    assert isinstance(result.exception, FatalError)
    assert complaint in str(result.exception)
