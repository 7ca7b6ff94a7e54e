"""Camtrap DP 1.0.2: packages are valid by the published schemas and by frictionless, whatever the database holds."""

import csv
import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import frictionless
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from sqlalchemy import insert

from edge.api import (
    AgentFacts,
    Answer,
    CaptureTime,
    Deployment,
    Detection,
    Encountered,
    ExportContext,
    FatalError,
    Outcome,
    Period,
    PictureResult,
    Services,
    Station,
    Taxon,
)
from edge.clock import SteppedClock
from edge.export import Wanted, context_of, write_export
from edge.registry import load_registry
from edge.store import deployments
from edge.store.harvest import Span
from edge.store.schema import reviews
from edge.store.sql import Store
from edge.testing import fake_services, spooled_frame

NOW = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)
SPEC = load_registry().exporters["camtrap-dp"]
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cat family", "felino")
PUMA = Taxon("Puma concolor", "species", (*FELIDAE.lineage, "Puma", "Puma concolor"), "puma", "puma")
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (), Answer(FELIDAE, 0.95))
PERSON = Detection("person", 0.8, (0.5, 0.5, 0.5, 0.5), "person")
STATIONS = {"cam-1": Station("cam-1", "America/Bogota", 2.2, -73.8), "NA": Station("NA", "UTC")}


def frame(
    number: str, *detections: Detection, at: datetime | None = NOW, station: str = "cam-1", **fields: Any
) -> Outcome:
    """A still with these detections; fields: of the spooled frame."""
    captured = CaptureTime(at, "", "America/Bogota", "exif" if at else "unknown")
    spooled = replace(spooled_frame(), station=station, id=number, captured=captured, received_at=NOW, **fields)
    return Outcome(spooled, (PictureResult(0, 0.0, detections),), 1920, 1080)


def services_with(**overrides: Any) -> Services:
    return fake_services(**{"stations": STATIONS, "clock": SteppedClock(NOW)} | overrides)


def package(folder: Path, outcomes: Sequence[Outcome], **overrides: Any) -> dict[str, list[dict[str, str]]]:
    """The rows of each table that is written of these."""
    out = folder / "package"
    with SPEC.open(out, services_with(**overrides)) as exporter:
        for each in outcomes:
            exporter.add(each)
    return tables(out)


def tables(out: Path) -> dict[str, list[dict[str, str]]]:
    found = {}
    for name in ("deployments", "media", "observations"):
        with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            found[name] = list(csv.DictReader(file, strict=True))
    return found


def check_package(out: Path, specs: Path) -> None:
    """Fail unless a package in a folder holds by the profile, by the tables' schemas and by frictionless.

    The profile refers to two schemas on the net: GeoJSON's is frictionless's copy, of the data package's own only what
    Camtrap DP relies on is asked here; frictionless checks the rest.
    """
    described = json.loads((out / "datapackage.json").read_text("ascii"))
    profile = json.loads((specs / "camtrap-dp-profile.json").read_text("utf-8"))
    geojson = Path(frictionless.__file__).parent / "assets" / "profiles" / "geojson.json"
    base = {"type": "object", "required": ["resources"], "properties": {"contributors": {"minItems": 1}}}
    registry = Registry[Any]().with_resources(
        [
            ("http://json.schemastore.org/geojson.json", Resource(json.loads(geojson.read_text("utf-8")), DRAFT4)),
            ("https://specs.frictionlessdata.io/schemas/data-package.json", Resource(base, DRAFT4)),
        ]
    )
    jsonschema.Draft4Validator(
        profile, registry=registry, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER
    ).validate(described)
    local = {key: value for key, value in described.items() if key != "profile"}
    for resource in local["resources"]:
        address, name = resource["schema"].rsplit("/", 1)
        assert address == "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2"
        resource["schema"] = json.loads((specs / name).read_text("utf-8"))
    beside = out / "local.json"
    beside.write_text(json.dumps(local), "utf-8")
    report = frictionless.validate(str(beside))
    beside.unlink()
    assert report.valid, report.flatten(["type", "rowNumber", "fieldName", "cell", "note"])[:10]
    assert report.stats["errors"] == 0


def test_a_package_is_valid(tmp_path: Path, camtrap_specs: Path) -> None:
    clip = replace(
        frame("v", kind="clip", name="v.mp4"),
        pictures=(PictureResult(0, 0.0, (CAT,)), PictureResult(15, 0.5, (CAT, CAT))),
        frame_rate=30.0,
    )
    rows = package(tmp_path, [frame("a", CAT, PERSON), frame("b"), clip, frame("x", CAT, at=None, station="NA")])

    check_package(tmp_path / "package", camtrap_specs)
    assert [len(each) for each in rows.values()] == [2, 4, 7 + 3]


def test_a_package_of_nothing_is_valid_too(tmp_path: Path, camtrap_specs: Path) -> None:
    rows = package(tmp_path, [])

    check_package(tmp_path / "package", camtrap_specs)
    assert rows == {"deployments": [], "media": [], "observations": []}


def test_what_is_wrong_is_seen_by_the_check(tmp_path: Path, camtrap_specs: Path) -> None:
    package(tmp_path, [frame("a", CAT)])
    table = tmp_path / "package" / "observations.csv"
    table.write_text(table.read_text("utf-8").replace("animal", "beast"), "utf-8")

    with pytest.raises(AssertionError, match="beast"):
        check_package(tmp_path / "package", camtrap_specs)


def test_a_detection_is_an_observation_with_box_taxon_probability_and_what_found_it(tmp_path: Path) -> None:
    used = {"detect": "megadetector-lite", "classify": "efficientnet-lite0"}
    rows = package(tmp_path, [frame("a", CAT)], used_models=used)

    media, event = rows["observations"]
    assert (event["observationLevel"], event["eventID"], event["count"]) == ("event", "cam-1/a", "1")
    assert (event["observationTags"], event["mediaID"]) == ("best:cam-1/a", "")
    row = {key: value for key, value in media.items() if value}
    assert row == {
        "observationID": "cam-1/a#0",
        "deploymentID": "cam-1:inferred",
        "mediaID": "cam-1/a",
        "eventID": "cam-1/a",
        "eventStart": "2026-11-22T02:14:00-05:00",
        "eventEnd": "2026-11-22T02:14:00-05:00",
        "observationLevel": "media",
        "observationType": "animal",
        "scientificName": "Felidae",
        "count": "1",
        "bboxX": "0.1",
        "bboxY": "0.2",
        "bboxWidth": "0.3",
        "bboxHeight": "0.4",
        "classificationMethod": "machine",
        "classifiedBy": "megadetector-lite + efficientnet-lite0",
        "classificationProbability": "0.95",
    }


def test_blank_is_only_what_was_looked_at_and_whole(tmp_path: Path) -> None:
    rejected = replace(frame("r"), pictures=(PictureResult(0, 0.0, (), "no motion"),))
    rows = package(tmp_path, [frame("a"), rejected, replace(frame("d"), damage="ends early")])

    assert [(row["observationType"], row["observationComments"]) for row in rows["observations"]] == [
        ("blank", ""),
        ("unclassified", "not looked at: no motion"),
        ("unclassified", "damaged: ends early"),
        ("unclassified", ""),  # the event, in which something may have been
    ]


def test_an_encounter_is_one_event_with_its_times_and_the_most_at_once(tmp_path: Path) -> None:
    minute = timedelta(minutes=1)
    met = Encountered("e1", "cam-1", "animal", FELIDAE.lineage, NOW, NOW + 4 * minute)
    puma = replace(CAT, answer=Answer(PUMA, 0.7))
    frames = [
        frame("a", CAT, at=NOW),
        frame("b", CAT, puma, PERSON, at=NOW + minute),
        frame("c", CAT, at=NOW + 9 * minute),
    ]
    context = ExportContext(encounters_of=lambda station: iter([met] if station == "cam-1" else []), by_station=True)

    rows = package(tmp_path, frames, exporting=context)["observations"]

    events = {row["observationID"]: row for row in rows if row["observationLevel"] == "event"}
    assert [row["eventID"] for row in rows if row["mediaID"]] == ["e1", "e1", "e1", "e1", "cam-1/c"]
    cats, person, alone = events["e1#event"], events["e1#event2"], events["cam-1/c#event"]
    assert (cats["eventStart"], cats["eventEnd"]) == ("2026-11-22T02:14:00-05:00", "2026-11-22T02:18:00-05:00")
    assert (cats["count"], cats["scientificName"], cats["mediaID"]) == ("2", "Felidae", "")
    assert (person["observationType"], person["scientificName"], person["eventID"]) == ("human", "Homo sapiens", "e1")
    assert alone["eventStart"] == "2026-11-22T02:23:00-05:00"


def test_deployments_are_inferred_from_all_frames_and_say_so(tmp_path: Path) -> None:
    quiet = Period("cam-2", NOW - timedelta(days=9), NOW, frames=40)
    long = Period("cam-1", NOW - timedelta(days=3), NOW + timedelta(days=3), frames=400, unknown_times=1)
    stations = {"cam-1": STATIONS["cam-1"], "cam-2": Station("cam-2", "UTC", 2.3, None)}

    rows = package(tmp_path, [frame("a", CAT)], exporting=ExportContext((long, quiet)), stations=stations)

    first, second = rows["deployments"]
    assert (first["deploymentStart"], first["deploymentEnd"]) == (
        "2026-11-19T02:14:00-05:00",
        "2026-11-25T02:14:00-05:00",
    )
    assert (first["latitude"], first["longitude"], first["timestampIssues"]) == ("2.2", "-73.8", "true")
    assert first["deploymentComments"].startswith("Inferred by Tigrillo")
    assert (second["locationID"], second["coordinateUncertainty"]) == ("cam-2", "20037508")
    assert second["deploymentTags"] == "inferred | positionUnknown"


def test_a_trigger_by_the_clock_is_a_time_lapse(tmp_path: Path) -> None:
    def by(trigger: str) -> AgentFacts:
        return AgentFacts("b", 1, 1, 1.0, "ok", trigger)

    rows = package(tmp_path, [frame("a", agent=by("interval")), frame("b", agent=by("pir")), frame("c")])

    assert [row["captureMethod"] for row in rows["media"]] == ["timeLapse", "activityDetection", ""]
    described = json.loads((tmp_path / "package" / "datapackage.json").read_text("utf-8"))
    assert described["project"]["captureMethod"] == ["activityDetection", "timeLapse"]


def test_taxa_have_rank_lineage_and_both_names(tmp_path: Path) -> None:
    package(tmp_path, [frame("a", CAT)])

    (taxon,) = json.loads((tmp_path / "package" / "datapackage.json").read_text("utf-8"))["taxonomic"]
    assert taxon == {
        "scientificName": "Felidae",
        "taxonRank": "family",
        "kingdom": "Animalia",
        "class": "Mammalia",
        "order": "Carnivora",
        "family": "Felidae",
        "vernacularNames": {"eng": "cat family", "spa": "felino"},
    }


def test_a_zip_holds_the_same_and_is_the_same_each_time(tmp_path: Path) -> None:
    package(tmp_path, [frame("a", CAT)])
    twice = []
    for name in ("1.zip", "2.zip"):
        with SPEC.open(tmp_path / name, services_with()) as exporter:
            exporter.add(frame("a", CAT))
        twice.append((tmp_path / name).read_bytes())

    assert twice[0] == twice[1]
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert sorted(archive.namelist()) == ["datapackage.json", "deployments.csv", "media.csv", "observations.csv"]
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "package" / name).read_bytes()


def test_a_package_is_replaced_whole_and_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    package(tmp_path, [frame("a", CAT)])
    with pytest.raises(RuntimeError), SPEC.open(tmp_path / "package", services_with()) as exporter:  # noqa: PT012  # because it must fail inside
        exporter.add(frame("b"))
        raise RuntimeError
    assert [row["mediaID"] for row in tables(tmp_path / "package")["media"]] == ["cam-1/a"]

    package(tmp_path, [frame("c")])

    assert [row["mediaID"] for row in tables(tmp_path / "package")["media"]] == ["cam-1/c"]
    assert [each.name for each in tmp_path.iterdir()] == ["package"]


def test_a_folder_with_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")

    with pytest.raises(FatalError, match=r"thesis\.txt"), SPEC.open(tmp_path, services_with()):
        pass

    assert (tmp_path / "thesis.txt").read_text("utf-8") == "years of work"


EXAMPLES = 4  # each takes half a second, most of it in frictionless
NAMES = st.text(
    st.sampled_from([*"aZ9 ,;\"'\n\r\t./\\~#|=", "\u200f", "\u202e", "\u2028", "é", "虎", "\x00", "\ufeff"]),
    min_size=1,
    max_size=8,
)
EARLY, LATE = datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01")
TIMES = st.none() | st.datetimes(EARLY, LATE, timezones=st.just(UTC))
SHARES = st.floats(0, 1)
DETECTIONS = st.builds(
    Detection,
    st.sampled_from(["animal", "person", "vehicle"]),
    SHARES,
    st.tuples(SHARES, SHARES, SHARES, SHARES),
    answer=st.none() | st.builds(Answer, st.sampled_from([FELIDAE, PUMA]), SHARES),
)
PICTURES = st.lists(st.tuples(st.lists(DETECTIONS, max_size=3), st.sampled_from(["", "no motion"])), max_size=3)
REVIEWS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["animal", "human", "vehicle", "blank", "unknown"]),
        "taxon": st.sampled_from(["", "Puma concolor", "Panthera onca", "NA"]),
        "count": st.integers(0, 40),
        "sex": st.sampled_from(["", "male", "both"]),
        "life_stage": st.sampled_from(["", "adult", "cub"]),
        "behaviour": NAMES,
        "by": NAMES,
        "at": st.datetimes(EARLY, LATE, timezones=st.just(UTC)),
    }
)
DEPLOYMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "station": st.sampled_from(["cam-1", "NA", "cam-9"]),
            "started_at": st.datetimes(EARLY, LATE, timezones=st.just(UTC)),
            "ended_at": st.none(),
            "bait": NAMES | st.sampled_from(["", "none"]),
            "feature": NAMES | st.just("burrow"),
            "tags": st.lists(NAMES, max_size=2).map(tuple),
            "comments": NAMES,
            "height_m": st.none() | st.floats(-3, 30),
            "tilt_deg": st.none() | st.floats(-90, 90),
            "heading_deg": st.none() | st.floats(0, 360),
            "uncertainty_m": st.none() | st.floats(0, 1000),
            "latitude": st.none() | st.floats(-90, 90),
            "longitude": st.just(1.5),
        }
    ),
    max_size=3,
)
FRAMES = st.lists(
    st.tuples(
        st.sampled_from(["cam-1", "NA", "nan", "cam.3"]),
        NAMES,
        TIMES,
        PICTURES,
        st.sampled_from(["", "torn"]),
        st.lists(REVIEWS, max_size=2),
    ),
    min_size=4,
    max_size=10,
)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's database before its first frame; to make one takes longer than to copy it."""
    path = tmp_path_factory.mktemp("empty") / "site.sqlite"
    Store(f"sqlite:///{path}").close()
    return path


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES, DEPLOYMENTS)
def test_any_database_gives_a_valid_package(
    camtrap_specs: Path, empty_database: Path, made: Sequence[Any], stood: Sequence[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "site.sqlite").write_bytes(empty_database.read_bytes())
        fill_and_check(Path(name), camtrap_specs, made, stood)


def fill_and_check(folder: Path, camtrap_specs: Path, made: Sequence[Any], stood: Sequence[dict[str, Any]]) -> None:
    with Store(f"sqlite:///{folder}/site.sqlite") as store:
        with store.transaction() as connection:
            for index, fields in enumerate(stood):
                deployments.add(connection, Deployment(id=f"d{index}", **fields), who="test", now=NOW)
        for index, (station, title, at, pictures, damage, said) in enumerate(made):
            kind = "clip" if len(pictures) > 1 else "still"
            spooled = replace(frame(f"{index:08}", at=at, station=station).spooled, name=title, kind=kind)
            store.add_frames([(spooled, 0)])
            claimed = store.claim_next(NOW)
            assert claimed is not None
            results = tuple(
                PictureResult(number, number / 2, () if rejected else tuple(found), rejected)
                for number, (found, rejected) in enumerate(pictures)
            )
            assert store.record(Outcome(claimed, results, 640, 480, damage=damage), now=NOW)
            with store.transaction() as connection:
                for each in said:
                    connection.execute(insert(reviews).values(frame_pk=claimed.pk, **each))
        out = folder / "package"
        services = services_with(exporting=context_of(store, Span()))

        done = write_export(store, SPEC, out, services, Wanted())

        check_package(out, camtrap_specs)
        assert (done.frames, len(tables(out)["media"])) == (len(made), len(made))
