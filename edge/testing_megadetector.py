"""Checks a MegaDetector results 1.6 file against the format's rules; for tests of everything that writes one.

Written from the format's description, not from our exporter, so that a slip in one does not hide in the other.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

TOLERANCE = 1.5e-4  # boxes are written with 4 digits, and two roundings may add up
VIDEO_SUFFIXES = (".mp4", ".avi", ".asf", ".mov", ".mkv", ".mpeg", ".mpg", ".wmv", ".m4v")


def check_results(document: Mapping[str, Any]) -> None:
    """Check a whole results document. Raises AssertionError naming the place and the rule, with every fault found."""
    faults = list(_faults(document))
    assert not faults, "not MegaDetector results 1.6:\n" + "\n".join(faults[:50])


def _faults(document: Mapping[str, Any]) -> Iterator[str]:
    info = document.get("info", {})
    if info.get("format_version") != "1.6":
        yield f'info.format_version: must be "1.6", got {info.get("format_version")!r}'
    for key in ("detector", "detection_completion_time"):
        if not isinstance(info.get(key), str) or not info[key]:
            yield f"info.{key}: must be text, got {info.get(key)!r}"
    categories = document.get("detection_categories", {})
    yield from _category_faults("detection_categories", categories)
    if "0" in categories:
        yield 'detection_categories: "0" is reserved for images in which nothing was found'
    classes = document.get("classification_categories", {})
    yield from _category_faults("classification_categories", classes)
    for number, text in document.get("classification_category_descriptions", {}).items():
        if number not in classes or not isinstance(text, str):
            yield f"classification_category_descriptions.{number}: must be text for a known class, got {text!r}"
    images = document.get("images")
    if not isinstance(images, list):
        yield f"images: must be a list, got {type(images).__name__}"
        return
    counts = Counter(image.get("file") for image in images)
    yield from (f"images: {name!r} stands there {count} times" for name, count in counts.items() if count > 1)
    for index, image in enumerate(images):
        for fault in _image_faults(image, categories, classes):
            yield f"images[{index}] {image.get('file')!r}: {fault}"


def _category_faults(place: str, categories: Mapping[str, Any]) -> Iterator[str]:
    for number, name in categories.items():
        if not re.fullmatch(r"[0-9]+", number):
            yield f"{place}: ids are whole numbers written as text, got {number!r}"
        if not isinstance(name, str) or not name:
            yield f"{place}.{number}: must be text, got {name!r}"
    if len(set(categories.values())) != len(categories):
        yield f"{place}: two ids have one name"


def _image_faults(image: Mapping[str, Any], categories: Mapping[str, Any], classes: Mapping[str, Any]) -> Iterator[str]:
    file = image.get("file")
    if not isinstance(file, str) or not file or file.startswith("/"):
        yield "file: must be a relative path"
    if "detections" not in image:
        yield "detections: must be there; null where there is a failure, [] where nothing was found"
        return
    detections = image["detections"]
    if "failure" in image:
        if not isinstance(image["failure"], str) or not image["failure"]:
            yield "failure: must be text"
        if detections is not None:
            yield "detections: must be null where there is a failure"
        return
    if not isinstance(detections, list):
        yield "detections: must be a list where there is no failure"
        return
    if str(file).lower().endswith(VIDEO_SUFFIXES):
        yield from _video_faults(image, detections)
    for index, detection in enumerate(detections):
        yield from (f"detections[{index}].{fault}" for fault in _detection_faults(detection, categories, classes))


def _video_faults(image: Mapping[str, Any], detections: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    if not _is_number(image.get("frame_rate")) or image["frame_rate"] <= 0:
        yield f"frame_rate: must be a number above 0 for a video, got {image.get('frame_rate')!r}"
    processed = image.get("frames_processed")
    if not isinstance(processed, list) or not all(isinstance(each, int) and each >= 0 for each in processed):
        yield f"frames_processed: must be a list of frame numbers for a video, got {processed!r}"
        return
    if processed != sorted(set(processed)):
        yield "frames_processed: must ascend"
    for index, detection in enumerate(detections):
        if detection.get("frame_number") not in processed:
            yield f"detections[{index}].frame_number: {detection.get('frame_number')!r} was not processed"


def _detection_faults(
    detection: Mapping[str, Any], categories: Mapping[str, Any], classes: Mapping[str, Any]
) -> Iterator[str]:
    if detection.get("category") not in categories:
        yield f"category: {detection.get('category')!r} is not in detection_categories"
    if not _is_share(detection.get("conf")):
        yield f"conf: must be 0..1, got {detection.get('conf')!r}"
    box = detection.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_share(each) for each in box):
        yield f"bbox: must be [x, y, width, height] in 0..1, got {box!r}"
    elif box[0] + box[2] > 1 + TOLERANCE or box[1] + box[3] > 1 + TOLERANCE or not (box[2] and box[3]):
        yield f"bbox: must have an area and end inside the picture, got {box!r}"
    pairs = detection.get("classifications", [])
    if not all(isinstance(pair, list) and len(pair) == 2 and _is_share(pair[1]) for pair in pairs):
        yield f"classifications: must be [id, 0..1] pairs, got {pairs!r}"
        return
    if any(number not in classes for number, _score in pairs):
        yield f"classifications: an id of {pairs!r} is not in classification_categories"
    if (scores := [score for _number, score in pairs]) != sorted(scores, reverse=True):
        yield f"classifications: must descend, got {scores!r}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and 0 <= value <= 1
