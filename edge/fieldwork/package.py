"""Deployments of a Camtrap DP (0.6 to 1.0.2): deployments.csv in a folder, in a zip, or by itself.

What Tigrillo has no column for is kept in `details` under the package's own names, so that an export can write it
again.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from ..deployed import Deployment
from ..errors import FatalError
from ..i18n import _
from ..paths import is_safe_name
from .entries import MOST_BYTES, Entry, Reading, read_degrees, read_moment, read_number, safe_name
from .sheets import text_of

PACKAGE, TABLE = "datapackage.json", "deployments.csv"
ANYWHERE_M = 20_000_000  # an uncertainty of half the earth: the position is unknown
KNOWN = {
    *("deploymentID", "latitude", "longitude", "coordinateUncertainty", "deploymentStart", "deploymentEnd"),
    *("setupBy", "cameraID", "cameraModel", "cameraHeight", "cameraTilt", "cameraHeading", "baitUse", "featureType"),
    *("habitat", "deploymentTags", "deploymentComments", "locationID"),
}
TRUE, FALSE = {"true", "1", "yes"}, {"false", "0", "no"}


def is_package(path: Path) -> bool:
    """Whether a folder, zip or CSV file holds deployments of a Camtrap DP, as far as its names tell."""
    if path.is_dir() or path.suffix.lower() == ".zip":
        return True
    if path.name == PACKAGE:
        return True
    with path.open("rb") as file:
        return b"deploymentID" in (head := file.readline(10_000)) and b"deploymentStart" in head


def read_package(path: Path, how: Reading) -> list[Entry]:
    """The deployments of a package. Raises FatalError, naming the file, when it is none."""
    if path.name == PACKAGE:
        path = path.parent
    text = text_of(_table_of(path), path)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        found = [(rows.line_num, row) for row in rows]
    except csv.Error as exc:
        raise FatalError(_("{path}: is no CSV file ({reason})").format(path=path, reason=exc)) from exc
    missing = {"deploymentID", "deploymentStart"} - set(rows.fieldnames or ())
    if missing:
        raise FatalError(_("{path}: no columns {names}").format(path=path, names=", ".join(sorted(missing))))
    return [_entry(line, row, how) for line, row in found]


def deployment_of(row: Mapping[str, str], timezone_of: Callable[[str], str]) -> Deployment:
    """A row of deployments.csv, by column. timezone_of: a station's zone. Raises ValueError with what is wrong."""
    said = {name: text.strip() for name, text in row.items() if isinstance(name, str) and text and text.strip()}
    number = said.get("deploymentID", "")
    if not number:
        raise ValueError(_("no deploymentID"))
    station, details = _station(said)
    if not said.get("deploymentStart"):
        raise ValueError(_("no start"))
    zone = timezone_of(station)
    start, _day = read_moment(said["deploymentStart"], zone)
    end = read_moment(said["deploymentEnd"], zone, end=True)[0] if said.get("deploymentEnd") else None
    details |= {name: text for name, text in said.items() if name not in KNOWN}
    bait = said.get("baitUse", "").casefold()
    if bait in FALSE:  # said to have none, which is more than saying nothing
        details["baitUse"] = "false"
    return Deployment(
        id=number,
        station=station,
        started_at=start,
        ended_at=end,
        **_position(said),
        timezone=_zone(said["deploymentStart"], start, zone),
        camera_id=said.get("cameraID", ""),
        camera_model=said.get("cameraModel", ""),
        height_m=_number(said, "cameraHeight"),
        tilt_deg=_number(said, "cameraTilt"),
        heading_deg=_number(said, "cameraHeading"),
        bait="" if bait in FALSE else "yes" if bait in TRUE else said.get("baitUse", ""),
        feature=said.get("featureType", ""),
        habitat=said.get("habitat", ""),
        setup_by=said.get("setupBy", ""),
        tags=tuple(filter(None, (each.strip() for each in said.get("deploymentTags", "").split("|")))),
        comments=said.get("deploymentComments", ""),
        origin="camtrap-dp",
        details=details,
    )


def _entry(line: int, row: Mapping[str, str], how: Reading) -> Entry:
    place = _("row {number}").format(number=line)
    try:
        return Entry(place, deployment_of(row, how.timezone_of))
    except ValueError as exc:
        return Entry(place, fault=str(exc))


def _station(said: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The station's name: the place's id, else its name, else the deployment's id; and what of it is kept as it stood.

    What may not be in the name of a station becomes "-".
    """
    for column in ("locationID", "locationName", "deploymentID"):
        text = said.get(column, "")
        name = text if is_safe_name(text) else safe_name(text)
        if name:
            as_it_stood = {"locationID": said["locationID"]} if "locationID" in said else {}
            return name, {} if column == "locationID" and name == text else as_it_stood
    raise ValueError(_("no locationID that could be the name of a station"))


def _position(said: Mapping[str, str]) -> dict[str, Any]:
    uncertainty = _number(said, "coordinateUncertainty")
    if uncertainty is not None and uncertainty >= ANYWHERE_M:
        return {}
    place = {
        name: read_degrees(said[name], longitude=name == "longitude")
        for name in ("latitude", "longitude")
        if name in said
    }
    return {**place, "uncertainty_m": uncertainty}


def _number(said: Mapping[str, str], name: str) -> float | None:
    return read_number(said[name]) if name in said else None


def _zone(text: str, start: datetime, zone: str) -> str:
    """Nothing where the station's zone has the offset that is written, else a zone that has it all the year."""
    if not (found := re.search(r"([+-])(\d{2}):?(\d{2})$", text)) or found[3] != "00":
        return ""
    hours = int(found[2]) * (1 if found[1] == "+" else -1)
    if start.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(hours=hours) or not -12 <= hours <= 14:
        return ""
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC"  # these names count west as positive


def _table_of(path: Path) -> bytes:
    if path.is_dir():
        table = path / _named((path / PACKAGE).read_bytes() if (path / PACKAGE).is_file() else b"", path)
        if not table.is_file():
            raise FatalError(_("{path}: no such file: is it a Camtrap DP?").format(path=table))
        return table.read_bytes()
    if path.suffix.lower() != ".zip":
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            return _from_zip(archive, path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:  # damaged, unknown method, password
        raise FatalError(_("{path}: is no zip that can be read ({reason})").format(path=path, reason=exc)) from exc


def _from_zip(archive: zipfile.ZipFile, path: Path) -> bytes:
    names = archive.namelist()
    at = next((each for each in names if PurePosixPath(each).name == PACKAGE), None)
    folder = PurePosixPath(at).parent if at else PurePosixPath()
    wanted = str(folder / _named(_member(archive, at, path) if at else b"", path))
    inside = wanted if wanted in names else next((e for e in names if PurePosixPath(e).name == TABLE), None)
    if inside is None:
        raise FatalError(_("{path}: has no {table}: is it a Camtrap DP?").format(path=path, table=TABLE))
    return _member(archive, inside, path)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A file of the archive, bounded also when its directory lies about its size."""
    with archive.open(name) as file:
        body = file.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise FatalError(_("{path}: has more than {most} MB").format(path=path, most=MOST_BYTES // 1_000_000))
    return body


def _named(package: bytes, path: Path) -> str:
    """The file of the resource `deployments`, as datapackage.json names it, when it lies in the package."""
    if not package:
        return TABLE
    try:
        resources = json.loads(package)["resources"]
        found = next((each["path"] for each in resources if each["name"] == "deployments"), TABLE)
    except (ValueError, KeyError, TypeError) as exc:
        raise FatalError(_("{path}: datapackage.json can't be read").format(path=path)) from exc
    inside = isinstance(found, str) and ".." not in found and not found.startswith("/") and "://" not in found
    return found if inside else TABLE
