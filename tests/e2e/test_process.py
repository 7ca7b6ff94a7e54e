"""`tigrillo process` on real camera-trap media."""

import csv
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.models.taxonomy import load_taxonomy
from edge.testing_megadetector import check_results

MISSES = 1  # labelled animals without a box that the detector is allowed
FAMILIES = {
    "african_elephants.jpg": "Elephantidae",
    "african_elephants_cmyk.jpg": "Elephantidae",
    "african_elephants_with_exif_orientation.jpg": "Elephantidae",
    "african_elephants_truncated_file.jpg": "Elephantidae",
    "ena24_4383.jpg": "Canidae",
    "ena24_9455.jpg": "Ursidae",
    "ocelot.jpg": "Felidae",
}


def tigrillo(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, **options)


@pytest.fixture(scope="module")
def stills(models_dir, shared_media, tmp_path_factory):
    """Results over the labelled stills, and the folder with the annotated pictures."""
    folder = tmp_path_factory.mktemp("process")
    done = tigrillo(
        "process", shared_media / "stills", "--out", folder / "results.json", "--annotate", folder / "boxes", "--json"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["complete"] is True
    document = json.loads((folder / "results.json").read_text())
    check_results(document)
    return document, folder / "boxes"


@pytest.fixture(scope="module")
def labels(shared_media):
    with (shared_media / "labels.csv").open() as file:
        return {row["file"].removeprefix("stills/"): row["observation_type"] for row in csv.DictReader(file)}


def test_animals_get_a_box_and_blanks_none(stills, labels):
    boxed = {
        image["file"]: max((each["conf"] for each in image["detections"] if each["category"] == "1"), default=0.0)
        for image in stills[0]["images"]
    }

    missed = [name for name, kind in labels.items() if kind == "animal" and boxed[name] < 0.2]
    assert len(missed) <= MISSES, missed
    assert [name for name, kind in labels.items() if kind == "blank" and boxed[name] > 0] == []


@pytest.mark.parametrize(("file", "family"), FAMILIES.items())
def test_a_known_animal_comes_out_as_its_family_or_below(stills, file, family):
    document = stills[0]
    names = document["classification_categories"]
    (image,) = [image for image in document["images"] if image["file"] == file]
    taxonomy = load_taxonomy("imagenet")

    answers = [taxonomy.find(names[each["classifications"][0][0]]) for each in image["detections"]]

    assert any(answer is not None and family in answer.lineage for answer in answers)
    assert not any(
        answer is not None and answer.rank in {"family", "genus", "species"} and family not in answer.lineage
        for answer in answers
    )


def test_cmyk_and_rotated_copies_have_the_boxes_of_the_original(stills):
    by_name = {image["file"]: image["detections"] for image in stills[0]["images"]}
    original = by_name["african_elephants.jpg"]

    for name in ("african_elephants_cmyk.jpg", "african_elephants_with_exif_orientation.jpg"):
        assert len(by_name[name]) == len(original)
        for one, other in zip(original, by_name[name], strict=True):
            assert np.allclose(one["bbox"], other["bbox"], atol=0.01), name


def test_a_truncated_file_is_marked(stills):
    (image,) = [image for image in stills[0]["images"] if image["file"] == "african_elephants_truncated_file.jpg"]

    assert "truncated" in image["damage"]


def test_annotated_pictures_are_pictures(stills):
    document, folder = stills
    with_boxes = [image["file"] for image in document["images"] if image["detections"]]

    for name in with_boxes:
        assert cv2.imread(str(folder / f"{name}.boxes.jpg")) is not None


@pytest.mark.timeout(120)
def test_every_clip_gives_results_by_picture_or_a_failure(models_dir, shared_media, tmp_path):
    done = tigrillo("process", shared_media / "video", "--out", tmp_path / "results.json", "--fps", "1")

    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "results.json").read_text())
    check_results(document)
    assert {image["file"] for image in document["images"]} == {path.name for path in (shared_media / "video").iterdir()}
    for image in document["images"]:
        assert image.get("failure") or (image["frame_rate"] > 0 and image["frames_processed"])


def make_card(folder: Path, shared_media: Path, copies: int) -> Path:
    card = folder / "card"
    card.mkdir()
    for number in range(copies):
        shutil.copy(shared_media / "stills" / "blank.jpg", card / f"IMG_{number:04d}.JPG")
    return card


@pytest.mark.timeout(120)
def test_ctrl_c_leaves_a_valid_file_that_resume_completes(models_dir, shared_media, tmp_path):
    card, out = make_card(tmp_path, shared_media, 40), tmp_path / "results.json"
    command = [sys.executable, "-m", "edge.cli", "process", str(card), "--out", str(out)]
    journal = tmp_path / "results.json.journal"

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not journal.exists() or journal.read_text().count("\n") < 4):
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        said = first.communicate(timeout=30)
    part = json.loads(out.read_text())
    check_results(part)
    second = tigrillo("process", card, "--out", out, "--resume", "--json")

    assert first.returncode == 130, said
    assert "--resume" in said[0]
    assert 3 <= len(part["images"]) < 40
    summary = json.loads(second.stdout)
    whole = json.loads(out.read_text())
    check_results(whole)
    assert (summary["complete"], len(whole["images"])) == (True, 40)
    assert summary["looked_at"] == 40 - len(part["images"])
    assert not journal.exists()


def test_a_journal_of_other_stages_is_not_continued(models_dir, shared_media, tmp_path):
    card, out = make_card(tmp_path, shared_media, 1), tmp_path / "results.json"
    (tmp_path / "results.json.journal").write_text('{"fingerprint": "of something else"}\n')

    done = tigrillo("process", card, "--out", out, "--resume")

    assert done.returncode == 1
    assert "other folders, stages or models" in done.stderr


def test_bad_files_are_failures_with_a_reason_and_the_rest_goes_on(models_dir, shared_media, tmp_path):
    card = make_card(tmp_path, shared_media, 1)
    good = (shared_media / "stills" / "ena24_4383.jpg").read_bytes()
    flipped = bytearray(good)
    for place in range(20_000, 24_000, 100):
        flipped[place] ^= 0xFF
    (card / "empty.jpg").write_bytes(b"")
    (card / "text.jpg").write_text("this is a letter, not a picture\n" * 50)
    (card / "cut.jpg").write_bytes(good[: len(good) // 3])
    (card / "flipped.jpg").write_bytes(flipped)
    (card / "huge.png").write_bytes(huge_png(30_000, 30_000))
    (card / "empty.mp4").write_bytes(b"")
    (card / "text.mp4").write_text("no clip\n" * 500)
    clip = (shared_media / "video" / "chimp.mp4").read_bytes()
    (card / "half.mp4").write_bytes(clip[: len(clip) // 2])

    done = tigrillo("process", card, "--out", tmp_path / "results.json", "--json")

    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "results.json").read_text())
    check_results(document)
    images = {image["file"]: image for image in document["images"]}
    for name in ("empty.jpg", "text.jpg", "huge.png", "empty.mp4", "text.mp4", "half.mp4"):
        assert images[name]["detections"] is None, name
        assert images[name]["failure"], name
    assert "30000" in images["huge.png"]["failure"]
    for name in ("cut.jpg", "flipped.jpg"):
        assert images[name].get("failure") or images[name].get("damage"), name
    assert images["IMG_0000.JPG"]["detections"] == []
    assert "Traceback" not in done.stderr


def huge_png(width: int, height: int) -> bytes:
    """A valid PNG of one colour: a few hundred kilobytes that would take gigabytes of memory."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = b"\0" + bytes((width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_path_that_is_not_there_is_one_line(tmp_path):
    done = tigrillo("process", tmp_path / "none")

    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path / 'none'}: no such file or folder"
