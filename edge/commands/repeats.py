"""`tigrillo repeats`: stones and branches that are found day after day; thin, the work is in edge.repeats."""

import getpass
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from ..errors import FatalError
from ..i18n import _, mark
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

if TYPE_CHECKING:
    from ..config import Plan
    from ..store.suspects import Suspect

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
STATES = {"suspect": mark("not decided"), "suppressed": mark("suppressed"), "kept": mark("kept")}
IdsArgument = Annotated[list[int], typer.Argument(metavar="ID…", help=_("Numbers of `tigrillo repeats list`."))]
StationOption = Annotated[str, typer.Option("--station", help=_("Only this station."))]
ByOption = Annotated[str, typer.Option("--by", help=_("Who decides; the user's name when left out."))]
WhyOption = Annotated[str, typer.Option("--why", help=_("Why; it is kept with the decision."))]


@command(
    "find",
    short_help=_("Look for boxes that are at the same place day after day; note them as suspects."),
    help=_(
        "Look for boxes that are at the same place, in the same size, on many days: stones, branches, posts. They are "
        "noted as suspects and go on counting until somebody suppresses them.\n\n"
        "What lies a little otherwise every day, as animals do in a bed, a nest or at a salt lick, is no suspect. A "
        "camera that was moved begins anew. May be run again at any time, also beside the daemon: known suspects are "
        "brought up to date, decisions stay."
    ),
)
def find(station: StationOption = "", site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Look through what is recorded, station by station."""
    from ..chores import do
    from ..clock import SystemClock
    from ..export import known_stations, open_store
    from ..repeats.keeping import as_json as found_json
    from ..repeats.keeping import look_for_repeats
    from ..store.suspects import stations_with_boxes

    plan, clock = _plan(site), SystemClock()
    zones = known_stations(plan, clock)
    total = {"new": 0, "again": 0, "forgotten": 0}
    with open_store(plan) as store:
        names = stations_with_boxes(store)
        if station and station not in names:
            raise FatalError(_("no frame of a station {name!r}").format(name=station))
        for name in [station] if station else names:
            known = zones.get(name)
            for found in look_for_repeats(store, name, known.timezone if known else plan.file.site.timezone):
                done = do(plan, "repeats.found", found_json(found), clock=clock)
                total = {key: count + int(done[key]) for key, count in total.items()}
    if as_json:
        typer.echo(json.dumps(total))
        return
    typer.echo(
        _("{new} new suspects, {again} found again, {forgotten} no longer there").format(**total)
        + ("; `tigrillo repeats list`" if total["new"] else "")
    )


@command(
    "list",
    short_help=_("List suspects and what was decided."),
    help=_("List suspects and what was decided, by station, those with most boxes first."),
)
def list_suspects(
    station: StationOption = "",
    undecided: Annotated[bool, typer.Option("--undecided", help=_("Only those that nobody decided on."))] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one line a suspect."""
    from ..export import open_store
    from ..store.suspects import listed

    plan = _plan(site)
    with open_store(plan) as store, store.transaction() as connection:
        rows = listed(connection, station=station, states=("suspect",) if undecided else ())
    _print(rows, plan, as_json=as_json)


@command(
    "sheet",
    short_help=_("Write a suspect's contact sheet: the same place at many times."),
    help=_(
        "Write a suspect's contact sheet as a JPEG: the same piece of the picture at up to 24 times, with dates. "
        "People are made unrecognisable. Pictures whose files are gone say so."
    ),
)
def sheet(
    suspect: Annotated[int, typer.Argument(metavar="ID", help=_("A number of `tigrillo repeats list`."))],
    out: Annotated[Path | None, typer.Option(help=_("The file to write; suspect-ID.jpg when left out."))] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the picture."""
    from ..clock import SystemClock
    from ..export import known_stations, open_store
    from ..media.opener import FileMedia
    from ..paths import write_atomically
    from ..repeats.sheet import MOST_TILES, Shot, contact_sheet
    from ..store.encounters import detections_in
    from ..store.rows import detection_from_json
    from ..store.suspects import find as find_suspects
    from ..store.suspects import pictures_of

    plan = _plan(site)
    with open_store(plan) as store, store.transaction() as connection:
        rows = find_suspects(connection, [suspect])
        if not rows:
            raise FatalError(_no_suspect([suspect]))
        known = known_stations(plan, SystemClock()).get(rows[0].station)
        zone = ZoneInfo(known.timezone if known else plan.file.site.timezone)
        shots = [
            Shot(
                Path(each.path),
                each.kind,
                each.number,
                each.captured_utc.astimezone(zone),
                (each.x, each.y, each.w, each.h),
                tuple(map(detection_from_json, detections_in(connection, each.frame_pk, each.number))),
            )
            for each in pictures_of(connection, suspect, most=MOST_TILES)
        ]
    media = FileMedia(max_pixels=plan.file.media.max_pixels, sample_fps=plan.file.media.sample_fps or None)
    made = contact_sheet(media, shots, category=rows[0].category)
    path = out or Path(f"suspect-{suspect}.jpg")
    write_atomically(path.absolute(), made.jpeg)
    if as_json:
        typer.echo(json.dumps({"out": str(path), "shown": made.shown, "gone": made.gone}))
        return
    if made.gone:
        typer.echo(_("{count} pictures can't be read any more").format(count=made.gone), err=True)
    typer.echo(_("{count} pictures → {out}").format(count=made.shown, out=path))


@command(
    "suppress",
    short_help=_("Say that a suspect is no animal: it counts for nothing, from its first day on."),
    help=_(
        "Say that these suspects are no animal, person or vehicle. Their observations are kept, but alerts and exports "
        "leave them out, and so it is with what the same deployment shows at that place from now on. An animal that is "
        "surely named and stands exactly there is still told.\n\n"
        "`tigrillo repeats undo ID` takes it back."
    ),
)
def suppress(
    suspects: IdsArgument, by: ByOption = "", why: WhyOption = "", site: SiteOption = None, as_json: JsonOption = False
) -> None:
    """One answer for many boxes."""
    _decide("suppress", suspects, by, why, site, as_json=as_json)


@command(
    "keep",
    short_help=_("Say that a suspect is what the detector says: it is not asked about again."),
    help=_("Say that these suspects are what the detector says. They count, and are not asked about again."),
)
def keep(
    suspects: IdsArgument, by: ByOption = "", why: WhyOption = "", site: SiteOption = None, as_json: JsonOption = False
) -> None:
    """The other answer."""
    _decide("keep", suspects, by, why, site, as_json=as_json)


@command(
    "undo",
    short_help=_("Take a decision back; everything counts again."),
    help=_(
        "Take decisions back: the suspects are undecided again, and all of their observations count, also those that "
        "came while they were suppressed. Alerts that were not sent then are not sent now."
    ),
)
def undo(
    suspects: IdsArgument, by: ByOption = "", why: WhyOption = "", site: SiteOption = None, as_json: JsonOption = False
) -> None:
    """Neither answer."""
    _decide("undo", suspects, by, why, site, as_json=as_json)


def _decide(what: str, pks: list[int], by: str, why: str, site: Path | None, *, as_json: bool) -> None:
    from ..chores import do
    from ..clock import SystemClock
    from ..export import open_store
    from ..store.suspects import find as find_suspects

    plan = _plan(site)
    with open_store(plan) as store, store.transaction() as connection:
        known = {row.pk for row in find_suspects(connection, pks)}
    if missing := [pk for pk in pks if pk not in known]:
        raise FatalError(_no_suspect(missing))
    values = {"what": what, "pks": pks, "who": by or getpass.getuser(), "why": why}
    do(plan, "repeats.decide", values, clock=SystemClock())
    with open_store(plan) as store, store.transaction() as connection:
        rows = find_suspects(connection, pks)
    _print(rows, plan, as_json=as_json)


def _no_suspect(pks: list[int]) -> str:
    text = _("no suspect {numbers}: `tigrillo repeats list` shows which there are")
    return text.format(numbers=", ".join(map(str, pks)))


def _plan(site: Path | None) -> "Plan":
    from ..config import load_plan
    from ..registry import load_registry

    return load_plan(site_path(site), load_registry())


def _print(rows: "list[Suspect]", plan: "Plan", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_as_json(row) for row in rows], ensure_ascii=False))
        return
    if not rows:
        typer.echo(_("no suspects; `tigrillo repeats find` looks for some"))
        return
    zone = ZoneInfo(plan.file.site.timezone)
    table = Table("ID", _("station"), _("deployment"), _("as"), _("boxes"), _("days"), box=None)
    for head in (_("first"), _("last"), _("place"), _("state")):
        table.add_column(head, overflow="fold")  # a date that is cut says nothing
    for row in rows:
        x, y, w, h = row.box
        state = _(STATES[row.state]) + (f" ({row.decided_by})" if row.decided_by else "")
        first, last = (f"{at.astimezone(zone):%Y-%m-%d}" for at in (row.first_at, row.last_at))
        place = f"{x + w / 2:.0%} → {y + h / 2:.0%} ↓ {w:.0%} × {h:.0%}"
        cells = [str(row.pk), row.station, row.deployment or "–", _(row.category), str(row.frames), str(row.days)]
        table.add_row(*cells, first, last, place, state)
    Console(markup=False, highlight=False).print(table)


def _as_json(row: "Suspect") -> dict[str, Any]:
    times = {"first_at": row.first_at, "last_at": row.last_at, "found_at": row.found_at, "decided_at": row.decided_at}
    return asdict(row) | {name: at.isoformat() if at else None for name, at in times.items()}
