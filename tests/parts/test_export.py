"""`tigrillo export`: what is read, filtered and said; CSV, COCO and GeoJSON hold what was recorded."""

import csv
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.api import (
    Answer,
    CaptureTime,
    Detection,
    Exporter,
    ExporterSpec,
    ExportOption,
    FatalError,
    Outcome,
    PictureResult,
    Services,
    Station,
    Taxon,
)
from edge.cli import app
from edge.export import Wanted, context_of, read_interval, read_options, read_taxa, read_time, write_export
from edge.registry import load_registry
from edge.store import harvest
from edge.store.harvest import Span
from edge.store.sql import Store
from edge.testing import fake_services, spooled_frame

NOW = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)
FORMATS = load_registry().exporters
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cat family", "felino")
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (), Answer(FELIDAE, 0.95))
PERSON = Detection("person", 0.6, (0.5, 0.5, 0.5, 0.5), "person")
SITE = """
site: {name: Reserve, timezone: America/Bogota}
state_dir: .
stations: [{name: cam-1, latitude: 2.2, longitude: -73.8}]
"""


def record(
    store: Store, number: str, *detections: Detection, at: datetime | None = NOW, station: str = "cam-1"
) -> None:
    """A still that was recorded with these."""
    captured = CaptureTime(at, "", "America/Bogota", "exif" if at else "unknown")
    spooled = replace(spooled_frame(), station=station, id=number, name=f"{number}.jpg", captured=captured)
    store.add_frames([(replace(spooled, received_at=NOW), 0)])
    claimed = store.claim_next(NOW)
    assert claimed is not None
    store.record(Outcome(claimed, (PictureResult(0, 0.0, detections),), 640, 480), now=NOW)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two stations and six frames, which arrived in no order of time."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "site.yaml").write_text(SITE, "utf-8")
    with Store(f"sqlite:///{folder}/tigrillo.sqlite") as store:
        record(store, "late", CAT, at=NOW + HOUR)
        record(store, "early", CAT, PERSON, at=NOW - HOUR)
        record(store, "blank")
        record(store, "when", CAT, at=None)
        record(store, "other", PERSON, station="cam-2")
        record(store, "torn", station="cam-2")
        store.quarantine_other(source="watch", name="x.jpg", reason="no picture", path="", now=NOW)
    return folder


@pytest.fixture
def store(site: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{site}/tigrillo.sqlite", read_only=True) as opened:
        yield opened


def ids(store: Store, wanted: Wanted) -> list[str]:
    """The frames that pass, in order."""
    periods = harvest.periods(store, wanted.span)
    frames = harvest.outcomes(store, wanted.span, [period.station for period in periods])
    return [part.spooled.id for each in frames if (part := wanted.part_of(each))]


def exported(store: Store, name: str, folder: Path, wanted: Wanted | None = None) -> Path:
    wanted = wanted or Wanted()
    out = folder / f"out{FORMATS[name].suffix}"
    stations = {"cam-1": Station("cam-1", "UTC", 2.2, -73.8), "south": Station("south", "UTC", -4.6, -74.1)}
    services = fake_services(stations=stations, exporting=context_of(store, wanted.span))
    write_export(store, FORMATS[name], out, services, wanted)
    return out


def run(site: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["export", *arguments, "--site", str(site / "site.yaml")])


@pytest.mark.parametrize("page", [1, 2, 500])
def test_frames_come_by_station_those_without_a_time_first_then_by_time(
    store: Store, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harvest, "PAGE", page)

    assert ids(store, Wanted()) == ["when", "early", "blank", "late", "other", "torn"]


def test_what_is_read_is_what_was_recorded(store: Store) -> None:
    whole = {each.spooled.pk: each for each in harvest.outcomes(store, Span(), ["cam-1", "cam-2"])}
    bare = {each.spooled.pk: each for each in harvest.outcomes(store, Span(), ["cam-1", "cam-2"], raw_classes=False)}

    recorded = {each.spooled.pk: each for each in store.recorded()}
    assert whole == {
        pk: replace(each, stage_ms={}, spooled=replace(each.spooled, attempts=0)) for pk, each in recorded.items()
    }
    assert bare == whole  # no classes were recorded here


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Wanted(Span(stations=("cam-2",))), ["other", "torn"]),
        (Wanted(Span(since=NOW)), ["blank", "late", "other", "torn"]),
        (Wanted(Span(until=NOW - HOUR)), ["early"]),
        (Wanted(taxa=frozenset({"Carnivora"})), ["when", "early", "late"]),
        (Wanted(categories=frozenset({"person"})), ["early", "other"]),
        (Wanted(min_score=0.96), []),
    ],
)
def test_a_filter_leaves_what_it_asks_for_and_no_false_blanks(store: Store, wanted: Wanted, left: list[str]) -> None:
    assert ids(store, wanted) == left


def test_a_thumbnail_is_left_out_once_its_full_frame_is_recorded(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as store:
        record(store, "thumb", CAT)
        record(store, "full", CAT)
        with store.transaction() as connection:
            connection.exec_driver_sql("UPDATE frames SET full_pk = 2 WHERE pk = 1")

        assert ids(store, Wanted()) == ["full"]
        assert [period.frames for period in harvest.periods(store, Span())] == [1]


def test_csv_has_a_row_a_detection(store: Store, tmp_path: Path) -> None:
    with exported(store, "csv", tmp_path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["frame_id"] for row in rows] == ["when", "early", "early", "late", "other"]
    assert (rows[0]["time_utc"], rows[1]["time_local"]) == ("", "2026-11-22T01:14:00-05:00")
    wanted = {"taxon": "Felidae", "rank": "family", "order": "Carnivora", "score": "0.9", "taxon_score": "0.95"}
    assert {key: rows[1][key] for key in wanted} == wanted
    assert (rows[2]["taxon"], rows[2]["category"], rows[4]["latitude"]) == ("", "person", "")
    assert [row["light"] for row in rows] == ["", "night", "night", "night", ""]
    assert (rows[0]["infrared"], rows[0]["camera"], rows[0]["burst"]) == ("", "", "")


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t"])
def test_no_text_of_the_csv_is_a_formula_for_a_spreadsheet(tmp_path: Path, begins: str) -> None:
    evil = f"{begins}HYPERLINK(1).jpg"
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as store:
        spooled = replace(spooled_frame(), station="south", name=evil, camera=evil)
        store.add_frames([(replace(spooled, received_at=NOW), 0)])
        claimed = store.claim_next(NOW)
        assert claimed
        store.record(Outcome(claimed, (PictureResult(0, 0.0, (CAT,)),), 640, 480), now=NOW)
        with exported(store, "csv", tmp_path).open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)

    assert (row["file"], row["camera"]) == (f"'{evil}", f"'{evil}")
    assert (row["latitude"], row["longitude"]) == ("-4.6", "-74.1")


def test_csv_tells_the_light_the_camera_and_the_burst(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as store:
        spooled = replace(spooled_frame(), station="cam-1", camera="RECONYX H2", burst="event 4", burst_number=3)
        store.add_frames([(replace(spooled, captured=CaptureTime(NOW + 10 * HOUR), received_at=NOW), 0)])
        claimed = store.claim_next(NOW)
        assert claimed
        seen = Outcome(claimed, (PictureResult(0, 0.0, (CAT,)),), 640, 480, brightness=0.2, infrared=True)
        store.record(seen, now=NOW)
        with exported(store, "csv", tmp_path).open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)

    told = {name: row[name] for name in ("light", "infrared", "camera", "burst")}
    assert told == {"light": "day", "infrared": "1", "camera": "RECONYX H2", "burst": "event 4"}


def test_coco_has_pixels_categories_and_empty_images(store: Store, tmp_path: Path) -> None:
    document = json.loads(exported(store, "coco", tmp_path).read_text("ascii"))

    names = {each["id"]: each["name"] for each in document["categories"]}
    assert names == {0: "empty", 1: "Felidae", 2: "person"}
    early = [each for each in document["annotations"] if each["image_id"] == "cam-1/early"]
    assert [(names[each["category_id"]], each["bbox"]) for each in early] == [
        ("Felidae", [64.0, 96.0, 192.0, 192.0]),
        ("person", [320.0, 240.0, 320.0, 240.0]),
    ]
    assert {each["image_id"] for each in document["annotations"]} == {each["id"] for each in document["images"]}
    assert [each["image_id"] for each in document["annotations"] if not each["category_id"]] == [
        "cam-1/blank",
        "cam-2/torn",
    ]


def test_coco_gives_each_picture_of_a_clip_and_none_that_nobody_looked_at(tmp_path: Path) -> None:
    pictures = (PictureResult(0, 0.0, (CAT,)), PictureResult(15, 0.5, (), "no motion"), PictureResult(30, 1.0, ()))
    clip = Outcome(replace(spooled_frame(kind="clip"), id="v"), pictures, 640, 480, 30.0)
    still = Outcome(replace(spooled_frame(), id="s"), (PictureResult(0, 0.0, (), "no motion"),), 640, 480)
    with FORMATS["coco"].open(tmp_path / "out.json", fake_services()) as exporter:
        exporter.add(clip)
        exporter.add(still)

    images = json.loads((tmp_path / "out.json").read_text("ascii"))["images"]
    assert [(each["frame_num"], each["seq_num_frames"]) for each in images] == [(0, 2), (30, 2)]


def test_geojson_puts_a_detection_where_its_station_is(store: Store, tmp_path: Path) -> None:
    features = json.loads(exported(store, "geojson", tmp_path).read_text("ascii"))["features"]

    assert [each["id"] for each in features][:2] == ["cam-1/when#0", "cam-1/early#0"]
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [-73.8, 2.2]}
    assert features[-1]["geometry"] is None
    assert (features[1]["properties"]["taxon"], features[1]["properties"]["time"]) == (
        "Felidae",
        "2026-11-22T01:14:00-05:00",
    )


@pytest.mark.parametrize("name", ["csv", "coco", "geojson", "camtrap-dp"])
def test_memory_does_not_grow_with_the_frames(name: str, tmp_path: Path) -> None:
    spooled, result = spooled_frame(), (PictureResult(0, 0.0, (CAT,)),)
    peaks = []
    for count in (600, 2400):
        with FORMATS[name].open(tmp_path / f"out{FORMATS[name].suffix}", fake_services()) as exporter:
            exporter.add(Outcome(spooled, result, 640, 480))
            tracemalloc.start()
            for number in range(count):
                exporter.add(Outcome(replace(spooled, id=f"{number:024}"), result, 640, 480))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] < peaks[0] + 800_000


def test_the_command_writes_says_how_many_and_who_has_no_position(site: Path, tmp_path: Path) -> None:
    done = run(site, "csv", "--out", str(tmp_path / "a.csv"), "--json")

    assert done.exit_code == 0
    summary = json.loads(done.stdout)
    assert {key: summary[key] for key in ("frames", "observations", "failures")} == {
        "frames": 6,
        "observations": 5,
        "failures": 1,
    }
    assert summary["without_position"] == ["cam-2"]
    assert "no position: cam-2" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--station", "cam1"], "no frame of a station 'cam1'; did you mean 'cam-1'"),
        (["--taxon", "Felidea"], "no taxon 'Felidea'; did you mean 'Felidae'"),
        (["--since", "2030-01-01"], "nothing matches"),
    ],
)
def test_what_matches_nothing_is_said_and_gives_a_file(
    arguments: list[str], said: str, site: Path, tmp_path: Path
) -> None:
    done = run(site, "geojson", "--out", str(tmp_path / "a.geojson"), *arguments)

    assert done.exit_code == 0
    assert said in done.stderr
    assert json.loads((tmp_path / "a.geojson").read_text("utf-8")) == {"type": "FeatureCollection", "features": []}


def test_a_format_that_is_misspelt_is_named_with_what_is_near(site: Path, tmp_path: Path) -> None:
    done = run(site, "camtrap", "--out", str(tmp_path / "a"))

    assert isinstance(done.exception, FatalError)
    assert "did you mean 'camtrap-dp'" in str(done.exception)


def test_the_formats_are_listed_without_a_site() -> None:
    done = CliRunner().invoke(app, ["export", "--list", "--json"])

    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == set(FORMATS)
    assert all(row["about"] for row in rows.values())


def test_a_site_that_recorded_nothing_yet_is_said(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, "utf-8")

    done = run(tmp_path, "csv", "--out", str(tmp_path / "a.csv"))

    assert "nothing was recorded yet" in str(done.exception)


def test_a_date_means_its_whole_day_where_the_site_is() -> None:
    bogota = "America/Bogota"

    assert read_time("2026-11-22", bogota, end=False).isoformat() == "2026-11-22T00:00:00-05:00"
    assert read_time("2026-11-22", bogota, end=True).isoformat() == "2026-11-22T23:59:59.999999-05:00"
    assert read_time("2026-11-22T18:30Z", bogota, end=True) == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
    with pytest.raises(FatalError, match="2026-11-22T18:30"):
        read_time("yesterday", bogota, end=False)


def kept_of(store: Store, minutes: int) -> list[str]:
    """The frames and how many detections of each are left with this interval."""
    counts: list[str] = []

    class Counts:
        def add(self, outcome: Outcome) -> None:
            counts.append(f"{outcome.spooled.station}/{outcome.spooled.id}×{len(outcome.detections())}")

        def fail(self, name: str, reason: str) -> None:
            counts.append(name)

    @contextmanager
    def opened(_path: Path, _services: Services) -> Iterator[Exporter]:
        yield Counts()

    services = fake_services(exporting=context_of(store, Span()))
    spec = ExporterSpec("counts", ".txt", opened)
    write_export(store, spec, Path(), services, Wanted(independent=timedelta(minutes=minutes)))
    return counts


def test_only_the_first_of_a_series_is_an_independent_record(tmp_path: Path) -> None:
    puma = replace(CAT, answer=Answer(Taxon("Puma concolor", "species", (*FELIDAE.lineage, "Puma concolor")), 0.9))
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as store:
        for minute, shown in enumerate([(CAT, CAT), (puma,), (PERSON, puma), (), (puma,)]):
            record(store, f"{minute * 20:03}", *shown, at=NOW + timedelta(minutes=20 * minute))
        record(store, "other", CAT, at=NOW, station="cam-2")
        record(store, "when", CAT, at=None)

        # the last record counts: at 40 the puma is 20 minutes old, at 80 it is 40 again
        assert kept_of(store, 30) == ["cam-1/000×2", "cam-1/040×1", "cam-1/080×1", "cam-2/other×1"]
        assert kept_of(store, 60) == ["cam-1/000×2", "cam-1/040×1", "cam-2/other×1"]


def test_an_interval_and_an_option_are_checked_and_what_would_be_right_is_said() -> None:
    spec = ExporterSpec("x", ".x", FORMATS["csv"].open, options=(ExportOption("days", "7", "[1-9][0-9]?", "days"),))

    assert [read_interval(each) for each in ("30m", "1 h", "90s")] == [
        timedelta(minutes=30),
        timedelta(hours=1),
        timedelta(seconds=90),
    ]
    assert (read_options([], spec), read_options(["days=3"], spec)) == ({"days": "7"}, {"days": "3"})
    for wrong, said in [("dais=3", "did you mean 'days'"), ("days=0", "days is days; 7 when left out")]:
        with pytest.raises(FatalError, match=said):
            read_options([wrong], spec)
    for text in ("30", "0m", "soon"):
        with pytest.raises(FatalError, match="30m, 1h or 1d"):
            read_interval(text)


def test_a_taxon_is_known_by_its_spanish_name() -> None:
    assert read_taxa(["félidos", "puma"])[0] >= {"Puma concolor"}
