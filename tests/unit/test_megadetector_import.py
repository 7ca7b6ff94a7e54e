"""`tigrillo import megadetector`: results of every version are taken in, and every bad entry is named."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select
from typer.testing import CliRunner

from edge.api import FatalError
from edge.cli import app
from edge.export import Wanted, context_of, write_export
from edge.importing import json_stream
from edge.importing.imported import Imported, Options
from edge.importing.megadetector import import_results
from edge.registry import load_registry
from edge.store.harvest import Span
from edge.store.schema import frames
from edge.store.sql import Store
from edge.testing import fake_services
from edge.testing_megadetector import check_results

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
BOX = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
OPTIONS = Options(station="cam-1")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with nothing in it; making one takes longer than copying it."""
    path = tmp_path_factory.mktemp("empty") / "tigrillo.sqlite"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Iterator[Store]:
    shutil.copy(empty, tmp_path)
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as opened:
        yield opened


def results(*images: Any, version: str | None = "1.6", **more: Any) -> dict[str, Any]:
    info = {"format_version": version, "detector": "md_v5a.0.0"} if version else {}
    return {"info": info, "detection_categories": CATEGORIES, "images": list(images), **more}


def taken(store: Store, tmp_path: Path, document: Any, options: Options = OPTIONS) -> Imported:
    path = tmp_path / "results.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return import_results(store, path, options)


def exported(store: Store, tmp_path: Path) -> dict[str, Any]:
    out = tmp_path / "again.json"
    write_export(
        store,
        load_registry().exporters["megadetector"],
        out,
        fake_services(exporting=context_of(store, Span())),
        Wanted(),
    )
    document: dict[str, Any] = json.loads(out.read_text("ascii"))
    check_results(document)
    return document


def one(store: Store) -> Any:
    (outcome,) = store.recorded()
    return outcome


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        (None, {"file": "a.jpg", "max_detection_conf": 0.9, "detections": [BOX]}),
        ("1.0", {"file": "a.jpg", "max_detection_conf": 0.9, "detections": [BOX]}),
        ("1.3", {"file": "a.jpg", "detections": [BOX], "width": 640, "height": 480}),
        ("1.6", {"file": "a.jpg", "detections": [BOX]}),
    ],
)
def test_each_version_gives_a_recorded_frame(version: str | None, entry: Any, store: Store, tmp_path: Path) -> None:
    done = taken(store, tmp_path, results(entry, version=version))

    assert (done.counts["frames"], done.counts["observations"], done.faults) == (1, 1, [])
    frame = one(store)
    assert (frame.spooled.station, frame.spooled.name, frame.spooled.source) == ("cam-1", "a.jpg", "import")
    assert [each.xywh_norm for each in frame.detections()] == [pytest.approx((0.1, 0.2, 0.3, 0.4))]


def test_importing_twice_doubles_nothing_and_other_contents_of_a_name_are_named(store: Store, tmp_path: Path) -> None:
    first = results({"file": "a.jpg", "detections": [BOX]}, {"file": "b.jpg", "failure": "torn", "detections": None})
    taken(store, tmp_path, first)

    again = taken(store, tmp_path, first)
    other = taken(store, tmp_path, results({"file": "a.jpg", "detections": []}))

    assert (again.counts["frames"], again.counts["known"], again.faults) == (0, 2, [])
    assert other.counts["known"] == 0
    assert "imported before with other contents" in other.faults[0]
    assert store.counts()["observations"] == 1
    assert store.quarantined() == [("b.jpg", "torn")]


def test_an_answer_is_what_the_description_or_the_name_says_and_only_when_it_is_sure(
    store: Store, tmp_path: Path
) -> None:
    def of(number: str, score: float) -> dict[str, Any]:
        return {
            "file": f"{number}-{score}.jpg",
            "detections": [{**BOX, "classifications": [[number, score], ["9", 0.01]]}],
        }

    document = results(
        *(of("1", 0.9), of("1", 0.4), of("2", 0.9), of("3", 0.9), of("4", 0.9)),
        classification_categories={"1": "puma", "2": "nilgai", "3": "blank", "4": "Class 7", "9": "coati"},
        classification_category_descriptions={
            "2": "x;mammalia;cetartiodactyla;bovidae;boselaphus;tragocamelus;nilgai",
            "3": "x;;;;;;blank",
        },
    )
    taken(store, tmp_path, document)

    answers = {frame.spooled.name: frame.detections()[0].answer for frame in store.recorded()}
    named = {name: answer and answer.taxon.scientific_name for name, answer in answers.items()}
    assert named == {
        "1-0.9.jpg": "Puma concolor",
        "1-0.4.jpg": None,
        "2-0.9.jpg": "Boselaphus tragocamelus",
        "3-0.9.jpg": None,
        "4-0.9.jpg": None,
    }
    assert next(iter(store.recorded())).detections()[0].classifications[0].label == "puma"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("text", "images[1]: must be an object"),
        ({"detections": []}, "images[1]: file: must be text"),
        ({"file": "b.jpg", "detections": {}}, "detections: must be a list"),
        ({"file": "a.jpg", "detections": []}, "stands there twice"),
        ({"file": "b.jpg", "detections": [7]}, "'b.jpg': detections[0]: must be an object"),
        ({"file": "b.jpg", "detections": [{**BOX, "category": "8"}]}, "category: '8' is unknown"),
        ({"file": "b.jpg", "detections": [{**BOX, "conf": 1.2}]}, "conf: must be 0..1, got 1.2"),
        ({"file": "b.jpg", "detections": [{**BOX, "bbox": [10, 20, 300, 400]}]}, "lie inside the picture"),
        ({"file": "b.jpg", "detections": [{**BOX, "bbox": [0, 0, 1]}]}, "bbox: must be"),
        ({"file": "b.jpg", "detections": [{**BOX, "classifications": [["5", 1]]}]}, "classifications: must be pairs"),
        ({"file": "b.mp4", "detections": [], "frames_processed": 4}, "frames_processed: must be a list"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_are_taken_in(bad: Any, said: str, store: Store, tmp_path: Path) -> None:
    done = taken(store, tmp_path, results({"file": "a.jpg", "detections": [BOX]}, bad))

    assert len(done.faults) == 1
    assert said in done.faults[0]
    assert store.counts()["observations"] == 1


def test_what_has_no_column_is_kept(store: Store, tmp_path: Path) -> None:
    bad = {**BOX, "conf": -1}
    entry = {"file": "a.jpg", "detections": [{**BOX, "mask": [1]}, bad], "location": "ridge"}
    taken(store, tmp_path, results(entry))

    with store.transaction() as connection:
        details = connection.scalar(select(frames.c.details))
    assert details["location"] == "ridge"
    assert details["left_out"] == [bad]
    assert details["of_detections"] == {"0": {"mask": [1]}}
    assert details["detector"] == "md_v5a.0.0"


def test_a_clip_keeps_its_pictures_and_their_times(store: Store, tmp_path: Path) -> None:
    entry = {
        "file": "v.mp4",
        "frame_rate": 30.0,
        "frames_processed": [0, 15, 30],
        "detections": [{**BOX, "frame_number": 15}],
    }
    taken(store, tmp_path, results(entry))

    frame = one(store)
    assert [(each.number, each.time_s, len(each.detections)) for each in frame.pictures] == [
        (0, 0.0, 0),
        (15, 0.5, 1),
        (30, 1.0, 0),
    ]
    assert exported(store, tmp_path)["images"] == [entry]


def test_our_own_results_come_out_as_they_went_in(store: Store, tmp_path: Path) -> None:
    label = "60fa99f2-31a7-5ed3-a2e4-5ac8c8b3ff4b;mammalia;carnivora;felidae;;;cat family"
    images = [
        {"file": "a.jpg", "detections": [{**BOX, "classifications": [["1", 0.96], ["2", 0.87]]}]},
        {"file": "b.jpg", "detections": [], "rejected": "no motion"},
        {"file": "c.jpg", "failure": "no picture", "detections": None},
        {"file": "d.jpg", "detections": [{**BOX, "category": "2"}], "damage": "12 rows are missing"},
    ]
    classes = {"1": "Felidae", "2": "jaguar"}
    document = results(*images, classification_categories=classes, classification_category_descriptions={"1": label})
    taken(store, tmp_path, document)

    first = exported(store, tmp_path)

    assert {each["file"]: each for each in first["images"]} == {each["file"]: each for each in images}
    assert first["classification_categories"] == classes


def test_a_picture_that_is_there_gives_time_size_and_hash_and_may_be_found_later(store: Store, tmp_path: Path) -> None:
    card = tmp_path / "card" / "DCIM"
    card.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0132] = "2026:11:22 18:01:23"
    exif[0x0112] = 6
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(card / "a.jpg", exif=exif)
    document = results({"file": "DCIM\\a.jpg", "detections": [BOX]}, {"file": "DCIM/gone.jpg", "detections": []})

    before = taken(store, tmp_path, document, Options(station="cam-1"))
    found = Options(station="cam-1", images=tmp_path / "card", timezone_of=lambda _station: "America/Bogota")
    after = taken(store, tmp_path, document, found)

    assert (before.counts["frames"], before.counts["without_file"]) == (2, 2)
    assert (after.counts["located"], after.counts["known"], after.counts["without_file"]) == (1, 1, 1)
    frame = next(each for each in store.recorded() if each.spooled.name == "DCIM/a.jpg")
    assert frame.spooled.path == card / "a.jpg"
    assert frame.spooled.captured.utc is not None
    assert frame.spooled.captured.utc.isoformat() == "2026-11-22T23:01:23+00:00"
    assert (frame.width, frame.height) == (30, 40)


def test_without_a_station_the_first_folder_is_one(store: Store, tmp_path: Path) -> None:
    document = results({"file": "Cam 01/a.jpg", "detections": []}, {"file": "b.jpg", "detections": []})

    done = taken(store, tmp_path, document, Options())

    assert one(store).spooled.station == "Cam-01"
    assert "say --station" in done.faults[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "character 0"),
        ("[]", "'{' is missing"),
        ('{"a": 1}', "neither images nor detection_categories"),
        ('{"images": [{"file": "a.jpg"', "no MegaDetector results"),
        ('{"images": [{"file": nonsense}], "detection_categories": {}}', "Expecting value"),
        ('{"images": [], "detection_categories": 3}', "detection_categories: must be an object"),
        ('{"images": [{"file": "a.jpg", "detections": []}]} x', "behind the end"),
    ],
)
def test_what_is_no_results_file_is_said_and_nothing_is_taken_in(
    text: str, said: str, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(FatalError, match=r"results\.json") as caught:
        taken(store, tmp_path, text)

    assert said in str(caught.value)
    assert store.counts() == {"observations": 0, "quarantine": 0}


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_reader_takes_a_document_in_pieces_of_any_size(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    document = {"a": -12.5e3, "images": [{"f": 'x"]é\u2028', "n": [1, 2]}, 17, None], "z": True}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")

    with path.open(encoding="utf-8") as file:
        found = list(json_stream.JsonStream(file).members("images"))

    assert found == [("a", -12.5e3), *(("images", each) for each in document["images"]), ("z", True)]  # type: ignore[attr-defined]  # because it is a list


def test_the_command_says_counts_and_faults(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: {name: Reserve}\nstate_dir: state\n", "utf-8")
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results({"file": "a.jpg", "detections": [BOX]}, 3)), "utf-8")
    arguments = ["import", "megadetector", str(path), "--station", "cam-1", "--site", str(tmp_path / "site.yaml")]

    done = CliRunner().invoke(app, arguments)
    again = CliRunner().invoke(app, [*arguments, "--json"])

    assert done.exit_code == 0
    assert "frames 1, observations 1" in done.stdout
    assert "images[1]: must be an object" in done.stderr
    assert json.loads(again.stdout)["known"] == 1


def test_a_misspelt_format_is_named_with_what_is_near() -> None:
    done = CliRunner().invoke(app, ["import", "megadetektor"])

    assert isinstance(done.exception, FatalError)
    assert "did you mean 'megadetector'" in str(done.exception)


def test_pictures_are_found_below_a_folder_that_is_named_from_beside_it(tmp_path, monkeypatch):
    (tmp_path / "card").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "card" / "a.jpg")
    work = tmp_path / "work"
    (work / "inbox").mkdir(parents=True)
    (work / "r.json").write_text(json.dumps(results({"file": "a.jpg", "detections": []})), "utf-8")
    (work / "site.yaml").write_text(
        "site: {name: Here}\nstate_dir: state\nsources: [{use: watch, folder: inbox}]\nstages: [{use: motion}]\n",
        "utf-8",
    )
    monkeypatch.chdir(work)

    ended = CliRunner().invoke(
        app, ["import", "megadetector", "r.json", "--images", "../card", "--station", "a", "--json"]
    )

    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["without_file"] == 0
