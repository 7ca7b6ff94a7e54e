"""Exporter `camtrap-dp`: a Camera Trap Data Package 1.0.2 (https://camtrap-dp.tdwg.org), as a folder or a zip.

Three tables, written as the frames come; datapackage.json at the end. Memory holds stations, taxa and open events.
Where each column comes from: docs/exports.md.
"""

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.api import (
    Exporter,
    ExporterSpec,
    FatalError,
    Outcome,
    Period,
    Services,
    Taxon,
    _,
    hookimpl,
    mark,
    open_atomically,
    sync_dir,
)

from .camtrap_events import Event, Events
from .found import (
    HUMAN,
    Table,
    blank_or_why,
    box,
    later,
    local,
    media_id,
    models_used,
    position,
    ranks_of,
    score_of,
    when,
)

VERSION = "1.0.2"
HOME = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
PACKAGE = "datapackage.json"
TABLES = ("deployments", "media", "observations")
TYPES = {"animal": "animal", "person": "human", "vehicle": "vehicle"}
TIMED = frozenset({"interval", "schedule"})  # triggers of our agent that need no animal
EARTH_M = 20_037_508  # half the way around: a position that could be anywhere
MEDIA_TYPES = {
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".avi": "video/x-msvideo",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
}
# What no path of a package may have: control and direction marks, ends of lines, a step up.
NOT_IN_PATHS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\\.{2,}")
# Every column of the format, also those that stay empty: frictionless asks for all of them.
COLUMNS = {
    "deployments": (
        *("deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty"),
        *("deploymentStart", "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay"),
        *("cameraHeight", "cameraDepth", "cameraTilt", "cameraHeading", "detectionDistance"),
        *("timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups", "deploymentTags"),
        "deploymentComments",
    ),
    "media": (
        *("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName"),
        *("fileMediatype", "exifData", "favorite", "mediaComments"),
    ),
    "observations": (
        *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd"),
        *("observationLevel", "observationType", "cameraSetupType", "scientificName", "count"),
        *("lifeStage", "sex", "behavior", "individualID", "individualPositionRadius"),
        *("individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
        *("classificationMethod", "classifiedBy", "classificationTimestamp"),
        *("classificationProbability", "observationTags", "observationComments"),
    ),
}
NO_TRAITS = (None,) * 7  # lifeStage to individualSpeed
NO_BOX = (None,) * 4
INFERRED = "Inferred by Tigrillo: no deployment was recorded; start and end are those of the station's frames."
NO_PLACE = " Position unknown: latitude and longitude stand at 0, and could be anywhere."


class PackageWriter:
    """Writes the tables of a package into a folder."""

    def __init__(self, tables: dict[str, Table], services: Services) -> None:
        self._tables = tables
        self._services = services
        self._by = models_used(services)
        self._events = Events(services.exporting, self._add_event)
        self._periods = {period.station: period for period in services.exporting.periods}
        self._zones: dict[str, str] = {}
        self._taxa: dict[str, Taxon | None] = {}
        self._methods: set[str] = set()

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        spooled, number = outcome.spooled, media_id(outcome)
        deployment, zone = deployment_id(spooled.station), spooled.captured.timezone
        at = when(outcome)
        seconds = max((picture.time_s for picture in outcome.pictures), default=0.0)
        self._see(outcome, at, later(at, seconds))
        start = local(at, zone)
        method = self._method(outcome)
        unknown = "" if spooled.captured.utc else "Time of capture unknown: this is when the file was received."
        kind = MEDIA_TYPES.get(f".{spooled.name.rpartition('.')[2].lower()}")
        if kind is None or kind.startswith("video") != (spooled.kind == "clip"):
            kind = "video/mp4" if spooled.kind == "clip" else "image/jpeg"
        path = file_path(f"{number}/{spooled.name}")
        self._tables["media"].add(
            (number, deployment, method, start, path, "false", spooled.name, kind, None, None, unknown)
        )
        observations = self._tables["observations"]
        index = 0
        for picture, ids in zip(outcome.pictures, self._events.of(outcome), strict=True):
            then = local(later(at, picture.time_s), zone) if picture.time_s else start
            tags = f"picture:{picture.number} | seconds:{picture.time_s:g}" if spooled.kind == "clip" else ""
            for detection, event in zip(picture.detections, ids, strict=True):
                kind, name = TYPES[detection.category], self._name(detection.category, detection.answer)
                row = (f"{number}#{index}", deployment, number, event, then, then, "media", kind, None, name, 1)
                made = ("machine", self._by, None, score_of(detection), tags, None)
                observations.add((*row, *NO_TRAITS, *box(detection), *made))
                index += 1
        if not index:
            self._add_nothing(outcome, start, local(later(at, seconds), zone))

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: of a file that could not be processed neither station nor time is given here."""

    def finish(self) -> dict[str, Any]:
        """Write what is only known at the end, and give the content of datapackage.json."""
        self._events.finish()
        for station in sorted(self._periods):
            self._add_deployment(self._periods[station])
        for table in self._tables.values():
            table.flush()
        return self._package()

    def _add_nothing(self, outcome: Outcome, start: str, end: str) -> None:
        number = media_id(outcome)
        kind, why = blank_or_why(outcome)
        row = (f"{number}#0", deployment_id(outcome.spooled.station), number, None, start, end, "media", kind)
        made = ("machine", self._by) if kind == "blank" else (None, None)
        self._tables["observations"].add((*row, *(None,) * 3, *NO_TRAITS, *NO_BOX, *made, None, None, None, why))

    def _see(self, outcome: Outcome, start: datetime, end: datetime) -> None:
        station, unknown = outcome.spooled.station, outcome.spooled.captured.utc is None
        self._zones[station] = outcome.spooled.captured.timezone
        known = self._periods.get(station)
        if known is None:
            self._periods[station] = Period(station, start, end, unknown_times=int(unknown))
        elif start < known.first or end > known.last or (unknown and not known.unknown_times):
            times = max(known.unknown_times, int(unknown))
            self._periods[station] = Period(station, min(start, known.first), max(end, known.last), 0, times)

    def _method(self, outcome: Outcome) -> str:
        agent = outcome.spooled.agent
        if agent is None or not agent.triggered_by:
            return ""
        method = "timeLapse" if agent.triggered_by in TIMED else "activityDetection"
        self._methods.add(method)
        return method

    def _name(self, category: str, answer: Any) -> str:
        if category == "person":
            self._taxa[HUMAN] = None
            return HUMAN
        if category != "animal" or answer is None:
            return ""
        name: str = answer.taxon.scientific_name
        self._taxa[name] = answer.taxon
        return name

    def _add_event(self, event: Event) -> None:
        deployment = deployment_id(event.station)
        name = HUMAN if event.category == "person" else event.name if event.category == "animal" else ""
        start, end = local(event.start, event.timezone), local(event.end, event.timezone)
        kind, number = TYPES[event.category], f"{event.uid}#event"
        row = (number, deployment, None, event.uid, start, end, "event", kind, None, name, event.count)
        made = ("machine", self._by, None, event.score, None, None)
        self._tables["observations"].add((*row, *NO_TRAITS, *NO_BOX, *made))

    def _add_deployment(self, period: Period) -> None:
        station = period.station
        place = position(self._services, station)
        zone = self._zones.get(station, self._services.timezone_of(station))
        latitude, longitude = place or (0, 0)
        row = dict.fromkeys(COLUMNS["deployments"]) | {
            "deploymentID": deployment_id(station),
            "locationID": station,
            "locationName": station,
            "latitude": latitude,
            "longitude": longitude,
            "coordinateUncertainty": None if place else EARTH_M,
            "deploymentStart": local(period.first, zone),
            "deploymentEnd": local(period.last, zone),
            "timestampIssues": "true" if period.unknown_times else "false",
            "deploymentTags": "inferred" if place else "inferred | positionUnknown",
            "deploymentComments": INFERRED if place else INFERRED + NO_PLACE,
        }
        self._tables["deployments"].add(tuple(row.values()))

    def _package(self) -> dict[str, Any]:
        now = self._services.clock.now()
        periods = self._periods.values()
        first = min((period.first for period in periods), default=now).astimezone(UTC).date()
        last = max((period.last for period in periods), default=now).astimezone(UTC).date()
        return {
            "resources": [_resource(name) for name in TABLES],
            "profile": f"{HOME}/camtrap-dp-profile.json",
            "created": now.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
            "title": self._services.site_name or "tigrillo",
            "contributors": [{"title": self._services.site_name or "tigrillo", "role": "contributor"}],
            "project": {
                "title": self._services.site_name or "tigrillo",
                "samplingDesign": "opportunistic",
                "captureMethod": sorted(self._methods) or ["activityDetection"],
                "individualAnimals": False,
                "observationLevel": ["media", "event"],
            },
            "spatial": self._spatial(),
            "temporal": {"start": first.isoformat(), "end": last.isoformat()},
            "taxonomic": [_taxonomic(name, self._taxa[name]) for name in sorted(self._taxa)],
        }

    def _spatial(self) -> dict[str, Any]:
        places = [place for each in self._periods if (place := position(self._services, each)) is not None]
        if not places:
            return {"type": "GeometryCollection", "geometries": []}
        south, north = min(lat for lat, _lon in places), max(lat for lat, _lon in places)
        west, east = min(lon for _lat, lon in places), max(lon for _lat, lon in places)
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return {"type": "Polygon", "bbox": [west, south, east, north], "coordinates": [ring]}


def deployment_id(station: str) -> str:
    """The id of a station's only deployment, as long as none is recorded."""
    return f"{station}:inferred"


def file_path(path: str) -> str:
    """A path as the format allows it: relative, no step up, no control characters."""
    path = NOT_IN_PATHS.sub("_", path.replace("\\", "/"))
    return f"_{path}" if path.startswith((".", "/", "~")) else path


def _resource(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": f"{HOME}/{name}-table-schema.json",
    }


def _taxonomic(name: str, taxon: Taxon | None) -> dict[str, Any]:
    if taxon is None:
        names = {"eng": "human", "spa": "humano"}
        return {"scientificName": name, "taxonRank": "species", "kingdom": "Animalia", "vernacularNames": names}
    ranks = {rank: each for rank, each in ranks_of(taxon).items() if each}
    common = {code: each for code, each in (("eng", taxon.english), ("spa", taxon.spanish)) if each}
    found = {"scientificName": name, "taxonRank": taxon.rank, **ranks}
    return {**found, "vernacularNames": common} if common else found


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A package that takes the place of `path` when the context is left without an error.

    A zip when `path` ends in .zip, else a folder; a folder that is there is only replaced when it is empty or a
    package. Raises FatalError, OSError.
    """
    zipped = path.suffix.lower() == ".zip"
    if not zipped:
        _check_replaceable(path)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with ExitStack() as files:
            tables = {
                name: Table(files.enter_context((folder / f"{name}.csv").open("wb")), COLUMNS[name]) for name in TABLES
            }
            writer = PackageWriter(tables, services)
            yield writer
            package = writer.finish()
        (folder / PACKAGE).write_text(json.dumps(package, indent=2, ensure_ascii=True) + "\n", "ascii")
        if zipped:
            _zip(folder, path)
        else:
            _replace(folder, path)


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise FatalError(_("{path}: is a file: name a folder, or a file that ends in .zip").format(path=path))
    ours = {PACKAGE, *(f"{name}.csv" for name in TABLES)}
    others = sorted({each.name for each in path.iterdir()} - ours)
    if others:
        raise FatalError(_("{path}: holds other things ({name}): name a new folder").format(path=path, name=others[0]))


def _zip(folder: Path, path: Path) -> None:
    """One file of all, with no time of day in it, so that the same content gives the same bytes."""
    with open_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in (PACKAGE, *(f"{each}.csv" for each in TABLES)):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def _replace(folder: Path, path: Path) -> None:
    """Put the folder at `path`; what was there goes once the new one is in place."""
    folder.chmod(0o755)
    sync_dir(folder)
    old = path.with_name(f"{folder.name}.old")
    if path.exists():
        path.rename(old)
    try:
        folder.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    sync_dir(path.parent)
    shutil.rmtree(old, ignore_errors=True)


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `camtrap-dp`."""
    about = mark("Camera Trap Data Package 1.0.2: a folder, or a zip when the name ends in .zip")
    return [ExporterSpec("camtrap-dp", ".zip", open_export, about, folder=True, raw_classes=False)]
