"""Exporter `geojson`: a FeatureCollection (RFC 7946), one point a detection at its station's place; for maps.

A detection at a station without a place has the geometry null, as the format has it for what is not on the map.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from edge.api import Exporter, ExporterSpec, Outcome, Services, hookimpl, mark, open_atomically

from .found import SCORE_DIGITS, box, later, local, media_id, position

_json = json.JSONEncoder(allow_nan=False).encode  # made once: json.dumps makes one each time


class FeatureWriter:
    """Writes a feature for each detection. file: opened for bytes."""

    def __init__(self, file: BinaryIO, services: Services) -> None:
        self._file = file
        self._services = services
        self._count = 0
        file.write(b'{"type": "FeatureCollection", "features": [')

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        spooled, captured = outcome.spooled, outcome.spooled.captured
        number = 0
        place = position(self._services, spooled.station)
        geometry = None if place is None else {"type": "Point", "coordinates": [place[1], place[0]]}
        for picture in outcome.pictures:
            for each in picture.detections:
                at = later(captured.utc, picture.time_s) if captured.utc else None
                properties: dict[str, Any] = {
                    "station": spooled.station,
                    "file": spooled.name,
                    "time": local(at, captured.timezone) if at else None,
                    "picture": picture.number,
                    "category": each.category,
                    "score": round(each.score, SCORE_DIGITS),
                    "box": box(each),
                    "taxon": each.answer.taxon.scientific_name if each.answer else None,
                    "rank": each.answer.taxon.rank if each.answer else None,
                    "taxon_score": round(each.answer.score, SCORE_DIGITS) if each.answer else None,
                    "english": each.answer.taxon.english if each.answer else None,
                    "spanish": each.answer.taxon.spanish if each.answer else None,
                }
                self._write(f"{media_id(outcome)}#{number}", geometry, properties)
                number += 1

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: nothing was detected."""

    def finish(self) -> None:
        """End the document; it is valid after this and not before."""
        self._file.write(b"\n]}\n")

    def _write(self, number: str, geometry: object, properties: dict[str, Any]) -> None:
        feature = {"type": "Feature", "id": number, "geometry": geometry, "properties": properties}
        text = (",\n" if self._count else "\n") + _json(feature)
        self._file.write(text.encode("ascii"))
        self._count += 1


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A file that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_atomically(path) as file:
        writer = FeatureWriter(file, services)
        yield writer
        writer.finish()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `geojson`."""
    about = mark("one point a detection, for maps")
    return [ExporterSpec("geojson", ".geojson", open_export, about, raw_classes=False, counted=True)]
