"""One entry of a MegaDetector results file → what was found on the frame, and every fault in it.

What the format has and the record has not (sizes, metadata, fields of other programs) goes into `details`.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..model import Answer, Classification, Detection, Kind, PictureResult
from .md_names import Names

EDGE = 0.02  # a box may reach so far beyond the picture, share of it: roundings, and detectors that pad
READ = frozenset({"file", "detections", "failure", "frame_rate", "frames_processed", "damage", "rejected"})
READ_OF_DETECTION = frozenset({"category", "conf", "bbox", "classifications", "frame_number"})
MADE = frozenset({"max_detection_conf"})  # what can be made again of the rest


class BadEntry(ValueError):
    """An entry that can't be taken in at all; its text says why."""


@dataclass(slots=True)
class Entry:
    """What an entry says. faults: what is wrong in it, and was left out of the record but not of `details`."""

    file: str
    pictures: tuple[PictureResult, ...] = ()
    failure: str = ""
    damage: str = ""
    frame_rate: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read_entry(raw: Any, names: Names, kind_of: Callable[[str], Kind | None]) -> Entry:
    """The entry of one file. kind_of: file name → "still" or "clip". Raises BadEntry."""
    if not isinstance(raw, dict):
        raise BadEntry(f"must be an object, got {_short(raw)}")
    file = raw.get("file")
    if not isinstance(file, str) or not file.strip():
        raise BadEntry(f"file: must be text, got {_short(file)}")
    entry = Entry(file)
    entry.details = {key: value for key, value in raw.items() if key not in READ | MADE}
    entry.details["same_as"] = hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:32]
    failure, detections = raw.get("failure"), raw.get("detections")
    if failure:
        entry.failure = failure if isinstance(failure, str) else _short(failure)
        return entry
    if detections is None:  # 1.0 and 1.1 have null and no word about it
        entry.failure = "no detections were written for it"
        return entry
    if not isinstance(detections, list):
        raise BadEntry(f"detections: must be a list, got {_short(detections)}")
    entry.damage = _text(raw.get("damage"))
    clip = kind_of(file) == "clip"
    if clip and _is_number(raw.get("frame_rate")) and raw["frame_rate"] > 0:
        entry.frame_rate = float(raw["frame_rate"])
    found = _detections(entry, detections, names, clip=clip)
    entry.pictures = _pictures(entry, raw, found, clip=clip)
    return entry


def _detections(entry: Entry, raw: list[Any], names: Names, *, clip: bool) -> dict[int, list[Detection]]:
    """Picture number → its detections, in the file's order; what is wrong is a fault and kept in the details."""
    found: dict[int, list[Detection]] = {}
    left_out, extras = [], {}
    for index, each in enumerate(raw):
        try:
            number, detection = _detection(each, names, clip=clip)
        except BadEntry as exc:
            entry.faults.append(f"detections[{index}]: {exc}")
            left_out.append(each)
            continue
        found.setdefault(number, []).append(detection)
        if extra := {key: value for key, value in each.items() if key not in READ_OF_DETECTION}:
            extras[str(index)] = extra
    if left_out:
        entry.details["left_out"] = left_out
    if extras:
        entry.details["of_detections"] = extras
    return found


def _detection(raw: Any, names: Names, *, clip: bool) -> tuple[int, Detection]:
    if not isinstance(raw, dict):
        raise BadEntry(f"must be an object, got {_short(raw)}")
    category = names.category(raw.get("category"))
    if category is None:
        word = names.word(raw.get("category"))
        raise BadEntry(f"category: {_short(raw.get('category'))} is {repr(word) if word else 'unknown'}, no animal's")
    score = raw.get("conf")
    if not _is_number(score) or not 0 <= score <= 1:
        raise BadEntry(f"conf: must be 0..1, got {_short(score)}")
    number = raw.get("frame_number", 0) if clip else 0
    if not isinstance(number, int) or number < 0:
        raise BadEntry(f"frame_number: must be 0 or more, got {_short(number)}")
    classifications, answer = _classes(raw.get("classifications"), names)
    what, word = category
    return number, Detection(what, float(score), _box(raw.get("bbox")), word, classifications, answer)


def _box(raw: Any) -> tuple[float, float, float, float]:
    if not isinstance(raw, list) or len(raw) != 4 or not all(map(_is_number, raw)):
        raise BadEntry(f"bbox: must be [x, y, width, height], got {_short(raw)}")
    x, y, width, height = map(float, raw)
    inside = -EDGE <= x <= 1 and -EDGE <= y <= 1 and x + width <= 1 + EDGE and y + height <= 1 + EDGE
    if not inside or width <= 0 or height <= 0:
        raise BadEntry(f"bbox: must have an area and lie inside the picture, 0..1, got {_short(raw)}")
    left, top = max(x, 0.0), max(y, 0.0)
    return left, top, min(x + width, 1.0) - left, min(y + height, 1.0) - top


def _classes(raw: Any, names: Names) -> tuple[tuple[Classification, ...], Answer | None]:
    """The classes, likeliest first, and the answer that the first of them gives."""
    if raw is None:
        return (), None
    if not isinstance(raw, list):
        raise BadEntry(f"classifications: must be a list, got {_short(raw)}")
    found = []
    for pair in raw:
        named = names.class_of(pair[0]) if isinstance(pair, list) and len(pair) == 2 else None
        if named is None or not _is_number(pair[1]) or not 0 <= pair[1] <= 1:
            raise BadEntry(f"classifications: must be pairs of a known id and 0..1, got {_short(pair)}")
        found.append((named, float(pair[1])))
    found.sort(key=lambda each: -each[1])
    classes = tuple(Classification(named.label, score) for named, score in found)
    if not found:
        return (), None
    first, score = found[0]
    if first.taxon is None or score < first.least:
        return classes, None
    # the answer's own entry stands first in what we write, so it is no class of a model
    own = first.label == first.taxon.scientific_name
    return classes[1:] if own else classes, Answer(first.taxon, score)


def _pictures(
    entry: Entry, raw: Mapping[str, Any], found: Mapping[int, list[Detection]], *, clip: bool
) -> tuple[PictureResult, ...]:
    rejected = _text(raw.get("rejected"))
    if not clip:
        return (PictureResult(0, 0.0, tuple(found.get(0, ())), rejected),)
    processed = raw.get("frames_processed")
    numbers = set(found)
    if isinstance(processed, list) and all(isinstance(each, int) and each >= 0 for each in processed):
        numbers |= set(processed)
    elif processed is not None:
        entry.faults.append(f"frames_processed: must be a list of frame numbers, got {_short(processed)}")
        entry.details["frames_processed"] = processed
    if not numbers:  # older files don't say which pictures were looked at; one was
        return (PictureResult(0, 0.0, (), rejected),)
    rate = entry.frame_rate
    return tuple(
        PictureResult(number, number / rate if rate else 0.0, tuple(found.get(number, ())))
        for number in sorted(numbers)
    )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _short(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
