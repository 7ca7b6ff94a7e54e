"""Waypoints of a GPS device (GPX 1.0, 1.1) as deployments: name → station, time → start, the place.

Read with the standard library's expat; a document type is refused, so no entity of the file's own is ever expanded.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from ..deployed import Deployment
from ..errors import FatalError
from ..i18n import _
from .entries import MOST_BYTES, Entry, Reading, read_degrees, read_moment

FIELDS = ("name", "time", "ele", "cmt", "desc", "sym", "type")
MOST_TEXT = 10_000  # characters of one element


class _Refused(ValueError):
    """The file has what no waypoints need."""


@dataclass(slots=True)
class _Waypoint:
    line: int
    place: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Reader:
    """What expat tells of a file, gathered. path: local names of the elements that are open."""

    found: list[_Waypoint] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def read(self, body: bytes) -> None:
        """Raises expat.ExpatError, _Refused."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.CharacterDataHandler = self._text
        parser.EndElementHandler = lambda _name: self.path.pop()

        def start(name: str, attributes: dict[str, str]) -> None:
            self.path.append(name.rpartition(":")[2])
            if self.path[1:] == ["wpt"]:
                self.found.append(_Waypoint(parser.CurrentLineNumber, attributes))

        parser.StartElementHandler = start
        parser.Parse(body, True)

    def _refuse(self, *_said: object) -> None:
        raise _Refused(_("has a document type, which GPX has not: it is not read"))

    def _text(self, text: str) -> None:
        if len(self.path) == len(("gpx", "wpt", "name")) and self.path[1] == "wpt" and self.path[2] in FIELDS:
            texts = self.found[-1].texts
            texts[self.path[2]] = (texts.get(self.path[2], "") + text)[:MOST_TEXT]


def read_waypoints(path: Path, how: Reading) -> list[Entry]:
    """The waypoints of a GPX file. Raises FatalError, naming the file, when it is none."""
    body = path.read_bytes()
    if len(body) > MOST_BYTES:
        raise FatalError(_("{path}: has more than {most} MB").format(path=path, most=MOST_BYTES // 1_000_000))
    reader = _Reader()
    try:
        reader.read(body)
    except expat.ExpatError as exc:
        raise FatalError(_("{path}: is no GPX file ({reason})").format(path=path, reason=exc)) from exc
    except _Refused as exc:
        raise FatalError(f"{path}: {exc}") from exc
    if not reader.found:
        raise FatalError(_("{path}: has no waypoints (<wpt>)").format(path=path))
    return [_entry(each, how) for each in reader.found]


def _entry(waypoint: _Waypoint, how: Reading) -> Entry:
    station = " ".join(waypoint.texts.get("name", "").split())
    place = _("line {number}").format(number=waypoint.line)
    place += f" ({station[:40]})" if station else ""
    try:
        return _read(place, station, waypoint, how)
    except ValueError as exc:
        return Entry(place, fault=str(exc))


def _read(place: str, station: str, waypoint: _Waypoint, how: Reading) -> Entry:
    if not station:
        raise ValueError(_("a waypoint without a name: name it after its station"))
    zone = how.timezone_of(station)
    start = waypoint.texts.get("time", "").strip() or how.start
    if not start:
        raise ValueError(_("no time: say since when with --start 2026-11-01"))
    started_at, starts_on = read_moment(start, zone, dates=how.dates)
    ended_at, ends_on = read_moment(how.end, zone, end=True, dates=how.dates) if how.end else (None, None)
    details: dict[str, Any] = {
        name: text for name in ("ele", "sym", "type") if (text := waypoint.texts.get(name, "").strip())
    }
    remarks = (waypoint.texts.get(name, "").strip() for name in ("desc", "cmt"))
    deployment = Deployment(
        id="",
        station=station,
        started_at=started_at,
        ended_at=ended_at,
        latitude=read_degrees(waypoint.place.get("lat", ""), longitude=False),
        longitude=read_degrees(waypoint.place.get("lon", ""), longitude=True),
        comments="; ".join(dict.fromkeys(filter(None, remarks))),
        origin="gpx",
        details=details,
    )
    return Entry(place, deployment, "", starts_on, ends_on)
