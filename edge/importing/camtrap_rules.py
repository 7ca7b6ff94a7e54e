"""What Camtrap DP 1.0 allows in each column, written from its table schemas (https://camtrap-dp.tdwg.org), 1.0.2."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from ..i18n import _, mark

MISSING = frozenset({"", "NA", "NaN", "nan"})
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:?\d\d(:?\d\d)?)")
_BOOLEANS = frozenset({"true", "True", "TRUE", "1", "false", "False", "FALSE", "0"})
_PATH = re.compile(r"(?=[^./~])((?!\.{2}).)*")
_MEDIA_TYPE = re.compile(r"(image|video|audio)/.*")
_FEATURES = (
    *("roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass", "roadBridge", "culvert"),
    *("burrow", "nestSite", "carcass", "waterSource", "fruitingTree"),
)
Fault = str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """What a column allows. check: what is wrong with a text that is there, None when nothing is."""

    check: Callable[[str], Fault] | None = None
    required: bool = False

    def fault(self, text: str) -> Fault:
        """What is wrong with a cell; None when nothing is."""
        if text in MISSING:
            return _("is missing") if self.required else None
        return self.check(text) if self.check else None


@lru_cache(maxsize=4096)  # a frame's time stands in several rows
def moment(text: str) -> datetime | None:
    """The moment of "2026-11-22T18:01:23-05:00" or "…Z", in UTC; None when it is no such time, or before year 1."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _time(text: str) -> Fault:
    return None if moment(text) else _("{text!r} is no time such as 2026-11-22T18:01:23-05:00").format(text=text[:60])


def _boolean(text: str) -> Fault:
    return None if text in _BOOLEANS else _("{text!r} is neither true nor false").format(text=text[:60])


def _number(low: float | None = None, high: float | None = None, *, whole: bool = False) -> Callable[[str], Fault]:
    form = _INTEGER if whole else _NUMBER

    def check(text: str) -> Fault:
        if not form.fullmatch(text):
            return (_("{text!r} is no whole number") if whole else _("{text!r} is no number")).format(text=text[:60])
        value = float(text)
        if (low is not None and value < low) or (high is not None and value > high):
            return _("{text} is not within {low} … {high}").format(
                text=text[:60], low="" if low is None else f"{low:g}", high="" if high is None else f"{high:g}"
            )
        return None

    return check


def _one_of(*allowed: str) -> Callable[[str], Fault]:
    def check(text: str) -> Fault:
        if text in allowed:
            return None
        return _("{got!r} is not one of {expected}").format(got=text[:60], expected=", ".join(allowed))

    return check


def _like(form: re.Pattern[str], what: str) -> Callable[[str], Fault]:
    def check(text: str) -> Fault:
        return None if form.fullmatch(text) else _("{text!r} is no {what}").format(text=text[:60], what=_(what))

    return check


ANY, NEEDED = Rule(), Rule(required=True)
RULES: Mapping[str, Mapping[str, Rule]] = {
    "deployments": {
        "deploymentID": NEEDED,
        "locationID": ANY,
        "locationName": ANY,
        "latitude": Rule(_number(-90, 90), required=True),
        "longitude": Rule(_number(-180, 180), required=True),
        "coordinateUncertainty": Rule(_number(1, whole=True)),
        "deploymentStart": Rule(_time, required=True),
        "deploymentEnd": Rule(_time, required=True),
        "setupBy": ANY,
        "cameraID": ANY,
        "cameraModel": ANY,
        "cameraDelay": Rule(_number(0, whole=True)),
        "cameraHeight": Rule(_number(0)),
        "cameraDepth": Rule(_number(0)),
        "cameraTilt": Rule(_number(-90, 90, whole=True)),
        "cameraHeading": Rule(_number(0, 360, whole=True)),
        "detectionDistance": Rule(_number(0)),
        "timestampIssues": Rule(_boolean),
        "baitUse": Rule(_boolean),
        "featureType": Rule(_one_of(*_FEATURES)),
        "habitat": ANY,
        "deploymentGroups": ANY,
        "deploymentTags": ANY,
        "deploymentComments": ANY,
    },
    "media": {
        "mediaID": NEEDED,
        "deploymentID": NEEDED,
        "captureMethod": Rule(_one_of("activityDetection", "timeLapse")),
        "timestamp": Rule(_time, required=True),
        "filePath": Rule(_like(_PATH, mark("path inside the package")), required=True),
        "filePublic": Rule(_boolean, required=True),
        "fileName": ANY,
        "fileMediatype": Rule(_like(_MEDIA_TYPE, mark("type such as image/jpeg")), required=True),
        "exifData": ANY,
        "favorite": Rule(_boolean),
        "mediaComments": ANY,
    },
    "observations": {
        "observationID": NEEDED,
        "deploymentID": NEEDED,
        "mediaID": ANY,
        "eventID": ANY,
        "eventStart": Rule(_time, required=True),
        "eventEnd": Rule(_time, required=True),
        "observationLevel": Rule(_one_of("media", "event"), required=True),
        "observationType": Rule(
            _one_of("animal", "human", "vehicle", "blank", "unknown", "unclassified"), required=True
        ),
        "cameraSetupType": Rule(_one_of("setup", "calibration")),
        "scientificName": ANY,
        "count": Rule(_number(1, whole=True)),
        "lifeStage": Rule(_one_of("adult", "subadult", "juvenile")),
        "sex": Rule(_one_of("female", "male")),
        "behavior": ANY,
        "individualID": ANY,
        "individualPositionRadius": Rule(_number(0)),
        "individualPositionAngle": Rule(_number(-90, 90)),
        "individualSpeed": Rule(_number(0)),
        "bboxX": Rule(_number(0, 1)),
        "bboxY": Rule(_number(0, 1)),
        "bboxWidth": Rule(_number(1e-15, 1)),
        "bboxHeight": Rule(_number(1e-15, 1)),
        "classificationMethod": Rule(_one_of("human", "machine")),
        "classifiedBy": ANY,
        "classificationTimestamp": Rule(_time),
        "classificationProbability": Rule(_number(0, 1)),
        "observationTags": ANY,
        "observationComments": ANY,
    },
}
