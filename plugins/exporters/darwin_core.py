"""Exporter `darwin-core`: a Darwin Core Archive of occurrences, what GBIF and its nodes take.

One occurrence a kind of animal on a frame. People and vehicles are no occurrences and are left out, and so is what the
machine is not sure to be an animal of any kind (no answer): "Animalia" would be no help to anyone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.api import Answer, Exporter, ExporterSpec, Outcome, Services, hookimpl, mark

from .bundle import open_bundle
from .found import SCORE_DIGITS, Table, later, local, media_id, models_used, ranks_of
from .stays import Stays
from .xml_text import as_xml

DWC, DC = "http://rs.tdwg.org/dwc/terms/", "http://purl.org/dc/terms/"
TERMS = (
    *("occurrenceID", "basisOfRecord", "occurrenceStatus", "individualCount", "eventID", "eventDate"),
    *("samplingProtocol", "eventRemarks", "locationID", "decimalLatitude", "decimalLongitude", "geodeticDatum"),
    *("coordinateUncertaintyInMeters", "scientificName", "taxonRank", "kingdom", "class", "order", "family", "genus"),
    *("specificEpithet", "vernacularName", "identifiedBy", "identificationVerificationStatus"),
    *("identificationRemarks", "datasetName", "recordedBy", "license", "associatedMedia"),
)
CORE = "occurrence.txt"
LICENCES: Mapping[str, str] = {
    "CC0-1.0": "http://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "CC-BY-4.0": "http://creativecommons.org/licenses/by/4.0/legalcode",
    "CC-BY-NC-4.0": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
}
EML = """<?xml version="1.0" encoding="UTF-8"?>
<eml:eml xmlns:eml="https://eml.ecoinformatics.org/eml-2.2.0"
         xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
         xsi:schemaLocation="https://eml.ecoinformatics.org/eml-2.2.0 https://rs.gbif.org/schema/eml-gbif-profile/1.3/eml.xsd"
         packageId="{package}" system="tigrillo" xml:lang="en">
  <dataset>
    <title xml:lang="en">{title}</title>
    <creator><organizationName>{title}</organizationName></creator>
    <metadataProvider><organizationName>{title}</organizationName></metadataProvider>
    <pubDate>{date}</pubDate>
    <language>en</language>
    <abstract><para>{abstract}</para></abstract>
    <intellectualRights><para>{rights}</para></intellectualRights>
{coverage}    <contact><organizationName>{title}</organizationName></contact>
    <methods>
      <methodStep><description><para>Camera traps; animals were found and named by {models}.</para></description></methodStep>
      <sampling>
        <studyExtent><description><para>{extent}</para></description></studyExtent>
        <samplingDescription><para>Camera traps, opportunistic unless stated otherwise.</para></samplingDescription>
      </sampling>
    </methods>
  </dataset>
</eml:eml>
"""  # noqa: E501  # because a schema's address is one line
GEOGRAPHIC = """      <geographicCoverage>
        <geographicDescription>{extent}</geographicDescription>
        <boundingCoordinates>
          <westBoundingCoordinate>{west}</westBoundingCoordinate>
          <eastBoundingCoordinate>{east}</eastBoundingCoordinate>
          <northBoundingCoordinate>{north}</northBoundingCoordinate>
          <southBoundingCoordinate>{south}</southBoundingCoordinate>
        </boundingCoordinates>
      </geographicCoverage>
"""
TEMPORAL = """      <temporalCoverage>
        <rangeOfDates>
          <beginDate><calendarDate>{first}</calendarDate></beginDate>
          <endDate><calendarDate>{last}</calendarDate></endDate>
        </rangeOfDates>
      </temporalCoverage>
"""


class ArchiveWriter:
    """Writes the occurrences and keeps what the metadata need."""

    def __init__(self, table: Table, services: Services) -> None:
        self._table = table
        self._services = services
        self._stays = Stays(services)
        self._by = models_used(services)
        dataset = services.exporting.dataset
        licence = (dataset.licence_data if dataset else "") or ""
        self.rights = LICENCES.get(licence, licence)
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        stay = self._stays.of(outcome)
        spooled, captured = outcome.spooled, outcome.spooled.captured
        counts: Counter[str] = Counter()
        surest: dict[str, tuple[Answer, float]] = {}
        for picture in outcome.pictures:
            together: Counter[str] = Counter()
            for each in picture.detections:
                if each.category != "animal" or each.answer is None:
                    continue
                name = each.answer.taxon.scientific_name
                together[name] += 1
                if name not in surest or each.answer.score > surest[name][0].score:
                    surest[name] = (each.answer, picture.time_s)
            counts |= together  # the most at once: more were there together, fewer can't have been
        for name, (answer, seconds) in surest.items():
            taxon, ranks = answer.taxon, ranks_of(answer.taxon)
            noted = stay.noted
            row: dict[str, Any] = {
                "occurrenceID": f"{self._services.site_name}:{media_id(outcome)}:{name}".replace(" ", "_"),
                "basisOfRecord": "MachineObservation",
                "occurrenceStatus": "present",
                "individualCount": counts[name],
                "eventID": stay.id,
                "eventDate": "",
                "samplingProtocol": "camera trap",
                "eventRemarks": "" if captured.utc else "time unknown",
                "locationID": spooled.station,
                "decimalLatitude": stay.latitude,
                "decimalLongitude": stay.longitude,
                "geodeticDatum": "EPSG:4326" if stay.has_place else "",
                "coordinateUncertaintyInMeters": noted.uncertainty_m if noted and stay.has_place else None,
                "scientificName": name,
                "taxonRank": taxon.rank,
                **ranks,
                "specificEpithet": name.partition(" ")[2] if taxon.rank == "species" else "",
                "vernacularName": taxon.english,
                "identifiedBy": self._by,
                "identificationVerificationStatus": "unverified",
                "identificationRemarks": f"by machine, probability {round(answer.score, SCORE_DIGITS)}",
                "datasetName": self._services.site_name,
                "recordedBy": noted.setup_by if noted else "",
                "license": self.rights,
                "associatedMedia": spooled.name,
            }
            if captured.utc is not None:
                at = later(captured.utc, seconds)
                row["eventDate"] = local(at, captured.timezone)
                self._first = at if self._first is None else min(self._first, at)
                self._last = at if self._last is None else max(self._last, at)
            self._table.add(tuple(row[term] for term in TERMS))

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: nothing was seen."""

    def eml(self) -> str:
        """The metadata of the data set."""
        services, dataset = self._services, self._services.exporting.dataset
        title = (dataset.title if dataset else "") or services.site_name or "tigrillo"
        about = (dataset.description if dataset else "") or f"What camera traps of {title} recorded."
        stays = list(self._stays)
        extent = f"{len({each.station for each in stays})} camera trap stations"
        now = services.clock.now()
        words = {
            "title": as_xml(title),
            "date": now.date().isoformat(),
            "abstract": as_xml(about),
            "rights": as_xml(self.rights or "not stated"),
            "models": as_xml(self._by),
            "extent": extent,
            "package": as_xml(f"tigrillo:{title}"),
            "coverage": self._coverage(extent),
        }
        return EML.format(**words)

    def _coverage(self, extent: str) -> str:
        places = [
            (each.latitude, each.longitude)
            for each in self._stays
            if each.latitude is not None and each.longitude is not None
        ]
        parts = ""
        if places:
            south, north = min(lat for lat, _lon in places), max(lat for lat, _lon in places)
            west, east = min(lon for _lat, lon in places), max(lon for _lat, lon in places)
            parts += GEOGRAPHIC.format(extent=extent, south=south, north=north, west=west, east=east)
        if self._first is not None and self._last is not None:
            parts += TEMPORAL.format(first=self._first.date().isoformat(), last=self._last.date().isoformat())
        return f"    <coverage>\n{parts}    </coverage>\n" if parts else ""


def meta() -> str:
    """What the columns of the archive are."""
    fields = "\n".join(
        f'    <field index="{index}" term="{DC if term == "license" else DWC}{term}"/>'
        for index, term in enumerate(TERMS)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">
  <core encoding="UTF-8" fieldsTerminatedBy="," linesTerminatedBy="\\r\\n" fieldsEnclosedBy="&quot;" \
ignoreHeaderLines="1" rowType="{DWC}Occurrence">
    <files><location>{CORE}</location></files>
    <id index="0"/>
{fields}
  </core>
</archive>
"""


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A zip or folder that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_bundle(path, "darwin-core") as folder:
        with (folder / CORE).open("wb") as file:
            table = Table(file, TERMS)
            writer = ArchiveWriter(table, services)
            yield writer
            table.flush()
        (folder / "meta.xml").write_text(meta(), "utf-8")
        (folder / "eml.xml").write_text(writer.eml(), "utf-8")


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `darwin-core`."""
    about = mark("Darwin Core Archive of occurrences, for GBIF: a zip or a folder")
    return [ExporterSpec("darwin-core", ".zip", open_export, about, folder=True, raw_classes=False, counted=True)]
