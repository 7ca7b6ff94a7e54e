"""Exporter `megadetector`: MegaDetector results 1.6, the file that Timelapse and AddaxAI open.

Outcome → `image_entry` → a line of the file, written as it comes: memory holds the class names only, however many
images there are. Class ids are given in order of first appearance, so the same outcomes give the same file.
The format's rules, as far as we rely on them, are what `edge.testing_megadetector` checks.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edge.api import (
    Box,
    Category,
    Detection,
    Exporter,
    ExporterSpec,
    Outcome,
    PictureResult,
    Services,
    describe_lineage,
    hookimpl,
    mark,
    open_atomically,
)

FORMAT_VERSION = "1.6"
CATEGORIES: Mapping[Category, str] = {"animal": "1", "person": "2", "vehicle": "3"}  # the format's own ids
RAW_CLASSES = 3  # of the classifier's own classes, after the answer
SCORE_DIGITS, BOX_DIGITS = 3, 4
LEAST_SIDE = 10**-BOX_DIGITS


def image_entry(outcome: Outcome) -> dict[str, Any]:
    """The format's entry of one frame, with class names where the file has class ids.

    Each of a detection's `classifications` is (name, probability, description): the answer first, then the classes that
    are not more probable. `damage`, `rejected` and `remark` are fields of our own. A damaged file with nothing found in
    what could be read is a failure: it must not pass for blank.
    """
    name = outcome.spooled.name
    looked_at = [picture for picture in outcome.pictures if not picture.rejected]
    clip = outcome.spooled.kind == "clip"
    detections = [_detection(each, picture, clip=clip) for picture in looked_at for each in picture.detections]
    if outcome.damage and not detections:
        return failure_entry(name, f"damaged: {outcome.damage}; nothing found in the readable part")
    entry: dict[str, Any] = {"file": name, "detections": detections}
    if clip:
        entry |= {"frame_rate": outcome.frame_rate} if outcome.frame_rate else {}
        entry["frames_processed"] = [picture.number for picture in looked_at]
    if outcome.damage:
        entry["damage"] = outcome.damage
    if outcome.pictures and not looked_at:
        entry["rejected"] = "; ".join(dict.fromkeys(picture.rejected for picture in outcome.pictures))
    return entry


def failure_entry(name: str, reason: str) -> dict[str, Any]:
    """The format's entry of a file that could not be looked at."""
    return {"file": name, "failure": reason, "detections": None}


def _detection(detection: Detection, picture: PictureResult, *, clip: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "category": CATEGORIES[detection.category],
        "conf": round(detection.score, SCORE_DIGITS),
        "bbox": _rounded(detection.xywh_norm),
    }
    if classifications := _classifications(detection):
        entry["classifications"] = classifications
    if detection.answer and detection.answer.remark:
        entry["remark"] = detection.answer.remark
    if clip:
        entry["frame_number"] = picture.number
    return entry


def _rounded(xywh_norm: Box) -> list[float]:
    """The box to 4 digits (0.4 pixels of 4K), still inside the picture and with an area."""
    left, top, width, height = xywh_norm
    (left, width), (top, height) = _rounded_side(left, width), _rounded_side(top, height)
    return [left, top, width, height]


def _rounded_side(start: float, length: float) -> tuple[float, float]:
    if start < 0.0 or start > 1 - LEAST_SIDE:
        start = min(max(start, 0.0), 1 - LEAST_SIDE)
    start = round(start, BOX_DIGITS)
    if length < LEAST_SIDE or start + length > 1:
        length = max(min(length, 1 - start), LEAST_SIDE)
    return start, round(length, BOX_DIGITS)


def _classifications(detection: Detection) -> list[tuple[str, float, str]]:
    """(name, probability, description), probability descending."""
    answer = detection.answer
    found = []
    # only a min_score below 0.5 lets a class be more probable than the answer; the format's order must hold
    most = 1.0
    if answer:
        most = answer.score
        if score := round(most, SCORE_DIGITS):
            found.append((answer.taxon.scientific_name, score, describe_lineage(answer.taxon)))
    left = RAW_CLASSES
    for each in detection.classifications:
        if each.score <= most and left:
            left -= 1
            if score := round(each.score, SCORE_DIGITS):
                found.append((each.label, score, ""))
    return found


class DocumentWriter:
    """Writes a results file entry by entry. file: opened for bytes. info: goes into the file as it is."""

    def __init__(self, file: BinaryIO, info: Mapping[str, Any]) -> None:
        self._file = file
        self._ids: dict[str, str] = {}
        self._descriptions: dict[str, str] = {}
        self._count = 0
        categories = {number: name for name, number in CATEGORIES.items()}
        self._write(f'{{"info": {_json(info)},\n"detection_categories": {_json(categories)},\n"images": [')

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        self.add_entry(image_entry(outcome))

    def fail(self, name: str, reason: str) -> None:
        """Take one frame that could not be processed."""
        self.add_entry(failure_entry(name, reason))

    def add_entry(self, entry: Mapping[str, Any]) -> None:
        """Take one entry as `image_entry` or `failure_entry` made it."""
        if entry["detections"]:
            entry = {**entry, "detections": [self._with_ids(each) for each in entry["detections"]]}
        self._write((",\n" if self._count else "\n") + _json(entry))
        self._count += 1

    def finish(self) -> None:
        """Write what is only known at the end; the file is valid after this and not before."""
        names = {number: name for name, number in self._ids.items()}
        self._write(f'\n],\n"classification_categories": {_json(names)},\n')
        self._write(f'"classification_category_descriptions": {_json(self._descriptions)}}}\n')

    def _with_ids(self, detection: Mapping[str, Any]) -> Mapping[str, Any]:
        ids = [[self._id_of(name, text), score] for name, score, text in detection.get("classifications", ())]
        return {**detection, "classifications": ids} if ids else detection

    def _id_of(self, name: str, description: str) -> str:
        number = self._ids.get(name) or self._ids.setdefault(name, str(len(self._ids) + 1))
        if description:
            self._descriptions[number] = description
        return number

    def _write(self, text: str) -> None:
        self._file.write(text.encode("ascii"))


# One line of ASCII: a file name need not be UTF-8, and a reader need not know our locale.
_json = json.JSONEncoder(allow_nan=False).encode


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A results file that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_atomically(path) as file:
        writer = DocumentWriter(file, _info(services))
        yield writer
        writer.finish()


def _info(services: Services) -> dict[str, Any]:
    """What made the results. The completion times are those of the export: it starts when all is detected."""
    at = services.clock.now().strftime("%Y-%m-%d %H:%M:%S")
    info: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "detector": "unknown",
        "detection_completion_time": at,
    }
    if detector := services.used_models.get("detect"):
        # without it Timelapse takes the threshold of another model and hides most boxes
        threshold = services.models.card(detector).min_score
        info["detector"] = detector
        info["detector_metadata"] = {
            "typical_detection_threshold": threshold,
            "conservative_detection_threshold": threshold,
        }
    if classifier := services.used_models.get("classify"):
        info |= {"classifier": classifier, "classification_completion_time": at}
    return info


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `megadetector`."""
    return [
        ExporterSpec("megadetector", ".json", open_export, mark("MegaDetector results 1.6, for Timelapse and AddaxAI"))
    ]
