"""Camtrap DP 1.0.2: what is exported can be imported and exported again, byte for byte; what is wrong is refused."""

import csv
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from edge.api import (
    AgentFacts,
    Answer,
    CaptureTime,
    Dataset,
    Deployment,
    Detection,
    FatalError,
    Outcome,
    PictureResult,
    Services,
    Station,
    Taxon,
)
from edge.clock import SteppedClock
from edge.export import Wanted, context_of, write_export
from edge.importing.camtrap import import_package
from edge.importing.imported import Options
from edge.pipeline.spool import Spool
from edge.registry import load_registry
from edge.services import Incoming
from edge.store import deployments as deployment_rows
from edge.store.encounters import open_encounter
from edge.store.harvest import Span
from edge.store.schema import encounters, frames, imported_events, observations, reviews
from edge.store.sql import Store
from edge.testing import fake_services, spooled_frame

NOW = datetime(2026, 11, 22, 7, 14, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SPEC = load_registry().exporters["camtrap-dp"]
FOREIGN = Path(__file__).resolve().parents[1] / "data" / "camtrap_foreign"
TABLES = ("deployments", "media", "observations")
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cat family", "felino")
PUMA = Taxon("Puma concolor", "species", (*FELIDAE.lineage, "Puma", "Puma concolor"), "puma", "puma")
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (), Answer(FELIDAE, 0.95, "rolled-up"))
PERSON = Detection("person", 0.8, (0.5, 0.5, 0.5, 0.5), "person", track=2)
CAR = Detection("vehicle", 0.7, (0.0, 0.0, 1.0, 1.0), "vehicle")
STATIONS = {
    "cam-1": Station("cam-1", "America/Bogota", 2.25, -73.875),
    "NA": Station("NA", "Asia/Kathmandu", 27.0, 85.0),
}


def services_with(store: Store, wanted: Wanted, **overrides: Any) -> Services:
    context = replace(context_of(store, wanted.span, now=NOW + 9 * DAY), dataset=overrides.pop("dataset", None))
    defaults = {"stations": STATIONS, "clock": SteppedClock(NOW), "site_name": "Reserve", "exporting": context}
    return fake_services(**defaults | overrides)


def exported(store: Store, out: Path, wanted: Wanted | None = None, **overrides: Any) -> dict[str, bytes]:
    """The files of a package, by name."""
    wanted = wanted or Wanted()
    write_export(store, SPEC, out, services_with(store, wanted, **overrides), wanted)
    return {each.name: each.read_bytes() for each in sorted(out.iterdir())}


def rows_in(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True))


def imported_again(empty: Path, folder: Path, package: Path, **options: Any) -> Store:
    """A new database, of another site, into which a package was imported."""
    path = folder / f"{package.name}-again.sqlite"
    path.write_bytes(empty.read_bytes())
    store = Store(f"sqlite:///{path}")
    import_package(store, package, Options(now=NOW + DAY, **options))
    return store


OTHER_SITE: dict[str, Any] = {"stations": {}, "site_name": "Elsewhere", "default_timezone": "Europe/Oslo"}


def check_round_trip(empty: Path, folder: Path, store: Store, **overrides: Any) -> dict[str, bytes]:
    """Fail unless export → import into another, empty site → export is the same, byte for byte. Gives the files."""
    first = exported(store, folder / "first", **overrides)
    with imported_again(empty, folder, folder / "first") as again:
        second = exported(again, folder / "second", **OTHER_SITE)
        assert_same(first, second)
        assert import_package(again, folder / "first", Options(now=NOW)).counts["frames"] == 0
        assert_same(first, exported(again, folder / "third", **OTHER_SITE))
    return first


def assert_same(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    for name, body in first.items():
        if body != second[name]:  # pytest takes minutes to compare long bytes
            pairs = zip(body.splitlines(), second[name].splitlines(), strict=False)
            differs = next((pair for pair in pairs if pair[0] != pair[1]), (len(body), len(second[name])))
            pytest.fail(f"{name}: {differs}")


def record(
    store: Store, number: str, *pictures: PictureResult, at: datetime | None = NOW, damage: str = "", **fields: Any
) -> int:
    """A frame that was recorded; its pk."""
    captured = CaptureTime(at, "", fields.pop("timezone", "America/Bogota"), "exif" if at else "unknown")
    fields = {"station": "cam-1", "name": f"{number}.jpg"} | fields
    spooled = replace(spooled_frame(), id=number, captured=captured, received_at=NOW, **fields)
    store.add_frames([(spooled, 0)])
    claimed = store.claim_next(NOW)
    assert claimed is not None
    assert store.record(Outcome(claimed, pictures, 640, 480, damage=damage), now=NOW)
    return claimed.pk


def still(*detections: Detection, rejected: str = "") -> PictureResult:
    return PictureResult(0, 0.0, detections, rejected)


def review(store: Store, frame_pk: int, **values: Any) -> None:
    said = {"frame_pk": frame_pk, "kind": "animal", "taxon": "Puma concolor", "by": "Ana", "at": NOW} | values
    with store.transaction() as connection:
        connection.execute(insert(reviews).values(said))


def deploy(store: Store, **fields: Any) -> None:
    stood = Deployment(**{"id": "d-1", "station": "cam-1", "started_at": NOW - DAY, "ended_at": NOW + DAY} | fields)
    with store.transaction() as connection:
        deployment_rows.add(connection, stood, who="test", now=NOW)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's database before its first frame; to make one takes longer than to copy it."""
    path = tmp_path_factory.mktemp("empty") / "site.sqlite"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> Any:
    (tmp_path / "site.sqlite").write_bytes(empty.read_bytes())
    with Store(f"sqlite:///{tmp_path}/site.sqlite") as opened:
        yield opened


def fill(store: Store) -> None:
    """A little of everything."""
    deploy(
        store,
        camera_id="c7",
        camera_model="Reconyx-HC600",
        height_m=0.5,
        tilt_deg=-10.0,
        heading_deg=90.0,
        bait="sardines, in oil",
        feature="trailGame",
        habitat='"páramo"\nwet',
        setup_by="Ana",
        tags=("a", "grid:7"),
        comments="one\r\ntwo",
        latitude=2.3,
        longitude=-73.9,
        uncertainty_m=4.2,
    )
    deploy(store, id="d-2", started_at=NOW + 2 * DAY, ended_at=None, feature="a rock")
    first = record(store, "a", still(CAT, PERSON))
    record(store, "b", still(), at=NOW + timedelta(seconds=1.7))
    record(store, "c", still(CAT), at=NOW + 9 * MINUTE, agent=AgentFacts("b", 1, 1, 1.0, "ok", "interval"))
    record(store, "r", still(rejected="no motion"), at=NOW + 30 * MINUTE)
    record(store, "d", still(), at=NOW + 40 * MINUTE, damage="ends early")
    clip = (
        PictureResult(0, 0.0, (CAT,)),
        PictureResult(15, 0.5, ()),
        PictureResult(30, 1.0, (CAT, replace(CAR, track=1))),
    )
    record(store, "v", *clip, at=NOW + 3 * DAY, kind="clip", name='ávido "x",\n.mp4')
    record(store, "u", still(CAT), at=None)
    record(store, "n", still(), station="NA", timezone="Asia/Kathmandu", at=NOW - 400 * DAY)
    review(store, first, observation_pk=1, count=2, sex="female", life_stage="adult", behaviour="eats", comments='é\n"')
    review(store, first, kind="human", count=3, taxon="", sex="unsure", at=NOW + MINUTE)
    review(store, first, kind="blank", taxon="", undone_at=NOW, observation_pk=1)
    met = {"station": "cam-1", "category": "animal", "lineage": PUMA.lineage, "at": NOW, "now": NOW}
    with store.transaction() as connection:
        found = open_encounter(connection, **met, frame_pk=first, number=0, quality=0.5)
        connection.execute(update(encounters).where(encounters.c.pk == found.pk).values(last_at=NOW + 9 * MINUTE))


def test_export_import_export_is_the_same_byte_for_byte(empty: Path, store: Store, tmp_path: Path) -> None:
    fill(store)

    files = check_round_trip(empty, tmp_path, store)

    assert [len(rows_in(files[f"{name}.csv"])) for name in TABLES] == [4, 8, 13 + 8]


def test_the_real_media_come_back_byte_for_byte(empty: Path, store: Store, tmp_path: Path, shared_media: Path) -> None:
    """Their files, times, cameras and bursts; what is on them is made up here."""
    services = fake_services(state_dir=tmp_path, clock=SteppedClock(NOW), stations=STATIONS)
    spool = Spool(store, services, limit_bytes=1 << 30)
    for folder in ("burst", "sdcard", "stills", "video"):
        for path in sorted((shared_media / folder).iterdir()):
            kind: Any = "clip" if folder == "video" else "still"
            spool.receive(Incoming(f"cam-{len(folder)}", path.name, kind, path, "card"))
    found = ((), (CAT,), (CAT, PERSON), (CAR,))
    while claimed := store.claim_next(NOW):
        pictures = tuple(PictureResult(n * 30, float(n), found[(claimed.pk + n) % 4]) for n in range(3))
        shown = pictures if claimed.kind == "clip" else pictures[:1]
        assert store.record(Outcome(claimed, shown, 640, 480), now=NOW)

    files = check_round_trip(empty, tmp_path, store)

    assert len(rows_in(files["media.csv"])) == 10 + 2 + 17 + 6


def test_what_the_site_says_of_its_data_set_comes_back_too(empty: Path, store: Store, tmp_path: Path) -> None:
    fill(store)
    said = Dataset.model_validate(
        {
            "title": "Pumas of the Reserve",
            "licence_data": "CC0-1.0",
            "licence_media": "CC-BY-4.0",
            "sampling_design": "systematicRandom",
            "individual_animals": True,
            "media_public": True,
            "contributors": [{"name": "Ana", "email": "ana@example.org", "role": "contact", "organisation": "Páramo"}],
        }
    )

    files = check_round_trip(empty, tmp_path, store, dataset=said)

    described = json.loads(files["datapackage.json"])
    assert described["licenses"] == [{"name": "CC0-1.0", "scope": "data"}, {"name": "CC-BY-4.0", "scope": "media"}]
    assert described["contributors"] == [
        {"title": "Ana", "email": "ana@example.org", "role": "contact", "organization": "Páramo"}
    ]
    assert (described["project"]["samplingDesign"], described["project"]["individualAnimals"]) == (
        "systematicRandom",
        True,
    )
    public = {row["mediaID"]: row["filePublic"] for row in rows_in(files["media.csv"])}
    assert (public["cam-1/a"], public["cam-1/v"], public["cam-1/b"]) == ("false", "false", "true")


def test_what_is_imported_is_in_the_record(empty: Path, store: Store, tmp_path: Path) -> None:
    fill(store)
    exported(store, tmp_path / "first")

    with imported_again(empty, tmp_path, tmp_path / "first") as again, again.transaction() as connection:
        found = {row["id"]: row for row in connection.execute(select(frames)).mappings()}
        of_clip = select(observations).where(observations.c.frame_pk == found["v"]["pk"])
        clip = connection.execute(of_clip).mappings().all()
        said = connection.execute(select(reviews).order_by(reviews.c.pk)).mappings().all()
        met = connection.execute(select(encounters).order_by(encounters.c.pk)).mappings().all()
        stood = {each.id: each for each in deployment_rows.all_deployments(connection)}
    assert {row["source"] for row in found.values()} == {"import:camtrap-dp"}
    assert (found["a"]["station"], found["a"]["captured_utc"], found["a"]["people"]) == ("cam-1", NOW, True)
    assert (found["n"]["captured_timezone"], found["u"]["captured_utc"]) == ("UTC", None)
    assert (found["r"]["pictures"], found["d"]["damage"]) == ([[0, 0.0, "no motion"]], "ends early")
    assert found["v"]["pictures"] == [[0, 0.0, ""], [30, 1.0, ""]]
    assert [(row["number"], row["category"], row["taxon"], row["track"]) for row in clip] == [
        (0, "animal", "Felidae", None),
        (30, "animal", "Felidae", None),
        (30, "vehicle", "", 1),
    ]
    assert [(row["kind"], row["taxon"], row["count"], row["by"]) for row in said] == [
        ("animal", "Puma concolor", 2, "Ana"),
        ("human", "", 3, "Ana"),
    ]
    assert (met[1]["lineage"], met[1]["last_at"]) == (list(PUMA.lineage), NOW + 9 * MINUTE)
    assert [row["category"] for row in met] == ["animal", "animal", "person", "animal", "vehicle"]
    first = stood["d-1"]
    assert (first.bait, first.feature, first.tags) == (
        "sardines, in oil",
        "trailGame",
        ("a", "grid:7", "effortDays:2.00"),
    )
    assert (stood["d-2"].ended_at, stood["d-2"].feature) == (None, "a rock")


def test_importing_ones_own_export_adds_nothing(store: Store, tmp_path: Path) -> None:
    fill(store)
    first = exported(store, tmp_path / "first")

    done = import_package(store, tmp_path / "first", Options(now=NOW))

    assert {key: count for key, count in done.counts.items() if count} == {"known": 8}
    assert_same(first, exported(store, tmp_path / "second"))


def test_a_new_frame_of_an_imported_station_joins_what_was_inferred(empty: Path, store: Store, tmp_path: Path) -> None:
    record(store, "a", still(CAT))
    exported(store, tmp_path / "first")

    with imported_again(empty, tmp_path, tmp_path / "first") as again:
        record(again, "new", still(CAT), at=NOW + DAY)
        files = exported(again, tmp_path / "second")

    (deployment,) = rows_in(files["deployments.csv"])
    assert (deployment["deploymentID"], deployment["deploymentEnd"]) == ("cam-1:inferred", "2026-11-23T02:14:00-05:00")
    assert [row["deploymentID"] for row in rows_in(files["media.csv"])] == ["cam-1:inferred"] * 2
    assert json.loads(files["datapackage.json"])["title"] == "Reserve"  # no longer the imported one's alone


def test_a_clock_that_is_put_right_moves_imported_frames(empty: Path, store: Store, tmp_path: Path) -> None:
    record(store, "a", still(CAT))
    exported(store, tmp_path / "first")

    with imported_again(empty, tmp_path, tmp_path / "first") as again:
        with again.transaction() as connection:
            connection.execute(update(frames).values(captured_utc=NOW + 2 * MINUTE))
        files = exported(again, tmp_path / "second")

    assert [row["timestamp"] for row in rows_in(files["media.csv"])] == ["2026-11-22T02:16:00-05:00"]
    assert rows_in(files["observations.csv"])[0]["eventStart"] == "2026-11-22T02:16:00-05:00"


def test_a_changed_deployment_is_exported_as_it_is_now(empty: Path, store: Store, tmp_path: Path) -> None:
    deploy(store, habitat="wet", height_m=0.5)
    exported(store, tmp_path / "first")

    with imported_again(empty, tmp_path, tmp_path / "first") as again:
        with again.transaction() as connection:
            old = deployment_rows.find(connection, "d-1")
            assert old is not None
            deployment_rows.change(connection, old, replace(old, habitat="dry"), who="Ana", now=NOW)
        (row,) = rows_in(exported(again, tmp_path / "second")["deployments.csv"])

    assert (row["habitat"], row["cameraHeight"], row["locationName"]) == ("dry", "0.5", "cam-1")


def test_a_filter_leaves_of_imported_events_what_it_asks_for(empty: Path, store: Store, tmp_path: Path) -> None:
    fill(store)
    exported(store, tmp_path / "first")

    with imported_again(empty, tmp_path, tmp_path / "first") as again:
        cars = exported(again, tmp_path / "cars", Wanted(categories=frozenset({"vehicle"})))
        humans = exported(again, tmp_path / "humans", Wanted(categories=frozenset({"person"})))
        later = exported(again, tmp_path / "later", Wanted(Span(since=NOW + DAY)))

    assert [row["observationID"] for row in rows_in(cars["observations.csv"])] == ["cam-1/v#2", "cam-1/v#event2"]
    assert [row["observationID"] for row in rows_in(humans["observations.csv"])][:2] == ["cam-1/a#1", "cam-1/a#review2"]
    assert {row["mediaID"] for row in rows_in(later["observations.csv"])} == {"cam-1/v", ""}


def foreign(folder: Path, **changes: Any) -> Path:
    """A package as others write it: own ids, NA, other columns, people's observations of whole events."""
    shutil.copytree(FOREIGN, folder)
    for name in {*TABLES} & {*changes}:
        (folder / f"{name}.csv").write_text("\n".join(changes[name]) + "\n", "utf-8")
    described = json.loads((FOREIGN / "datapackage.json").read_text("utf-8")) | changes.get("described", {})
    (folder / "datapackage.json").write_text(json.dumps(described), "utf-8")
    (folder / "media").mkdir()
    (folder / "media" / "07840dcc.jpg").write_bytes(b"a picture")
    return folder


def filled(row: dict[str, str]) -> dict[str, str]:
    return {column: text for column, text in row.items() if text}


def test_a_package_of_others_keeps_its_ids_and_its_rows(empty: Path, tmp_path: Path, camtrap_specs: Path) -> None:
    package = foreign(tmp_path / "mica")

    with imported_again(empty, tmp_path, package) as store:
        files = exported(store, tmp_path / "out", **OTHER_SITE)

    for name in TABLES:
        key = f"{name.removesuffix('s')}ID" if name != "media" else "mediaID"
        with (package / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            before = {row[key]: filled(row) for row in csv.DictReader(file)}
        after = {row[key]: filled(row) for row in rows_in(files[f"{name}.csv"])}
        for number, row in before.items():
            if name == "media" and number in {"odd/../id", "e254a13c/07840dcc"}:
                row["filePublic"] = "false"  # taken in an event with a person
        assert after == before
    described = json.loads(files["datapackage.json"])
    assert (described["title"], described["project"]["samplingDesign"]) == ("MICA", "targeted")
    assert described["taxonomic"][0]["taxonID"] == "https://x/GCHS"


def test_a_package_of_others_is_in_the_record(empty: Path, tmp_path: Path) -> None:
    package = foreign(tmp_path / "mica")

    with imported_again(empty, tmp_path, package) as store, store.transaction() as connection:
        found = connection.execute(select(frames).order_by(frames.c.pk)).mappings().all()
        stood = deployment_rows.all_deployments(connection)
        met = connection.execute(select(encounters)).mappings().all()
        events = connection.execute(select(imported_events)).mappings().all()
    assert [each.station for each in stood] == ["e254a13c", "x-y"]
    assert (stood[0].bait, stood[1].bait) == ("none", "yes")
    assert found[0]["id"] == "07840dcc"
    assert found[0]["path"] == str(package / "media" / "07840dcc.jpg")
    assert (found[0]["size_bytes"], len(found[0]["sha256"])) == (9, 64)
    assert found[1]["id"].startswith("dp-")
    assert found[2]["id"].startswith("dp-")  # the first has the id that this one would have
    assert [row["captured_timezone"] for row in found] == ["Etc/GMT-2", "Etc/GMT-2", "Etc/GMT-2", "UTC"]
    assert found[3]["pictures"] == [[0, 0.0, "not looked at"]]
    assert [row["people"] for row in found] == [False, True, True, False]
    assert (met[0]["uid"], met[0]["category"]) == ("ev 1", "animal")
    assert [row["number"] for row in events] == ["o2", "o4", "o5"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "media": [
                    "mediaID,deploymentID,timestamp,filePath,filePublic,fileMediatype",
                    "a,nope,2020-06-12,../x,yes,text",
                ]
            },
            [
                "media.csv, row 2, timestamp: '2020-06-12' is no time",
                "media.csv, row 2, filePath: '../x' is no path",
                "media.csv, row 2, filePublic: 'yes' is neither true nor false",
                "media.csv, row 2, fileMediatype: 'text' is no type",
                "media.csv, row 2, deploymentID: there is no 'nope' in deployments",
                "nothing was imported",
            ],
        ),
        (
            {"deployments": ["deploymentID,latitude,longitude,deploymentStart,deploymentEnd,colour"]},
            ["deployments.csv, row 1: 'colour' is no column of this table"],
        ),
        ({"deployments": ["deploymentID,latitude"]}, ["deployments.csv, row 1: the column longitude is missing"]),
        (
            {
                "deployments": [
                    "deploymentID,latitude,longitude,deploymentStart,deploymentEnd",
                    *["a,91,0,2020-07-01T02:57:37Z,2020-08-01T09:41:41Z"] * 2,
                    "a,1",
                ]
            },
            ["row 2, latitude: 91 is not within -90 … 90", "row 3, deploymentID: 'a' is there twice", "row 4: 2 cells"],
        ),
        ({"described": {"profile": "https://x/camtrap-dp/0.6/p.json"}}, ["is not that of Camtrap DP 1.0"]),
        ({"described": {"project": {"title": "x"}}}, ["project.samplingDesign: None is not one of simpleRandom"]),
        ({"described": {"resources": []}}, ["resources: there is no deployments"]),
    ],
)
def test_a_package_that_does_not_hold_is_refused_with_file_row_column_and_why(
    empty: Path, tmp_path: Path, changes: dict[str, Any], said: list[str]
) -> None:
    package = foreign(tmp_path / "mica", **changes)
    (tmp_path / "site.sqlite").write_bytes(empty.read_bytes())

    with Store(f"sqlite:///{tmp_path}/site.sqlite") as store:
        with pytest.raises(FatalError) as refused:
            import_package(store, package, Options(now=NOW))

        assert store.counts() == {"observations": 0, "quarantine": 0}
    for each in said:
        assert each in str(refused.value)


def test_a_zip_is_taken_in_too_and_what_is_no_package_is_said(empty: Path, tmp_path: Path) -> None:
    package = foreign(tmp_path / "mica")
    with zipfile.ZipFile(tmp_path / "mica.zip", "w") as archive:
        for each in package.glob("*.*"):
            archive.write(each, f"inside/{each.name}")
    (tmp_path / "torn.zip").write_bytes((tmp_path / "mica.zip").read_bytes()[:200])

    with imported_again(empty, tmp_path, tmp_path / "mica.zip") as store:
        assert store.counts()["recorded"] == 4
        with pytest.raises(FatalError, match=r"torn\.zip: is neither a folder nor a zip"):
            import_package(store, tmp_path / "torn.zip", Options(now=NOW))
        with pytest.raises(FatalError, match=r"has no datapackage\.json"):
            import_package(store, tmp_path, Options(now=NOW))


EXAMPLES = 6  # each takes a third of a second
NAMES = st.text(
    st.sampled_from([*"aZ9 ,;\"'\n\r\t./\\~#|=:", "\u200f", "\u202e", "\u2028", "é", "虎", "\x00", "\ufeff"]),
    min_size=1,
    max_size=8,
)
EARLY, LATE = datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01")
SPAN_TIMES = st.datetimes(EARLY, LATE, timezones=st.just(UTC))
NEAR_TIMES = st.floats(0, 300).map(lambda seconds: NOW + timedelta(seconds=seconds))
TIMES = st.none() | NEAR_TIMES | SPAN_TIMES
SHARES = st.floats(0, 1)
DETECTIONS = st.builds(
    Detection,
    st.sampled_from(["animal", "person", "vehicle"]),
    SHARES,
    st.tuples(SHARES, SHARES, SHARES, SHARES),
    answer=st.none()
    | st.builds(Answer, st.sampled_from([FELIDAE, PUMA]), SHARES, st.sampled_from(["", "not-listed:X"])),
    track=st.none() | st.integers(1, 9),
)
PICTURES = st.lists(st.tuples(st.lists(DETECTIONS, max_size=3), st.sampled_from(["", "no motion"])), max_size=3)
REVIEWS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["animal", "human", "vehicle", "blank", "unknown"]),
        "taxon": st.sampled_from(["", "Puma concolor", "Panthera onca", "NA"]),
        "count": st.integers(0, 40),
        "sex": st.sampled_from(["", "male", "NA", "both"]),
        "life_stage": st.sampled_from(["", "adult", "cub"]),
        "behaviour": NAMES | st.just(""),
        "comments": NAMES | st.just("NA"),
        "by": NAMES,
        "at": SPAN_TIMES,
    }
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
    min_size=3,
    max_size=8,
)
DEPLOYMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "station": st.sampled_from(["cam-1", "NA", "cam-9"]),
            "started_at": st.sampled_from([NOW - DAY, NOW + MINUTE, NOW + timedelta(seconds=100.5)]),
            "ended_at": st.none() | st.sampled_from([NOW + 3 * MINUTE, NOW + DAY]),
            "bait": NAMES | st.sampled_from(["", "none", "NA", "yes"]),
            "feature": NAMES | st.sampled_from(["", "burrow"]),
            "habitat": NAMES | st.just("NA"),
            "tags": st.lists(NAMES, max_size=2).map(tuple),
            "comments": NAMES | st.just(""),
            "camera_id": NAMES | st.just("NaN"),
            "height_m": st.none() | st.floats(-3, 30),
            "tilt_deg": st.none() | st.floats(-90, 90),
            "uncertainty_m": st.none() | st.floats(0, 1000),
            "latitude": st.none() | st.floats(-90, 90),
            "longitude": st.just(1.5),
        }
    ),
    max_size=3,
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=FRAMES, stood=DEPLOYMENTS)
def test_any_database_comes_back_byte_for_byte(
    empty: Path, made: Sequence[Any], stood: Sequence[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site.sqlite").write_bytes(empty.read_bytes())
        with Store(f"sqlite:///{folder}/site.sqlite") as store:
            for index, fields in enumerate(stood):
                deploy(store, id=f"d{index}", **fields)
            for index, (station, title, at, pictures, damage, said) in enumerate(made):
                results = [
                    PictureResult(number, number / 2, () if rejected else tuple(found), rejected)
                    for number, (found, rejected) in enumerate(pictures)
                ]
                kind = "clip" if len(pictures) > 1 else "still"
                where = {"station": station, "name": title, "kind": kind}
                pk = record(store, f"{index:08}", *results, at=at, damage=damage, **where)
                for each in said:
                    review(store, pk, **each)
            check_round_trip(empty, folder, store)
