"""Exporters `gpx` and `kml`: where cameras stood and what they saw, for maps, GPS devices and Google Earth.

GPX has a waypoint a deployment. KML has a placemark a deployment and one a capture: what was there without a longer
pause than the option `gap_minutes`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from edge.api import Exporter, ExporterSpec, ExportOption, Outcome, Services, hookimpl, mark, open_atomically

from .captures import Capture, Captures, kind_of
from .found import local
from .stays import Stay, Stays
from .xml_text import as_xml

GAP_MINUTES = "30"
GPX_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="tigrillo" xmlns="http://www.topografix.com/GPX/1/1">
  <metadata><name>{name}</name></metadata>
"""
KML_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2">
<Document>
<name>{name}</name>
<Folder><name>Captures</name>
"""


class Counted:
    """The stays and how many detections of each kind were made in them."""

    def __init__(self, services: Services) -> None:
        self.stays = Stays(services)
        self._counts: dict[str, Counter[str]] = {}

    def add(self, outcome: Outcome) -> Stay:
        """Take one recorded frame."""
        stay = self.stays.of(outcome)
        counts = self._counts.setdefault(stay.id, Counter())
        for picture in outcome.pictures:
            for each in picture.detections:
                counts[kind_of(each)] += 1
        return stay

    def describe(self, stay: Stay) -> str:
        """Its time and what was seen: from 2026-11-01 to 2026-11-22, 120 frames; Felidae 3, person 1."""
        start = f"from {local(stay.start, stay.timezone)[:10]}"
        until = f"to {local(stay.end, stay.timezone)[:10]}" if stay.end else "and on"
        counts = self._counts.get(stay.id, Counter())
        seen = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
        return f"{start} {until}, {stay.frames} frames" + (f"; {seen}" if seen else "")


class GpxWriter:
    """Keeps counts; a waypoint a deployment is written at the end."""

    def __init__(self, services: Services) -> None:
        self._counted = Counted(services)

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        self._counted.add(outcome)

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: nothing was seen."""

    def waypoints(self) -> Iterator[str]:
        """Those of deployments whose place is known; GPX can't say of the others that it is not."""
        for stay in self._counted.stays:
            if stay.has_place:
                yield (
                    f'  <wpt lat="{stay.latitude}" lon="{stay.longitude}">\n    <time>{_utc(stay.start)}</time>\n'
                    f"    <name>{as_xml(stay.station)}</name>\n    <cmt>{as_xml(stay.id)}</cmt>\n"
                    f"    <desc>{as_xml(self._counted.describe(stay))}</desc>\n    <type>camera trap</type>\n  </wpt>\n"
                )


class KmlWriter:
    """Writes a placemark a capture as it ends, and one a deployment at the end. file: opened for bytes."""

    def __init__(self, file: BinaryIO, services: Services) -> None:
        self._file = file
        self._counted = Counted(services)
        minutes = int(services.exporting.options.get("gap_minutes", GAP_MINUTES))
        self._captures = Captures(timedelta(minutes=minutes), self._write)

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        self._captures.add(outcome, self._counted.add(outcome))

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: nothing was seen."""

    def finish(self) -> None:
        """Write what is only known at the end; the document is valid after this and not before."""
        self._captures.finish()
        self._file.write(b"</Folder>\n<Folder><name>Deployments</name>\n")
        for stay in self._counted.stays:
            end = f"<end>{_utc(stay.end)}</end>" if stay.end else ""
            self._placemark(stay.station, self._counted.describe(stay), f"<begin>{_utc(stay.start)}</begin>{end}", stay)
        self._file.write(b"</Folder>\n</Document>\n</kml>\n")

    def _write(self, capture: Capture) -> None:
        at = local(capture.start, capture.timezone)
        about = f"{capture.stay.station}, {at}; {capture.frames} frames, at most {capture.count} at once"
        span = f"<begin>{_utc(capture.start)}</begin><end>{_utc(capture.end)}</end>"
        self._placemark(capture.kind, about, span, capture.stay)

    def _placemark(self, name: str, about: str, span: str, stay: Stay) -> None:
        point = f"<Point><coordinates>{stay.longitude},{stay.latitude}</coordinates></Point>" if stay.has_place else ""
        text = (
            f"<Placemark><name>{as_xml(name)}</name><description>{as_xml(about)}</description>"
            f"<TimeSpan>{span}</TimeSpan>{point}</Placemark>\n"
        )
        self._file.write(text.encode("utf-8"))


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def open_gpx(path: Path, services: Services) -> Iterator[Exporter]:
    """A file that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_atomically(path) as file:
        writer = GpxWriter(services)
        yield writer
        file.write(GPX_HEAD.format(name=as_xml(services.site_name)).encode("utf-8"))
        for each in writer.waypoints():
            file.write(each.encode("utf-8"))
        file.write(b"</gpx>\n")


@contextmanager
def open_kml(path: Path, services: Services) -> Iterator[Exporter]:
    """A file that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_atomically(path) as file:
        file.write(KML_HEAD.format(name=as_xml(services.site_name)).encode("utf-8"))
        writer = KmlWriter(file, services)
        yield writer
        writer.finish()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The formats `gpx` and `kml`."""
    gap = ExportOption(
        "gap_minutes", GAP_MINUTES, r"[1-9][0-9]{0,4}", mark("the longest pause within one capture, minutes")
    )
    gpx = mark("a waypoint a deployment with what was seen, for GPS devices")
    kml = mark("deployments and captures for Google Earth")
    return [
        ExporterSpec("gpx", ".gpx", open_gpx, gpx, raw_classes=False, counted=True),
        ExporterSpec("kml", ".kml", open_kml, kml, raw_classes=False, counted=True, options=(gap,)),
    ]
