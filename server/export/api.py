"""Exports for programs: have one made, look how far it is, take the file."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException

from ..api.cursor import decode, encode
from ..api.words import NO_NUL, After, Limit, StationName
from ..needs import Exporter
from ..now.names import station_names
from ..web import Site
from .asking import NOT_OFFERED, Refused, ask, offered
from .jobs import OPEN, Asked, Job, may_see, remove_job
from .pages import Number, file_of, find
from .runner import runner_of

router = APIRouter()
CURSOR = "exports"
Word = Annotated[str, StringConstraints(max_length=64, pattern=NO_NUL)]
Taxon = Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL, min_length=1)]


class Option(BaseModel):
    """Something to choose of a format; pattern: a regular expression of all of a value."""

    name: str
    default: str
    pattern: str
    about: str


class Format(BaseModel):
    """A format. suffix: of its file."""

    name: str
    suffix: str
    about: str
    options: list[Option]


class FormatList(BaseModel):
    """The formats that this site has and you may have."""

    items: list[Format]
    next: str | None = None


class NewExport(BaseModel):
    """What is wanted, as `tigrillo export` has it. since, until: 2026-11-22 or 2026-11-22T18:30, in the site's zone.

    stations, taxa, categories: empty for all. taxa: scientific, English or Spanish names, with all below them.
    independent: 30m, 1h or 1d: only records of a kind not seen at the station for so long before.
    """

    model_config = ConfigDict(extra="forbid")

    format: Word
    options: Annotated[dict[Word, Word], Field(max_length=20)] = {}
    stations: Annotated[list[StationName], Field(max_length=500)] = []
    since: Word = ""
    until: Word = ""
    taxa: Annotated[list[Taxon], Field(max_length=100)] = []
    categories: Annotated[list[Literal["animal", "person", "vehicle"]], Field(max_length=3)] = []
    min_score: float = Field(default=0.0, strict=True, ge=0, le=1)
    suppressed: bool = Field(default=False, strict=True)
    independent: Word = ""


class Export(BaseModel):
    """An export. state: queued, running, done, failed or cancelled. read, total: frames. size: bytes of its file.

    ends_at: when the file is deleted.
    """

    id: str
    by: str
    at: datetime
    format: str
    stations: list[str]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    read: int
    total: int
    size: int
    frames: int
    observations: int
    reason: str
    name: str
    ends_at: datetime | None


class ExportList(BaseModel):
    """Exports, newest first."""

    items: list[Export]
    next: str | None


@router.get("/export-formats", summary="What can be exported")
def formats(web: Site, principal: Exporter) -> FormatList:
    """By name."""
    items = []
    for name in offered(web, principal):
        spec, hidden = web.registry.exporters[name], NOT_OFFERED.get(name, frozenset())
        options = [
            Option(name=each.name, default=each.default, pattern=each.pattern, about=each.about)
            for each in spec.options
            if each.name not in hidden
        ]
        items.append(Format(name=name, suffix=spec.suffix, about=spec.about, options=options))
    return FormatList(items=items)


@router.post("/exports", status_code=202, summary="Have an export made")
def make(web: Site, principal: Exporter, body: NewExport) -> Export:
    """It is made in the background, one at a time; who sees some stations only gets those. 422 says what is wrong."""
    with web.readers.read() as connection:
        known = station_names(web, connection, principal)
    fields = body.model_dump()
    asked = Asked(**{**fields, **{name: tuple(fields[name]) for name in ("stations", "taxa", "categories")}})
    made = ask(web, principal, asked, known, "en")
    if isinstance(made, Refused):
        raise HTTPException(422, "; ".join(f"{name}: {text}" if name else text for name, text in made.faults.items()))
    return _export(made)


@router.get("/exports", summary="Your exports")
def exports(web: Site, principal: Exporter, limit: Limit = 100, after: After = "") -> ExportList:
    """Newest first; all of them for those who administer."""
    last = str(decode(web, CURSOR, after)[0]) if after else "~"
    mine = [job for job in runner_of(web).jobs() if may_see(principal, job) and job.id < last]
    more = encode(web, CURSOR, [mine[limit - 1].id]) if len(mine) > limit else None
    return ExportList(items=[_export(job) for job in mine[:limit]], next=more)


@router.get("/exports/{number}", summary="One export")
def export(web: Site, principal: Exporter, number: Number) -> Export:
    """How far it is."""
    return _export(find(web, principal, number))


@router.get(
    "/exports/{number}/file",
    summary="Its file",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "The part that `Range` asked for."},
        409: {"description": "It is not ready."},
        416: {"description": "It is not that long."},
    },
)
def download(web: Site, principal: Exporter, number: Number) -> FileResponse:
    """Whole, or a `Range` of it. Noted in the audit."""
    return file_of(web, principal, number)


@router.delete("/exports/{number}", status_code=204, summary="Cancel or delete an export")
def remove(web: Site, principal: Exporter, number: Number) -> None:
    """One that is being made is cancelled, any other deleted with its file."""
    job = find(web, principal, number)
    if job.state in OPEN:
        runner_of(web).cancel(job)
    else:
        remove_job(web, job)


def _export(job: Job) -> Export:
    return Export(
        id=job.id,
        by=job.who,
        at=job.at,
        format=job.asked.format,
        stations=list(job.asked.stations),
        state=job.state,
        read=job.read,
        total=job.total,
        size=job.size,
        frames=job.frames,
        observations=job.observations,
        reason=job.reason,
        name=job.name,
        ends_at=job.ends_at,
    )
