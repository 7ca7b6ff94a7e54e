"""`tigrillo import camtrap-dp`: a Camera Trap Data Package 1.0 → deployments, frames, observations, reviews, events.

The package is read twice: once to check it, whole, before anything is written; once to take it in, in one transaction.
Every row is kept beside the columns that it fills, so that an export writes it as it stood. Memory holds deployments
and taxa; ids lie in a file of their own.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..deployed import Deployment
from ..errors import FatalError
from ..i18n import _
from ..model import CaptureTime, Kind, PictureResult, SpooledFrame
from ..store import deployments as deployment_rows
from ..store import package_rows as rows
from ..store.dialects import highest
from ..store.harvest import IMPORTED
from ..store.packages import note_package
from ..store.rows import frame_values, observation_values
from ..store.schema import encounters, frames
from ..store.sql import Store
from .camtrap_check import check, open_scratch, rows_of
from .camtrap_files import Package, open_package
from .camtrap_rules import MISSING, moment
from .camtrap_words import (
    CATEGORIES,
    DAMAGED,
    INFERRED,
    NOT_LOOKED_AT,
    UNKNOWN_TIME,
    deployment_from,
    frame_ids,
    is_detection,
    is_review,
    name_of,
    review_values,
    seen_in,
    tags_in,
    taxa_of,
    taxon_of,
    zone_of,
)
from .imported import Imported, Options

BATCH = 500
COUNTS = ("deployments", "frames", "observations", "reviews", "events", "known", "without_file")
NOT_KEPT = frozenset({"resources", "profile", "created"})  # what every export says anew
UNSEEN = [[0, 0.0, "not looked at"]]


def import_package(store: Store, path: Path, options: Options) -> Imported:
    """Take in a package: a folder, its datapackage.json or a zip.

    counts: new `deployments`, `frames`, `observations`, `reviews` and `events`; `known`: media that the record has,
    whose observations are left as they are; `without_file`: new frames whose file is not in the package's folder.
    Raises FatalError with the first faults when the package does not hold by its format; nothing is written then.
    """
    done = Imported(dict.fromkeys(COUNTS, 0))
    with open_package(path) as package, open_scratch() as scratch:
        check(package, scratch)
        with store.transaction() as connection:
            _Intake(connection, scratch, package, options, done).run()
    return done


class _Intake:
    """Takes a checked package in."""

    def __init__(
        self, connection: Connection, scratch: sqlite3.Connection, package: Package, options: Options, done: Imported
    ) -> None:
        self._to = connection
        self._scratch = scratch
        self._package = package
        self._options = options
        self._done = done
        self._taxa = taxa_of(package.described)
        self._stations: dict[str, str] = {}
        self._zones: dict[str, str] = {}
        self._batches: dict[str, list[Mapping[str, Any]]] = {"observations": [], "reviews": []}

    def run(self) -> None:
        """Everything, in an order in which what is referred to is there."""
        said = {key: value for key, value in self._package.described.items() if key not in NOT_KEPT}
        note_package(self._to, self._package.path.name, said, now=self._options.now)
        self._take_deployments()
        self._take_media()
        self._take_observations()
        self._finish_frames()
        self._take_events()

    # deployments

    def _take_deployments(self) -> None:
        known = rows.known_deployments(self._to)
        own: dict[str, bool] = {}
        for _number, row in rows_of(self._package, "deployments"):
            new = self._deployment(row)
            self._stations[new.id] = known.get(new.id, new.station)
            self._zones[new.id] = new.timezone or self._options.timezone_of(new.station)
            if new.id in known:
                continue
            if INFERRED in new.tags:
                if new.station not in own:
                    own[new.station] = rows.has_own_frames(self._to, new.station)
                if own[new.station]:  # then it is inferred anew
                    continue
            deployment_rows.add(self._to, new, who="tigrillo import", now=self._options.now)
            self._done.count("deployments")

    def _deployment(self, row: dict[str, str]) -> Deployment:
        try:
            return deployment_from(row, self._options.station, self._options.timezone_of)
        except ValueError as exc:
            text = _("{path}: {file}, deployment {id!r}: {reason}")
            file = self._package.paths["deployments"]
            raise FatalError(
                text.format(path=self._package.path, file=file, id=row["deploymentID"], reason=exc)
            ) from exc

    # media → frames

    def _take_media(self) -> None:
        pk = highest(self._to, frames)
        for batch in _batched(rows_of(self._package, "media")):
            at = [(row, self._stations[row["deploymentID"]]) for _number, row in batch]
            wanted = {(station, each) for row, station in at for each in frame_ids(station, row["mediaID"])}
            known = rows.known_frames(self._to, wanted)
            new = []
            for row, station in at:
                media_id = row["mediaID"]
                own, hashed = frame_ids(station, media_id)
                number = next((each for each in (own, hashed) if known.get((station, each), media_id) == media_id), own)
                if (station, number) in known:
                    self._done.count("known")
                    continue
                known[station, number] = media_id
                pk += 1
                new.append(self._frame(row, station, number) | {"pk": pk})
                changed = "UPDATE media SET pk = ?, timestamp = ? WHERE id = ?"
                self._scratch.execute(changed, (pk, row["timestamp"], media_id))
            rows.add_rows(self._to, "frames", new)
            self._done.count("frames", len(new))
            self._options.progress(self._done.counts["frames"])

    def _frame(self, row: Mapping[str, str], station: str, number: str) -> dict[str, Any]:
        at = moment(row["timestamp"])
        assert at is not None  # because the table was checked
        is_known = not row.get("mediaComments", "").startswith(UNKNOWN_TIME)
        zone = zone_of(row["timestamp"], self._zones[row["deploymentID"]])
        kind: Kind = "clip" if row["fileMediatype"].startswith("video") else "still"
        file = self._package.find(row["filePath"])
        sha256, size = _hash(file) if file else ("", 0)
        if not sha256:
            self._done.count("without_file")
        spooled = SpooledFrame(
            station=station,
            id=number,
            kind=kind,
            path=file or self._package.folder / row["filePath"].replace("\x00", "_"),
            name=name_of(row),
            sha256=sha256,
            size_bytes=size,
            source=IMPORTED,
            captured=CaptureTime(at, row["timestamp"], zone, "import") if is_known else CaptureTime(None, "", zone),
            received_at=self._options.now if is_known else at,
        )
        return frame_values(spooled, spool_bytes=0) | {
            "state": "recorded",
            "recorded_at": self._options.now,
            "late": False,
            "stage_ms": {},
            "pictures": UNSEEN,
            "damage": "",
            "details": {"camtrap": {"media": dict(row), "rows": []}},
        }

    # observations of media

    def _take_observations(self) -> None:
        find = "SELECT pk FROM media WHERE id = ?"
        for _number, row in rows_of(self._package, "observations"):
            if not _is_of_media(row):
                continue
            pk = self._scratch.execute(find, (row["mediaID"],)).fetchone()[0]
            event = row.get("eventID", "")
            if pk is None:
                if event:
                    self._scratch.execute("INSERT OR IGNORE INTO known_events VALUES (?)", (event,))
                continue
            if event:
                self._scratch.execute("INSERT OR IGNORE INTO of_event VALUES (?, ?)", (event, pk))
            self._take_observation(row, pk)
        self._flush(0)

    def _take_observation(self, row: dict[str, str], pk: int) -> None:
        if row["observationType"] in {"human", "vehicle"}:
            self._scratch.execute("INSERT OR IGNORE INTO people VALUES (?)", (pk,))
        if is_detection(row):
            seen = seen_in(row, self._taxa)
            picture = PictureResult(seen.number, seen.time_s, ())
            values = observation_values(pk, picture, seen.detection) | {"details": {"camtrap": row}}
            self._batches["observations"].append(values)
            self._scratch.execute("INSERT OR IGNORE INTO looked VALUES (?, ?, ?)", (pk, seen.number, seen.time_s))
        elif is_review(row):
            self._batches["reviews"].append(review_values(row, pk, self._taxa, self._options.now))
        else:
            self._scratch.execute("INSERT INTO others VALUES (?, ?)", (pk, json.dumps(row)))
        self._flush(BATCH)

    def _flush(self, least: int) -> None:
        for kind, batch in self._batches.items():
            if len(batch) > least or (not least and batch):
                rows.add_rows(self._to, kind, batch)
                self._done.count(kind, len(batch))
                batch.clear()

    def _finish_frames(self) -> None:
        """Note in each frame what only its observations tell: pictures looked at, damage, rows without a table."""
        marked = self._scratch.execute("SELECT pk FROM people ORDER BY pk")
        for batch in _batched(marked):
            rows.mark_people(self._to, [pk for (pk,) in batch])
        query = """SELECT pk, 0, number, time_s, NULL, rowid FROM looked
                   UNION ALL SELECT pk, 1, 0, 0.0, row, rowid FROM others ORDER BY 1, 2, 6"""
        found = groupby(self._scratch.execute(query), key=lambda each: each[0])
        for batch in _batched(_finished(pk, list(group)) for pk, group in found):
            rows.finish_frames(self._to, batch)

    # events

    def _take_events(self) -> None:
        of_events = (row for _number, row in rows_of(self._package, "observations") if not _is_of_media(row))
        pk = highest(self._to, encounters)
        for batch in _batched(of_events):
            there = rows.known_events(self._to, [row["observationID"] for row in batch])
            met: list[dict[str, Any]] = []
            events: list[dict[str, Any]] = []
            for row in batch:
                if row["observationID"] in there or self._is_known(row.get("eventID", "")):
                    continue
                values = self._event(row)
                encounter = self._encounter(row, values)
                if encounter is not None:
                    pk += 1
                    # those of one batch do not see each other's uids
                    uid = encounter["uid"] if encounter["uid"] not in {each["uid"] for each in met} else f"dp{pk:x}"
                    met.append(encounter | {"pk": pk, "uid": uid})
                events.append(values | {"encounter_pk": pk if encounter is not None else None})
            rows.add_rows(self._to, "encounters", met)
            rows.add_rows(self._to, "events", events)
            self._done.count("events", len(events))

    def _is_known(self, event: str) -> bool:
        query = "SELECT 1 FROM known_events WHERE event = ?"
        return bool(event) and self._scratch.execute(query, (event,)).fetchone() is not None

    def _event(self, row: dict[str, str]) -> dict[str, Any]:
        return {
            "number": row["observationID"],
            "station": self._stations[row["deploymentID"]],
            "started_at": moment(row["eventStart"]),
            "ended_at": moment(row["eventEnd"]),
            "row": row,
        }

    def _encounter(self, row: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The encounter that an event is, when it is one and a frame shows it."""
        category = CATEGORIES.get(row["observationType"])
        if category is None:
            return None
        event = row.get("eventID", "")
        station, start, end = values["station"], values["started_at"], values["ended_at"]
        counted = "SELECT count(*), min(pk) FROM of_event WHERE event = ?"
        count, frame = self._scratch.execute(counted, (event,)).fetchone() if event else (0, None)
        if frame is None:
            frame = rows.frame_between(self._to, station, start, end)
            if category != "animal":  # no medium says who is on it
                rows.mark_people_between(self._to, station, start, end)
        if frame is None:
            return None
        for tag in tags_in(row.get("observationTags", "")):
            if tag.startswith("best:"):
                best = self._scratch.execute("SELECT pk FROM media WHERE id = ?", (tag[5:],)).fetchone()
                frame = (best and best[0]) or frame
        taxon = taxon_of(row, self._taxa) if category == "animal" else None
        return rows.encounter_values(
            self._to,
            uid=event,
            station=station,
            category=category,
            lineage=taxon.lineage if taxon else (),
            start=start,
            end=end,
            now=self._options.now,
            frame_pk=frame,
            count=max(count, 1),
        )


def _is_of_media(row: Mapping[str, str]) -> bool:
    return row["observationLevel"] == "media" and row.get("mediaID", "") not in MISSING


def _finished(pk: int, found: list[Any]) -> dict[str, Any]:
    """What `looked` and `others` say of a frame."""
    pictures = [[number, time_s, ""] for _pk, is_other, number, time_s, _row, _id in found if not is_other]
    others = [json.loads(row) for _pk, is_other, _number, _time, row, _id in found if is_other]
    damage = ""
    for row in others:
        says = row.get("observationComments", "")
        if says.startswith(DAMAGED):
            damage = says.removeprefix(DAMAGED)
        if pictures:
            continue
        if row["observationType"] == "blank" or damage:
            pictures = [[0, 0.0, ""]]
        elif says.startswith(NOT_LOOKED_AT):
            pictures = [[0, 0.0, says.removeprefix(NOT_LOOKED_AT)]]
    return {"pk": pk, "pictures": pictures or UNSEEN, "damage": damage, "others": others}


def _hash(path: Path) -> tuple[str, int]:
    """(SHA-256, bytes) of a file; ("", 0) when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except OSError:
        return "", 0


def _batched(found: Any) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for each in found:
        batch.append(each)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
