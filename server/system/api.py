"""/api/v1/system: the same for programs."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from edge.configuring.changes import Change, Changes
from edge.configuring.proposal import LARGEST_TEXT, propose, read_site
from edge.errors import EdgeError
from edge.store.quarantine import page_of

from ..api import cursor
from ..api.words import MOST, NO_NUL, After, Key, Limit
from ..needs import Admin, Manager
from ..web import Site
from .configuration import apply_text
from .look import history_of, look
from .pages import retry_all, retry_one
from .queries import audited

router = APIRouter()


class VerbOut(BaseModel):
    """One of the eight verbs, since the daemon started. per_minute: of the last five minutes."""

    done: int
    failed: int
    per_minute: float | None


class SystemOut(BaseModel):
    """How the system is. Bytes and counts; counts of what waits end at 10,000."""

    running: bool
    at: datetime | None
    started_at: datetime | None
    version: str
    verbs: dict[str, VerbOut]
    refused: dict[str, int]
    deferred: int
    waiting: int
    waiting_bytes: int
    waiting_since: datetime | None
    spool_bytes: int
    in_work: int
    workers: int
    messages_to_send: int
    messages_failed: int
    quarantined: int
    disk_free_bytes: int
    disk_bytes: int
    channels: dict[str, dict[str, Any]]
    models: list[dict[str, str]]
    measured: list[dict[str, Any]]
    versions: dict[str, str]


class QuarantinedOut(BaseModel):
    """Something in quarantine. station, frame: "" for what never became a frame."""

    pk: int
    at: datetime
    station: str
    frame: str
    source: str
    name: str
    reason: str
    can_retry: bool


class QuarantineOut(BaseModel):
    """A part of the list, the newest first."""

    items: list[QuarantinedOut]
    next: str | None


class UptoIn(BaseModel):
    """upto: the pk of the newest row that somebody has looked at; what came since stays."""

    model_config = ConfigDict(extra="forbid")

    upto: int = Field(strict=True, ge=1, le=MOST)


class RetriedOut(BaseModel):
    """count: frames that are looked at again. gone: those that are not, because their files are not there."""

    count: int
    gone: int


class AuditedOut(BaseModel):
    """Who did what with what, when."""

    pk: int
    at: datetime
    who: str
    action: str
    subject: str
    details: Any


class AuditOut(BaseModel):
    """A part of the audit, the newest first."""

    items: list[AuditedOut]
    next: str | None


class TextIn(BaseModel):
    """A new text of the site's YAML. base: of the answer that it was made from; a file that has changed is refused."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=LARGEST_TEXT)
    base: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    why: str = Field(default="", max_length=500)


class ConfigurationOut(BaseModel):
    """The site's YAML as it is. base: SHA-256."""

    text: str
    base: str


class ProposalOut(BaseModel):
    """What is wrong with a text, and how it differs from the file."""

    good: bool
    faults: list[str]
    warnings: list[str]
    diff: str


class ChangeOut(BaseModel):
    """A change of the site's YAML. state: trying, kept, rolled_back, written or overtaken."""

    id: str
    at: str
    who: str
    why: str
    state: str
    reason: str
    ended_at: str


@router.get("/system", summary="How the system is")
def system(request: Request, web: Site, principal: Manager) -> SystemOut:
    """Verbs with rates, what waits, limits, disk, channels, models, versions."""
    del principal
    found = look(web, history_of(request))
    status, deep = found.status, found.depths
    return SystemOut(
        running=status.running,
        at=status.at,
        started_at=status.started_at,
        version=status.version,
        verbs={
            verb: VerbOut(done=done, failed=failed, per_minute=found.rates.get(verb))
            for verb, (done, failed) in status.verbs.items()
        },
        refused=dict(status.refused),
        deferred=status.deferred,
        waiting=deep.waiting,
        waiting_bytes=deep.waiting_bytes,
        waiting_since=deep.oldest,
        spool_bytes=found.spool_limit,
        in_work=deep.in_work,
        workers=found.workers,
        messages_to_send=deep.to_send,
        messages_failed=deep.failed_to_send,
        quarantined=deep.quarantined,
        disk_free_bytes=found.disk_free,
        disk_bytes=found.disk_total,
        channels={name: dict(each) for name, each in status.channels.items()},
        models=[
            {"task": each.task, "name": each.name, "runs_on": each.where, "fault": each.fault} for each in found.models
        ],
        measured=[
            {
                "model": each.model,
                "device": each.device,
                "ms_opencl": each.ms_opencl,
                "ms_onnxruntime": each.ms_onnxruntime,
            }
            for each in found.measured
        ],
        versions=dict(found.versions),
    )


@router.get("/system/quarantine", summary="What could not be looked at")
def quarantine(web: Site, principal: Manager, after: After = "", limit: Limit = 50) -> QuarantineOut:
    """The newest first."""
    before = int(str(cursor.decode(web, "quarantine", after)[0])) if after else None
    with web.readers.read() as connection:
        rows = page_of(connection, before=before, limit=limit + 1, stations=principal.stations)
    names = QuarantinedOut.model_fields
    items = [QuarantinedOut(**{name: getattr(row, name) for name in names}) for row in rows[:limit]]
    return QuarantineOut(
        items=items, next=cursor.encode(web, "quarantine", [rows[limit - 1].pk]) if len(rows) > limit else None
    )


@router.post("/system/quarantine/{pk}/retry", summary="Have a frame looked at again")
def retry(web: Site, principal: Manager, pk: Key) -> dict[str, str]:
    """Its station and id; 409 with the reason when it can't be."""
    return retry_one(web, principal, pk)


@router.post("/system/quarantine/retry", summary="Have all frames in quarantine looked at again")
def retry_every(web: Site, principal: Manager, which: UptoIn) -> RetriedOut:
    """10,000 at most; who sees some stations only has theirs looked at again."""
    return RetriedOut(**retry_all(web, principal, which.upto))


@router.get("/system/audit", summary="Who did what")
def audit(
    web: Site,
    principal: Admin,
    after: After = "",
    limit: Limit = 50,
    who: Annotated[str, Query(max_length=120, pattern=NO_NUL)] = "",
    action: Annotated[str, Query(max_length=32, pattern=NO_NUL)] = "",
) -> AuditOut:
    """The newest first. who, action: only these, whole."""
    del principal
    before = int(str(cursor.decode(web, "audit", after)[0])) if after else None
    with web.readers.read() as connection:
        rows, older = audited(connection, before=before, limit=limit, who=who, action=action)
    items = [AuditedOut(**{name: getattr(row, name) for name in AuditedOut.model_fields}) for row in rows]
    return AuditOut(items=items, next=cursor.encode(web, "audit", [older]) if older is not None else None)


@router.get("/system/configuration", summary="The site's YAML")
def configuration(web: Site, principal: Admin) -> ConfigurationOut:
    """As it is now; it holds places of secrets, and no secrets."""
    del principal
    text, base = read_site(web.plan.path)
    return ConfigurationOut(text=text, base=base)


@router.post("/system/configuration/check", summary="What a new text would change")
def check(web: Site, principal: Admin, new: TextIn) -> ProposalOut:
    """Faults with their places, and a diff; nothing is written."""
    del principal
    found = propose(web.plan.path, new.text, web.registry, base=new.base)
    return ProposalOut(good=found.is_good, faults=list(found.faults), warnings=list(found.warnings), diff=found.diff)


@router.post("/system/configuration", summary="Put a new text into force", status_code=202)
def apply(web: Site, principal: Admin, new: TextIn) -> ChangeOut:
    """The change, which the daemon now tries; ask for it again until it is kept or rolled back.

    409 with the reason when the file has changed meanwhile or another change is being tried, 422 when it has faults.
    """
    found = propose(web.plan.path, new.text, web.registry, base=new.base)
    try:
        return _out(apply_text(web, principal, found, new.why))
    except EdgeError as exc:
        raise HTTPException(422 if found.faults else 409, str(exc)) from exc


@router.get("/system/configuration/changes", summary="The last 20 changes")
def changes(web: Site, principal: Admin) -> list[ChangeOut]:
    """The newest first."""
    del principal
    return [_out(change) for change in Changes(web.state_dir).newest_first()]


@router.get("/system/configuration/changes/{change_id}", summary="What became of a change")
def one_change(web: Site, principal: Admin, change_id: str) -> ChangeOut:
    """404 when it is not kept any more."""
    del principal
    change = Changes(web.state_dir).get(change_id)
    if change is None:
        raise HTTPException(404)
    return _out(change)


def _out(change: Change) -> ChangeOut:
    return ChangeOut(**{name: getattr(change, name) for name in ChangeOut.model_fields})
