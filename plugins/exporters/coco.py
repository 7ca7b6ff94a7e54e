"""Exporter `coco`: COCO Camera Traps, what LILA's data sets and training tools read.

One image an entry for a still, one for each picture looked at of a clip (seq_id is the clip). The format has images and
annotations in two lists; annotations wait in a temporary file, so that memory holds the categories only.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edge.api import Detection, Exporter, ExporterSpec, Outcome, Services, hookimpl, mark, open_atomically

from .found import blank_or_why, box, later, local, media_id, models_used, score_of

EMPTY = "empty"  # the format's own name, its id is always 0
PIXEL_DIGITS = 2
_json = json.JSONEncoder(allow_nan=False).encode  # made once: json.dumps makes one each time


class CocoWriter:
    """Writes images to a file and annotations to another; both opened for bytes."""

    def __init__(self, file: BinaryIO, annotations: BinaryIO, services: Services) -> None:
        self._file = file
        self._annotations = annotations
        self._images = self._count = 0
        self._ids = {EMPTY: 0}
        info = {
            "version": "1.0",
            "description": f"{services.site_name}: detections by {models_used(services)}, not reviewed",
            "contributor": services.site_name,
            "date_created": services.clock.now().strftime("%Y-%m-%d %H:%M:%S"),
        }
        file.write(f'{{"info": {json.dumps(info)},\n"images": ['.encode("ascii"))

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame; pictures that nobody looked at are left out, and damaged ones with nothing found."""
        looked_at = [picture for picture in outcome.pictures if not picture.rejected]
        if not any(picture.detections for picture in looked_at) and blank_or_why(outcome)[0] != "blank":
            return
        captured = outcome.spooled.captured
        clip = outcome.spooled.kind == "clip"
        for picture in looked_at:
            number = media_id(outcome) + (f"#{picture.number}" if clip else "")
            image: dict[str, Any] = {
                "id": number,
                "file_name": outcome.spooled.name,
                "width": outcome.width,
                "height": outcome.height,
                "location": outcome.spooled.station,
            }
            if captured.utc is not None:
                there = local(later(captured.utc, picture.time_s), captured.timezone)
                image["datetime"] = there[:19].replace("T", " ")
            if clip:
                image |= {"seq_id": media_id(outcome), "seq_num_frames": len(looked_at), "frame_num": picture.number}
            self._write_image(image)
            for each in picture.detections:
                self._annotate(number, outcome, each)
            if not picture.detections:
                self._annotate(number, outcome, None)

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: an image without annotations would pass for one that nobody has looked at yet."""

    def finish(self) -> None:
        """Write annotations and categories; the file is valid after this and not before."""
        self._file.write(b'\n],\n"annotations": [')
        self._annotations.seek(0)
        shutil.copyfileobj(self._annotations, self._file, 1 << 20)
        categories = [{"id": number, "name": name} for name, number in self._ids.items()]
        self._file.write(f'\n],\n"categories": {json.dumps(categories)}}}\n'.encode("ascii"))

    def _write_image(self, image: dict[str, Any]) -> None:
        self._file.write(((",\n" if self._images else "\n") + _json(image)).encode("ascii"))
        self._images += 1

    def _annotate(self, image: str, outcome: Outcome, detection: Detection | None) -> None:
        name = EMPTY
        if detection is not None:
            name = detection.answer.taxon.scientific_name if detection.answer else detection.category
        self._count += 1
        entry: dict[str, Any] = {
            "id": str(self._count),
            "image_id": image,
            "category_id": self._ids.setdefault(name, len(self._ids)),
            "sequence_level_annotation": False,
        }
        if detection is not None:
            sides = (outcome.width, outcome.height) * 2
            entry["bbox"] = [round(a * b, PIXEL_DIGITS) for a, b in zip(box(detection), sides, strict=True)]
            entry["score"] = score_of(detection)
        text = (",\n" if self._count > 1 else "\n") + _json(entry)
        self._annotations.write(text.encode("ascii"))


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A file that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_atomically(path) as file, tempfile.TemporaryFile(dir=path.parent) as annotations:
        writer = CocoWriter(file, annotations, services)
        yield writer
        writer.finish()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `coco`."""
    about = mark("COCO Camera Traps, for training and for LILA's tools")
    return [ExporterSpec("coco", ".json", open_export, about, raw_classes=False)]
