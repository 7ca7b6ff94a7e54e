"""What the formats of exports ask for, written from their descriptions and not from our exporters.

Sources: the batch-upload template of Wildlife Insights; Darwin Core's list of terms and its text guide (TDWG); GPX 1.1
and KML 2.2 (their schemas' order of elements); Ultralytics' data set format; camtrapR's manual (recordTable,
cameraOperation, detectionHistory).
"""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
WI_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "projects": ("project_id", "project_name", "project_sensor_method", "project_bait_use", "embargo"),
    "cameras": ("project_id", "camera_id"),
    "deployments": (
        *("project_id", "deployment_id", "placename", "longitude", "latitude", "start_date", "end_date"),
        *("camera_id", "camera_functioning", "feature_type", "sensor_height", "sensor_orientation", "bait_type"),
    ),
    "images": ("project_id", "deployment_id", "image_id", "location", "identified_by", "timestamp", "common_name"),
}
WI_CHOICES: Mapping[str, frozenset[str]] = {
    "camera_functioning": frozenset(
        {
            *("Camera Functioning", "Unknown Failure", "Vandalism", "Theft", "Memory Card", "Film Failure"),
            *("Camera Hardware Failure", "Wildlife Damage"),
        }
    ),
    "sensor_height": frozenset({"Chest height", "Knee height", "Canopy", "Unknown", "Other"}),
    "sensor_orientation": frozenset({"Parallel", "Pointed Downward", "Varies", "Unknown", "Other"}),
    "bait_type": frozenset({"None", "Scent", "Meat", "Visual", "Acoustic", "Other"}),
    "project_sensor_layout": frozenset({"Systematic", "Randomized", "Convenience", "Targeted"}),
    "project_bait_use": frozenset({"Yes", "Some", "No"}),
}
# Of https://dwc.tdwg.org/list/, those that describe an occurrence record; and dcterms:license.
DWC_TERMS = frozenset(
    {
        *("occurrenceID", "catalogNumber", "recordNumber", "recordedBy", "recordedByID", "individualCount"),
        *("organismQuantity", "organismQuantityType", "sex", "lifeStage", "reproductiveCondition", "caste"),
        *("behavior", "vitality", "establishmentMeans", "degreeOfEstablishment", "pathway"),
        *("georeferenceVerificationStatus", "occurrenceStatus", "associatedMedia", "associatedOccurrences"),
        *("associatedReferences", "associatedTaxa", "otherCatalogNumbers", "occurrenceRemarks"),
        *("basisOfRecord", "datasetID", "datasetName", "institutionID", "institutionCode", "collectionCode"),
        *("informationWithheld", "dataGeneralizations", "dynamicProperties", "eventID", "parentEventID"),
        *("eventType", "fieldNumber", "eventDate", "eventTime", "startDayOfYear", "endDayOfYear", "year"),
        *("month", "day", "verbatimEventDate", "habitat", "samplingProtocol", "sampleSizeValue"),
        *("sampleSizeUnit", "samplingEffort", "fieldNotes", "eventRemarks", "locationID", "higherGeography"),
        *("continent", "country", "countryCode", "stateProvince", "county", "municipality", "locality"),
        *("verbatimLocality", "minimumElevationInMeters", "maximumElevationInMeters", "decimalLatitude"),
        *("decimalLongitude", "geodeticDatum", "coordinateUncertaintyInMeters", "coordinatePrecision"),
        *("locationRemarks", "identificationID", "verbatimIdentification", "identificationQualifier"),
        *("typeStatus", "identifiedBy", "identifiedByID", "dateIdentified", "identificationReferences"),
        *("identificationVerificationStatus", "identificationRemarks", "taxonID", "scientificName"),
        *("acceptedNameUsage", "higherClassification", "kingdom", "phylum", "class", "order", "superfamily"),
        *("family", "subfamily", "tribe", "subtribe", "genus", "genericName", "subgenus"),
        *("infragenericEpithet", "specificEpithet", "infraspecificEpithet", "cultivarEpithet", "taxonRank"),
        *("verbatimTaxonRank", "scientificNameAuthorship", "vernacularName", "nomenclaturalCode"),
        *("taxonomicStatus", "taxonRemarks", "organismID", "organismName", "organismScope", "organismRemarks"),
    }
)
DWC, DC = "http://rs.tdwg.org/dwc/terms/", "http://purl.org/dc/terms/"
TEXT = "{http://rs.tdwg.org/dwc/text/}"
GPX = "{http://www.topografix.com/GPX/1/1}"
WPT_ORDER = ("ele", "time", "magvar", "geoidheight", "name", "cmt", "desc", "src", "link", "sym", "type")
KML = "{http://www.opengis.net/kml/2.2}"
PLACEMARK_ORDER = ("name", "visibility", "description", "TimeSpan", "styleUrl", "Point")


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, each with as many cells as the header has."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader)
        assert len(set(header)) == len(header), f"{path.name}: a column stands there twice"
        rows = list(reader)
    assert all(len(row) == len(header) for row in rows), f"{path.name}: rows of other lengths than the header"
    return [dict(zip(header, row, strict=True)) for row in rows]


def check_wildlife_insights(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Check the four tables and how they refer to each other; return their rows."""
    tables = {name: rows_of(folder / f"{name}.csv") for name in WI_REQUIRED}
    for name, rows in tables.items():
        for row in rows:
            empty = [column for column in WI_REQUIRED[name] if not row[column]]
            # a position that nobody knows can't be made up: the upload asks for it
            assert set(empty) <= {"latitude", "longitude"}, f"{name}: {empty} must not be empty: {row}"
            for column, choices in WI_CHOICES.items():
                assert row.get(column) is None or row[column] in choices, f"{name}.{column}: {row[column]!r}"
            for column in ("timestamp", "start_date", "end_date"):
                assert column not in row or STAMP.fullmatch(row[column]), f"{name}.{column}: {row[column]!r}"
    (project,) = tables["projects"]
    assert all(row["project_id"] == project["project_id"] for rows in tables.values() for row in rows)
    _refers(tables["images"], tables["deployments"], "deployment_id")
    _refers(tables["deployments"], tables["cameras"], "camera_id")
    _unique(tables["deployments"], "deployment_id")
    _unique(tables["cameras"], "camera_id")
    for row in tables["deployments"]:
        assert row["start_date"] <= row["end_date"], row
    return tables


def check_darwin_core(folder: Path) -> list[dict[str, str]]:
    """Check the archive's description, its metadata and its rows; return them by term."""
    archive = ET.parse(folder / "meta.xml").getroot()
    core = archive.find(f"{TEXT}core")
    assert archive.tag == f"{TEXT}archive"
    assert core is not None
    assert core.get("rowType") == f"{DWC}Occurrence"
    assert (core.get("encoding"), core.get("ignoreHeaderLines")) == ("UTF-8", "1")
    assert (core.get("fieldsTerminatedBy"), core.get("fieldsEnclosedBy")) == (",", '"')
    assert (folder / (archive.get("metadata") or "")).is_file()
    fields = {int(each.get("index") or -1): each.get("term") or "" for each in core.findall(f"{TEXT}field")}
    for term in fields.values():
        assert term == f"{DC}license" or (term.startswith(DWC) and term[len(DWC) :] in DWC_TERMS), term
    location = core.find(f"{TEXT}files/{TEXT}location")
    assert location is not None
    rows = rows_of(folder / (location.text or ""))
    header = list(rows[0]) if rows else []
    assert not header or [fields[index].rpartition("/")[2] for index in range(len(header))] == header
    identity = core.find(f"{TEXT}id")
    assert identity is not None
    assert fields[int(identity.get("index") or -1)] == f"{DWC}occurrenceID"
    _unique(rows, "occurrenceID")
    for row in rows:
        assert row["basisOfRecord"] == "MachineObservation"
        assert row["occurrenceStatus"] in {"present", "absent"}
        assert row["scientificName"]
        assert int(row["individualCount"]) >= 1
        assert not row["eventDate"] or datetime.fromisoformat(row["eventDate"]).tzinfo
        assert bool(row["decimalLatitude"]) == bool(row["decimalLongitude"]) == bool(row["geodeticDatum"])
    eml = ET.parse(folder / "eml.xml").getroot()
    assert eml.tag == "{https://eml.ecoinformatics.org/eml-2.2.0}eml"
    assert eml.get("packageId")
    assert eml.get("system")
    names = [each.tag for each in eml.find("dataset") or ()]
    for name in ("title", "creator", "pubDate", "intellectualRights", "contact"):
        assert name in names, f"eml.xml: dataset has no {name}"
    return rows


def check_gpx(path: Path) -> list[dict[str, str]]:
    """Check a GPX file; return its waypoints' attributes and texts."""
    root = ET.parse(path).getroot()
    assert root.tag == f"{GPX}gpx"
    assert (root.get("version"), bool(root.get("creator"))) == ("1.1", True)
    found = []
    for each in root.findall(f"{GPX}wpt"):
        assert -90 <= float(each.get("lat") or "nan") <= 90
        assert -180 <= float(each.get("lon") or "nan") < 180
        _in_order(each, GPX, WPT_ORDER)
        found.append({**each.attrib, **{child.tag.removeprefix(GPX): child.text or "" for child in each}})
    return found


def check_kml(path: Path) -> dict[str, list[dict[str, str]]]:
    """Check a KML file; return its placemarks' texts by folder."""
    root = ET.parse(path).getroot()
    assert root.tag == f"{KML}kml"
    folders: dict[str, list[dict[str, str]]] = {}
    for folder in root.iterfind(f"{KML}Document/{KML}Folder"):
        found = folders.setdefault(folder.findtext(f"{KML}name") or "", [])
        for each in folder.findall(f"{KML}Placemark"):
            _in_order(each, KML, PLACEMARK_ORDER)
            texts = {child.tag.removeprefix(KML): "".join(child.itertext()) for child in each}
            if "Point" in texts:
                longitude, latitude = map(float, texts["Point"].split(","))
                assert abs(longitude) <= 180
                assert abs(latitude) <= 90
            found.append(texts)
    return folders


def check_yolo(folder: Path) -> dict[str, list[list[float]]]:
    """Check a training set; return the lines of each picture's labels by "part/name"."""
    import yaml  # noqa: PLC0415  # because only this needs it

    data = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    assert list(data["names"]) == list(range(len(data["names"])))
    assert [str(each) for each in data["names"].values()] == (folder / "classes.txt").read_text("utf-8").splitlines()
    found = {}
    stations: dict[str, set[str]] = {}
    for part in ("train", "val"):
        assert (folder / data[part]).is_dir()
        images = {each.stem: each for each in (folder / data[part]).iterdir()}
        labels = {each.stem: each for each in (folder / "labels" / part).iterdir()}
        assert set(images) == set(labels)
        for name, path in labels.items():
            lines = [[float(each) for each in line.split()] for line in path.read_text("ascii").splitlines()]
            for number, *box in lines:
                assert number in data["names"]
                x, y, w, h = box
                assert x - w / 2 >= -1e-6
                assert x + w / 2 <= 1 + 1e-6
                assert y - h / 2 >= -1e-6
                assert y + h / 2 <= 1 + 1e-6
                assert min(w, h) > 0
            found[f"{part}/{name}"] = lines
            stations.setdefault(name.partition("+")[0], set()).add(part)
    assert all(len(parts) == 1 for parts in stations.values()), f"a station is in both parts: {stations}"
    return found


def check_matrices(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Check the tables as camtrapR reads them; return their rows."""
    names = ("record_table", "camera_traps", "camera_operation", "effort", "detection_history", "occasions")
    tables = {name: rows_of(folder / f"{name}.csv") for name in names}
    stations = {row["Station"] for row in tables["camera_traps"]}
    for row in tables["record_table"]:
        assert row["Station"] in stations
        there = datetime.strptime(row["DateTimeOriginal"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007  # because R has none
        assert (row["Date"], row["Time"]) == (f"{there:%Y-%m-%d}", f"{there:%H:%M:%S}")
        assert float(row["delta.time.secs"]) >= 0
    for row in tables["camera_operation"]:
        assert row["Station"] in stations
        for column, value in row.items():
            if column != "Station":
                assert re.fullmatch(r"\d{4}-\d\d-\d\d", column)
                assert value == "NA" or 0 <= float(value) <= 1
    occasions = [row["Occasion"] for row in tables["occasions"]]
    for row in tables["detection_history"]:
        assert [each for each in row if each not in ("Species", "Station")] == occasions
        assert {row[each] for each in occasions} <= {"0", "1", "NA"}
    for row in tables["effort"]:
        assert list(row) == ["Station", *occasions]
    return tables


def _refers(rows: Sequence[Mapping[str, str]], others: Sequence[Mapping[str, str]], column: str) -> None:
    missing = {row[column] for row in rows} - {row[column] for row in others}
    assert not missing, f"{column}: {missing} is in no row of the other table"


def _unique(rows: Sequence[Mapping[str, str]], column: str) -> None:
    values = [row[column] for row in rows]
    assert len(set(values)) == len(values), f"{column}: the same twice"
    assert all(values), f"{column}: must not be empty"


def _in_order(element: Any, namespace: str, order: Sequence[str]) -> None:
    places = [order.index(child.tag.removeprefix(namespace)) for child in element]
    assert places == sorted(set(places)), f"{element.tag}: children in the wrong order"
