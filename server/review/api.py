"""/api/v1/sequences, /frames, /reviews, /favourites: the same filters and the same rules as the page has."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from edge.store import summaries
from edge.store.reviews import KINDS, LONGEST, MOST_COUNT, Said

from ..api import cursor
from ..needs import Reviewer, Viewer
from ..page import picture, speech_of
from ..web import Site, Web
from . import answers, queries
from .filters import Asked
from .names import kind_written, species_said
from .one import Past, Picture, read_history, read_pictures
from .saying import Right

router = APIRouter()
Pk = Annotated[int, Path(ge=1, le=2**63 - 1)]
Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
NAMED = r"^[A-Za-z0-9._-]+$"
ActionId = Annotated[str, Field(min_length=8, max_length=64, pattern=NAMED)]
SEQUENCES, FRAMES = "sequences", "frames"  # the cursors'
FRAMES_OF = 5  # sequences, of a page of frames; one may have hundreds


class Sequence(BaseModel):
    """Frames of one trigger and of triggers that follow at once."""

    pk: int
    station: str
    started_at: datetime
    ended_at: datetime
    timed: bool = Field(description="false: nobody knows when it was taken, the times are those of receiving it")
    frames: int
    clips: int
    best_frame: int
    picture: str = Field(description="address of its best picture, people hidden")
    machine_kind: str
    machine_taxon: str
    score: float
    kind: str = Field(description="what counts now, people's answers before the machine's")
    taxon: str
    count: int
    night: bool
    unreviewed: int = Field(description="frames that nobody has answered")
    disagrees: bool
    people: bool
    favourite: bool


class SequenceList(BaseModel):
    """A page. next: the cursor of the next one; null at the end."""

    items: list[Sequence]
    next: str | None
    searched: datetime | None = Field(default=None, description="until when was looked before the page was full: go on")


class Box(BaseModel):
    """A machine's observation. Shares of the picture: left, top, width, height."""

    pk: int
    picture_number: int
    time_s: float
    x: float
    y: float
    w: float
    h: float
    kind: str
    taxon: str
    score: float


class Seen(BaseModel):
    """What a frame shows."""

    kind: str
    taxon: str
    count: int
    by_person: bool


class Frame(BaseModel):
    """A frame of a sequence. boxes: those of the machine that count."""

    pk: int
    id: str
    station: str
    sequence: int
    kind: Literal["still", "clip"]
    name: str
    taken_at: datetime | None
    received_at: datetime
    width: int | None
    height: int | None
    picture: str
    people: bool
    favourite: bool
    reviewed: bool
    disagrees: bool
    counts: list[Seen]
    machine: list[Seen]
    boxes: list[Box]


class FrameList(BaseModel):
    """A page: the frames of a few sequences."""

    items: list[Frame]
    next: str | None


class Review(BaseModel):
    """What somebody said, also what was undone."""

    action: str
    by: str
    at: datetime
    kind: str
    taxon: str
    count: int
    sex: str
    life_stage: str
    behaviour: str
    comments: str
    frames: int
    box: bool
    undone_by: str
    undone_at: datetime | None


class WholeSequence(Sequence):
    """A sequence with its frames and what people said of them, the newest first."""

    members: list[Frame]
    reviews: list[Review]


class NewAnswer(BaseModel):
    """What to say of what. A second one with the same action id writes nothing and answers the same."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action: ActionId = Field(description="chosen by you, a UUID for instance; what is undone by")
    sequences: list[Number] = Field(default_factory=list, max_length=answers.MOST_SEQUENCES)
    frames: list[Number] = Field(default_factory=list, max_length=answers.MOST_FRAMES)
    observations: list[Number] = Field(default_factory=list, max_length=answers.MOST_FRAMES, description="boxes")
    kind: Literal["animal", "human", "vehicle", "blank", "unknown", "confirm"] = Field(
        description="confirm: the machine is right"
    )
    species: str = Field(default="", max_length=LONGEST["taxon"], description="scientific or common, of an animal")
    new_name: bool = Field(default=False, description="the name is meant, though nobody here knows it")
    count: int | None = Field(
        default=None, ge=1, le=MOST_COUNT, description="null: as many as are counted now, at least one"
    )
    sex: Literal["", "female", "male"] = ""
    life_stage: Literal["", "adult", "subadult", "juvenile"] = ""
    behaviour: str = Field(default="", max_length=LONGEST["behaviour"])
    comments: str = Field(default="", max_length=LONGEST["comments"])
    seen: int | None = Field(default=None, ge=0, description="pk of the newest answer you knew of")


class Changed(BaseModel):
    """What was written. sequences: as they stand now. repeated: it had been written before."""

    action: str
    frames: list[int]
    sequences: list[Sequence]
    answered_meanwhile_by: str = ""
    repeated: bool = False


@router.get("/sequences", summary="Sequences, filtered, newest first")
def list_sequences(
    request: Request,
    web: Site,
    principal: Viewer,
    filters: Asked,
    cursor_text: Annotated[str, Query(alias="cursor", max_length=2000, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SequenceList:
    """A page of sequences."""
    with web.readers.read() as connection:
        found = queries.find(
            connection,
            filters,
            zone=speech_of(request).zone,
            scope=principal.stations,
            after=_key(web, SEQUENCES, cursor_text),
            size=limit,
        )
    more = cursor.encode(web, SEQUENCES, found.more) if found.more else None
    return SequenceList(items=[_sequence(row) for row in found.rows], next=more, searched=found.searched)


@router.get("/sequences/{pk}", summary="One sequence", responses={404: {"description": "There is none of yours."}})
def one_sequence(web: Site, principal: Viewer, pk: Pk) -> WholeSequence:
    """With its frames and what people said."""
    with web.readers.read() as connection:
        row = queries.sequence_of(connection, pk, principal.stations)
        if row is None:
            raise HTTPException(404, "no such sequence")
        members = summaries.members_of(connection, [pk]).get(pk, [])
        pictures, history = read_pictures(connection, members), read_history(connection, members)
    said = [_review(each) for each in history]
    frames = [_frame(each, pk) for each in pictures]
    return WholeSequence(**_sequence(row).model_dump(), members=frames, reviews=said)


@router.get("/frames", summary="Frames of the sequences that the filters mean")
def list_frames(
    request: Request,
    web: Site,
    principal: Viewer,
    filters: Asked,
    cursor_text: Annotated[str, Query(alias="cursor", max_length=2000, description="`next` of the page before")] = "",
) -> FrameList:
    """All frames of a few sequences at once."""
    with web.readers.read() as connection:
        found = queries.find(
            connection,
            filters,
            zone=speech_of(request).zone,
            scope=principal.stations,
            after=_key(web, FRAMES, cursor_text),
            size=FRAMES_OF,
        )
        members = summaries.members_of(connection, [row["pk"] for row in found.rows])
        items = [
            _frame(each, row["pk"])
            for row in found.rows
            for each in read_pictures(connection, members.get(row["pk"], []))
        ]
    return FrameList(items=items, next=cursor.encode(web, FRAMES, found.more) if found.more else None)


@router.post("/reviews", summary="Say what sequences, frames or boxes show")
def add_review(request: Request, web: Site, principal: Reviewer, new: NewAnswer) -> Changed:
    """People's answers stand beside the machine's; the newest counts."""
    with web.readers.read() as connection:
        record = queries.site_taxa(connection)
    targets = (tuple(new.sequences), tuple(new.frames), tuple(new.observations))
    asked = answers.Asked(new.action, _said(request, new, record), *targets, new.seen, new.count is not None)
    return _changed(answers.answer(web, principal, asked))


@router.delete("/reviews/{action}", summary="Take an answer back")
def undo_review(
    web: Site, principal: Reviewer, action: Annotated[str, Path(min_length=8, max_length=64, pattern=NAMED)]
) -> Changed:
    """By who said it, or by somebody who manages the site; what was said stays on record."""
    return _changed(answers.undo(web, principal, action))


@router.put("/favourites/{frame_pk}", summary="Mark a frame")
def mark_frame(web: Site, principal: Reviewer, frame_pk: Pk) -> Changed:
    """As a favourite; exported as Camtrap DP's `favorite`."""
    return _changed(answers.favourite(web, principal, frame=frame_pk, on=True))


@router.delete("/favourites/{frame_pk}", summary="Take a frame's mark away")
def unmark_frame(web: Site, principal: Reviewer, frame_pk: Pk) -> Changed:
    """Whoever made it."""
    return _changed(answers.favourite(web, principal, frame=frame_pk, on=False))


def _said(request: Request, new: NewAnswer, record: Mapping[str, int]) -> Said | Right:
    if new.kind == "confirm":
        return Right(new.count, new.sex, new.life_stage, _clean(new.behaviour), _clean(new.comments))
    if new.kind == "blank":
        return Said("blank", count=0, comments=_clean(new.comments))
    assert new.kind in KINDS
    speech = speech_of(request)
    kind = kind_written(new.species) if new.kind == "animal" else new.kind
    taxon = species_said(new.species, speech, record=record, new=new.new_name) if kind == "animal" else ""
    return Said(kind, taxon, new.count or 1, new.sex, new.life_stage, _clean(new.behaviour), _clean(new.comments))


def _clean(text: str) -> str:
    """PostgreSQL holds no NUL, and half a character is none."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def _sequence(row: Mapping[str, Any]) -> Sequence:
    same = ("pk", "station", "started_at", "ended_at", "timed", "frames", "clips", "score", "count", "night")
    marks = ("unreviewed", "disagrees", "people", "favourite")
    return Sequence(
        **{name: row[name] for name in (*same, *marks)},
        best_frame=row["best_frame_pk"],
        picture=picture(row["best_frame_pk"], "card", row["best_number"]),
        machine_kind=row["kind"],
        machine_taxon=row["taxon"],
        kind=row["shown_kind"],
        taxon=row["shown_taxon"],
    )


def _frame(each: Picture, sequence: int) -> Frame:
    facts = each.facts
    same = ("pk", "id", "station", "kind", "name", "received_at", "width", "height", "people")
    boxes = [
        Box(
            pk=box.pk,
            picture_number=box.number,
            **{name: getattr(box, name) for name in ("time_s", "x", "y", "w", "h", "kind", "taxon", "score")},
        )
        for box in each.boxes
    ]
    return Frame(
        **{name: getattr(facts, name) for name in same},
        sequence=sequence,
        taken_at=facts.captured_utc,
        picture=picture(facts.pk, "view", each.number),
        favourite=each.favourite,
        reviewed=each.answered,
        disagrees=each.disagrees,
        counts=[_seen(one) for one in each.counts],
        machine=[_seen(one) for one in each.machine],
        boxes=boxes,
    )


def _seen(one: Any) -> Seen:
    return Seen(kind=one.kind, taxon=one.taxon, count=one.count, by_person=one.by_person)


def _review(past: Past) -> Review:
    return Review(**{name: getattr(past, name) for name in Review.model_fields})


def _changed(done: answers.Done) -> Changed:
    return Changed(
        action=done.action,
        frames=list(done.frames),
        sequences=[_sequence(row) for row in done.rows.values()],
        answered_meanwhile_by=done.others,
        repeated=done.repeated,
    )


def _key(web: Web, kind: str, text: str) -> queries.Key | None:
    if not text:
        return None
    at, pk = cursor.decode(web, kind, text)
    return at, pk  # type: ignore[return-value]  # because the cursor is signed
