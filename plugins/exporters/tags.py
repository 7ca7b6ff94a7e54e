"""Exporter `tags`: copies of the pictures that say what they show, for digiKam, Lightroom and darktable.

In JPEGs the tags stand in the copy itself, of everything else in a file beside it (picture.png.xmp). Originals are not
touched. Frames that show people are left out unless they are asked for.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from edge.api import Detection, Exporter, ExporterSpec, ExportOption, Outcome, Services, hookimpl, mark

from .bundle import open_bundle
from .copies import copy_picture, keep_time, say_left_out, why_not
from .found import blank_or_why, local
from .xmp import copy_with_packet, packet

ROOT = "Wildlife"  # above all tags of ours, so that they don't mix with others


class TagWriter:
    """Copies pictures into the folder, each with its tags."""

    def __init__(self, folder: Path, services: Services) -> None:
        options = services.exporting.options
        self._folder = folder
        self._services = services
        self._embed = options.get("write", "embed") == "embed"
        self._people = options.get("people", "leave-out") == "include"
        self._left_out: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        spooled, captured = outcome.spooled, outcome.spooled.captured
        if reason := why_not(outcome, people=self._people):
            self._left_out[reason] += 1
            return
        taken = local(captured.utc, captured.timezone) if captured.utc else ""
        xmp = packet(self._paths(outcome), taken=taken)
        target = self._target(outcome)
        if self._embed and copy_with_packet(spooled.path, target, xmp):
            keep_time(spooled.path, target)
            return
        copy_picture(spooled.path, target)
        target.with_name(f"{target.name}.xmp").write_bytes(xmp)

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: it can't be read."""

    def finish(self) -> None:
        """Say what is not there."""
        say_left_out(self._services, "tags", self._left_out)

    def _paths(self, outcome: Outcome) -> list[tuple[str, ...]]:
        detections = outcome.detections()
        if not detections:
            kind = blank_or_why(outcome)[0]
            return [(ROOT, kind)]
        return list(dict.fromkeys(path for each in detections for path in self._of(each)))

    def _of(self, detection: Detection) -> Iterator[tuple[str, ...]]:
        """The place of the answer in the tree, and its common name in the site's language."""
        if detection.answer is None:
            yield (ROOT, detection.category)
            return
        taxon = detection.answer.taxon
        yield (ROOT, *taxon.lineage)
        common = taxon.name(self._services.language)
        if common != taxon.scientific_name:
            yield (ROOT, "names", common)

    def _target(self, outcome: Outcome) -> Path:
        """Station / name as on the card; with the frame's id where that is taken."""
        spooled = outcome.spooled
        parts = [each for each in PurePosixPath(spooled.name.replace("\\", "/")).parts if each not in ("/", "..", ".")]
        target = self._folder.joinpath(spooled.station, *(parts or [spooled.id]))
        if target.exists() or target.with_name(f"{target.name}.xmp").exists():
            target = target.with_name(f"{target.stem}-{spooled.id}{target.suffix}")
        if any(parent.is_file() for parent in target.parents):  # one's folder is another's file
            target = self._folder / spooled.station / f"{spooled.id}{target.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A zip or folder that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_bundle(path, "tags") as folder:
        writer = TagWriter(folder, services)
        yield writer
        writer.finish()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `tags`."""
    options = (
        ExportOption("write", "embed", "embed|sidecar", mark("embed into JPEGs, or sidecar for files beside them")),
        ExportOption("people", "leave-out", "leave-out|include", mark("leave-out, or include frames with people")),
    )
    about = mark("copies of the pictures with XMP tags, for digiKam and Lightroom: a folder or a zip")
    return [
        ExporterSpec("tags", ".zip", open_export, about, folder=True, raw_classes=False, counted=True, options=options)
    ]
