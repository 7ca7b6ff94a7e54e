"""Wildlife Insights, Darwin Core, GPX, KML, matrices, YOLO and tags: valid by their own rules, and true."""

import json
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from edge.api import (
    Answer,
    Beside,
    CaptureTime,
    Deployment,
    Detection,
    Effort,
    ExportContext,
    FatalError,
    Gap,
    Outcome,
    Period,
    PictureResult,
    Services,
    Station,
    Taxon,
)
from edge.registry import load_registry
from edge.testing import fake_services, spooled_frame
from plugins.exporters.bundle import MARK
from plugins.exporters.yolo import validation_stations
from tests.unit.export_rules import (
    check_darwin_core,
    check_gpx,
    check_kml,
    check_matrices,
    check_wildlife_insights,
    check_yolo,
    rows_of,
)

NOW = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)
FORMATS = load_registry().exporters
BOTH = ("wildlife-insights", "darwin-core", "matrices", "yolo", "tags")
ALL = (*BOTH, "gpx", "kml")
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cat family", "felino")
PUMA = Taxon("Puma concolor", "species", (*FELIDAE.lineage, "Puma", "Puma concolor"), "puma", "puma")
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (), Answer(FELIDAE, 0.95))
COUGAR = Detection("animal", 0.8, (0.5, 0.5, 0.25, 0.5), "animal", (), Answer(PUMA, 0.875))
SOMETHING = Detection("animal", 0.5, (0.0, 0.0, 1.0, 1.0), "animal")
PERSON = Detection("person", 0.6, (0.5, 0.5, 0.5, 0.5), "person")
STATIONS = {
    "cam-1": Station("cam-1", "America/Bogota", 2.2, -73.8),
    "cam-2": Station("cam-2", "America/Bogota"),
}
NOTED = Deployment(
    "north & 1", "cam-1", NOW - timedelta(days=2), NOW + timedelta(days=1), 2.25, -73.75, 12.0,
    camera_id="B7", camera_model="Browning BTC-7A", height_m=0.4, tilt_deg=0.0, feature="trailGame", bait="sardines",
)  # fmt: skip
DAY = timedelta(days=1)
GAP = Gap(NOW - timedelta(days=1, hours=12), NOW - timedelta(hours=12), "failed", "battery")


def frame(
    number: str,
    *detections: Detection,
    at: datetime | None = NOW,
    station: str = "cam-1",
    path: Path = Path("/nowhere/x.jpg"),
    people: bool = False,
    **fields: Any,
) -> Outcome:
    """A still with these detections; fields: of the spooled frame."""
    captured = CaptureTime(at, "", "America/Bogota", "exif" if at else "unknown")
    spooled = replace(
        spooled_frame(), station=station, id=number, path=path, captured=captured, received_at=NOW,
        **{"name": f"DCIM/{number}.jpg", **fields},
    )  # fmt: skip
    shown = people or any(each.category != "animal" for each in detections)
    return Outcome(spooled, (PictureResult(0, 0.0, detections),), 640, 480, beside=Beside(people=shown))


def services(*, noted: Sequence[Deployment] = (), **options: str) -> Services:
    ends = NOW + timedelta(hours=3)
    periods = (Period("cam-1", NOW, ends, 3), Period("cam-2", NOW, ends, 1))
    context = ExportContext(
        periods,
        by_station=True,
        deployments=tuple(noted),
        effort={each.id: Effort(each.id, "cam-1", each.started_at, NOW + DAY, gaps=(GAP,)) for each in noted},
        loose=None if not noted else {"cam-2": periods[1]},
        options=options,
    )  # fmt: skip
    return fake_services(stations=STATIONS, site_name="Río & Cía", exporting=context, default_timezone="America/Bogota")


def exported(name: str, folder: Path, outcomes: Sequence[Outcome], given: Services | None = None) -> Path:
    """The folder or file that was written."""
    out = folder / (name if name in BOTH else f"out{FORMATS[name].suffix}")
    with FORMATS[name].open(out, given or services()) as exporter:
        for each in outcomes:
            exporter.add(each)
        exporter.fail("torn.jpg", "no picture")
    return out


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A folder with two JPEGs, one with EXIF, and a PNG."""
    folder = tmp_path / "card"
    folder.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0132] = "2026:11:22 02:14:00"
    Image.fromarray(noise).save(folder / "a.jpg", exif=exif, quality=90)
    Image.fromarray(noise[::-1]).save(folder / "b.jpg")
    Image.fromarray(noise).save(folder / "c.png")
    return folder


def four() -> Iterator[Outcome]:
    yield frame("early", CAT, CAT, COUGAR, at=NOW)
    yield frame("late", SOMETHING, PERSON, at=NOW + timedelta(hours=2))
    yield frame("blank", at=NOW + timedelta(hours=3))
    yield frame("when", CAT, at=None, station="cam-2")


CHECKS: dict[str, Any] = {
    "wildlife-insights": check_wildlife_insights,
    "darwin-core": check_darwin_core,
    "matrices": check_matrices,
    "yolo": check_yolo,
    "gpx": check_gpx,
    "kml": check_kml,
    "tags": lambda _folder: None,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("noted", [(), (NOTED,)])
def test_what_is_written_is_valid_and_the_same_every_time(name: str, noted: Any, tmp_path: Path) -> None:
    contents = []
    for number in ("one", "two"):
        (tmp_path / number).mkdir()
        out = exported(name, tmp_path / number, list(four()), services(noted=noted))
        CHECKS[name](out)
        files = sorted(each for each in out.rglob("*") if each.is_file()) if out.is_dir() else [out]
        contents.append([each.read_bytes() for each in files])

    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ALL)
def test_nothing_to_export_is_a_valid_file(name: str, tmp_path: Path) -> None:
    empty = fake_services(site_name="Empty")

    CHECKS[name](exported(name, tmp_path, [], empty))


@pytest.mark.parametrize("name", BOTH)
def test_a_folder_is_only_replaced_when_it_is_an_export_of_this_format(name: str, tmp_path: Path) -> None:
    out = exported(name, tmp_path, [])
    again = exported(name, tmp_path, [])
    (out / MARK).write_text("another\n", "ascii")

    assert again == out
    with pytest.raises(FatalError, match="holds other things"):
        exported(name, tmp_path, [])


@pytest.mark.parametrize("name", BOTH)
def test_a_zip_holds_what_the_folder_holds(name: str, tmp_path: Path, card: Path) -> None:
    outcomes = [frame("a", CAT, path=card / "a.jpg")]
    folder = exported(name, tmp_path, outcomes)
    with FORMATS[name].open(tmp_path / "out.zip", services()) as exporter:
        exporter.add(outcomes[0])

    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        packed = {each: archive.read(each) for each in archive.namelist()}
    files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    files.pop(MARK)
    assert packed == files
    assert files


def test_wildlife_insights_has_a_row_a_kind_and_one_for_a_blank(tmp_path: Path) -> None:
    tables = check_wildlife_insights(exported("wildlife-insights", tmp_path, list(four()), services(noted=(NOTED,))))

    images = [(row["image_id"], row["common_name"], row["number_of_objects"]) for row in tables["images"]]
    assert images == [
        ("cam-1:early", "cat family", "2"),
        ("cam-1:early", "puma", "1"),
        ("cam-1:late", "Animal", "1"),
        ("cam-1:late", "Human", "1"),
        ("cam-1:blank", "Blank", "0"),
        ("cam-2:when", "cat family", "1"),
    ]
    puma = tables["images"][1]
    assert [puma[each] for each in ("class", "order", "family", "genus", "species")] == [
        *("Mammalia", "Carnivora", "Felidae", "Puma", "concolor")
    ]
    assert (puma["timestamp"], puma["uncertainty"]) == ("2026-11-22 02:14:00", "0.1250")
    assert "arrival" in tables["images"][-1]["individual_animal_notes"]
    first, second = tables["deployments"]
    wanted = {"deployment_id": "north & 1", "latitude": "2.25", "feature_type": "Trail game", "bait_type": "Other"}
    assert {each: first[each] for each in wanted} == wanted
    assert (first["sensor_height"], first["sensor_orientation"]) == ("Knee height", "Parallel")
    assert (second["deployment_id"], second["latitude"]) == ("cam-2:inferred", "")
    assert [row["make"] for row in tables["cameras"]] == ["Browning", ""]


def test_darwin_core_has_animals_with_an_answer_and_no_people(tmp_path: Path) -> None:
    rows = check_darwin_core(exported("darwin-core", tmp_path, list(four()), services(noted=(NOTED,))))

    assert [(row["scientificName"], row["individualCount"], row["eventDate"]) for row in rows] == [
        ("Felidae", "2", "2026-11-22T02:14:00-05:00"),
        ("Puma concolor", "1", "2026-11-22T02:14:00-05:00"),
        ("Felidae", "1", ""),
    ]
    assert rows[0]["occurrenceID"] == "Río_&_Cía:cam-1/early:Felidae"
    assert (rows[0]["decimalLatitude"], rows[0]["coordinateUncertaintyInMeters"]) == ("2.25", "12.0")
    assert (rows[1]["genus"], rows[1]["specificEpithet"], rows[2]["geodeticDatum"]) == ("Puma", "concolor", "")


def test_gpx_has_a_waypoint_where_a_place_is_known(tmp_path: Path) -> None:
    (waypoint,) = check_gpx(exported("gpx", tmp_path, list(four())))

    assert (waypoint["lat"], waypoint["lon"], waypoint["name"]) == ("2.2", "-73.8", "cam-1")
    assert waypoint["desc"].endswith("3 frames; Felidae 2, Puma concolor 1, animal 1, person 1")


def test_kml_has_deployments_and_captures(tmp_path: Path) -> None:
    often = [frame(f"{minute:03}", CAT, at=NOW + timedelta(minutes=minute)) for minute in (0, 20, 40, 90)]
    folders = check_kml(exported("kml", tmp_path, often))
    longer = check_kml(exported("kml", tmp_path, often, services(gap_minutes="60")))

    assert [each["description"] for each in folders["Captures"]] == [
        "cam-1, 2026-11-22T02:14:00-05:00; 3 frames, at most 1 at once",
        "cam-1, 2026-11-22T03:44:00-05:00; 1 frames, at most 1 at once",
    ]
    assert len(longer["Captures"]) == 1
    assert [each["name"] for each in folders["Deployments"]] == ["cam-1", "cam-2"]
    assert "Point" not in folders["Deployments"][1]


def test_matrices_tell_days_without_a_camera_from_days_without_an_animal(tmp_path: Path) -> None:
    seen = [
        frame("a", CAT, at=NOW - timedelta(days=2) + timedelta(minutes=1)),
        frame("b", CAT, COUGAR, at=NOW),
        frame("c", CAT, at=NOW + timedelta(minutes=20)),
        frame("d", CAT, at=NOW + timedelta(minutes=60)),
    ]
    given = services(noted=(NOTED,), independent_minutes="30")
    tables = check_matrices(exported("matrices", tmp_path, seen, given))

    assert [(row["Species"], row["FileName"]) for row in tables["record_table"]] == [
        ("Felidae", "a.jpg"),
        ("Felidae", "b.jpg"),
        ("Puma concolor", "b.jpg"),
        ("Felidae", "d.jpg"),
    ]
    assert [row["delta.time.mins"] for row in tables["record_table"]] == ["0.0", "2879.0", "0.0", "60.0"]
    operation = {row["Station"]: row for row in tables["camera_operation"]}
    # local days: from 20 November 02:14 to 23 November 02:14, without 20 November 14:14 to 21 November 14:14
    assert operation["cam-1"] == {
        "Station": "cam-1",
        "2026-11-20": "0.5",
        "2026-11-21": "0.407",
        "2026-11-22": "1",
        "2026-11-23": "0.093",
    }
    history = {(row["Species"], row["Station"]): row for row in tables["detection_history"]}
    assert [history["Felidae", "cam-1"][f"o{day}"] for day in (1, 2, 3, 4)] == ["1", "0", "1", "0"]
    assert [history["Felidae", "cam-2"][f"o{day}"] for day in (1, 2, 3, 4)] == ["NA", "NA", "0", "NA"]
    (north, _inferred) = tables["camera_traps"]
    assert (north["Problem1_from"], north["Problem1_to"]) == ("2026-11-20", "2026-11-21")


def test_occasions_may_have_several_days(tmp_path: Path) -> None:
    seen = [frame("a", CAT, at=NOW - timedelta(days=9)), frame("b", CAT, at=NOW)]
    tables = check_matrices(exported("matrices", tmp_path, seen, services(occasion_days="7")))

    assert [(row["Start"], row["End"]) for row in tables["occasions"]] == [
        ("2026-11-13", "2026-11-19"),
        ("2026-11-20", "2026-11-22"),
    ]


def test_yolo_has_boxes_blanks_and_no_people(tmp_path: Path, card: Path) -> None:
    outcomes = [
        frame("a", CAT, COUGAR, path=card / "a.jpg"),
        frame("b", path=card / "b.jpg"),
        frame("p", CAT, path=card / "a.jpg", people=True),
        frame("gone", CAT, path=card / "gone.jpg"),
        frame("c", COUGAR, path=card / "c.png", station="cam-2", name="C.PNG"),
    ]
    folder = exported("yolo", tmp_path, outcomes)

    labels = check_yolo(folder)
    part = "val" if "val/cam-2+c" in labels else "train"
    other = "train" if part == "val" else "val"
    assert labels == {
        f"{other}/cam-1+a": [[0, 0.25, 0.4, 0.3, 0.4], [1, 0.625, 0.75, 0.25, 0.5]],
        f"{other}/cam-1+b": [],
        f"{part}/cam-2+c": [[1, 0.625, 0.75, 0.25, 0.5]],
    }
    assert (folder / "images" / other / "cam-1+a.jpg").read_bytes() == (card / "a.jpg").read_bytes()
    assert (folder / "classes.txt").read_text("utf-8") == "Felidae\nPuma concolor\n"
    one = check_yolo(exported("yolo", tmp_path, outcomes, services(classes="animal", backgrounds="no", files="link")))
    assert set(one) == {f"{other}/cam-1+a", f"{part}/cam-2+c"}
    assert (folder / "images" / other / "cam-1+a.jpg").samefile(card / "a.jpg")


@pytest.mark.parametrize(
    ("frames", "share"), [((1,), 0.2), ((5, 5), 0.2), ((100, 10, 10, 10, 10), 0.2), ((9,) * 40, 0.3)]
)
def test_validation_has_whole_stations_and_about_its_share(frames: tuple[int, ...], share: float) -> None:
    periods = [Period(f"cam-{index}", NOW, NOW, count) for index, count in enumerate(frames)]

    chosen = validation_stations(periods, share)

    assert (len(chosen) == 0) == (len(frames) == 1)
    assert len(chosen) < len(frames)
    if len(frames) == 40:
        assert sum(each.frames for each in periods if each.station in chosen) == pytest.approx(share * 360, abs=9)


def subjects(xmp: bytes) -> tuple[list[str], list[str]]:
    """(dc:subject, lr:hierarchicalSubject) of a packet."""
    root = ET.fromstring(xmp.decode("utf-8").removeprefix("\ufeff"))
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    names = ("{http://purl.org/dc/elements/1.1/}subject", "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject")
    flat, deep = ([each.text or "" for each in root.iterfind(f".//{name}/{rdf}Bag/{rdf}li")] for name in names)
    return flat, deep


def test_tags_stand_in_copies_and_originals_stay(tmp_path: Path, card: Path) -> None:
    before = {each.name: each.read_bytes() for each in card.iterdir()}
    outcomes = [
        frame("a", CAT, path=card / "a.jpg"),
        frame("b", path=card / "b.jpg"),
        frame("c", SOMETHING, path=card / "c.png", name="c.png"),
        frame("p", CAT, path=card / "b.jpg", people=True),
    ]
    folder = exported("tags", tmp_path, outcomes)

    with Image.open(folder / "cam-1/DCIM/a.jpg") as image, Image.open(card / "a.jpg") as original:
        assert subjects(image.info["xmp"]) == (
            ["Felidae", "cat family"],
            ["Wildlife|Animalia|Mammalia|Carnivora|Felidae", "Wildlife|names|cat family"],
        )
        assert b"2026-11-22T02:14:00-05:00" in image.info["xmp"]
        assert image.getexif()[0x0132] == "2026:11:22 02:14:00"
        assert np.array_equal(np.asarray(image), np.asarray(original))
    assert (folder / "cam-1/DCIM/a.jpg").stat().st_mtime_ns == (card / "a.jpg").stat().st_mtime_ns
    with Image.open(folder / "cam-1/DCIM/b.jpg") as image:
        assert subjects(image.info["xmp"])[0] == ["blank"]
    assert subjects((folder / "cam-1/c.png.xmp").read_bytes())[0] == ["animal"]
    assert not (folder / "cam-1/DCIM/p.jpg").exists()
    assert {each.name: each.read_bytes() for each in card.iterdir()} == before


def test_tags_of_people_are_written_when_asked_for_and_beside_the_file(tmp_path: Path, card: Path) -> None:
    given = services(people="include", write="sidecar")
    folder = exported("tags", tmp_path, [frame("p", PERSON, path=card / "b.jpg")], given)

    assert (folder / "cam-1/DCIM/p.jpg").read_bytes() == (card / "b.jpg").read_bytes()
    assert subjects((folder / "cam-1/DCIM/p.jpg.xmp").read_bytes())[0] == ["person"]


def test_xmp_of_the_camera_is_not_lost_and_two_files_of_one_name_are_two(tmp_path: Path, card: Path) -> None:
    with Image.open(card / "a.jpg") as image:
        image.save(card / "x.jpg", xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    outcomes = [frame("x", CAT, path=card / "x.jpg"), frame("y", CAT, path=card / "b.jpg", name="DCIM/x.jpg")]
    folder = exported("tags", tmp_path, outcomes)

    assert (folder / "cam-1/DCIM/x.jpg").read_bytes() == (card / "x.jpg").read_bytes()
    assert (folder / "cam-1/DCIM/x.jpg.xmp").is_file()
    assert (folder / "cam-1/DCIM/x-y.jpg").is_file()


@pytest.mark.parametrize("name", ["wildlife-insights", "darwin-core", "matrices", "gpx", "kml"])
def test_memory_does_not_grow_with_the_frames(name: str, tmp_path: Path) -> None:
    peaks = []
    for count in (520, 1040):  # a table writes 500 rows at once
        with FORMATS[name].open(tmp_path / f"{count}{FORMATS[name].suffix}", services()) as exporter:
            exporter.add(frame("first", CAT))
            tracemalloc.start()
            for number in range(count):
                exporter.add(frame(f"{number:024}", CAT, at=NOW + timedelta(seconds=number)))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] < peaks[0] + 450_000  # of the times kept in words, at most 4096


def test_names_that_xml_can_not_hold_are_written(tmp_path: Path) -> None:
    odd = fake_services(site_name='<"&\x01\ud800>', stations=STATIONS, exporting=services().exporting)

    for name in ("gpx", "kml", "darwin-core"):
        CHECKS[name](exported(name, tmp_path, list(four()), odd))
    assert json.dumps(rows_of(tmp_path / "darwin-core" / "occurrence.txt"))
