"""MegaDetector results 1.6: what the exporter writes is what the format asks for."""

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.api import Answer, Category, Classification, Detection, Outcome, PictureResult, Services, load_taxonomy
from edge.testing import check_exporter_contract, fake_card, fake_services, fake_session, spooled_frame
from edge.testing_megadetector import check_results
from plugins.exporters.megadetector import image_entry, tigrillo_exporters

(SPEC,) = tigrillo_exporters()
FELID = load_taxonomy("imagenet").find("Felidae")
assert FELID is not None
RAW = tuple(Classification(*each) for each in [("jaguar", 0.87), ("leopard", 0.06), ("tiger", 0.02), ("lynx", 0.01)])
OCELOT = Detection("animal", 0.91234, (0.123456, 0.2, 0.3, 0.4), "animal", RAW, Answer(FELID, 0.9612))
PERSON = Detection("person", 0.5, (0.0, 0.0, 1.0, 1.0))
DESCRIPTION = "mammalia;carnivora;felidae;;;cat family"


def outcome(
    name: str = "a.jpg",
    *pictures: Sequence[Detection],
    damage: str = "",
    rejected: Sequence[str] = (),
    frame_rate: float | None = None,
) -> Outcome:
    """One frame with these detections in its pictures; a clip, pictures 0, 30, 60 …, when it has a frame rate."""
    results = tuple(
        PictureResult(30 * index, float(index), tuple(each), rejected[index] if index < len(rejected) else "")
        for index, each in enumerate(pictures)
    )
    spooled = replace(spooled_frame(kind="clip" if frame_rate else "still"), name=name)
    return Outcome(spooled, results, 1920, 1080, frame_rate, damage)


def exported(folder: Path, *outcomes: Outcome, services: Services | None = None) -> dict[str, Any]:
    """What the exporter writes of these, after it passed the format's rules."""
    path = folder / "results.json"
    with SPEC.open(path, services or fake_services()) as exporter:
        for each in outcomes:
            exporter.add(each)
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    check_results(document)
    return document


def test_the_exporter_keeps_the_contract(tmp_path: Path) -> None:
    path = check_exporter_contract(SPEC, tmp_path, [outcome("a.jpg", [OCELOT]), outcome("b.jpg", [])])

    document = json.loads(path.read_text("utf-8"))
    check_results(document)
    assert document["images"][2] == {"file": "broken.jpg", "failure": "no picture that can be read", "detections": None}


def test_a_still_has_category_score_box_and_classes_in_the_formats_form(tmp_path: Path) -> None:
    document = exported(tmp_path, outcome("cámara 1/a.jpg", [OCELOT, PERSON]))

    assert document["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}
    assert document["classification_categories"] == {"1": "Felidae", "2": "jaguar", "3": "leopard", "4": "tiger"}
    assert document["images"] == [
        {
            "file": "cámara 1/a.jpg",
            "detections": [
                {
                    "category": "1",
                    "conf": 0.912,
                    "bbox": [0.1235, 0.2, 0.3, 0.4],
                    "classifications": [["1", 0.961], ["2", 0.87], ["3", 0.06], ["4", 0.02]],
                },
                {"category": "2", "conf": 0.5, "bbox": [0.0, 0.0, 1.0, 1.0]},
            ],
        }
    ]


def test_the_answers_class_is_described_by_its_lineage(tmp_path: Path) -> None:
    document = exported(tmp_path, outcome("a.jpg", [OCELOT]))

    ((number, text),) = document["classification_category_descriptions"].items()
    assert document["classification_categories"][number] == "Felidae"
    assert text.split(";", 1)[1] == DESCRIPTION


def test_without_an_answer_the_raw_classes_stand_alone(tmp_path: Path) -> None:
    document = exported(tmp_path, outcome("a.jpg", [replace(OCELOT, answer=None)]))

    assert document["images"][0]["detections"][0]["classifications"] == [["1", 0.87], ["2", 0.06], ["3", 0.02]]
    assert document["classification_category_descriptions"] == {}


def test_a_class_more_probable_than_the_answer_is_left_out_so_that_the_order_holds(tmp_path: Path) -> None:
    assert FELID is not None
    document = exported(tmp_path, outcome("a.jpg", [replace(OCELOT, answer=Answer(FELID, 0.3))]))

    assert document["images"][0]["detections"][0]["classifications"] == [
        ["1", 0.3],
        ["2", 0.06],
        ["3", 0.02],
        ["4", 0.01],
    ]


def test_a_class_has_one_id_in_the_whole_file(tmp_path: Path) -> None:
    document = exported(tmp_path, outcome("a.jpg", [OCELOT]), outcome("b.jpg", [PERSON, OCELOT]))

    first, second = (image["detections"][-1]["classifications"] for image in document["images"])
    assert first == second


def test_nothing_found_is_an_empty_list(tmp_path: Path) -> None:
    assert exported(tmp_path, outcome("a.jpg", []))["images"] == [{"file": "a.jpg", "detections": []}]


def test_a_clip_says_which_pictures_were_looked_at_and_where_each_box_is(tmp_path: Path) -> None:
    clip = outcome("v.avi", [OCELOT], [], [PERSON, OCELOT], frame_rate=29.97)

    (image,) = exported(tmp_path, clip)["images"]

    assert (image["frame_rate"], image["frames_processed"]) == (29.97, [0, 30, 60])
    assert [(each["category"], each["frame_number"]) for each in image["detections"]] == [
        ("1", 0),
        ("2", 60),
        ("1", 60),
    ]


def test_pictures_that_a_stage_rejected_are_not_given_as_looked_at(tmp_path: Path) -> None:
    clip = outcome("v.avi", [], [OCELOT], [], rejected=["nothing moved", "", "nothing moved"], frame_rate=30.0)
    still = outcome("a.jpg", [], rejected=["nothing moved"])

    of_clip, of_still = exported(tmp_path, clip, still)["images"]

    assert of_clip["frames_processed"] == [30]
    assert "rejected" not in of_clip
    assert of_still == {"file": "a.jpg", "detections": [], "rejected": "nothing moved"}


@pytest.mark.parametrize("frame_rate", [None, 30.0])
def test_a_damaged_file_with_nothing_found_is_a_failure_and_never_blank(
    tmp_path: Path, frame_rate: float | None
) -> None:
    damaged = outcome("a.jpg", [], damage="last third is missing", frame_rate=frame_rate)

    (image,) = exported(tmp_path, damaged)["images"]

    reason = "damaged: last third is missing; nothing found in the readable part"
    assert image == {"file": "a.jpg", "failure": reason, "detections": None}


def test_a_damaged_file_with_something_found_keeps_it_and_says_so(tmp_path: Path) -> None:
    (image,) = exported(tmp_path, outcome("a.jpg", [OCELOT], damage="last third is missing"))["images"]

    assert len(image["detections"]) == 1
    assert image["damage"] == "last third is missing"
    assert "failure" not in image


def test_info_names_models_time_and_the_threshold_viewers_start_with(tmp_path: Path) -> None:
    services = fake_services(
        sessions={"lynx-finder": fake_session(fake_card(name="lynx-finder", min_score=0.3))},
        used_models={"detect": "lynx-finder", "classify": "lynx-namer"},
    )

    info = exported(tmp_path, services=services)["info"]

    assert info == {
        "format_version": "1.6",
        "detector": "lynx-finder",
        "detection_completion_time": "2026-01-01 00:00:00",
        "detector_metadata": {"typical_detection_threshold": 0.3, "conservative_detection_threshold": 0.3},
        "classifier": "lynx-namer",
        "classification_completion_time": "2026-01-01 00:00:00",
    }


def test_an_export_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    exported(tmp_path, outcome("a.jpg", [OCELOT]))
    before = (tmp_path / "results.json").read_bytes()

    def break_off() -> None:
        with SPEC.open(tmp_path / "results.json", fake_services()) as exporter:
            exporter.add(outcome("b.jpg", []))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()

    assert [each.name for each in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_bytes() == before


def test_the_same_outcomes_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for _round in range(2):
        exported(tmp_path, outcome("a.jpg", [OCELOT]), outcome("b.jpg", [PERSON]))
        written.append((tmp_path / "results.json").read_bytes())

    assert written[0] == written[1]


def test_a_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    name = b"c\xe1mara/a.jpg".decode("utf-8", "surrogateescape")

    assert exported(tmp_path, outcome(name, []))["images"][0]["file"] == name


CATEGORIES: list[Category] = ["animal", "person", "vehicle"]
SIDES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (min(pair), max(pair) - min(pair)))


@st.composite
def detections(draw: st.DrawFn) -> Detection:
    (left, width), (top, height) = draw(SIDES), draw(SIDES)
    scores = sorted(draw(st.lists(st.floats(0, 1), max_size=6)), reverse=True)
    labels = tuple(Classification(f"class {index}", score) for index, score in enumerate(scores))
    answer = draw(st.none() | st.floats(0, 1).map(lambda score: Answer(FELID, score)))  # type: ignore[arg-type]  # because it was found above
    box = (left, top, width, height)
    return Detection(draw(st.sampled_from(CATEGORIES)), draw(st.floats(0, 1)), box, "", labels, answer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # because each example replaces the file
@given(st.lists(st.lists(detections(), max_size=3), min_size=1, max_size=3), st.none() | st.floats(0.1, 240))
def test_whatever_was_found_gives_a_valid_file(
    tmp_path: Path, pictures: list[list[Detection]], frame_rate: float | None
) -> None:
    pictures = pictures if frame_rate else pictures[:1]

    exported(tmp_path, outcome("v.mp4" if frame_rate else "a.jpg", *pictures, frame_rate=frame_rate))


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    herd = outcome("a.jpg", [OCELOT] * 20)
    with SPEC.open(tmp_path / "results.json", fake_services()) as exporter:
        exporter.add(herd)
        tracemalloc.start()
        for _image in range(500):
            exporter.add(herd)
        grown, _peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (tmp_path / "results.json").stat().st_size > 500_000
    assert grown < 100_000


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda document: document["info"].update(format_version="1.5"), "format_version"),
        (lambda document: document["detection_categories"].update({"0": "empty"}), "reserved"),
        (lambda document: document["images"].append(document["images"][0]), "stands there 2 times"),
        (lambda document: document["images"][0].pop("detections"), "detections: must be there"),
        (lambda document: document["images"][0].update(failure="x"), "must be null"),
        (lambda document: document["images"][0].update(file="a.mp4"), "frame_rate"),
        (lambda document: document["images"][0]["detections"][0].update(category="9"), "category"),
        (lambda document: document["images"][0]["detections"][0].update(conf=1.2), "conf"),
        (lambda document: document["images"][0]["detections"][0].update(bbox=[0.5, 0, 0.7, 1]), "bbox"),
        (lambda document: document["images"][0]["detections"][0]["classifications"].reverse(), "descend"),
        (lambda document: document["classification_categories"].pop("1"), "not in classification_categories"),
    ],
)
def test_the_validator_finds_what_is_wrong(tmp_path: Path, spoil: Any, fault: str) -> None:
    document = exported(tmp_path, outcome("a.jpg", [OCELOT]))
    spoil(document)

    with pytest.raises(AssertionError, match=fault):
        check_results(document)


def test_an_entry_is_made_without_a_file_and_names_its_classes() -> None:
    (detection,) = image_entry(outcome("a.jpg", [OCELOT]))["detections"]

    assert [name for name, _score, _description in detection["classifications"]] == [
        "Felidae",
        "jaguar",
        "leopard",
        "tiger",
    ]


def test_what_a_species_list_changed_stands_beside_the_answer(tmp_path: Path) -> None:
    marked = replace(OCELOT, answer=Answer(FELID, 0.9, "not-listed:Panthera leo"))

    (image,) = exported(tmp_path, outcome("a.jpg", [OCELOT, marked]))["images"]

    assert [each.get("remark") for each in image["detections"]] == [None, "not-listed:Panthera leo"]
