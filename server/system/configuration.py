"""/system/configuration: the site's YAML: check → compare → apply → what became of it, and putting an old text back."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from edge.chores import apply_proposal
from edge.configuring.changes import Change, Changes
from edge.configuring.proposal import LARGEST_TEXT, Proposal, diff_of, propose, read_site
from edge.daemon import is_running
from edge.errors import EdgeError
from edge.i18n import mark
from edge.site_web import WebConfig
from edge.yaml_marks import parse

from ..needs import Admin
from ..page import render
from ..rights import Principal
from ..web import Site, Web

router = APIRouter()
Text = Annotated[str, Form(max_length=LARGEST_TEXT)]
Base = Annotated[str, Form(pattern=r"^([0-9a-f]{64})?$")]
Why = Annotated[str, Form(max_length=500)]
STATES = {
    "trying": mark("being tried"),
    "kept": mark("kept, it came up"),
    "rolled_back": mark("rolled back"),
    "written": mark("written, not tried"),
    "overtaken": mark("given up"),
}


@router.get("/system/configuration", response_class=Response)
def editor(
    request: Request,
    web: Site,
    principal: Admin,
    change: Annotated[str, Query(max_length=64)] = "",
    which: Annotated[str, Query(pattern="^(before|after)$")] = "before",
) -> Response:
    """The editor; change, which: begins with a text that was in force once."""
    del principal
    text, base = read_site(web.plan.path)
    if change:
        text = Changes(web.state_dir).text(change, "before" if which == "before" else "after")
        return _editor(request, web, propose(web.plan.path, text, web.registry, base=base))
    return _editor(request, web, Proposal(web.plan.path, text, base, (), ""), begun=False)


@router.post("/system/configuration/check", response_class=Response)
def check(request: Request, web: Site, principal: Admin, text: Text, base: Base = "", why: Why = "") -> Response:
    """What is wrong, and what would change; nothing is written."""
    del principal
    return _editor(request, web, propose(web.plan.path, text, web.registry, base=base), why=why)


@router.post("/system/configuration/apply", response_class=Response)
def apply(request: Request, web: Site, principal: Admin, text: Text, base: Base = "", why: Why = "") -> Response:
    """Put it into force; the page of the change tells what becomes of it."""
    proposal = propose(web.plan.path, text, web.registry, base=base)
    try:
        change = apply_text(web, principal, proposal, why)
    except EdgeError as exc:
        return _editor(request, web, proposal, why=why, refused=str(exc))
    return RedirectResponse(f"/system/configuration/changes/{change.id}", 303)


def apply_text(web: Web, principal: Principal, proposal: Proposal, why: str) -> Change:
    """The change that a proposal becomes. Raises FatalError with the reason when it is refused."""
    return apply_proposal(web.plan, proposal, who=principal.name, why=why.strip(), clock=web.clock)


def _editor(
    request: Request, web: Web, proposal: Proposal, *, begun: bool = True, why: str = "", refused: str = ""
) -> Response:
    """begun: somebody wants something of this text, so it is judged."""
    changes = Changes(web.state_dir)
    return render(
        request,
        "system/configuration.html",
        status=409 if refused else 200,
        proposal=proposal,
        begun=begun,
        why=why,
        refused=refused if refused not in proposal.faults else "",
        lines=proposal.text.count("\n") + 1,
        changes=changes.newest_first(),
        trial=changes.trial(),
        states=STATES,
        running=is_running(web.state_dir),
    )


@router.get("/system/configuration/changes/{change_id}", response_class=Response)
def change_page(request: Request, web: Site, principal: Admin, change_id: str) -> Response:
    """One change: its diff and what became of it; for htmx only the latter, until it is known."""
    del principal
    changes = Changes(web.state_dir)
    change = changes.get(change_id)
    if change is None:
        raise HTTPException(404)
    running = is_running(web.state_dir)
    if request.headers.get("hx-request") == "true":
        return render(request, "system/outcome.html", change=change, states=STATES, running=running)
    before, after = changes.text(change.id, "before"), changes.text(change.id, "after")
    diff = diff_of(before, after, web.plan.path.name)
    moved = port_of(after) if port_of(after) != port_of(before) else 0
    return render(request, "system/change.html", change=change, diff=diff, states=STATES, running=running, moved=moved)


def port_of(text: str) -> int:
    """The port at which a site's text has its page; 0 where it has none."""
    data = parse(text).data
    page = data.get("web") if isinstance(data, dict) else None
    port = page.get("port", WebConfig().port) if isinstance(page, dict) else 0
    return port if isinstance(port, int) else 0
