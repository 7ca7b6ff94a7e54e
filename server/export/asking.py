"""What people ask for → a job, or what is wrong with it. Whoever sees some stations only gets those only."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import insert

from edge.errors import EdgeError
from edge.export import read_options, read_taxa
from edge.i18n import _, mark, speaking
from edge.store.harvest import Span
from edge.store.schema import audit

from ..review.queries import site_taxa
from ..rights import Principal
from ..web import Web
from .child import wanted_of
from .jobs import OPEN, Asked, Job, new_job
from .runner import runner_of

CATEGORIES = {"animal": mark("animals"), "person": mark("people"), "vehicle": mark("vehicles")}
WITH_FILES = frozenset({"tags", "yolo"})  # formats that have the pictures in them as they came
NOT_OFFERED = {"yolo": frozenset({"files"})}  # options that make sense on the site's own disk only
MOST_WAITING = 5  # of one person
_one_by_one = threading.Lock()


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an export is not made: field of the form → one line; "" for all of it."""

    faults: Mapping[str, str] = field(default_factory=dict)


def ask(web: Web, principal: Principal, asked: Asked, known: Sequence[str], language: str) -> Job | Refused:
    """Have it made; what waits or is being made for this person already is told again. known: stations they see."""
    with speaking(language):
        faults = dict(_faults(web, principal, asked, known))
    if faults:
        return Refused(faults)
    if principal.stations is not None and not asked.stations:
        asked = replace(asked, stations=tuple(known))
    with _one_by_one:
        return _begin(web, principal, asked, language)


def _begin(web: Web, principal: Principal, asked: Asked, language: str) -> Job | Refused:
    runner = runner_of(web)
    mine = [job for job in runner.jobs() if job.who == principal.name and job.state in OPEN]
    if same := next((job for job in mine if (job.asked, job.language) == (asked, language)), None):
        return same  # a double click, or a form that was sent again
    if len(mine) >= MOST_WAITING:
        with speaking(language):
            text = _("{count} of your exports wait already: come back when they are made")
        return Refused({"": text.format(count=len(mine))})
    suffix = web.registry.exporters[asked.format].suffix
    job = new_job(web, asked, who=principal.name, language=language, suffix=suffix)
    note(web, principal, "export.make", job)
    runner.wake()
    return job


def offered(web: Web, principal: Principal) -> list[str]:
    """The formats that this person may have."""
    return [name for name in sorted(web.registry.exporters) if name not in WITH_FILES or principal.may("originals")]


def record_taxa(web: Web, principal: Principal) -> frozenset[str]:
    """The names of animals on record where this person sees them; some are in no table of ours."""
    with web.readers.read() as connection:
        return frozenset(site_taxa(connection, [""] if principal.stations is None else sorted(principal.stations)))


def note(web: Web, principal: Principal, action: str, job: Job) -> None:
    """A row of `audit`: data left the site."""
    asked = job.asked
    said = {"format": asked.format, "stations": list(asked.stations), "since": asked.since, "until": asked.until}
    if asked.options.get("people") == "include":
        said["people"] = "include"
    row = {"at": web.clock.now(), "who": principal.name, "action": action, "subject": f"export {job.id}"}
    with web.store.transaction() as connection:
        connection.execute(insert(audit).values(**row, details=said))


def _faults(web: Web, principal: Principal, asked: Asked, known: Sequence[str]) -> Iterable[tuple[str, str]]:
    if asked.format not in offered(web, principal):
        yield "format", _("choose a format")
        return
    if principal.stations is not None and not known:
        yield "station", _("there is no station of yours with pictures")
    unknown = [each for each in asked.stations if each not in known]
    if unknown:
        yield "station", _("{station!r}: no such station").format(station=unknown[0][:80])
    if set(asked.categories) - set(CATEGORIES):
        yield "category", _("animal, person or vehicle")
    if asked.options.get("people", "leave-out") != "leave-out" and not principal.may("unblur"):
        yield "options", _("pictures with people are for those who may see them")
    hidden = NOT_OFFERED.get(asked.format, frozenset[str]()) & set(asked.options)
    if hidden:
        yield "options", _("{name}: not here").format(name=min(hidden))
    yield from _unreadable(web, asked)
    record = record_taxa(web, principal)
    _taxa, wrong = read_taxa(each for each in asked.taxa if each not in record)
    if wrong:
        yield "taxon", "; ".join(wrong)


def _unreadable(web: Web, asked: Asked) -> Iterable[tuple[str, str]]:
    """What the command line would refuse, field by field."""
    parts = {"since": Asked("", since=asked.since), "until": Asked("", until=asked.until)}
    parts["independent"] = Asked("", independent=asked.independent)
    spans: dict[str, Span] = {}
    for name, part in parts.items():
        try:
            spans[name] = wanted_of(part, web.plan.file.site.timezone).span
        except (EdgeError, OverflowError) as exc:
            yield name, str(exc)
    since, until = (spans.get(name, Span()) for name in ("since", "until"))
    if since.since and until.until and since.since > until.until:
        yield "until", _("is before the first day")
    try:
        read_options([f"{name}={value}" for name, value in asked.options.items()], web.registry.exporters[asked.format])
    except EdgeError as exc:
        yield "options", str(exc)
