"""The page of exports: what to choose, what is being made, what is ready."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from edge.i18n import _, mark

from ..needs import Exporter
from ..now.names import station_names
from ..page import render, speech_of
from ..rights import Principal
from ..web import Site, Web
from .asking import CATEGORIES, NOT_OFFERED, Refused, ask, note, offered, record_taxa
from .jobs import ID, KEPT, OPEN, Asked, Job, folder_of, may_see, remove_job
from .linked import USUAL, Known, read_link
from .runner import runner_of

router = APIRouter()
MOST_SHOWN = 50
Number = Annotated[str, Path(pattern=ID, max_length=40)]
STATES = {  # state → its chip's class, and word
    "queued": ("", mark("waits")),
    "running": ("warn", mark("being made")),
    "done": ("good", mark("ready")),
    "failed": ("bad", mark("failed")),
    "cancelled": ("", mark("cancelled")),
}
WHAT_FOR = {  # format → what people want it for; the exporter's own line says what it is
    "report": mark("To read, print and show: what was there, when, and how much was looked. Begin with this one."),
    "camtrap-dp": mark("To publish the data or hand them to another platform, such as GBIF, Agouti or TRAPPER."),
    "csv": mark("To count and draw yourself, in a spreadsheet, R or Python."),
    "matrices": mark("For occupancy models and other statistics in R."),
    "darwin-core": mark("To publish occurrences in GBIF or SiB Colombia."),
    "wildlife-insights": mark("To upload to Wildlife Insights."),
    "geojson": mark("For maps in QGIS and the like."),
    "kml": mark("To look at in Google Earth."),
    "gpx": mark("To walk to the cameras with a GPS device."),
    "megadetector": mark("To go on in Timelapse or AddaxAI."),
    "coco": mark("To train and compare models."),
    "yolo": mark("To train a detector of your own."),
    "tags": mark("To look through the pictures in digiKam or Lightroom."),
}
FIRST = tuple(WHAT_FOR)  # the order on the page; what plugins add comes after


@router.get("/export")
def export_page(request: Request, web: Site, principal: Exporter) -> HTMLResponse:
    """The form, filled in as a link says, and this person's exports."""
    known = Known(offered(web, principal), _names(web, principal), record_taxa(web, principal))
    asked, left_out = read_link(request.query_params.multi_items(), known)
    return _page(request, web, principal, asked, {}, left_out=left_out, linked=asked != USUAL)


@router.get("/export/list")
def export_list(request: Request, web: Site, principal: Exporter) -> HTMLResponse:
    """The list alone, for the page to look again while something is made."""
    return render(request, "export/list.html", **_listed(web, principal))


@router.post("/export")
async def make_export(request: Request, web: Site, principal: Exporter) -> Response:
    """Have one made; a form with faults comes back with them."""
    asked = _asked(await request.form())
    return await run_in_threadpool(_make, request, web, principal, asked)


@router.get("/export/{number}/file")
def download(web: Site, principal: Exporter, number: Number) -> FileResponse:
    """The file, whole or in ranges; always to be saved, never shown as a page of this site."""
    return file_of(web, principal, number)


@router.post("/export/{number}/cancel")
def cancel(web: Site, principal: Exporter, number: Number) -> Response:
    """Make it no more."""
    runner_of(web).cancel(find(web, principal, number))
    return RedirectResponse("/export#made", 303)


@router.post("/export/{number}/remove")
def remove(web: Site, principal: Exporter, number: Number) -> Response:
    """Delete one that is over."""
    job = find(web, principal, number)
    if job.state in OPEN:
        raise HTTPException(409, mark("it is being made: cancel it first"))
    remove_job(web, job)
    return RedirectResponse("/export#made", 303)


def find(web: Web, principal: Principal, number: str) -> Job:
    """An export of theirs. Raises HTTPException 404."""
    for job in runner_of(web).jobs():
        if job.id == number and may_see(principal, job):
            return job
    raise HTTPException(404, mark("no such export"))


def file_of(web: Web, principal: Principal, number: str) -> FileResponse:
    """The file of an export that is ready, noted in the audit. Raises HTTPException 404, 409."""
    job = find(web, principal, number)
    path = folder_of(web) / job.id / job.name
    if job.state != "done":
        raise HTTPException(409, mark("it is not ready"))
    if not path.is_file():
        raise HTTPException(404, mark("its file is gone"))
    note(web, principal, "export.download", job)
    headers = {"cache-control": "private, no-store"}
    return FileResponse(path, filename=job.name, media_type="application/octet-stream", headers=headers)


def _make(request: Request, web: Web, principal: Principal, asked: Asked) -> Response:
    made = ask(web, principal, asked, _names(web, principal), speech_of(request).language)
    if isinstance(made, Refused):
        return _page(request, web, principal, asked, dict(made.faults), status=422)
    return RedirectResponse("/export#made", 303)


def _asked(form: FormData) -> Asked:
    """What the form says; what is no text, too long or has characters that are none is refused."""
    texts: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, str) or len(value) > 2000 or "\0" in value:
            raise HTTPException(422, _("{name}: no text, or too long").format(name=name[:40]))
        if value.strip():
            texts.setdefault(name, []).append(value.strip())
    chosen = texts.get("format", [""])[0]
    prefix = f"set-{chosen}-"
    score = texts.get("min_score", ["0"])[0].replace(",", ".")
    try:
        least = min(1.0, max(0.0, float(score)))
    except ValueError as exc:
        raise HTTPException(422, _("{name}: write a number from 0 to 1").format(name=score[:20])) from exc
    return Asked(
        chosen,
        {name.removeprefix(prefix): values[0] for name, values in texts.items() if name.startswith(prefix)},
        tuple(texts.get("station", ())),
        texts.get("since", [""])[0],
        texts.get("until", [""])[0],
        tuple(filter(None, (each.strip() for each in ",".join(texts.get("taxon", ())).split(",")))),
        tuple(texts.get("category", ())),
        0.0 if least != least else least,  # noqa: PLR0124  # because it is no number then
        "suppressed" in texts,
        texts.get("independent", [""])[0],
    )


def _page(
    request: Request,
    web: Web,
    principal: Principal,
    asked: Asked,
    faults: dict[str, str],
    *,
    status: int = 200,
    linked: bool = False,
    left_out: Sequence[str] = (),
) -> HTMLResponse:
    """linked: something was filled in as a link says. left_out: what could not be."""
    names = offered(web, principal)
    ordered = [*(name for name in FIRST if name in names), *(name for name in names if name not in FIRST)]
    values: dict[str, Any] = {
        "formats": [_format(web, name) for name in ordered],
        "asked": asked,
        "faults": faults,
        "linked": linked,
        "left_out": left_out,
        "stations": _names(web, principal),
        **_listed(web, principal),
    }
    return render(request, "export/page.html", status=status, **values)


def _format(web: Web, name: str) -> dict[str, Any]:
    spec, hidden = web.registry.exporters[name], NOT_OFFERED.get(name, frozenset())
    options = [each for each in spec.options if each.name not in hidden]
    return {"name": name, "suffix": spec.suffix, "about": spec.about, "for": WHAT_FOR.get(name, ""), "options": options}


def _listed(web: Web, principal: Principal) -> dict[str, Any]:
    jobs = [job for job in runner_of(web).jobs() if may_see(principal, job)][:MOST_SHOWN]
    return {
        "jobs": jobs,
        "states": STATES,
        "open": OPEN,
        "watch": any(job.state in OPEN for job in jobs),
        "kept_days": KEPT.days,
        "categories": CATEGORIES,
    }


def _names(web: Web, principal: Principal) -> list[str]:
    with web.readers.read() as connection:
        return station_names(web, connection, principal)
