"""Exporter `csv`: one row a detection, everything spelt out; for R, pandas and spreadsheets.

A frame on which nothing was found has no row. Columns: docs/exports.md.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from itertools import zip_longest
from pathlib import Path

from edge.api import Exporter, ExporterSpec, Outcome, Review, Services, hookimpl, light_at, mark, open_atomically

from .found import SCORE_DIGITS, Table, box, later, local, position, ranks_of

COLUMNS = (
    *("station", "latitude", "longitude", "frame_id", "file", "kind", "time_local", "time_utc", "time_origin"),
    *("received_utc", "picture", "seconds", "width", "height", "category", "score", "x", "y", "w", "h"),
    *("label", "taxon", "rank", "taxon_score", "english", "spanish", "kingdom", "class", "order", "family", "genus"),
    *("light", "infrared", "camera", "burst"),
    *("reviewed_by", "reviewed_utc", "sex", "life_stage", "behaviour", "comments"),
)
UNKNOWN = ("",) * 10
NOBODY = ("",) * 6


class RowWriter:
    """Writes a row for each detection."""

    def __init__(self, table: Table, services: Services) -> None:
        self._table = table
        self._services = services
        self._taxa: dict[str, tuple[str, ...]] = {}

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        spooled, captured = outcome.spooled, outcome.spooled.captured
        detections = [(picture, each) for picture in outcome.pictures for each in picture.detections]
        if not detections:
            return
        latitude, longitude = place = position(self._services, spooled.station) or (None, None)
        of_frame = (spooled.station, *place, spooled.id, spooled.name, spooled.kind)
        received = local(spooled.received_at, "UTC")
        looks = "" if outcome.infrared is None else int(outcome.infrared)
        observed = outcome.beside.observed if outcome.beside else ()
        for (picture, each), row in zip_longest(detections, observed):
            times, light = ("", ""), ""
            if captured.utc is not None:
                at = later(captured.utc, picture.time_s)
                times = (local(at, captured.timezone), local(at.astimezone(UTC), "UTC"))
                light = light_at(at, latitude=latitude, longitude=longitude) or ""
            answer = each.answer
            score: float | str = ""
            taxon, *ranks = UNKNOWN[1:]
            rank = english = spanish = ""
            if answer:
                taxon, score = answer.taxon.scientific_name, round(answer.score, SCORE_DIGITS)
                if taxon not in self._taxa:
                    found = answer.taxon
                    self._taxa[taxon] = (found.rank, found.english, found.spanish, *ranks_of(found).values())
                rank, english, spanish, *ranks = self._taxa[taxon]
            else:
                ranks = [""] * 5
            what = (each.category, round(each.score, SCORE_DIGITS), *box(each), each.label)
            seen = (captured.origin, received, picture.number, f"{picture.time_s:g}", outcome.width, outcome.height)
            named = (taxon, rank, score, english, spanish, *ranks)
            of_picture = (light, looks, spooled.camera, spooled.burst)
            self._table.add(
                (*of_frame, *times, *seen, *what, *named, *of_picture, *_by_whom(row.review if row else None))
            )

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: nothing was detected."""


def _by_whom(review: Review | None) -> tuple[str, ...]:
    """Who said what it is, when, and what else; empty where nobody did."""
    if review is None:
        return NOBODY
    traits = (review.sex, review.life_stage, review.behaviour, review.comments)
    return (review.by, local(review.at.astimezone(UTC), "UTC"), *traits)


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A file that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_atomically(path) as file:
        table = Table(file, COLUMNS, for_spreadsheets=True)
        yield RowWriter(table, services)
        table.flush()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `csv`."""
    about = mark("one row a detection, for R, pandas and spreadsheets")
    return [ExporterSpec("csv", ".csv", open_export, about, raw_classes=False, counted=True)]
