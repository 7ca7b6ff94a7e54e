"""Deployments for Camtrap DP: those that were recorded, and one inferred for frames that belong to none of them.

What an imported data set said of a deployment stands as it was written there for as long as the record says the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any

from edge.api import Deployed, Deployment, Outcome, Period, Services

from .camtrap_columns import COLUMNS, EARTH_M, INFERRED, MISSING, ONGOING, UNPLACED, instant, same_second
from .found import later, local, position, when

INFERRED_SAYS = "Inferred by Tigrillo: no deployment was recorded; start and end are those of the station's frames."
NO_PLACE = "Position unknown: latitude and longitude stand at 0, and could be anywhere."
FEATURES = {
    *("roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass", "roadBridge", "culvert"),
    *("burrow", "nestSite", "carcass", "waterSource", "fruitingTree"),
}
NO_BAIT = frozenset({"no", "none", "false", "0", "ninguno", "ninguna", "sin cebo"})
SOME_BAIT = frozenset({"yes", "true", "1", "sí", "si"})
# What the record has no place for, or only the data set itself can say.
NOT_RECORDED = (
    *("locationID", "locationName", "cameraDelay", "cameraDepth", "detectionDistance"),
    *("timestampIssues", "deploymentGroups"),
)
STARTS, ENDS = "deploymentStart", "deploymentEnd"


class Deployments:
    """Tells to which deployment a frame belongs, and writes them all at the end."""

    def __init__(self, services: Services) -> None:
        context = services.exporting
        self._services = services
        self._recorded = {each.id: each for each in context.deployments}
        self._deployed = Deployed(context.deployments)
        self._stood = {each.station for each in context.deployments}
        self._last = {period.station: period.last for period in context.periods}
        loose = context.loose if context.loose is not None else {each.station: each for each in context.periods}
        self._loose: dict[str, Period] = dict(loose)
        self._zones: dict[str, str] = {}
        self.places: list[tuple[float, float]] = []
        self.first: datetime | None = None
        self.last: datetime | None = None

    def of(self, outcome: Outcome, stated: str = "") -> str:
        """The id of a frame's deployment. stated: what the data set says that it was imported with."""
        spooled = outcome.spooled
        station, utc = spooled.station, spooled.captured.utc
        if station not in self._stood and utc is not None and len(outcome.pictures) == 1:
            loose = self._loose.get(station)  # most frames lie within what is known
            if loose is not None and station in self._zones and loose.first <= utc <= loose.last:
                return inferred_id(station)
        if stated in self._recorded:
            return stated
        found = self._deployed.at(spooled.station, spooled.captured.utc)
        if found is not None:
            return found.id
        at = when(outcome)
        seconds = max((picture.time_s for picture in outcome.pictures), default=0.0)
        self._zones[spooled.station] = spooled.captured.timezone
        self._see_loose(
            spooled.station, at, later(at, seconds) if seconds else at, unknown=spooled.captured.utc is None
        )
        return inferred_id(spooled.station)

    def of_event(self, station: str, start: datetime, end: datetime, stated: str) -> str:
        """The same of an imported event."""
        if stated in self._recorded:
            return stated
        if found := self._deployed.at(station, start):
            return found.id
        self._see_loose(station, start, end, unknown=False)
        return inferred_id(station)

    def rows(self) -> list[tuple[Any, ...]]:
        """All of them, by station and start; after this `places`, `first` and `last` are known."""
        made = [self._row_of(each) for each in self._recorded.values()]
        made += [(each, self._inferred(each)) for each in self._loose if inferred_id(each) not in self._recorded]
        made.sort(key=lambda each: (each[0], instant(each[1][STARTS]), each[1]["deploymentID"]))
        for _station, row in made:
            self._take_in(row)
        return [tuple(row[column] for column in COLUMNS["deployments"]) for _station, row in made]

    def _take_in(self, row: Mapping[str, Any]) -> None:
        start, end = instant(row[STARTS]), instant(row[ENDS])
        self.first = start if self.first is None else min(self.first, start)
        self.last = end if self.last is None else max(self.last, end)
        if row["coordinateUncertainty"] is None or int(row["coordinateUncertainty"]) < EARTH_M:
            self.places.append((float(row["latitude"]), float(row["longitude"])))

    def _see_loose(self, station: str, start: datetime, end: datetime, *, unknown: bool) -> None:
        known = self._loose.get(station)
        if known is None:
            self._loose[station] = Period(station, start, end, unknown_times=int(unknown))
        elif start < known.first or end > known.last or (unknown and not known.unknown_times):
            times = max(known.unknown_times, int(unknown))
            self._loose[station] = Period(station, min(start, known.first), max(end, known.last), 0, times)

    def _inferred(self, station: str) -> dict[str, Any]:
        period = self._loose[station]
        zone = self._zones.get(station, self._services.timezone_of(station))
        place = position(self._services, station)
        return {
            **self._placed(place, None, station),
            "deploymentID": inferred_id(station),
            STARTS: local(period.first, zone),
            ENDS: local(period.last, zone),
            "timestampIssues": "true" if period.unknown_times else "false",
            "deploymentTags": " | ".join([INFERRED, *([] if place else [UNPLACED]), *_station_tags(station)]),
            "deploymentComments": INFERRED_SAYS if place else f"{INFERRED_SAYS} {NO_PLACE}",
        }

    def _placed(self, place: tuple[float, float] | None, uncertainty_m: float | None, station: str) -> dict[str, Any]:
        latitude, longitude = place or (0, 0)
        return (
            dict.fromkeys(COLUMNS["deployments"])
            | {
                "locationID": station,
                "locationName": station,
                "latitude": latitude,
                "longitude": longitude,
                "coordinateUncertainty": max(1, ceil(uncertainty_m or 1)) if place and uncertainty_m else None,
            }
            | ({} if place else {"coordinateUncertainty": EARTH_M})
        )

    def _row_of(self, each: Deployment) -> tuple[str, dict[str, Any]]:
        zone = each.timezone or self._services.timezone_of(each.station)
        own = None if each.latitude is None or each.longitude is None else (each.latitude, each.longitude)
        place = own or position(self._services, each.station)
        stated: Mapping[str, str] = each.details.get("camtrap", {})
        start, end = self._span(each, stated)
        tags = [*each.tags, *self._effort_tags(each, start, end)]
        bait, feature = _one_tag(each.bait), _one_tag(each.feature)
        row = self._placed(place, each.uncertainty_m if own else None, each.station) | {
            "deploymentID": each.id,
            STARTS: local(start, zone),
            ENDS: local(end, zone),
            "setupBy": each.setup_by,
            "cameraID": each.camera_id,
            "cameraModel": each.camera_model,
            "cameraHeight": each.height_m if each.height_m is not None and each.height_m >= 0 else None,
            "cameraDepth": -each.height_m if each.height_m is not None and each.height_m < 0 else None,
            "cameraTilt": None if each.tilt_deg is None else round(each.tilt_deg),
            "cameraHeading": None if each.heading_deg is None else round(each.heading_deg),
            "timestampIssues": "false",
            "baitUse": ("false" if bait.casefold() in NO_BAIT else "true") if bait else None,
            "featureType": feature if feature in FEATURES else None,
            "habitat": each.habitat,
            "deploymentComments": " ".join(filter(None, (each.comments, "" if place or stated else NO_PLACE))),
        }
        if bait and bait.casefold() not in NO_BAIT | SOME_BAIT:
            tags.append(f"bait:{bait}")
        if feature and feature not in FEATURES:
            tags.append(f"feature:{feature}")
        if each.ended_at is None and ONGOING not in tags:
            tags.append(ONGOING)
        if not place and UNPLACED not in tags:
            tags.append(UNPLACED)
        row["deploymentTags"] = " | ".join([*tags, *_station_tags(each.station)])
        return each.station, _as_stated(row, stated) if stated else row

    def _span(self, each: Deployment, stated: Mapping[str, str]) -> tuple[datetime, datetime]:
        """Start and end; of one that goes on, as far as its station's frames go, and so of what was inferred."""
        start, end = each.started_at, each.ended_at or each.started_at
        if each.ended_at is None:
            if stated.get(ENDS):
                end = max(end, instant(stated[ENDS]))
            end = max(end, self._last.get(each.station, end))
        loose = self._loose.get(each.station)
        if each.id == inferred_id(each.station) and loose is not None:
            start, end = min(start, loose.first), max(end, loose.last)
        return start, end

    def _effort_tags(self, each: Deployment, start: datetime, end: datetime) -> list[str]:
        if each.origin == "camtrap-dp":
            return []
        effort = self._services.exporting.effort.get(each.id)
        part = effort and effort.within(start, end)
        if not part:
            return []
        days = {"effortDays": part.active_days, "failedDays": part.failed_days, "unknownDays": part.unknown_days}
        return [f"{name}:{value:.2f}" for name, value in days.items() if value or name == "effortDays"]


def _station_tags(station: str) -> list[str]:
    """The name of a station where readers would take its locationID for nothing."""
    return [f"station:{station}"] if station in MISSING else []


def _one_tag(text: str) -> str:
    """What a text is within a tag: one line, and no sign that parts tags."""
    return " ".join(text.replace("|", "/").split())


def inferred_id(station: str) -> str:
    """The id of what is inferred for a station's frames that belong to no deployment."""
    return f"{station}:{INFERRED}"


def _as_stated(row: dict[str, Any], stated: Mapping[str, str]) -> dict[str, Any]:
    """The row as the imported data set wrote it, wherever the record says the same or nothing."""
    found = {column: stated.get(column) if column in NOT_RECORDED else value for column, value in row.items()}
    for column, text in stated.items():
        if column in found and column not in NOT_RECORDED and _is_same(column, found[column], text):
            found[column] = text
    return found


def _is_same(column: str, value: Any, text: str) -> bool:
    """Whether a value of ours and a text mean the same."""
    if column in {STARTS, ENDS}:
        return same_second(instant(value).astimezone(UTC), instant(text).astimezone(UTC))
    if column == "deploymentTags":
        return tags_in(value or "") == tags_in(text)
    if value is None or value == "":
        return text in MISSING
    if column == "baitUse":
        text = "true" if text.lower() in {"true", "1"} else "false"
    if isinstance(value, int | float):
        return float(value) == float(text)
    return value is not None and str(value).strip() == text.strip()


def tags_in(text: str) -> list[str]:
    """The tags of a text, "a | b:c", in the order of the alphabet."""
    return sorted(filter(None, (each.strip() for each in text.split("|"))))
