"""A sheet of deployments as field teams keep it: CSV with commas, semicolons or tabs, headers in English or Spanish.

Columns are known by their usual names (HEADERS), also those of camtrapR's and of Camtrap DP's tables; what is not known
is kept under its own name in `details`. Two columns of one meaning are refused: which of them counts?
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..deployed import Deployment
from ..errors import FatalError
from ..i18n import _
from .effort import PROBLEM
from .entries import MOST_BYTES, Entry, Reading, order_of, read_degrees, read_moment, read_number
from .places import known_zones

# Folded names (lower case, letters and digits only, no accents) of each field's columns.
HEADERS = {
    "id": "deploymentid deployment despliegue iddespliegue instalacionid",
    "station": "station stationid stationname estacion idestacion site siteid sitio location locationid locationname "
    "ubicacion punto placename trapstation camaraestacion cameratrapstation",
    "start": "start started startdate setupdate deploymentstart begin from installed startdatetime inicio fechainicio "
    "fechainstalacion fechadeinstalacion fechadeinicio instalacion desde colocacion fechacolocacion",
    "start_time": "starttime setuptime horainicio horainstalacion horadeinicio",
    "end": "end ended enddate retrievaldate deploymentend until to removed retrieved enddatetime fin fechafin "
    "fechadefin fecharetiro fechaderetiro retiro hasta final fechafinal",
    "end_time": "endtime retrievaltime horafin horaretiro horadefin",
    "latitude": "latitude lat latitud decimallatitude",
    "longitude": "longitude lon long lng longitud decimallongitude",
    "uncertainty_m": "coordinateuncertainty uncertainty uncertaintym precision precisionm incertidumbre",
    "timezone": "timezone tz zone zona zonahoraria husohorario",
    "camera_id": "cameraid camera camera1 camara idcamara camaraid serial serialnumber numeroserie codigocamara",
    "camera_model": "cameramodel model modelo modelocamara modelodecamara",
    "height_m": "height heightm cameraheight cameraheightm altura alturam alturacamara alturadecamara",
    "tilt_deg": "tilt cameratilt inclinacion",
    "heading_deg": "heading cameraheading orientation azimuth bearing rumbo orientacion azimut",
    "bait": "bait baittype lure cebo atrayente carnada",
    "feature": "feature featuretype rasgo",
    "habitat": "habitat vegetation vegetacion cobertura",
    "setup_by": "setupby setupperson recordedby installedby instaladopor responsable",
    "tags": "tags deploymenttags etiquetas",
    "comments": "comments comment notes note remarks deploymentcomments comentarios comentario observaciones "
    "notas nota",
    "timelapse_min": "timelapse timelapsemin timelapseminutes intervalo intervalomin",
}
FIELD_OF = {name: each for each, names in HEADERS.items() for name in names.split()}
PROBLEM_COLUMN = re.compile(r"problem(?:a)?(\d+)(from|to|desde|hasta)")  # camtrapR's Problem1_from, Problem1_to
TEXTS = ("id", "station", "camera_id", "camera_model", "bait", "feature", "habitat", "setup_by", "comments")
NUMBERS = ("uncertainty_m", "height_m", "tilt_deg", "heading_deg")
MEANT_EMPTY = {"", "na", "n/a", "nan", "null", "none", "-", "sd", "s/d"}


@dataclass(slots=True)
class _Sheet:
    """Where the fields of a sheet stand. others: column → its own name, for what is not known."""

    columns: dict[str, int] = field(default_factory=dict)
    width: int = 0
    problems: dict[tuple[str, str], int] = field(default_factory=dict)
    others: dict[int, str] = field(default_factory=dict)


def read_sheet(path: Path, how: Reading) -> list[Entry]:
    """The entries of a CSV file. Raises FatalError, naming the file, when it is no such sheet."""
    text = text_of(path.read_bytes(), path)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as exc:
        raise FatalError(_("{path}: is no CSV file ({reason})").format(path=path, reason=exc)) from exc
    if not rows:
        raise FatalError(_("{path}: is empty").format(path=path))
    sheet = _sheet(rows[0][1], path)
    if not how.dates:
        at = [sheet.columns[name] for name in ("start", "end") if name in sheet.columns]
        told = order_of([row[column] for _line, row in rows[1:] for column in at if column < len(row)])
        how = Reading(how.timezone_of, told, how.start, how.end)
    return [_entry(sheet, line, row, how) for line, row in rows[1:]]


def text_of(body: bytes, path: Path) -> str:
    """A text file's content, as UTF-8 or else as Windows' Western code page. Raises FatalError."""
    if len(body) > MOST_BYTES:
        raise FatalError(_("{path}: has more than {most} MB").format(path=path, most=MOST_BYTES // 1_000_000))
    if b"\x00" in body:
        raise FatalError(_("{path}: is no text: save it as CSV, UTF-8").format(path=path))
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def folded(name: str) -> str:
    """A header without case, accents, spaces and signs: "Fecha de inicio (UTC-5)" → "fechadeinicio"."""
    name = re.sub(r"\(.*?\)|\[.*?\]", "", name)
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in plain if letter.isalnum() and not unicodedata.combining(letter))


def _delimiter(text: str) -> str:
    """The sign that parts the header's columns: the one that it has most of."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count)


def _sheet(header: list[str], path: Path) -> _Sheet:
    found, named = _Sheet(width=len(header)), dict[str, str]()
    for column, title in enumerate(header):
        name = folded(title)
        known = FIELD_OF.get(name)
        if problem := PROBLEM_COLUMN.fullmatch(name):
            end = "from" if problem[2] in ("from", "desde") else "to"
            found.problems[problem[1], end] = column
        elif known is None:
            if title.strip():
                found.others[column] = title.strip()
        elif known in named:
            text = _("{path}: columns {one!r} and {other!r} are both the {field}: leave one out")
            raise FatalError(text.format(path=path, one=named[known], other=title, field=known))
        else:
            found.columns[known], named[known] = column, title
    if missing := [name for name in ("station", "start") if name not in found.columns]:
        text = _("{path}: no column for {fields}; there are {columns}")
        columns = ", ".join(each.strip() for each in header) or "-"
        raise FatalError(text.format(path=path, fields=", ".join(missing), columns=columns[:200]))
    return found


def _entry(sheet: _Sheet, line: int, row: list[str], how: Reading) -> Entry:
    place = _("row {number}").format(number=line)
    cells = {name: _cell(row, column) for name, column in sheet.columns.items()}
    if any(cell.strip() for cell in row[sheet.width :]):
        text = _("{count} cells, the header has {most}: put cells with a comma into quotes, or part them with ;")
        return Entry(place, fault=text.format(count=len(row), most=sheet.width))
    try:
        return _read(place, cells, list(_problem_cells(sheet, row)), _other_cells(sheet, row), how)
    except ValueError as exc:
        return Entry(place, fault=str(exc))


def _read(
    place: str, cells: Mapping[str, str], problems: list[tuple[str, str]], details: dict[str, Any], how: Reading
) -> Entry:
    station = cells["station"]
    if not station:
        raise ValueError(_("no station"))
    zone = cells.get("timezone") or how.timezone_of(station)
    if zone not in known_zones():
        raise ValueError(_("{name!r} is no IANA time zone{hint}").format(name=zone, hint=""))
    start, starts_on = _moment(cells, "start", zone, how)
    end, ends_on = _moment(cells, "end", zone, how)
    if start is None:
        raise ValueError(_("no start"))
    if minutes := cells.get("timelapse_min"):
        details["timelapse_min"] = read_number(minutes)
    if spans := [_problem(since, until, zone, how) for since, until in problems]:
        details["problems"] = spans
    texts = {name: cells[name] for name in TEXTS if name in cells}
    numbers = {name: read_number(cells[name]) for name in NUMBERS if cells.get(name)}
    degrees = {
        name: read_degrees(cells[name], longitude=name == "longitude")
        for name in ("latitude", "longitude")
        if cells.get(name)
    }
    given: dict[str, Any] = {"id": "", **texts, **numbers, **degrees}
    deployment = Deployment(
        **given,
        started_at=start,
        ended_at=end,
        timezone=cells.get("timezone", ""),
        tags=tuple(filter(None, (each.strip() for each in re.split(r"[|;,]", cells.get("tags", ""))))),
        origin="csv",
        details=details,
    )
    return Entry(place, deployment, "", starts_on, ends_on)


def _moment(cells: Mapping[str, str], name: str, zone: str, how: Reading) -> tuple[datetime | None, Any]:
    text = cells.get(name, "") or getattr(how, name)
    if not text:
        return None, None
    if clock := cells.get(f"{name}_time", ""):
        text = f"{text} {clock}"
    return read_moment(text, zone, end=name == "end", dates=how.dates)


def _problem(since: str, until: str, zone: str, how: Reading) -> list[str]:
    begin, _day = read_moment(since, zone, dates=how.dates)
    end, _day = read_moment(until, zone, end=True, dates=how.dates)
    if end <= begin:
        raise ValueError(_("a problem ends ({end}) before it starts ({start})").format(start=since, end=until))
    return [begin.astimezone(UTC).isoformat(), end.astimezone(UTC).isoformat(), PROBLEM]


def _problem_cells(sheet: _Sheet, row: list[str]) -> Iterator[tuple[str, str]]:
    for number in sorted({number for number, _end in sheet.problems}):
        ends = [
            _cell(row, sheet.problems[number, end]) if (number, end) in sheet.problems else "" for end in ("from", "to")
        ]
        if any(ends):
            if not all(ends):
                raise ValueError(_("problem {number} needs a begin and an end").format(number=number))
            yield ends[0], ends[1]


def _other_cells(sheet: _Sheet, row: list[str]) -> dict[str, Any]:
    return {title: text for column, title in sheet.others.items() if (text := _cell(row, column))}


def _cell(row: list[str], column: int) -> str:
    text = row[column].strip() if column < len(row) else ""
    return "" if text.casefold() in MEANT_EMPTY else text
