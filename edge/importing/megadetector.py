"""`tigrillo import megadetector`: results of MegaDetector, SpeciesNet, AddaxAI or another tigrillo → the record.

The file is read twice, in bounded memory: once for the names (they may stand behind the images) and to see that it is
whole, once for the images. Nothing is decoded; of a picture that is found its time, size and hash are read.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image

from ..errors import FatalError
from ..foreign import foreign
from ..i18n import _
from ..media.times import capture_time
from ..model import CaptureTime, Kind, Outcome, SpooledFrame
from ..paths import is_safe_name
from ..store.imports import SOURCE, Finished, add_finished
from ..store.sql import Store
from ..wire import kind_of
from .imported import Imported, Options
from .json_stream import JsonStream
from .md_entry import BadEntry, Entry, read_entry
from .md_names import Names

BATCH = 500
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6")
DATES = ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
QUARTER_TURNS = frozenset({5, 6, 7, 8})  # of EXIF's orientation: the sides are swapped
ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry's picture belongs. path: None where it is not found."""

    station: str
    name: str
    path: Path | None


def import_results(store: Store, path: Path, options: Options) -> Imported:
    """Take in a results file, version 1.0 to 1.6.

    counts: `frames` (new ones), `observations`, `failures`, `known` (imported before, or received as a file of the same
    content), `located` (known, its file found only now), `without_file`. Raises FatalError when it is no such file.
    """
    done = Imported(dict.fromkeys(("frames", "observations", "failures", "known", "located", "without_file"), 0))
    if options.images is not None and not options.images.is_dir():
        raise FatalError(_("{path}: no such folder").format(path=options.images))
    if options.station and not is_safe_name(options.station):
        raise FatalError(
            _("{name!r} can't be a station's name: letters, digits, '_', '-' and '.' only").format(name=options.station)
        )
    names, about = _read_head(path, done)
    reader = _Reader(names, about, options, done)
    batch: list[Finished] = []
    for index, raw in enumerate(_images(path)):
        batch.extend(reader.frame(index, raw))
        if len(batch) >= BATCH:
            _write(store, batch, options, done)
        if index % BATCH == 0:
            options.progress(index)
    _write(store, batch, options, done)
    return done


def _read_head(path: Path, done: Imported) -> tuple[Names, dict[str, Any]]:
    """(what the ids mean, what made the results). Raises FatalError when it is no results file."""
    head: dict[str, Any] = {}
    has_images = False
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for name, value in JsonStream(file).members("images"):
                if name == "images":
                    has_images = True
                else:
                    head[name] = value
        names = Names(head)
    except OSError as exc:
        reason = foreign(exc.strerror or str(exc))
        raise FatalError(_("{path}: can't be read: {reason}").format(path=path, reason=reason)) from exc
    except ValueError as exc:
        raise FatalError(_("{path}: no MegaDetector results: {reason}").format(path=path, reason=exc)) from exc
    if not has_images and "detection_categories" not in head:
        reason = "neither images nor detection_categories"
        raise FatalError(_("{path}: no MegaDetector results: {reason}").format(path=path, reason=reason))
    info = head.get("info")
    info = info if isinstance(info, dict) else {}
    version = str(info.get("format_version", "1.0"))
    if version not in VERSIONS:
        done.faults.append(f"info.format_version: {version!r}; known are 1.0 to 1.6: read as if it were 1.6")
    if (
        unknown := set(head)
        - {"info", *("detection_categories", "classification_categories")}
        - {"classification_category_descriptions"}
    ):
        done.faults.append(f"{', '.join(sorted(unknown))}: not of the format, left out")
    about = {key: info[key] for key in ("detector", "classifier", "format_version") if key in info}
    return names, about


def _images(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for name, value in JsonStream(file).members("images"):
            if name == "images":
                if isinstance(value, list):  # an empty list, or one that was not streamed
                    yield from value
                else:
                    yield value


@dataclass(slots=True)
class _Reader:
    """Turns entries into frames. about: what made the results. seen: 16 bytes an image; none may stand there twice."""

    names: Names
    about: dict[str, Any]
    options: Options
    done: Imported
    seen: set[bytes] = field(default_factory=set)

    def frame(self, index: int, raw: Any) -> Iterator[Finished]:
        """The frame of one entry, or nothing and a fault."""
        try:
            entry = read_entry(raw, self.names, kind_of)
            place = _place(entry.file, self.options)
            mark = self._mark(entry, place)
        except BadEntry as exc:
            self.done.faults.append(f"images[{index}]: {exc}; left out")
            return
        self.done.faults.extend(f"images[{index}] {entry.file!r}: {fault}; left out" for fault in entry.faults)
        entry.details |= {"format": "megadetector", **self.about}
        if place.path is None:
            self.done.count("without_file")
        yield Finished(_outcome(entry, place, mark, self.options), entry.details, entry.failure)

    def _mark(self, entry: Entry, place: _Place) -> bytes:
        """What the frame is known by. Raises BadEntry when the file had it already."""
        mark = hashlib.sha256(f"{place.station}/{place.name}".encode("utf-8", "surrogateescape")).digest()[:16]
        if mark in self.seen:
            raise BadEntry(f"{entry.file!r} stands there twice; the first one counts")
        self.seen.add(mark)
        return mark


def _place(file: str, options: Options) -> _Place:
    """Station, name and path of an entry's picture. Raises BadEntry when no station can be told."""
    name = file.replace("\\", "/")
    path = None
    if options.images is not None:
        path = options.images / name
        if path.is_absolute() and path.is_relative_to(options.images.absolute()):
            name = path.relative_to(options.images.absolute()).as_posix()
        if ".." in path.parts or not path.is_file():
            path = None
    name = name.lstrip("/") or file
    station = options.station
    if not station:
        first = PurePosixPath(name).parts[0] if "/" in name else ""
        station = re.sub(r"[^A-Za-z0-9_.-]+", "-", first).strip("-.")[:64]
    if not is_safe_name(station):
        raise BadEntry(f"{file!r} lies in no folder that names its station: say --station")
    return _Place(station, name, path)


def _outcome(entry: Entry, place: _Place, mark: bytes, options: Options) -> Outcome:
    kind: Kind = kind_of(place.name) or "still"
    zone = options.timezone_of(place.station)
    captured = _stated_time(entry, zone)
    sha256, size, sides = "", 0, (0, 0)
    if place.path is not None:
        sha256, size = _hash(place.path)
        if captured is None:
            captured = capture_time(place.path, kind, timezone=zone)
        sides = _sides(place.path) if kind == "still" else sides
    for index, side in enumerate(("width", "height")):
        said = entry.details.get(side)
        if isinstance(said, int) and not isinstance(said, bool) and said > 0 and not sides[index]:
            sides = (said, sides[1]) if index == 0 else (sides[0], said)
    spooled = SpooledFrame(
        station=place.station,
        id=f"md-{mark.hex()}",
        kind=kind,
        path=(place.path or Path()).absolute() if place.path else Path(),
        name=place.name.encode("utf-8", "replace").decode(),
        sha256=sha256,
        size_bytes=size,
        source=SOURCE,
        captured=captured or CaptureTime(None, "", zone),
        received_at=options.now,
    )
    return Outcome(spooled, entry.pictures, *sides, entry.frame_rate, entry.damage)


def _stated_time(entry: Entry, zone: str) -> CaptureTime | None:
    """The time that the file itself states, in the station's zone; None when it states none that can be read."""
    exif = entry.details.get("exif_metadata")
    stated = entry.details.get("datetime") or (exif.get("DateTimeOriginal") if isinstance(exif, dict) else None)
    if not isinstance(stated, str):
        return None
    for form in DATES:
        try:
            when = datetime.strptime(stated, form)  # noqa: DTZ007  # because a camera's clock has no zone
            return CaptureTime(when.replace(tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC")), stated, zone, "exif")
        except (ValueError, OverflowError):
            continue
    return None


def _hash(path: Path) -> tuple[str, int]:
    """(SHA-256, bytes) of a file; ("", 0) when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except OSError:
        return "", 0


def _sides(path: Path) -> tuple[int, int]:
    """Width and height of a still, upright, from its header; (0, 0) when it has none."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in QUARTER_TURNS
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0
    return (height, width) if turned else (width, height)


def _write(store: Store, batch: list[Finished], options: Options, done: Imported) -> None:
    """Record a batch and empty it."""
    for each, result in zip(batch, add_finished(store, batch, now=options.now), strict=True):
        if result == "other":
            name = each.outcome.spooled.name
            done.faults.append(f"{name!r}: was imported before with other contents, which stay; say another --station")
        elif result == "new":
            done.count("failures" if each.failure else "frames")
            done.count("observations", len(each.outcome.detections()))
        else:
            done.count(result)
    batch.clear()
