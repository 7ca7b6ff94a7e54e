"""Events of Camtrap DP: bursts, encounters, who was there, how many at once; deployments, reviews, people."""

import csv
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.api import (
    Answer,
    Beside,
    CaptureTime,
    Dataset,
    Deployment,
    Detection,
    Encountered,
    ExportContext,
    Observed,
    Outcome,
    Period,
    PictureResult,
    Review,
    Station,
    Taxon,
)
from edge.clock import SteppedClock
from edge.export import Wanted, context_of, write_export
from edge.pipeline.spool import Spool
from edge.registry import load_registry
from edge.services import Incoming
from edge.store.harvest import Span
from edge.store.sql import Store
from edge.testing import fake_services, spooled_frame

NOW = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
SPEC = load_registry().exporters["camtrap-dp"]
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cat family", "felino")
PUMA = Taxon("Puma concolor", "species", (*FELIDAE.lineage, "Puma", "Puma concolor"), "puma", "puma")
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (), Answer(FELIDAE, 0.95))
PUMAS = replace(CAT, score=0.95, answer=Answer(PUMA, 0.7))
PERSON = Detection("person", 0.8, (0.5, 0.5, 0.5, 0.5), "person")
STATIONS = {"cam-1": Station("cam-1", "UTC", 2.2, -73.8)}


def frame(number: str, *detections: Detection, at: datetime | None = NOW, **fields: Any) -> Outcome:
    captured = CaptureTime(at, "", "UTC", "exif" if at else "unknown")
    beside = fields.pop("beside", None)
    fields = {"station": "cam-1", "name": f"{number}.jpg"} | fields
    spooled = replace(spooled_frame(), id=number, captured=captured, received_at=NOW, **fields)
    return Outcome(spooled, (PictureResult(0, 0.0, detections),), 1920, 1080, beside=beside)


def package(folder: Path, outcomes: Sequence[Outcome], **context: Any) -> dict[str, list[dict[str, str]]]:
    """The rows of each table that is written of these."""
    services = fake_services(stations=STATIONS, clock=SteppedClock(NOW), exporting=ExportContext(**context))
    with SPEC.open(folder / "package", services) as exporter:
        for each in outcomes:
            exporter.add(each)
    return tables(folder / "package")


def tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    found = {}
    for name in ("deployments", "media", "observations"):
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            found[name] = list(csv.DictReader(file, strict=True))
    return found


def events(rows: dict[str, list[dict[str, str]]]) -> list[tuple[str, ...]]:
    """(eventID, type, name, count, tags) of each event-level observation."""
    names = ("eventID", "observationType", "scientificName", "count", "observationTags")
    return [tuple(row[name] for name in names) for row in rows["observations"] if row["observationLevel"] == "event"]


def of_media(rows: dict[str, list[dict[str, str]]], column: str) -> list[str]:
    return [row[column] for row in rows["observations"] if row["observationLevel"] == "media"]


def test_the_burst_is_one_event_of_ten_frames_with_the_right_times(shared_media: Path, tmp_path: Path) -> None:
    services = fake_services(state_dir=tmp_path, clock=SteppedClock(NOW), stations=STATIONS)
    files = sorted((shared_media / "burst").glob("*.JPG"), reverse=True)
    with Store(f"sqlite:///{tmp_path}/site.sqlite") as store:
        spool = Spool(store, services, limit_bytes=1 << 30)
        for path in files:
            assert spool.receive(Incoming("cam-1", path.name, "still", path, "card"))
        while claimed := store.claim_next(NOW):
            found = (CAT,) if claimed.name.endswith("RCNX0035.JPG") else ()
            assert store.record(Outcome(claimed, (PictureResult(0, 0.0, found),), 2048, 1440), now=NOW)
        services = replace(services, exporting=context_of(store, Span()))
        write_export(store, SPEC, tmp_path / "package", services, Wanted())

    rows = tables(tmp_path / "package")
    shown = {row["mediaID"]: row["fileName"][-8:-4] for row in rows["media"]}
    seconds = ["09", "10", "10", "11", "12", "12", "13", "13", "14", "15"]
    assert sorted((shown[row["mediaID"]], row["timestamp"]) for row in rows["media"]) == [
        (f"{31 + index:04}", f"2021-04-11T20:43:{second}+00:00") for index, second in enumerate(seconds)
    ]
    (event,) = {row["eventID"] for row in rows["observations"]}
    assert events(rows) == [(event, "animal", "Felidae", "1", f"best:{_named(shown, '0035')}")]
    whole = next(row for row in rows["observations"] if row["observationLevel"] == "event")
    assert (whole["eventStart"][-14:-6], whole["eventEnd"][-14:-6]) == ("20:43:09", "20:43:15")


def _named(shown: dict[str, str], number: str) -> str:
    return next(each for each, name in shown.items() if name == number)


def test_a_burst_of_blanks_is_one_blank_event(tmp_path: Path) -> None:
    burst = [frame(f"{n}", at=NOW + n * SECOND, camera="R", burst="e1", burst_number=n + 1) for n in range(3)]

    rows = package(tmp_path, [*burst, frame("later", at=NOW + 5 * MINUTE)])

    assert of_media(rows, "eventID") == ["cam-1/0"] * 3 + ["cam-1/later"]
    assert events(rows) == [("cam-1/0", "blank", "", "", ""), ("cam-1/later", "blank", "", "", "")]


def test_two_cameras_of_a_station_have_events_of_their_own_and_frames_stay_in_order(tmp_path: Path) -> None:
    frames = [
        frame(f"{camera}{n}", at=NOW + n * SECOND, camera=camera, burst=f"{camera}1", burst_number=n + 1)
        for n in range(3)
        for camera in "AB"
    ]

    rows = package(tmp_path, frames)

    assert [row["mediaID"] for row in rows["media"]] == [
        f"cam-1/{each}" for each in ("A0", "B0", "A1", "B1", "A2", "B2")
    ]
    assert of_media(rows, "eventID") == ["cam-1/A0", "cam-1/B0"] * 3


def test_a_burst_that_shows_an_encounter_is_of_it_with_its_blanks(tmp_path: Path) -> None:
    met = Encountered("e1", "cam-1", "animal", PUMA.lineage, NOW + SECOND, NOW + 8 * MINUTE)
    frames = [
        frame("a", at=NOW),
        frame("b", CAT, at=NOW + SECOND),
        frame("c", PUMAS, CAT, at=NOW + 2 * SECOND),
        frame("d", CAT, at=NOW + 8 * MINUTE),
        frame("e", CAT, at=NOW + 20 * MINUTE),
    ]

    rows = package(tmp_path, frames, encounters_of=lambda _station: iter([met]))

    assert of_media(rows, "eventID") == ["e1"] * 5 + ["cam-1/e"]
    assert sorted(events(rows)) == [
        ("cam-1/e", "animal", "Felidae", "1", "best:cam-1/e"),
        ("e1", "animal", "Puma concolor", "2", "best:cam-1/c"),
    ]
    assert {row["eventStart"] for row in rows["observations"] if row["observationID"] == "e1#event"} == {
        "2026-11-22T07:14:00+00:00"
    }


def test_a_sequence_of_two_kinds_has_a_row_for_each_and_the_name_is_the_finest(tmp_path: Path) -> None:
    rows = package(tmp_path, [frame("a", CAT, PERSON), frame("b", PUMAS, PERSON, PERSON, at=NOW + SECOND)])

    assert events(rows) == [
        ("cam-1/a", "animal", "Puma concolor", "1", "best:cam-1/b"),
        ("cam-1/a", "human", "Homo sapiens", "2", "best:cam-1/a"),
    ]


def test_a_camera_that_never_stops_keeps_memory_bounded(tmp_path: Path) -> None:
    peaks = []
    for count in (600, 2400):
        services = fake_services(clock=SteppedClock(NOW))
        with SPEC.open(tmp_path / "package", services) as exporter:
            tracemalloc.start()
            for n in range(count):
                exporter.add(frame(f"{n:06}", at=NOW + n * SECOND, camera="R", burst="e", burst_number=1))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] < peaks[0] + 800_000


def deployment(number: str, **fields: Any) -> Deployment:
    return Deployment(**{"id": number, "station": "cam-1", "started_at": NOW - DAY, "ended_at": NOW} | fields)


def test_frames_belong_to_recorded_deployments_and_the_others_to_an_inferred_one(tmp_path: Path) -> None:
    stood = (
        deployment("d1", latitude=2.5, longitude=-73.5, height_m=0.4, bait="none", feature="burrow", tags=("x",)),
        deployment(
            "d2", started_at=NOW + DAY, ended_at=None, bait="fish oil", feature="wall", timezone="America/Bogota"
        ),
    )
    frames = [
        frame("unknown", at=None),
        frame("in", at=NOW - MINUTE),
        frame("out", at=NOW + MINUTE),
        frame("on", at=NOW + 2 * DAY),
    ]
    periods = [Period("cam-1", NOW - MINUTE, NOW + 2 * DAY, 4)]

    rows = package(tmp_path, frames, deployments=stood, periods=periods, loose={})

    assert {row["mediaID"][6:]: row["deploymentID"] for row in rows["media"]} == {
        "unknown": "cam-1:inferred",
        "in": "d1",
        "out": "cam-1:inferred",
        "on": "d2",
    }
    first, inferred, second = ({k: v for k, v in row.items() if v} for row in rows["deployments"])
    assert (
        first["latitude"],
        first["cameraHeight"],
        first["baitUse"],
        first["featureType"],
        first["deploymentTags"],
    ) == (*("2.5", "0.4", "false", "burrow", "x"),)
    assert inferred["deploymentStart"] == "2026-11-22T07:14:00+00:00"
    assert (second["deploymentStart"], second["deploymentEnd"]) == (
        "2026-11-23T02:14:00-05:00",
        "2026-11-24T02:14:00-05:00",
    )
    assert (second["baitUse"], second["deploymentTags"]) == ("true", "bait:fish oil | feature:wall | ongoing")
    assert second["latitude"] == "2.2"  # the station's


def test_what_people_said_stands_beside_the_machines(tmp_path: Path) -> None:
    said = Review(7, 11, "animal", "Puma concolor", 2, "female", "cub", "eats", "sure", "Ana", NOW + DAY)
    beside = Beside(reviews=(said,), observed=(Observed(10), Observed(11)))
    near = replace(CAT, xywh_norm=(0.5, 0.5, 0.25, 0.25))

    rows = package(tmp_path, [frame("a", CAT, near, beside=beside)])

    assert of_media(rows, "classificationMethod") == ["machine", "machine", "human"]
    row = next(row for row in rows["observations"] if row["classificationMethod"] == "human")
    wanted = {
        "observationID": "cam-1/a#review7",
        "eventID": "cam-1/a",
        "scientificName": "Puma concolor",
        "count": "2",
        "sex": "female",
        "lifeStage": "",
        "behavior": "eats",
        "bboxX": "0.5",
        "classifiedBy": "Ana",
        "classificationTimestamp": "2026-11-23T07:14:00+00:00",
        "classificationProbability": "",
        "observationTags": "lifeStage:cub",
        "observationComments": "sure",
    }
    assert {key: row[key] for key in wanted} == wanted
    described = json.loads((tmp_path / "package" / "datapackage.json").read_text("utf-8"))
    assert [each["scientificName"] for each in described["taxonomic"]] == ["Felidae", "Puma concolor"]


@pytest.mark.parametrize(
    ("detections", "beside", "public"),
    [
        ((CAT,), None, "true"),
        ((CAT, PERSON), None, "false"),
        ((CAT,), Beside(people=True, original="withheld"), "false"),
        ((), Beside(reviews=(Review(1, None, "human", "", 1, "", "", "", "", "Ana", NOW),)), "false"),
    ],
)
def test_no_picture_of_people_is_public(
    tmp_path: Path, detections: tuple[Detection, ...], beside: Beside | None, public: str
) -> None:
    rows = package(tmp_path, [frame("a", *detections, beside=beside)], dataset=Dataset(media_public=True))

    (row,) = rows["media"]
    assert row["filePublic"] == public
    assert row["mediaComments"] == ("The original is withheld: it shows people." if beside and beside.people else "")
