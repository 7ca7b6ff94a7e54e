"""Exporter `yolo`: a training set as YOLO tools take it: pictures, a text file of boxes for each, data.yaml.

All pictures of a station are in one part, so that a model is not tested on backgrounds that it has learned. Frames that
show people are left out.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.api import Exporter, ExporterSpec, ExportOption, Outcome, Period, Services, hookimpl, mark

from .bundle import open_bundle
from .captures import kind_of
from .copies import copy_picture, say_left_out, why_not
from .found import BOX_DIGITS, blank_or_why, box

PARTS = ("train", "val")
ANIMAL = "animal"


class TrainingSetWriter:
    """Copies pictures into the folder and writes their labels."""

    def __init__(self, folder: Path, services: Services) -> None:
        options = services.exporting.options
        self._folder = folder
        self._services = services
        self._by_taxon = options.get("classes", "taxon") == "taxon"
        self._backgrounds = options.get("backgrounds", "yes") == "yes"
        self._link = options.get("files", "copy") == "link"
        self._val = validation_stations(services.exporting.periods, float(options.get("val", "0.2")))
        self._ids: dict[str, int] = {}
        self._left_out: Counter[str] = Counter()
        for kind in ("images", "labels"):
            for part in PARTS:
                (folder / kind / part).mkdir(parents=True)

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame: a still that somebody looked at, and that shows no people."""
        spooled = outcome.spooled
        if spooled.kind != "still":
            self._left_out["clips"] += 1
            return
        detections = outcome.detections()
        if not detections and (not self._backgrounds or blank_or_why(outcome)[0] != "blank"):
            self._left_out["without_animal"] += 1
            return
        if reason := why_not(outcome, people=False):
            self._left_out[reason] += 1
            return
        part = PARTS[spooled.station in self._val]
        # "+" is in no station's name and in no id, so no two pictures get one name
        name = f"{spooled.station}+{spooled.id}"
        suffix = Path(spooled.name).suffix.lower() or ".jpg"
        copy_picture(spooled.path, self._folder / "images" / part / f"{name}{suffix}", link=self._link)
        lines = []
        for each in detections:
            kind = kind_of(each) if self._by_taxon else ANIMAL
            left, top, width, height = box(each)
            numbers = (left + width / 2, top + height / 2, width, height)
            number = self._ids.setdefault(kind, len(self._ids))
            lines.append(f"{number} {' '.join(f'{value:.{BOX_DIGITS}f}' for value in numbers)}\n")
        (self._folder / "labels" / part / f"{name}.txt").write_text("".join(lines), "ascii")

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: there is nothing to learn from it."""

    def finish(self) -> None:
        """Write what names the classes and the parts."""
        names = "".join(f"  {number}: {json.dumps(name)}\n" for name, number in self._ids.items())
        text = f"path: .\ntrain: images/train\nval: images/val\nnames:{' {}' if not names else ''}\n{names}"
        (self._folder / "data.yaml").write_text(text, "utf-8")
        (self._folder / "classes.txt").write_text("".join(f"{name}\n" for name in self._ids), "utf-8")
        stations = [each.station for each in self._services.exporting.periods]
        rows = "".join(f"{each},{PARTS[each in self._val]}\r\n" for each in stations)
        (self._folder / "stations.csv").write_bytes(f"station,part\r\n{rows}".encode())
        say_left_out(self._services, "yolo", self._left_out)


def validation_stations(periods: Iterable[Period], share: float) -> frozenset[str]:
    """The stations whose pictures are for validation: about `share` of all frames, at least one of several stations.

    They are drawn by the hash of their names: the same ones every time.
    """
    drawn = sorted(periods, key=lambda each: hashlib.sha256(each.station.encode()).digest())
    if len(drawn) < 2 or share <= 0:
        return frozenset()
    wanted, taken = share * sum(each.frames for each in drawn), 0
    chosen: list[str] = []
    for each in drawn[:-1]:
        if chosen and taken + each.frames / 2 > wanted:
            continue  # a smaller one may still fit
        chosen.append(each.station)
        taken += each.frames
    return frozenset(chosen)


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A zip or folder that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_bundle(path, "yolo") as folder:
        writer = TrainingSetWriter(folder, services)
        yield writer
        writer.finish()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `yolo`."""
    options = (
        ExportOption("val", "0.2", r"0(\.[0-9]+)?", mark("the share of frames for validation, by whole stations")),
        ExportOption("classes", "taxon", "taxon|animal", mark("taxon, or animal for one class of all")),
        ExportOption("backgrounds", "yes", "yes|no", mark("whether frames without any animal are taken along")),
        ExportOption("files", "copy", "copy|link", mark("copy, or link for second names of the originals")),
    )
    about = mark("a training set for YOLO, split by station, without people: a zip or a folder")
    return [ExporterSpec("yolo", ".zip", open_export, about, folder=True, raw_classes=False, options=options)]
