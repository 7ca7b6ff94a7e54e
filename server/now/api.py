"""Encounters for programs: /api/v1/encounters."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ..api.cursor import encode
from ..needs import Reviewer, Viewer
from ..page import picture
from ..web import Site
from . import story
from .pages import CURSOR, Name, acknowledged, key_from, seen_by
from .queries import PAGE, Card, Filters, cards_of, frames_of, page_of

router = APIRouter(prefix="/encounters")
MOST = 100


class BoxOut(BaseModel):
    """What is to be seen in a picture: left, top, width and height as shares of it, 0..1."""

    x: float
    y: float
    w: float
    h: float
    category: str = Field(description="animal, person or vehicle")
    taxon: str = Field(description="scientific name, empty without one")
    score: float


class EncounterOut(BaseModel):
    """What was there as one event."""

    uid: str
    code: str = Field(description="what an answer to a message names it by, as in ACK 7F2K")
    station: str
    category: str = Field(description="animal, person or vehicle")
    taxon: str = Field(description="finest scientific name, empty without one")
    names: dict[str, str] = Field(description="language → common name")
    lineage: list[str] = Field(description="scientific names, kingdom first")
    started_at: datetime
    last_at: datetime
    frames: int
    picture: str = Field(description="address of the picture that shows it best, people hidden")
    boxes: list[BoxOut]
    sequence: int | None = Field(description="its sequence in the review; null while its day is summed up")
    severity: str = Field(description="highest of its messages: info, warning, critical; empty without any")
    told: list[str]
    waiting: list[str]
    failed: list[str]
    acknowledged_at: datetime | None
    acknowledged_by: str


class FrameOut(BaseModel):
    """A frame of an encounter."""

    id: str
    at: datetime = Field(description="when it was taken; when it was received where `timed` is false")
    timed: bool
    kind: str = Field(description="still or clip")
    picture: str


class MessageOut(BaseModel):
    """A message about it."""

    to: str
    channel: str
    kind: str
    severity: str
    rule: str
    state: str
    why: str = Field(description="in English; empty when there is nothing to say")
    queued_at: datetime
    sent_at: datetime | None
    receipt: str


class RuleOut(BaseModel):
    """A rule that held when a frame of it was recorded."""

    rule: str
    outcome: str = Field(description="opened, better, joined or late")
    because: list[str]


class WholeEncounterOut(EncounterOut):
    """One encounter with its frames, the rules that held, and who was told."""

    shots: list[FrameOut]
    rules: list[RuleOut]
    messages: list[MessageOut]


class EncountersOut(BaseModel):
    """A part of the list, newest first."""

    items: list[EncounterOut]
    next: str | None = Field(description="give it as `cursor` for the next part; null at the end")


class AcknowledgedOut(BaseModel):
    """Who sees to it."""

    first: bool = Field(description="false when somebody else had acknowledged it before")
    acknowledged_at: datetime
    acknowledged_by: str


@router.get("", summary="Encounters, newest first")
def encounters(
    web: Site,
    principal: Viewer,
    station: Name = "",
    kind: Annotated[Literal["", "animal", "person", "vehicle"], Query()] = "",
    alerts: Annotated[Literal["", "1"], Query(description="1: only those that somebody was told of")] = "",
    before: Annotated[str, Query(alias="cursor", max_length=400, description="`next` of the answer before")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = PAGE,
) -> EncountersOut:
    """A part of the list. A filter that finds little may give few, or none, and a `next` all the same."""
    filters, after = Filters(station, kind, bool(alerts)), key_from(web, before)
    with web.readers.read() as connection:
        page = page_of(connection, principal.stations, filters, after=after, size=limit)
    following = encode(web, CURSOR, page.next) if page.next else None
    return EncountersOut(items=[EncounterOut.model_validate(_values(each)) for each in page.cards], next=following)


@router.get("/{uid}", summary="One encounter with its story")
def encounter(web: Site, principal: Viewer, uid: str) -> WholeEncounterOut:
    """By its uid, or the latest of a code."""
    with web.readers.read() as connection:
        found = seen_by(connection, principal, uid)
        card = cards_of(connection, [found])[0]
        shots = frames_of(connection, found)
        held = story.rules_held(connection, found, "en")
        told = story.messages(connection, found, "en")
    values = {
        "shots": [
            {"id": each.id, "at": each.at, "timed": each.timed, "kind": each.kind}
            | {"picture": picture(each.pk, "view", each.number)}
            for each in shots
        ],
        "rules": [
            {"rule": each.rule, "outcome": each.outcome, "because": [reason.text for reason in each.reasons]}
            for each in held
        ],
        "messages": [
            {"to": each.row.who, "channel": each.row.channel, "kind": each.row.kind, "severity": each.row.severity}
            | {"rule": each.row.rule, "state": each.state, "why": each.why, "queued_at": each.row.created_at}
            | {"sent_at": each.row.sent_at, "receipt": each.row.receipt_state}
            for each in told
        ],
    }
    return WholeEncounterOut.model_validate(_values(card) | values)


@router.post("/{uid}/ack", summary="Say that you see to it")
def acknowledge(web: Site, principal: Reviewer, uid: str) -> AcknowledgedOut:
    """As an ACK by SMS does it: escalations end, and who was first stays named."""
    with web.store.transaction() as connection:
        first = acknowledged(connection, web, seen_by(connection, principal, uid), principal)
        found = seen_by(connection, principal, uid)
    assert found.acked_at is not None
    return AcknowledgedOut(first=first, acknowledged_at=found.acked_at, acknowledged_by=found.acked_by)


def _values(card: Card) -> dict[str, object]:
    of = card.encounter
    boxes = [
        {"x": each.x, "y": each.y, "w": each.w, "h": each.h, "category": each.kind}
        | {"taxon": each.label, "score": each.score}
        for each in card.boxes
    ]
    return {
        "uid": of.uid,
        "code": of.code,
        "station": of.station,
        "category": of.category,
        "taxon": card.taxon,
        "names": dict(card.other_names),
        "lineage": list(of.lineage),
        "started_at": of.started_at,
        "last_at": of.last_at,
        "frames": of.frames,
        "picture": picture(of.best_frame_pk, "view", of.best_number),
        "boxes": boxes,
        "sequence": card.sequence_pk,
        "severity": card.severity,
        "told": list(card.told),
        "waiting": list(card.waiting),
        "failed": list(card.failed),
        "acknowledged_at": of.acked_at,
        "acknowledged_by": of.acked_by,
    }
