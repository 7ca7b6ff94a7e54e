"""What Camtrap DP says of each frame, detection, review and event: one row each, written as the frames come.

A frame of an imported data set is written as it stood there, in the times that its camera's clock has since been given.
Memory holds deployments, taxa and what is open of events.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from edge.api import Outcome, Review, Services, Taxon

from .camtrap_columns import COLUMNS, TIMES, UNKNOWN_TIME, instant
from .camtrap_deployments import Deployments
from .camtrap_described import describe
from .camtrap_events import Event, Events, Kind
from .found import HUMAN, Table, blank_or_why, box, later, local, media_id, models_used, score_of, when

TYPES = {"animal": "animal", "person": "human", "vehicle": "vehicle"}
KINDS = {**TYPES, "human": "human", "blank": "blank", "unknown": "unknown"}  # of reviews
PEOPLE = frozenset({"human", "person", "vehicle"})
TIMED = frozenset({"interval", "schedule"})  # triggers of our agent that need no animal
SEXES, STAGES = frozenset({"female", "male"}), frozenset({"adult", "subadult", "juvenile"})
ORIGINALS = {
    "withheld": "The original is withheld: it shows people.",
    "deleted": "The original was deleted: it showed people.",
}
MEDIA_TYPES = {
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".avi": "video/x-msvideo",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
}
# What no path of a package may have: control and direction marks, ends of lines, a step up.
NOT_IN_PATHS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\\.{2,}")
NO_TRAITS = (None,) * 7  # lifeStage to individualSpeed
NO_BOX = (None,) * 4


class PackageWriter:
    """Writes the tables of a package. events: where rows of events are kept until the others are written."""

    def __init__(self, tables: Mapping[str, Table], events: Table, services: Services) -> None:
        self._tables = tables
        self._event_rows = events
        self._services = services
        self._public = services.exporting.dataset is not None and services.exporting.dataset.media_public
        self._by = models_used(services)
        self._events = Events(services.exporting, write=self._add_frame, done=self._add_event)
        self._deployments = Deployments(services)
        self._taxa: dict[str, Taxon | None] = {}
        self._methods: set[str] = set()
        self._only_imported = True

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        stated = outcome.beside and outcome.beside.details and outcome.beside.details.get("camtrap")
        if stated:
            self._add_imported(outcome, stated)
        else:
            self._only_imported = False
            self._events.add(outcome)

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: of a file that could not be processed neither station nor time is given here."""

    def finish(self, observations: BinaryIO, events: BinaryIO) -> dict[str, Any]:
        """Write what is only known at the end, and give the content of datapackage.json.

        observations, events: the files of these tables; the events are put behind the observations.
        """
        self._events.finish()
        for each in self._services.exporting.imported_events():
            row = dict(each.row)
            row["deploymentID"] = self._deployments.of_event(
                each.station, each.started_at, each.ended_at, row.get("deploymentID", "")
            )
            self._add_stated(self._event_rows, row)
        for made in self._deployments.rows():
            self._tables["deployments"].add(made)
        for table in (*self._tables.values(), self._event_rows):
            table.flush()
        events.seek(0)
        while block := events.read(1 << 20):
            observations.write(block)
        first, last = self._deployments.first, self._deployments.last
        return describe(
            self._services,
            only_imported=self._only_imported,
            methods=self._methods,
            places=self._deployments.places,
            span=(first, last) if first and last else None,
            taxa=self._taxa,
        )

    # what was recorded here

    def _add_frame(self, outcome: Outcome, event: str) -> None:
        spooled, number = outcome.spooled, media_id(outcome)
        deployment, zone = self._deployments.of(outcome), spooled.captured.timezone
        at = when(outcome)
        start = local(at, zone)
        self._add_media(outcome, deployment, start)
        observations = self._tables["observations"]
        index = 0
        for picture in outcome.pictures:
            if not picture.detections:
                continue
            then = local(later(at, picture.time_s), zone) if picture.time_s else start
            for detection in picture.detections:
                tags = f"picture:{picture.number} | seconds:{picture.time_s:g}" if spooled.kind == "clip" else None
                if detection.track is not None:
                    tags = f"{tags} | track:{detection.track}" if tags else f"track:{detection.track}"
                remark = detection.answer.remark if detection.answer else None
                kind, name = TYPES[detection.category], self._name(detection.category, detection.answer)
                row = (f"{number}#{index}", deployment, number, event, then, then, "media", kind, None, name, 1)
                made = ("machine", self._by, None, score_of(detection), tags, remark)
                observations.add((*row, *NO_TRAITS, *box(detection), *made))
                index += 1
        if not index:
            seconds = max((picture.time_s for picture in outcome.pictures), default=0.0)
            self._add_nothing(outcome, deployment, event, start, local(later(at, seconds), zone) if seconds else start)
        if outcome.beside is not None:
            for review in outcome.beside.reviews:
                self._add_review(outcome, review, deployment, event)

    def _add_media(self, outcome: Outcome, deployment: str, start: str) -> None:
        spooled, number, beside = outcome.spooled, media_id(outcome), outcome.beside
        method = None
        if spooled.agent is not None and spooled.agent.triggered_by:
            method = "timeLapse" if spooled.agent.triggered_by in TIMED else "activityDetection"
            self._methods.add(method)
        kind = MEDIA_TYPES.get(f".{spooled.name.rpartition('.')[2].lower()}")
        if kind is None or kind.startswith("video") != (spooled.kind == "clip"):
            kind = "video/mp4" if spooled.kind == "clip" else "image/jpeg"
        says = ["" if spooled.captured.utc else UNKNOWN_TIME, ORIGINALS.get(beside.original, "") if beside else ""]
        public = "true" if self._public and not shows_people(outcome) else "false"
        path, comments = file_path(f"{number}/{spooled.name}"), " ".join(filter(None, says))
        favourite = "true" if beside and beside.favourite else None
        row = (number, deployment, method, start, path, public, spooled.name, kind, None, favourite, comments)
        self._tables["media"].add(row)

    def _add_nothing(self, outcome: Outcome, deployment: str, event: str, start: str, end: str) -> None:
        number = media_id(outcome)
        kind, why = blank_or_why(outcome)
        row = (f"{number}#0", deployment, number, event, start, end, "media", kind)
        made = ("machine", self._by) if kind == "blank" else (None, None)
        self._tables["observations"].add((*row, *(None,) * 3, *NO_TRAITS, *NO_BOX, *made, None, None, None, why))

    def _add_review(self, outcome: Outcome, review: Review, deployment: str, event: str, number: str = "") -> None:
        """number: the frame's media id, where it is not ours."""
        number = number or media_id(outcome)
        zone = outcome.spooled.captured.timezone
        start, place, kind = when(outcome), NO_BOX, KINDS.get(review.kind, "unknown")
        pairs = zip(_detections(outcome), outcome.beside.observed if outcome.beside else (), strict=False)
        for (seconds, detection), observed in pairs:
            if observed.pk == review.observation:
                start, place = later(start, seconds), box(detection)  # type: ignore[assignment]  # because a box has no None
        name = self._named(HUMAN if kind == "human" else review.taxon if kind == "animal" else "")
        stands = kind in {"animal", "human", "vehicle"}
        stage = review.life_stage if review.life_stage in STAGES else None
        sex = review.sex if review.sex in SEXES else None
        said = {"lifeStage": review.life_stage if not stage else "", "sex": review.sex if not sex else ""}
        tags = " | ".join(f"{key}:{value}" for key, value in said.items() if value)
        at = local(start, zone)
        count = max(review.count, 1) if stands else None
        row = (
            f"{number}#review{review.pk}",
            deployment,
            number,
            event or None,
            at,
            at,
            "media",
            kind,
            None,
            name,
            count,
        )
        traits = (stage, sex, review.behaviour, None, None, None, None)
        made = ("human", review.by, local(review.at, zone), None, tags, review.comments)
        self._tables["observations"].add((*row, *traits, *place, *made))

    def _add_event(self, event: Event) -> None:
        if event.outcome is None:
            return
        deployment = self._deployments.of(event.outcome)
        start, end = local(event.start, event.timezone), local(event.end, event.timezone)
        kinds = [kind for kind in event.kinds if kind.count]
        for index, kind in enumerate(kinds):
            number = f"{event.uid}#event{index + 1 if index else ''}"
            head = (number, deployment, None, event.uid, start, end, "event", TYPES[kind.category], None)
            made = ("machine", self._by, None, kind.score, f"best:{kind.best}", None)
            self._event_rows.add((*head, self._event_name(kind), kind.count, *NO_TRAITS, *NO_BOX, *made))
        if not kinds:
            blank = event.blank and not event.unseen
            row = (f"{event.uid}#event", deployment, None, event.uid, start, end, "event")
            says = ("blank" if blank else "unclassified", *(None,) * 3)
            by = ("machine", self._by) if blank else (None, None)
            self._event_rows.add((*row, *says, *NO_TRAITS, *NO_BOX, *by, *(None,) * 4))

    def _event_name(self, kind: Kind) -> str:
        return self._named(HUMAN if kind.category == "person" else kind.name if kind.category == "animal" else "")

    def _name(self, category: str, answer: Any) -> str:
        if category == "person":
            return self._named(HUMAN)
        if category != "animal" or answer is None:
            return ""
        name: str = answer.taxon.scientific_name
        self._taxa[name] = answer.taxon
        return name

    def _named(self, name: str) -> str:
        if name:
            self._taxa.setdefault(name, None)
        return name

    # what came with an imported data set

    def _add_imported(self, outcome: Outcome, stated: Mapping[str, Any]) -> None:
        media: dict[str, str] = dict(stated["media"])
        deployment = self._deployments.of(outcome, media.get("deploymentID", ""))
        late = _seconds_between(instant(media["timestamp"]), when(outcome))
        media["deploymentID"] = deployment
        if shows_people(outcome):
            media["filePublic"] = "false"
        if outcome.beside is not None and outcome.beside.favourite:
            media["favorite"] = "true"
        if method := media.get("captureMethod"):
            self._methods.add(method)
        zone = outcome.spooled.captured.timezone
        self._add_stated(self._tables["media"], _moved(media, late, zone), "media")
        beside, event = outcome.beside, ""
        assert beside is not None  # because `stated` stands there
        rows: list[Mapping[str, str]] = []
        for (_seconds, detection), observed in zip(_detections(outcome), beside.observed, strict=True):
            if observed.details and "camtrap" in observed.details:
                rows.append(observed.details["camtrap"])
                if detection.answer is not None:
                    self._taxa[detection.answer.taxon.scientific_name] = detection.answer.taxon
        rows += stated.get("rows", ())
        rows += [each.details["camtrap"] for each in beside.reviews if each.details and "camtrap" in each.details]
        for row in rows:
            event = event or row.get("eventID", "")
            self._add_stated(self._tables["observations"], _moved({**row, "deploymentID": deployment}, late, zone))
        for review in beside.reviews:
            if not (review.details and "camtrap" in review.details):
                self._add_review(outcome, review, deployment, event, media["mediaID"])

    def _add_stated(self, table: Table, row: Mapping[str, str], columns: str = "observations") -> None:
        table.add(tuple(row.get(column) for column in COLUMNS[columns]))
        self._named(row.get("scientificName", ""))


def shows_people(outcome: Outcome) -> bool:
    """Whether a frame shows a person or vehicle, as anybody said."""
    beside = outcome.beside
    if beside is not None and (beside.people or any(each.kind in PEOPLE for each in beside.reviews)):
        return True
    return any(found.category in PEOPLE for picture in outcome.pictures for found in picture.detections)


def file_path(path: str) -> str:
    """A path as the format allows it: relative, no step up, no control characters."""
    path = NOT_IN_PATHS.sub("_", path.replace("\\", "/"))
    return f"_{path}" if path.startswith((".", "/", "~")) else path


def _detections(outcome: Outcome) -> list[tuple[float, Any]]:
    """(seconds into the clip, detection), in order."""
    return [(picture.time_s, each) for picture in outcome.pictures for each in picture.detections]


def _seconds_between(stated: datetime, now: datetime) -> int:
    """How many whole seconds a frame is later than its data set says, since its camera's clock was put right."""
    moved = now.astimezone(UTC).replace(microsecond=0) - stated.astimezone(UTC).replace(microsecond=0)
    return round(moved.total_seconds())


def _moved(row: dict[str, str], seconds: int, zone: str) -> dict[str, str]:
    """The row with its times so much later; as they were written where nothing was moved."""
    if not seconds:
        return row
    times = {column: row[column] for column in TIMES if row.get(column)}
    return row | {key: local(instant(text) + timedelta(seconds=seconds), zone) for key, text in times.items()}
