"""Messages and rules for programs: /api/v1/alerts and /api/v1/rules."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from edge.configuring.proposal import Proposal
from edge.errors import ConfigError

from ..api.cursor import encode
from ..needs import Manager, Viewer
from ..rights import Principal
from ..web import Site, Web
from . import queries
from .drafts import changed, site_text
from .pages import CURSOR, Asked, key_from
from .queries import PAGE, Line
from .rules import applied, demand_all
from .trials import BusyError, run_now

router = APIRouter()
MOST = 200
LONGEST_NAME = 200
Base = Annotated[str, Header(alias="if-match", max_length=100, description="`base` of the list that was changed")]


class AlertOut(BaseModel):
    """A message and what became of it."""

    id: int
    kind: str = Field(description="alert, update, digest, health, answer or test")
    severity: str
    rule: str
    station: str
    encounter: str = Field(description="uid; empty where it is about none")
    taxon: str
    to: str
    channel: str
    escalation: int = Field(description="0 for the first who are told")
    state: str = Field(description="pending, sending, sent, failed, dropped, digest or digested")
    why: str = Field(description="in English; empty when there is nothing to say")
    attempts: int
    queued_at: datetime
    sent_at: datetime | None
    receipt: str = Field(description="waiting, delivered or failed; empty where the channel has none")
    acknowledged_at: datetime | None
    acknowledged_by: str


class AlertsOut(BaseModel):
    """A part of the list, newest first."""

    items: list[AlertOut]
    next: str | None = Field(description="give it as `cursor` for the next part; null at the end")


class RulesOut(BaseModel):
    """The rules as the site's YAML has them. base: what `If-Match` takes, so that nobody's change is lost."""

    items: list[dict[str, Any]]
    base: str


class RuleIn(BaseModel):
    """A rule as in the site's YAML (docs/alerts.md), and why it is so."""

    rule: dict[str, Any]
    why: str = Field(default="", max_length=500)


class RuleChangeOut(BaseModel):
    """A change of the configuration. state: trying, kept, written, rolled_back or overtaken."""

    id: str
    state: str
    reason: str
    diff: str


class SimulateIn(BaseModel):
    """A rule in the place of the one of its name, or a new one; over so many days."""

    rule: dict[str, Any]
    days: int = Field(default=7, strict=True, ge=1, le=31)


class SimulatedOut(BaseModel):
    """What the rules of now, and those with the change, would have sent."""

    now: dict[str, Any]
    new: dict[str, Any]


@router.get("/alerts", summary="Messages, newest first")
def alerts(
    web: Site,
    principal: Viewer,
    filters: Asked,
    before: Annotated[str, Query(alias="cursor", max_length=400, description="`next` of the answer before")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = PAGE,
) -> AlertsOut:
    """A part of the list. A filter that finds little may give few, or none, and a `next` all the same."""
    after = key_from(web, before)
    with web.readers.read() as connection:
        page = queries.page_of(connection, principal.stations, filters, "en", after=after, size=limit)
    return AlertsOut(
        items=[_alert(each) for each in page.lines], next=encode(web, CURSOR, [page.next]) if page.next else None
    )


@router.get("/rules", summary="The rules")
def rules(web: Site, principal: Viewer) -> RulesOut:
    """As the site's YAML has them now."""
    del principal
    site = _site(web)
    return RulesOut(items=[_plain(each) for each in site.rules], base=site.base)


@router.get("/rules/{name}", summary="One rule")
def rule(web: Site, principal: Viewer, name: str) -> dict[str, Any]:
    """As the site's YAML has it now."""
    del principal
    found = _site(web).rule(name)
    if found is None:
        raise HTTPException(404)
    return dict(_plain(found))


@router.post("/rules", status_code=201, summary="A new rule")
def add(web: Site, principal: Manager, asked: RuleIn, if_match: Base = "") -> RuleChangeOut:
    """Saved and tried by the running site, which takes it back when it does not come up with it."""
    return _apply(web, principal, _proposal(web, principal, "", asked.rule, if_match), asked.why)


@router.put("/rules/{name}", summary="Change a rule")
def change(web: Site, principal: Manager, name: str, asked: RuleIn, if_match: Base = "") -> RuleChangeOut:
    """As a new one is saved; another name in `rule` renames it."""
    return _apply(web, principal, _proposal(web, principal, name, asked.rule, if_match), asked.why)


@router.delete("/rules/{name}", summary="Delete a rule")
def remove(web: Site, principal: Manager, name: str, if_match: Base = "") -> RuleChangeOut:
    """As a new one is saved."""
    return _apply(web, principal, _proposal(web, principal, name, None, if_match), "")


@router.post("/rules/simulate", summary="What a rule would have sent")
def simulate(web: Site, principal: Manager, asked: SimulateIn) -> SimulatedOut:
    """Runs recorded frames through the rules; nothing is sent or saved. Takes seconds to minutes."""
    name = str(asked.rule.get("name", ""))
    known = _site(web).rule(name)
    proposal = _proposal(web, principal, name if known is not None else "", asked.rule, "", same=True)
    try:
        trial = run_now(web.plan.path, proposal.text, name, asked.days)
    except BusyError as exc:
        raise HTTPException(429, "other simulations wait already", {"retry-after": "30"}) from exc
    if trial.state != "done":
        raise HTTPException(422, trial.error)
    return SimulatedOut.model_validate(trial.result)


def _proposal(
    web: Web, principal: Principal, name: str, entry: dict[str, Any] | None, base: str, *, same: bool = False
) -> Proposal:
    """A checked change. same: also one that changes nothing. Raises HTTPException 404, 409, 412 or 422."""
    demand_all(principal)
    site = _site(web)
    if base and base.strip('"') != site.base:
        raise HTTPException(412, "the rules were changed meanwhile: load them again")
    if name and site.index(name) is None:
        raise HTTPException(404)
    try:
        proposal = changed(web, site, name, entry)
    except ConfigError as exc:
        raise HTTPException(422, str(exc)) from exc
    if proposal.faults:
        raise HTTPException(422, "; ".join(proposal.faults)[:2000])
    if not proposal.diff and not same:
        raise HTTPException(409, "nothing changes: the rule is like this already")
    return proposal


def _apply(web: Web, principal: Principal, proposal: Proposal, why: str) -> RuleChangeOut:
    done = applied(web, principal, proposal, why)
    return RuleChangeOut(id=done.id, state=done.state, reason=done.reason, diff=proposal.diff)


def _site(web: Web) -> Any:
    try:
        return site_text(web)
    except ConfigError as exc:
        raise HTTPException(409, str(exc)) from exc


def _plain(value: Any) -> Any:
    """As JSON has it: YAML knows dates, too."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _alert(line: Line) -> AlertOut:
    row, of = line.row, line.encounter
    return AlertOut(
        id=row.pk,
        kind=row.kind,
        severity=row.severity,
        rule=row.rule,
        station=row.station,
        encounter=of.uid if of else "",
        taxon=line.taxon,
        to=row.who,
        channel=row.channel,
        escalation=row.step,
        state=row.state,
        why=line.why,
        attempts=row.attempts,
        queued_at=row.created_at,
        sent_at=row.sent_at,
        receipt=row.receipt_state,
        acknowledged_at=of.acked_at if of else None,
        acknowledged_by=of.acked_by if of else "",
    )
