"""Rows ↔ values: how frames, detections and alerts stand in the database."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, RowMapping

from ..model import AgentFacts, CaptureTime, Detection, Outcome, PictureResult, SpooledFrame

# From capture to arrival: what the agents, too, do not send first (uplink.fresh_s); but older than any backlog is a
# clock that is wrong, and its frames must not wait for that.
LATE = (timedelta(seconds=120), timedelta(days=200))
# No pause is longer. What is to wait beyond it was given its time by a clock that has been set back since.
LONGEST_PAUSE = timedelta(hours=1)
_DETECTION = TypeAdapter(Detection)


def detection_to_json(detection: Detection) -> dict[str, Any]:
    """A detection as JSON."""
    value: dict[str, Any] = _DETECTION.dump_python(detection, mode="json")
    return value


def detection_from_json(value: Any) -> Detection:
    """The detection that `detection_to_json` wrote."""
    return _DETECTION.validate_python(value)


def frame_values(frame: SpooledFrame, *, spool_bytes: int) -> dict[str, Any]:
    """The columns of a frame that has just been spooled."""
    return {
        "station": frame.station,
        "id": frame.id,
        "kind": frame.kind,
        "path": str(frame.path),
        "name": frame.name,
        "sha256": frame.sha256,
        "size_bytes": frame.size_bytes,
        "spool_bytes": spool_bytes,
        "source": frame.source,
        "captured_utc": frame.captured.utc,
        "said_utc": frame.captured.utc,
        "captured_original": frame.captured.original,
        "captured_timezone": frame.captured.timezone,
        "captured_origin": frame.captured.origin,
        "received_at": frame.received_at,
        "late": is_late(frame.captured.utc, frame.received_at, frame.agent.waited_s if frame.agent else None),
        "camera": frame.camera,
        "burst": frame.burst,
        "burst_number": frame.burst_number,
        **_agent_values(frame.agent),
    }


def is_late(captured: datetime | None, received: datetime, waited_s: float | None) -> bool:
    """Whether a frame waited somewhere before it came to us. waited_s: as its agent says, None where none does."""
    if waited_s is not None:
        return waited_s >= LATE[0].total_seconds()
    if captured is None:
        return False
    first, last = LATE
    return first <= received - captured < last


def _agent_values(agent: AgentFacts | None) -> dict[str, Any]:
    said = agent or AgentFacts("", 0, 0, 0.0, "")
    return {
        "boot": said.boot,
        "boot_count": said.boot_count,
        "seq": said.seq,
        "uptime_s": said.uptime_s if agent else None,
        "clock": said.clock,
        "triggered_by": said.triggered_by,
        "stands_for": said.stands_for,
        "waited_s": said.waited_s,
    }


def _agent_from(row: RowMapping) -> AgentFacts | None:
    if not row["clock"]:
        return None
    return AgentFacts(
        boot=row["boot"],
        boot_count=row["boot_count"],
        seq=row["seq"],
        uptime_s=row["uptime_s"],
        clock=row["clock"],
        triggered_by=row["triggered_by"],
        stands_for=row["stands_for"],
        waited_s=row["waited_s"],
    )


def capture_time_from(row: RowMapping) -> CaptureTime:
    """When the frame of this row was taken."""
    return CaptureTime(
        utc=row["captured_utc"],
        original=row["captured_original"],
        timezone=row["captured_timezone"],
        origin=row["captured_origin"],
    )


def frame_from(row: RowMapping) -> SpooledFrame:
    """The frame of this row."""
    return SpooledFrame(
        station=row["station"],
        id=row["id"],
        kind=row["kind"],
        path=Path(row["path"]),
        name=row["name"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        source=row["source"],
        captured=capture_time_from(row),
        received_at=row["received_at"],
        pk=row["pk"],
        attempts=row["attempts"],
        agent=_agent_from(row),
        camera=row["camera"],
        burst=row["burst"],
        burst_number=row["burst_number"],
    )


def observation_values(frame_pk: int, picture: PictureResult, detection: Detection) -> dict[str, Any]:
    """The columns of one observation."""
    x, y, w, h = detection.xywh_norm
    answer = detection.answer
    return {
        "frame_pk": frame_pk,
        "number": picture.number,
        "time_s": picture.time_s,
        "category": detection.category,
        "score": detection.score,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "label": detection.label,
        "taxon": answer.taxon.scientific_name if answer else "",
        "taxon_rank": answer.taxon.rank if answer else "",
        "taxon_score": answer.score if answer else None,
        "detection": detection_to_json(detection),
        "track": detection.track,
        "remark": answer.remark if answer else "",
    }


def outcome_from(row: RowMapping, observed: list[RowMapping]) -> Outcome:
    """The outcome that was recorded for the frame of `row`."""
    pictures = [
        PictureResult(
            number,
            time_s,
            tuple(detection_from_json(each["detection"]) for each in observed if each["number"] == number),
            rejected,
        )
        for number, time_s, rejected in row["pictures"] or []
    ]
    return Outcome(
        spooled=frame_from(row),
        pictures=tuple(pictures),
        width=row["width"] or 0,
        height=row["height"] or 0,
        frame_rate=row["frame_rate"],
        damage=row["damage"],
        stage_ms=row["stage_ms"] or {},
        brightness=row["brightness"],
        infrared=row["infrared"],
    )


def is_due(at: ColumnElement[Any], now: datetime) -> ColumnElement[bool]:
    """Whether a pause that ends at `at` is over; also when the clock was set back during it."""
    return (at <= now) | (at > now + LONGEST_PAUSE)
