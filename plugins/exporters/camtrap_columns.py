"""The tables of Camtrap DP 1.0.2: their columns, and what several of the exporter's parts say in the same words."""

from datetime import datetime, timedelta

VERSION = "1.0.2"
HOME = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
TABLES = ("deployments", "media", "observations")
EARTH_M = 20_037_508  # half the way around: a position that could be anywhere
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
MISSING = frozenset({"", "NA", "NaN", "nan"})  # what stands for nothing in a cell
TIMES = frozenset({"timestamp", "eventStart", "eventEnd"})
# Said by the exporter, understood by the importer (edge/importing/camtrap_words.py has the same).
UNKNOWN_TIME = "Time of capture unknown: this is when the file was received."
INFERRED, UNPLACED, ONGOING = "inferred", "positionUnknown", "ongoing"


def instant(text: str) -> datetime:
    """The moment of a time of the format, "2026-11-22T18:01:23-05:00" or "…Z"."""
    return datetime.fromisoformat(text)


def same_second(one: datetime, other: datetime) -> bool:
    """Whether both fall into the same second: the format knows no finer times."""
    return one.replace(microsecond=0) - other.replace(microsecond=0) == timedelta(0)
