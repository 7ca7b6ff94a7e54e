"""Rows of a Camtrap DP → values of ours: stations, zones, taxa, detections, reviews.

What our own exporter says in words (plugins/exporters/camtrap_package.py) is understood again.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, cast
from zoneinfo import ZoneInfo

from ..deployed import Deployment
from ..i18n import _
from ..model import RANKS, Answer, Category, Detection, Rank, Taxon
from ..models.taxa import all_taxa
from ..paths import is_safe_name
from .camtrap_rules import MISSING, moment

UNKNOWN_TIME = "Time of capture unknown: this is when the file was received."
NOT_LOOKED_AT, DAMAGED = "not looked at: ", "damaged: "
INFERRED, UNPLACED, ONGOING = "inferred", "positionUnknown", "ongoing"
CATEGORIES: Mapping[str, Category] = {"animal": "animal", "human": "person", "vehicle": "vehicle"}
ABOVE = ("kingdom", "phylum", "class", "order", "family", "genus")
NUMBERS = ("latitude", "longitude", "coordinateUncertainty", "cameraHeight", "cameraTilt", "cameraHeading")
_NOT_IN_NAMES = re.compile(r"[^\w.\-]+", re.ASCII)
WHOLE = (0.0, 0.0, 1.0, 1.0)
_PICTURE = re.compile(r"(?:^|\| )picture:(\d{1,9}) \| seconds:(\d{1,9}(?:\.\d+)?(?:e[+-]?\d+)?)(?= \||$)")
_TRACK = re.compile(r"(?:^|\| )track:(\d{1,9})(?= \||$)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine's observation. number, time_s: of the picture of a clip."""

    detection: Detection
    number: int
    time_s: float


def tags_in(text: str) -> tuple[str, ...]:
    """The tags of a cell, "a | b:c"."""
    return tuple(filter(None, (each.strip() for each in text.split("|"))))


def deployment_from(row: Mapping[str, str], station: str, timezone_of: Callable[[str], str]) -> Deployment:
    """A checked row of deployments. station: whose it is, "" for what the row says. timezone_of: a station's zone.

    The station is the place: locationID, else locationName, else the deployment's id; what may not be in the name of a
    station becomes "-". Raises ValueError when none of them can be a name.
    """
    said = {key: text for key, text in row.items() if text not in MISSING}
    start, end = moment(said["deploymentStart"]), moment(said["deploymentEnd"])
    assert start is not None  # because the table was checked
    station = station or station_of(row)
    tags = tags_in(said.get("deploymentTags", ""))
    bait = next((tag.removeprefix("bait:").strip() for tag in tags if tag.startswith("bait:")), "")
    feature = next((tag.removeprefix("feature:").strip() for tag in tags if tag.startswith("feature:")), "")
    uses_bait = {"true": "yes", "1": "yes", "false": "none", "0": "none"}.get(said.get("baitUse", "").lower(), "")
    numbers = {column: float(said[column]) for column in NUMBERS if column in said}
    place = UNPLACED not in tags
    return Deployment(
        id=row["deploymentID"],
        station=station,
        started_at=start,
        ended_at=None if ONGOING in tags else end,
        latitude=numbers["latitude"] if place else None,
        longitude=numbers["longitude"] if place else None,
        uncertainty_m=numbers.get("coordinateUncertainty") if place else None,
        timezone=_own_zone(said["deploymentStart"], timezone_of(station)),
        camera_id=said.get("cameraID", ""),
        camera_model=said.get("cameraModel", ""),
        height_m=numbers.get("cameraHeight"),
        tilt_deg=numbers.get("cameraTilt"),
        heading_deg=numbers.get("cameraHeading"),
        bait=bait if uses_bait == "yes" and bait else uses_bait,
        feature=said.get("featureType", "") or feature,
        habitat=said.get("habitat", ""),
        setup_by=said.get("setupBy", ""),
        tags=tuple(tag for tag in tags if not tag.startswith(("bait:", "feature:", "station:"))),
        comments=said.get("deploymentComments", ""),
        origin="camtrap-dp",
        details={"camtrap": dict(row)},
    )


def _own_zone(text: str, zone: str) -> str:
    found = zone_of(text, zone)
    return "" if found == zone else found


def station_of(row: Mapping[str, str]) -> str:
    """The name of a deployment's station. Raises ValueError when nothing in the row can be one."""
    number, tags = row["deploymentID"], tags_in(row.get("deploymentTags", ""))
    named = next((tag.removeprefix("station:") for tag in tags if tag.startswith("station:")), "")
    if is_safe_name(named):
        return named
    for column in ("locationID", "locationName", "deploymentID"):
        text = row.get(column, "")
        if text in MISSING:  # R writes NA where nothing is
            continue
        name = text if is_safe_name(text) else _NOT_IN_NAMES.sub("-", text).strip(".-")[:64]
        if text and is_safe_name(name):
            return name
    raise ValueError(_("nothing in {id!r} can be the name of a station: say --station").format(id=number[:60]))


def frame_ids(station: str, media_id: str) -> tuple[str, str]:
    """The ids that a medium's frame may have: its own where that is one, and one that no other has."""
    own = media_id.removeprefix(f"{station}/")
    hashed = f"dp-{hashlib.sha256(media_id.encode()).hexdigest()[:40]}"
    return (own if is_safe_name(own) else hashed), hashed


def name_of(media: Mapping[str, str]) -> str:
    """The file's name."""
    return media.get("fileName") or PurePosixPath(media["filePath"]).name


@lru_cache(maxsize=4096)
def zone_of(text: str, zone: str) -> str:
    """A zone in which the clock shows the time as it is written: the station's, or else one with that offset."""
    at = moment(text)
    if at is None:
        return zone
    offset = datetime.fromisoformat(text).utcoffset() or timedelta()
    try:
        if at.astimezone(ZoneInfo(zone)).utcoffset() == offset:
            return zone
    except OverflowError:
        return "UTC"
    hours, rest = divmod(offset, timedelta(hours=1))
    if rest or not -12 <= hours <= 14 or not hours:  # there are no other zones
        return "UTC"
    return f"Etc/GMT{-hours:+d}"  # these names count west as positive


def taxa_of(described: Mapping[str, Any]) -> dict[str, Taxon]:
    """The taxa that a data set names, by scientific name."""
    return {
        each["scientificName"]: _taxon(each)
        for each in described.get("taxonomic", ())
        if isinstance(each, dict) and isinstance(each.get("scientificName"), str)
    }


def _taxon(each: Mapping[str, Any]) -> Taxon:
    name = each["scientificName"]
    common = each.get("vernacularNames")
    names: Mapping[str, Any] = common if isinstance(common, dict) else {}
    ours = all_taxa().get(name)
    above = [str(each[rank]) for rank in ABOVE if each.get(rank) and each[rank] != name]
    lineage = ours.lineage if ours else (*above, name)
    said = str(each.get("taxonRank", ""))
    rank: Rank = said if said in RANKS else "kingdom" if said == "phylum" else "species"
    return Taxon(name, rank, lineage, str(names.get("eng", "")), str(names.get("spa", "")))


def taxon_of(row: Mapping[str, str], taxa: dict[str, Taxon]) -> Taxon | None:
    """What a row names; one that the data set does not describe is taken as it is."""
    name = row.get("scientificName", "")
    if name in MISSING:
        return None
    if name not in taxa:
        taxa[name] = all_taxa().get(name) or Taxon(name, "species", (name,))
    return taxa[name]


def seen_in(row: Mapping[str, str], taxa: dict[str, Taxon]) -> Seen:
    """The detection of a row of an animal, human or vehicle; a box that is not given is the whole picture."""
    category = CATEGORIES[row["observationType"]]
    score = number_of(row, "classificationProbability", 1.0)
    sides = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
    box = tuple(number_of(row, side, whole) for side, whole in zip(sides, WHOLE, strict=True))
    taxon = taxon_of(row, taxa) if category == "animal" else None
    tags = row.get("observationTags", "")
    picture, track = _PICTURE.search(tags), _TRACK.search(tags)
    return Seen(
        Detection(
            category,
            score,
            cast("tuple[float, float, float, float]", box),
            category,
            answer=Answer(taxon, score, row.get("observationComments", "")) if taxon else None,
            track=int(track[1]) if track else None,
        ),
        int(picture[1]) if picture else 0,
        float(picture[2]) if picture else 0.0,
    )


def number_of(row: Mapping[str, str], column: str, otherwise: float) -> float:
    """A number of a checked row."""
    text = row.get(column, "")
    return otherwise if text in MISSING else float(text)


def review_values(row: Mapping[str, str], frame_pk: int, taxa: dict[str, Taxon], now: datetime) -> dict[str, Any]:
    """The columns of the review that a person's observation is."""
    taxon = taxon_of(row, taxa)
    said = {key: "" if (text := row.get(key, "")) in MISSING else text for key in ("sex", "lifeStage", "behavior")}
    return {
        "frame_pk": frame_pk,
        "kind": row["observationType"],
        "taxon": taxon.scientific_name if taxon and row["observationType"] == "animal" else "",
        "count": min(int(number_of(row, "count", 1)), 2**31),
        "sex": said["sex"],
        "life_stage": said["lifeStage"],
        "behaviour": said["behavior"],
        "comments": row.get("observationComments", ""),
        "by": row.get("classifiedBy", ""),
        "at": moment(row.get("classificationTimestamp", "")) or now,
        "details": {"camtrap": dict(row), "lineage": list(taxon.lineage) if taxon else []},
    }


def is_review(row: Mapping[str, str]) -> bool:
    """Whether a row of a medium is what a person said; rows that do not say count when they name something."""
    method, kind = row.get("classificationMethod", ""), row["observationType"]
    if method == "human":
        return kind != "unclassified"
    return method in MISSING and kind in CATEGORIES and not _is_of_a_machine(row)


def is_detection(row: Mapping[str, str]) -> bool:
    """Whether a row of a medium is a machine's animal, human or vehicle."""
    of_a_machine = row.get("classificationMethod", "") == "machine" or _is_of_a_machine(row)
    return of_a_machine and row["observationType"] in CATEGORIES


def _is_of_a_machine(row: Mapping[str, str]) -> bool:
    said = row.get("classificationMethod", "") in MISSING
    return said and any(row.get(key, "") not in MISSING for key in ("classificationProbability", "bboxX"))
