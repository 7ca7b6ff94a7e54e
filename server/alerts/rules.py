"""/alerts/rules: the rules in words, and their editor: form or YAML → check → diff and simulation → save.

A change is a draft first (drafts.py); saving hands the site's whole new YAML to the daemon, which tries it and takes
it back when the site does not come up with it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from edge.alerts.hours import WEEKDAY_NAMES
from edge.alerts.rules import Rule
from edge.chores import apply_proposal
from edge.config import plan_from
from edge.configuring.changes import Change, Changes
from edge.configuring.proposal import Proposal
from edge.errors import ConfigError, FatalError
from edge.i18n import mark
from edge.model import SEVERITIES
from edge.yaml_marks import parse

from ..needs import Manager, Viewer
from ..now.cards import tone
from ..now.names import station_names
from ..page import render, speech_of
from ..rights import Principal
from ..web import Site, Web
from . import forms
from .drafts import Draft, Drafts, SiteText, changed, drafts_of, site_text
from .trials import BusyError, begin
from .words import SUN, tell_rule

router = APIRouter(prefix="/alerts/rules")
Kept = Annotated[Drafts, Depends(drafts_of)]
RuleName = Annotated[str, Query(max_length=200)]
DAYS = (1, 7, 30, 90)
LONGEST_YAML = 50_000
CHANGE_WORDS = {
    "trying": mark("is being tried: the site starts with it, and takes it back when that fails"),
    "kept": mark("is in force"),
    "written": mark("is saved; the site is not running, and takes it when it starts"),
    "rolled_back": mark("was taken back, because the site did not come up with it"),
    "overtaken": mark("was overtaken: somebody edited the file by hand"),
}


async def form_of(request: Request) -> FormData:
    """The form of a request."""
    return await request.form(max_files=0, max_fields=2000)


Sent = Annotated[FormData, Depends(form_of)]


@router.get("", response_class=HTMLResponse)
def rules_page(request: Request, web: Site, principal: Viewer, change: RuleName = "") -> HTMLResponse:
    """All rules in words. change: one that was just saved."""
    site = site_text(web)
    found, current = rules_of(web, site)
    speech = speech_of(request)
    return render(
        request,
        "alerts/rules.html",
        rules=[(rule, tell_rule(rule, speech)) for rule in found],
        current=current,
        may_edit=may_edit(principal),
        change=change_of(web, change),
        change_words=CHANGE_WORDS,
        tone=tone,
    )


@router.get("/edit", response_class=HTMLResponse)
def edit_page(
    request: Request,
    web: Site,
    principal: Manager,
    name: RuleName = "",
    copy: RuleName = "",
    as_yaml: Annotated[str, Query(alias="yaml", max_length=1)] = "",
) -> HTMLResponse:
    """The editor. name: of the rule to change; copy: of one to begin a new one with."""
    demand_all(principal)
    site = site_text(web)
    entry = dict(site.rule(name or copy) or {}) if name or copy else dict(forms.NEW)
    if (name or copy) and not entry:
        raise HTTPException(404)
    if copy:
        entry["name"] = free_name(site, copy)
    return editor(request, web, principal, name, entry, as_yaml=bool(as_yaml))


@router.post("/edit", response_class=Response)
def edit(request: Request, web: Site, principal: Manager, sent: Sent, drafts: Kept) -> Response:
    """Check what was entered: the draft's page when it can be saved, else the editor with what is wrong."""
    demand_all(principal)
    site, name = site_text(web), str(sent.get("old") or "")
    as_yaml = "yaml" in sent
    text = str(sent.get("yaml") or "")[:LONGEST_YAML].replace("\r\n", "\n")
    old = site.rule(name) or {}
    entry: Mapping[str, Any] = {}
    faults: list[str] = []
    if as_yaml:
        entry, faults = read_entry(text)
    else:
        entry = forms.entry_from(old, sent)
    proposal = None
    if not faults:
        try:
            proposal = changed(web, site, name, entry)
        except ConfigError as exc:
            faults = [speech_of(request).text(each) for each in str(exc).splitlines()]
    if proposal is not None:
        faults = list(proposal.faults)
        if proposal.is_good:
            title = str(entry.get("name", ""))
            draft = drafts.add(principal.name, title, title, proposal)
            return RedirectResponse(f"/alerts/rules/drafts/{draft.id}", 303)
        faults = faults or [speech_of(request).text(mark("Nothing changes: the rule is like this already."))]
    return editor(request, web, principal, name, dict(entry), as_yaml=as_yaml, text=text, faults=faults, status=422)


@router.post("/remove", response_class=Response)
def remove(web: Site, principal: Manager, drafts: Kept, name: Annotated[str, Form(max_length=200)]) -> RedirectResponse:
    """A draft without this rule."""
    demand_all(principal)
    return drafted(drafts, principal, name, "", changed(web, site_text(web), name, None))


@router.post("/rest", response_class=Response)
def rest(
    web: Site,
    principal: Manager,
    drafts: Kept,
    name: Annotated[str, Form(max_length=200)],
    enabled: Annotated[str, Form(max_length=1)] = "",
) -> RedirectResponse:
    """A draft in which this rule rests, or works again."""
    demand_all(principal)
    site = site_text(web)
    entry = dict(site.rule(name) or {})
    entry.pop("enabled", None)
    if not enabled:
        entry["enabled"] = False
    return drafted(drafts, principal, name, name, changed(web, site, name, entry))


@router.get("/drafts/{draft_id}", response_class=HTMLResponse)
def draft_page(request: Request, web: Site, principal: Manager, drafts: Kept, draft_id: str) -> HTMLResponse:
    """A draft: how the file changes, and what it would have sent."""
    del web
    return render(request, "alerts/draft.html", draft=one(drafts, principal, draft_id), days=DAYS, tone=tone)


@router.post("/drafts/{draft_id}/simulate", response_class=Response)
def simulate(
    web: Site,
    principal: Manager,
    drafts: Kept,
    draft_id: str,
    days: Annotated[int, Form(ge=1, le=366)] = 7,
) -> RedirectResponse:
    """Run the rules of now and the draft's over the last days."""
    draft = one(drafts, principal, draft_id)
    if draft.trial is not None:
        draft.trial.stop()
    try:
        draft.trial = begin(web.plan.path, draft.proposal.text, draft.rule or draft.title, days)
    except BusyError as exc:
        raise HTTPException(429, mark("other simulations wait already")) from exc
    return RedirectResponse(f"/alerts/rules/drafts/{draft.id}#simulation", 303)


@router.get("/drafts/{draft_id}/simulation", response_class=HTMLResponse)
def simulation(request: Request, principal: Manager, drafts: Kept, draft_id: str) -> HTMLResponse:
    """How far a simulation is, or what it found."""
    return render(request, "alerts/simulation.html", draft=one(drafts, principal, draft_id), tone=tone)


@router.post("/drafts/{draft_id}/save", response_class=Response)
def save(
    web: Site,
    principal: Manager,
    drafts: Kept,
    draft_id: str,
    why: Annotated[str, Form(max_length=500)] = "",
) -> RedirectResponse:
    """Have the daemon try it."""
    draft = one(drafts, principal, draft_id)
    change = applied(web, principal, draft.proposal, why or f"rule {draft.title}")
    return RedirectResponse(f"/alerts/rules?change={change.id}", 303)


@router.get("/changes/{change_id}", response_class=HTMLResponse)
def change_part(request: Request, web: Site, principal: Viewer, change_id: str) -> HTMLResponse:
    """What became of a change that was saved."""
    del principal
    found = change_of(web, change_id)
    if found is None:
        raise HTTPException(404)
    return render(request, "alerts/change.html", change=found, change_words=CHANGE_WORDS)


def editor(
    request: Request,
    web: Web,
    principal: Principal,
    name: str,
    entry: dict[str, Any],
    *,
    as_yaml: bool,
    text: str = "",
    faults: list[str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The editor's page. text: the YAML as it was entered. faults: of the site with this rule."""
    plan = web.plan
    told = [each.removeprefix(f"{plan.path.name}:") for each in faults or []]
    with web.readers.read() as connection:
        stations = station_names(web, connection, principal)
    return render(
        request,
        "alerts/edit.html",
        status=status,
        old=name,
        entry=entry,
        shown=forms.values_of(entry),
        others=forms.others_of(entry),
        as_yaml=as_yaml,
        text=text or written(entry),
        faults=[each if as_yaml else forms.of_field(each) for each in told],
        stations=stations,
        zones=sorted(plan.file.zones),
        groups=sorted({*plan.file.groups, "cats", "felinos", "poachers", "cazadores"}),
        ways=list(dict.fromkeys(each.name for each in plan.directory.by_name.values() if each.person)),
        people=[each.name for each in plan.file.recipients],
        channels=[
            each.name for each in plan.file.channels if plan.channels[each.name][0].has_own(plan.channels[each.name][1])
        ],
        weekdays=WEEKDAY_NAMES,
        sun=SUN,
        severities=SEVERITIES,
    )


def rules_of(web: Web, site: SiteText) -> tuple[tuple[Rule, ...], bool]:
    """The rules of a text of the site; where it has faults, those that the page began with, and False."""
    if site.base not in _read:
        _read.clear()  # one site a process, and one text at a time
        try:
            _read[site.base] = plan_from(site.text, web.plan.path, web.registry).file.rules
        except FatalError:
            _read[site.base] = None
    found = _read[site.base]
    return (web.plan.file.rules, False) if found is None else (found, True)


_read: dict[str, tuple[Rule, ...] | None] = {}


def may_edit(principal: Principal) -> bool:
    """Rules are about all stations: who sees some of them can't change rules."""
    return principal.may("manage") and principal.stations is None


def demand_all(principal: Principal) -> None:
    """Raises HTTPException 403."""
    if not may_edit(principal):
        raise HTTPException(403, mark("rules are about all stations, and you see some of them"))


def drafted(drafts: Drafts, principal: Principal, title: str, rule: str, proposal: Proposal) -> RedirectResponse:
    """To the page of a new draft. Raises HTTPException 422 with what is wrong."""
    if not proposal.is_good:
        raise HTTPException(422, "; ".join(proposal.faults))
    draft = drafts.add(principal.name, title, rule, proposal)
    return RedirectResponse(f"/alerts/rules/drafts/{draft.id}", 303)


def one(drafts: Drafts, principal: Principal, draft_id: str) -> Draft:
    """A draft of their own. Raises HTTPException."""
    demand_all(principal)
    draft = drafts.get(draft_id, principal.name)
    if draft is None:
        raise HTTPException(404, mark("drafts are not kept for long: make the change again"))
    return draft


def applied(web: Web, principal: Principal, proposal: Proposal, why: str) -> Change:
    """Save it. Raises HTTPException 409 with the reason when it is refused."""
    try:
        return apply_proposal(web.plan, proposal, who=principal.name, why=why, clock=web.clock)
    except FatalError as exc:
        raise HTTPException(409, str(exc)) from exc


def change_of(web: Web, change_id: str) -> Change | None:
    """A change of the configuration, None where it is not kept."""
    return Changes(web.state_dir).get(change_id) if change_id else None


def read_entry(text: str) -> tuple[Mapping[str, Any], list[str]]:
    """(a rule as YAML has it, what is wrong with the YAML)."""
    document = parse(text)
    if document.faults:
        return {}, [f"{each.line}:{each.col} {each.message}" for each in document.faults]
    if not isinstance(document.data, dict):
        return {}, ["1:1 a rule is a mapping of keys such as `name:` and `taxon:`"]
    return document.data, []


def written(entry: Mapping[str, Any]) -> str:
    """A rule as YAML."""
    return str(yaml.safe_dump(dict(entry), sort_keys=False, allow_unicode=True, default_flow_style=None))


def free_name(site: SiteText, name: str) -> str:
    """A name for a copy."""
    number = 2
    while site.index(f"{name} {number}") is not None:
        number += 1
    return f"{name} {number}"
