"""Exports as they lie on disk: one folder each, `web/exports/<id>/` of the state folder, so that a restart loses none.

job.json: what was asked for, by whom; written once. progress.json: frames read, of how many; written by the process
that makes it. result.json: what came of it, done, failed or cancelled; one without it waits or is being made. And the
file itself.
"""

import json
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from edge.paths import write_atomically

from ..rights import Principal
from ..web import Web

ID = r"^[0-9]{8}T[0-9]{12}-[0-9a-f]{8}$"
KEPT = timedelta(days=7)
State = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN = ("queued", "running")
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted, as `tigrillo export` has it; texts as people write them. stations: () for all."""

    format: str
    options: Mapping[str, str] = field(default_factory=dict)
    stations: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    taxa: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_score: float = 0.0
    suppressed: bool = False
    independent: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """An export. state: queued, running, done, failed or cancelled. read, total: frames. reason: why it failed."""

    id: str
    who: str
    at: datetime
    asked: Asked
    language: str
    name: str
    state: State = "queued"
    read: int = 0
    total: int = 0
    size: int = 0
    frames: int = 0
    observations: int = 0
    reason: str = ""
    ended_at: datetime | None = None
    without_position: tuple[str, ...] = ()

    @property
    def ends_at(self) -> datetime | None:
        """When its file is deleted; None while it is made."""
        return self.ended_at and self.ended_at + KEPT


def folder_of(web: Web) -> Path:
    """Where they lie."""
    return web.own_dir / "exports"


def new_job(web: Web, asked: Asked, *, who: str, language: str, suffix: str) -> Job:
    """Write down a new export. Raises OSError."""
    now = web.clock.now()
    number = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
    site = NOT_IN_NAMES.sub("-", web.plan.file.site.name).strip("-.") or "tigrillo"
    job = Job(number, who, now, asked, language, f"{site[:60]}-{asked.format}-{now:%Y-%m-%d}{suffix}")
    folder = folder_of(web) / number
    folder.mkdir(parents=True, mode=0o700)
    said = {"who": who, "at": now.isoformat(), "asked": asdict(asked), "language": language, "name": job.name}
    write_atomically(folder / "job.json", json.dumps(said).encode(), mode=0o600)
    return job


def read_job(folder: Path, *, running: str = "") -> Job | None:
    """The export in this folder; None when there is none. running: the id of the one that is being made."""
    said = _json(folder / "job.json")
    if not said:
        return None
    lists = {name: tuple(said["asked"][name]) for name in ("stations", "taxa", "categories")}
    asked = Asked(**{**said["asked"], **lists})
    job = Job(folder.name, said["who"], datetime.fromisoformat(said["at"]), asked, said["language"], said["name"])
    progress, result = _json(folder / "progress.json"), _json(folder / "result.json")
    values: dict[str, Any] = {name: int(progress.get(name, 0)) for name in ("read", "total")}
    values["state"] = "running" if folder.name == running else "queued"
    if result:
        values |= {name: int(result.get(name, 0)) for name in ("size", "frames", "observations")}
        values |= {"state": result["state"], "reason": result.get("reason", "")}
        values["ended_at"] = datetime.fromisoformat(result["at"])
        values["without_position"] = tuple(result.get("without_position", ()))
    fields = {name: getattr(job, name) for name in ("id", "who", "at", "asked", "language", "name")}
    return Job(**fields, **values)


def all_jobs(web: Web, *, running: str = "") -> list[Job]:
    """All that are kept, newest first."""
    folder = folder_of(web)
    if not folder.is_dir():
        return []
    folders = sorted((each for each in folder.iterdir() if re.match(ID, each.name)), reverse=True)
    return [job for each in folders if (job := read_job(each, running=running)) is not None]


def end_job(folder: Path, state: str, at: datetime, **fields: Any) -> None:
    """Write down what came of it, and keep of its files the export only, and that only if it is done."""
    said = _json(folder / "job.json")
    kept = {"job.json", "progress.json", *([said.get("name", "")] if state == "done" else [])}
    for each in folder.iterdir():
        if each.name not in kept:
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
    result = {"state": state, "at": at.isoformat(), **fields}
    write_atomically(folder / "result.json", json.dumps(result).encode(), mode=0o600)


def forget_old(web: Web, now: datetime) -> None:
    """Delete what ended more than KEPT ago."""
    for job in all_jobs(web):
        if job.ends_at is not None and job.ends_at <= now:
            remove_job(web, job)


def remove_job(web: Web, job: Job) -> None:
    """Delete an export with its file."""
    shutil.rmtree(folder_of(web) / job.id, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(each.lstat().st_size for each in folder.rglob("*") if not each.is_symlink() and each.is_file())


def may_see(principal: Principal, job: Job) -> bool:
    """Their own, or any for who administers; never one with stations that are not theirs (any more)."""
    if principal.name != job.who and not principal.may("administer"):
        return False
    if principal.stations is None:
        return True
    return bool(job.asked.stations) and principal.stations.issuperset(job.asked.stations)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
