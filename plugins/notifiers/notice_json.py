"""A notice as one JSON document: what `webhook` posts and `exec` writes to its program. docs/alerts.md names the keys.

The form is kept: keys may be added, none changes its meaning or goes while `version` is 1.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from edge.api import Alert, Notice, NotifyError, Services, Station, StoreBusy, Taxon, one_line

VERSION = 1


def document(notice: Notice, services: Services, *, picture: Mapping[str, Any] | None) -> dict[str, Any]:
    """The document. picture: what is said of it, as the channel hands it over; None when there is none."""
    words = notice.words
    return {
        "version": VERSION,
        "key": notice.key,
        "kind": notice.kind,
        "severity": notice.severity,
        "site": one_line(services.site_name),
        "channel": one_line(notice.channel),
        "to": one_line(notice.to),
        "person": one_line(notice.person),
        "language": notice.language,
        "queued_at": utc(notice.at),
        "thread": notice.thread,
        "code": notice.code,
        "link": notice.link,
        "headline": one_line(words.headline),
        "rows": [{"label": one_line(label), "value": one_line(value)} for label, value in words.rows],
        "station": _station(notice, services),
        "alert": None if notice.alert is None else _alert(notice.alert),
        "picture": None if picture is None else dict(picture),
    }


def encode(text: Mapping[str, Any]) -> bytes:
    """A document as bytes: ASCII, which reads the same in whatever encoding its reader takes it for."""
    return json.dumps(text, allow_nan=False, separators=(",", ":")).encode("ascii")


def utc(at: datetime | None) -> str | None:
    """2026-06-01T12:00:00Z."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def station_of(notice: Notice, services: Services) -> Station | None:
    """The station that a notice is about; None for one that nobody named. Raises NotifyError while it can't be read."""
    try:
        return services.stations.get(notice.station)
    except StoreBusy as exc:
        raise NotifyError(f"station {one_line(notice.station)} can't be looked up: {exc}") from exc


def _station(notice: Notice, services: Services) -> dict[str, Any] | None:
    if not notice.station:
        return None
    known = station_of(notice, services)
    return {
        "name": one_line(notice.station),
        "place": one_line(notice.words.fields.get("place", "")),
        "latitude": known.latitude if known else None,
        "longitude": known.longitude if known else None,
        "timezone": known.timezone if known else services.default_timezone,
    }


def _alert(alert: Alert) -> dict[str, Any]:
    seen = alert.detection
    left, top, width, height = seen.xywh_norm
    return {
        "rule": one_line(alert.rule),
        "frame_id": one_line(alert.frame_id),
        "media": alert.kind,
        "picture_number": alert.picture_number,
        "captured_at": utc(alert.captured.utc),
        "captured_text": one_line(alert.captured.original),
        "received_at": utc(alert.received_at),
        "category": seen.category,
        "category_score": round(float(seen.score), 4),
        "box": {"left": float(left), "top": float(top), "width": float(width), "height": float(height)},
        "count": alert.count,
        "species": None if seen.answer is None else _species(seen.answer.taxon, seen.answer.score),
    }


def _species(taxon: Taxon, score: float) -> dict[str, Any]:
    return {
        "scientific_name": one_line(taxon.scientific_name),
        "rank": taxon.rank,
        "lineage": [one_line(each) for each in taxon.lineage],
        "english": one_line(taxon.english),
        "spanish": one_line(taxon.spanish),
        "score": round(float(score), 4),
    }
