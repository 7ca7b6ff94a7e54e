"""What the exporters share: ids, times with offset, words for what was found, CSV that any reader takes."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.api import Detection, Outcome, Services, Taxon, describe_lineage

BOX_DIGITS, SCORE_DIGITS = 6, 4
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how what a spreadsheet computes begins
LEAST_SIDE = 10**-BOX_DIGITS
ONE, SOME = 1.0 - 2 * LEAST_SIDE, 2 * LEAST_SIDE  # what lies between stays within 0..1 when it is rounded
HUMAN = "Homo sapiens"
RANKS_ABOVE = ("class", "order", "family", "genus")
LINES = 500  # kept before they are written


def media_id(outcome: Outcome) -> str:
    """Unique in a site: the station and the frame's id there."""
    return f"{outcome.spooled.station}/{outcome.spooled.id}"


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@lru_cache(maxsize=4096)  # a frame's time is asked for several times
def local(at: datetime, timezone: str) -> str:
    """ISO 8601 in the station's zone with its offset, no fractions: "2026-11-22T18:01:23-05:00".

    Where the offset would have seconds (before there were zones) or the calendar ends: UTC.
    """
    try:
        there = at.astimezone(_zone(timezone))
    except OverflowError:
        there = at.astimezone(UTC)
    offset = there.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        there = at.astimezone(UTC)
    return there.replace(microsecond=0).isoformat()


def later(at: datetime, seconds: float) -> datetime:
    """So many seconds later, or the same where the calendar ends."""
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return at


def when(outcome: Outcome) -> datetime:
    """When a frame was taken; when it was received where that is unknown."""
    return outcome.spooled.captured.utc or outcome.spooled.received_at


def position(services: Services, station: str) -> tuple[float, float] | None:
    """(latitude, longitude) of a station, degrees; None when the site gives none, or half of one."""
    known = services.stations.get(station)
    if known is None or known.latitude is None or known.longitude is None:
        return None
    return known.latitude, known.longitude


def box(detection: Detection) -> tuple[float, float, float, float]:
    """xywh_norm to 6 digits, still inside the picture and with an area."""
    x, y, width, height = detection.xywh_norm
    if 0.0 <= x <= x + width < ONE and 0.0 <= y <= y + height < ONE and width > SOME and height > SOME:  # most boxes
        return round(x, BOX_DIGITS), round(y, BOX_DIGITS), round(width, BOX_DIGITS), round(height, BOX_DIGITS)
    left, across = _side(x, width)
    top, down = _side(y, height)
    return left, top, across, down


def _side(start: float, length: float) -> tuple[float, float]:
    if start < 0.0 or start > 1.0 - LEAST_SIDE:
        start = min(max(start, 0.0), 1.0 - LEAST_SIDE)
    start = round(start, BOX_DIGITS)
    if length < LEAST_SIDE or start + length > 1.0:
        length = max(min(length, 1.0 - start), LEAST_SIDE)
    return start, round(length, BOX_DIGITS)


def score_of(detection: Detection) -> float:
    """How sure the answer is; of the detector where there is no answer. 0..1, 4 digits."""
    score = detection.answer.score if detection.answer else detection.score
    return round(score if 0.0 <= score <= 1.0 else min(max(score, 0.0), 1.0), SCORE_DIGITS)


def ranks_of(taxon: Taxon) -> Mapping[str, str]:
    """kingdom, class, order, family and genus → name, "" where the taxon has none."""
    label = describe_lineage(taxon).split(";")[1:5]
    above = {rank: each.capitalize() for rank, each in zip(RANKS_ABOVE, label, strict=True)}
    return {"kingdom": taxon.lineage[0] if taxon.lineage else "", **above}


def blank_or_why(outcome: Outcome) -> tuple[str, str]:
    """("blank", "") when all was looked at and nothing found; else ("unclassified", why it says nothing)."""
    looked_at = [picture for picture in outcome.pictures if not picture.rejected]
    if outcome.damage:
        return "unclassified", f"damaged: {outcome.damage}"
    if not looked_at:
        reasons = dict.fromkeys(picture.rejected for picture in outcome.pictures)
        return "unclassified", f"not looked at: {'; '.join(reasons) or 'no picture'}"
    return "blank", ""


def models_used(services: Services) -> str:
    """The site's models, detector first; "tigrillo" where none is known."""
    names = [services.used_models[task] for task in ("detect", "classify") if task in services.used_models]
    return " + ".join(names) or "tigrillo"


class Table:
    """Rows of a CSV file (RFC 4180, UTF-8, CRLF) as they come. file: opened for bytes. columns: () for no header.

    for_spreadsheets: a text that a spreadsheet would take for a formula gets an apostrophe before it. Strangers name
    files and write remarks, and `=HYPERLINK(…)` is run when somebody opens the table (OWASP, "CSV injection"). Not
    where a standard says what stands in a field.
    """

    def __init__(self, file: BinaryIO, columns: tuple[str, ...], *, for_spreadsheets: bool = False) -> None:
        self._file = file
        self._for_spreadsheets = for_spreadsheets
        self._text = io.StringIO()
        self._writer = csv.writer(self._text)
        self._waiting: list[tuple[Any, ...]] = [columns] if columns else []

    def add(self, row: tuple[Any, ...]) -> None:
        """Take one row, in the order of the columns; None is an empty field."""
        self._waiting.append(tuple(map(_harmless, row)) if self._for_spreadsheets else row)
        if len(self._waiting) >= LINES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self._writer.writerows(self._waiting)
        self._waiting.clear()
        # a file name need not be UTF-8: what is not becomes "?"
        self._file.write(self._text.getvalue().encode("utf-8", "replace"))
        self._text.seek(0)
        self._text.truncate()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
