"""`tigrillo clock`: cameras' clocks shown, checked and put right; thin, the work is in edge.fieldwork."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from ..errors import FatalError
from ..i18n import _
from .clock_tables import correction_json, faced_json, finding_json, print_changes, print_corrections, print_findings
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

if TYPE_CHECKING:
    from ..camera_clock import Correction
    from ..clock import Clock
    from ..config import Plan
    from ..store.sql import Store

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
SHOWN = 3  # frames before and after, at the begin and at the end
StationArgument = Annotated[str, typer.Argument(metavar="[STATION]", help=_("Only this station."))]
ByOption = Annotated[str, typer.Option("--by", help=_("Who does it; the user's name when left out."))]


@dataclass(frozen=True, slots=True)
class _Open:
    """A site's record, to be read, and what is known of its stations."""

    plan: "Plan"
    clock: "Clock"
    store: "Store"

    def timezone_of(self, station: str) -> str:
        """The IANA zone in which the station's clocks are read."""
        known = self.station(station)
        return known.timezone if known else self.plan.file.site.timezone

    def station(self, name: str) -> Any:
        """What is known of a station; None for nothing."""
        from ..export import known_stations

        return known_stations(self.plan, self.clock).get(name)

    def stations(self, only: str) -> dict[str, tuple[int, int]]:
        """Frames with and without a time, by station. Raises FatalError for one that has none."""
        from ..store.clocks import stations_of

        with self.store.transaction() as connection:
            known = stations_of(connection)
        if only and only not in known:
            _refuse_station(only, known)
        return {only: known[only]} if only else known


@command(
    "show",
    short_help=_("Show the corrections of cameras' clocks."),
    help=_(
        "Show the zone of each station's clock, how many of its frames have a time, and all corrections, also those "
        "that were undone, with who made them and why."
    ),
)
def show(station: StationArgument = "", site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Print stations and corrections."""
    from ..store.clocks import history

    with _open(site) as opened:
        stations = opened.stations(station)
        with opened.store.transaction() as connection:
            rows = history(connection, [station] if station else [])
    zones = {name: opened.timezone_of(name) for name in {*stations, *(row.correction.station for row in rows)}}
    if as_json:
        told = [
            {"station": name, "timezone": zones[name], "frames": timed, "without_time": unknown}
            for name, (timed, unknown) in stations.items()
        ]
        print_json({"stations": told, "corrections": [correction_json(row) for row in rows]})
        return
    table = Table(_("station"), _("zone"), _("frames"), _("without a time"), box=None)
    for name, (timed, unknown) in stations.items():
        table.add_row(name, zones[name], str(timed), str(unknown) if unknown else "")
    Console(markup=False, highlight=False).print(table)
    if not rows:
        typer.echo(_("no clock was corrected"))
        return
    print_corrections(rows, zones)
    if any(row.applied_at is None for row in rows):
        typer.echo(_("some frames do not have their new times yet: tigrillo clock resume"), err=True)


@command(
    "correct",
    short_help=_("Put the times of a station's frames right."),
    help=_(
        "Put the times of a station's frames right, also of those that arrive later. What the cameras said is kept; "
        "tigrillo clock undo takes a correction back.\n\n"
        "One of: --offset +1h adds to what the clock said. --known CAMERA=REAL: what the clock showed and when that "
        "was, from a picture of a watch, also for a clock that began in 1970; given twice, at the begin and the end, "
        "it takes out the drift as well. --camera-timezone -05:00 reads the cameras' own texts anew, for a clock that "
        "was set to another zone or to summer time.\n\n"
        "--since and --until, or --deployment, say for which frames, by what their clock said. --dry-run changes "
        "nothing and shows some times before and after."
    ),
)
def correct(
    station: Annotated[str, typer.Argument(metavar="STATION", help=_("The station."))],
    offset: Annotated[str, typer.Option(help=_("What to add: +1h, -90s, 1d2h30m, -01:30:00."))] = "",
    known: Annotated[
        list[str] | None, typer.Option(metavar="CAMERA=REAL", help=_("2026-03-01T08:00:00=2026-03-01T09:02:10; twice."))
    ] = None,
    camera_timezone: Annotated[
        str, typer.Option(metavar="ZONE", help=_("Zone to which the clock was set: America/Bogota or -05:00."))
    ] = "",
    since: Annotated[str, typer.Option(help=_("From this time of the camera's clock on, in the station's zone."))] = "",
    until: Annotated[str, typer.Option(help=_("Up to this time of the camera's clock; a date means to its end."))] = "",
    deployment: Annotated[str, typer.Option(metavar="ID", help=_("Only the frames of this deployment."))] = "",
    why: Annotated[str, typer.Option("--why", help=_("Why; it is kept with the correction."))] = "",
    by: ByOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Change nothing; show what would become."))] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a correction, or show what it would do."""
    from ..chores import do
    from ..fieldwork.clock_desk import correction_json as request
    from ..store.clocks import in_force

    if (bool(offset) + bool(known) + bool(camera_timezone)) != 1:
        raise FatalError(_("say one of --offset, --known and --camera-timezone"))
    if deployment and (since or until):
        raise FatalError(_("say either --deployment or --since and --until"))
    with _open(site) as opened:
        opened.stations(station)
        with opened.store.transaction() as connection:
            already = in_force(connection, [station]).get(station, [])
        new = _made(opened, station, offset, known or [], camera_timezone, already)
        new = _narrowed(opened, new, since, until, deployment)
        if dry_run:
            _show_changes(opened, new, already, as_json=as_json)
            return
        now = opened.clock.now()
    values = request(new, why=why, who=by or getpass.getuser(), now=now)
    pk = int(do(opened.plan, "clock.correct", values, clock=opened.clock)["correction"])
    counted = _recount(opened, station)
    if as_json:
        print_json({"correction": pk, "station": station, **counted})
        return
    text = _("correction {number}: {changed} of {frames} frames of {station} have another time; undo with {command}")
    undoing = f"tigrillo clock undo {pk}"
    typer.echo(text.format(number=pk, station=station, command=undoing, **counted))


@command(
    "undo",
    short_help=_("Take a correction back; frames get the times they had without it."),
    help=_("Take a correction back; frames get the times they had without it. It stays listed, with who undid it."),
)
def undo(
    number: Annotated[int, typer.Argument(metavar="ID", help=_("A number of `tigrillo clock show`."))],
    by: ByOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo one correction."""
    from ..chores import do

    with _open(site) as opened:
        now = opened.clock.now()
    values = {"correction": number, "who": by or getpass.getuser(), "now": now.isoformat()}
    station = str(do(opened.plan, "clock.undo", values, clock=opened.clock)["station"])
    counted = _recount(opened, station)
    if as_json:
        print_json({"correction": number, "station": station, **counted})
        return
    text = _("correction {number} is undone: {changed} of {frames} frames of {station} have another time")
    typer.echo(text.format(number=number, station=station, **counted))


@command(
    "resume",
    short_help=_("Finish corrections that were cut short."),
    help=_("Give the frames their times where a correction or its undoing was cut short, by Ctrl-C or a power cut."),
)
def resume(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Recount every station that is not finished."""
    from ..store.clocks import unfinished

    with _open(site) as opened, opened.store.transaction() as connection:
        stations = unfinished(connection)
    done = {station: _recount(opened, station) for station in stations}
    if as_json:
        print_json(done)
        return
    for station, counted in done.items():
        text = _("{station}: {changed} of {frames} frames have another time")
        typer.echo(text.format(station=station, **counted))
    if not done:
        typer.echo(_("nothing is unfinished"))


@command(
    "check",
    short_help=_("Look for times that can't be true."),
    help=_(
        "Look for times that can't be true: after the frame's arrival, outside of the station's deployments, when "
        "clocks begin that were never set, going back while file numbers go on, bright and coloured at night, "
        "infrared at high noon. Changes nothing.\n\n"
        "The sun is asked where the station has a position. What to do about each: docs/field-data.md, Clocks."
    ),
)
def check(station: StationArgument = "", site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Print one line a finding."""
    from ..fieldwork.contradictions import Look
    from ..store.clocks import frames_of
    from ..store.deployments import all_deployments

    found = {}
    with _open(site) as opened:
        for name, (_timed, unknown) in opened.stations(station).items():
            with opened.store.transaction() as connection:
                deployed = all_deployments(connection, stations=[name])
            known = opened.station(name)
            look = Look(
                latitude=known.latitude if known else None,
                longitude=known.longitude if known else None,
                timezone=opened.timezone_of(name),
                deployments=deployed,
            )
            found[name] = look.findings(frames_of(opened.store, name), unknown=unknown)
    if as_json:
        print_json([{"station": name, **finding_json(each)} for name, rows in found.items() for each in rows])
        return
    print_findings({name: (rows, opened.timezone_of(name)) for name, rows in found.items()})


def _made(
    opened: _Open, station: str, offset: str, known: list[str], zone: str, already: list["Correction"]
) -> "Correction":
    from ..fieldwork.clocks import from_known, from_offset, from_zone, read_known, read_offset

    try:
        if offset:
            return from_offset(station, read_offset(offset))
        if zone:
            return from_zone(station, zone)
        if len(known) > 2:
            raise FatalError(_("--known is given once, or twice for a drift"))
        pairs = [read_known(each, timezone=opened.timezone_of(station)) for each in known]
        return from_known(station, pairs, already=already)
    except ValueError as exc:
        raise FatalError(str(exc)) from exc


def _narrowed(opened: _Open, new: "Correction", since: str, until: str, deployment: str) -> "Correction":
    from dataclasses import replace

    from ..export import read_time
    from ..fieldwork.clocks import for_deployment
    from ..store.deployments import find

    zone = opened.timezone_of(new.station)
    if deployment:
        with opened.store.transaction() as connection:
            known = find(connection, deployment)
        if known is None or known.station != new.station:
            text = _("{station} has no deployment {name!r}: `tigrillo deployments list` shows them")
            raise FatalError(text.format(station=new.station, name=deployment))
        return for_deployment(new, known.started_at, known.ended_at, timezone=zone)
    first = read_time(since, zone, end=False) if since else None
    last = read_time(until, zone, end=True) if until else None
    if first and last and last < first:
        raise FatalError(_("--until is before --since: no frame would be corrected"))
    return replace(new, since=first, until=last)


def _show_changes(opened: _Open, new: "Correction", already: list["Correction"], *, as_json: bool) -> None:
    from collections import deque

    from ..camera_clock import corrected
    from ..store.clocks import Faced, frames_of

    count, first = 0, []
    last: deque[tuple[Faced, datetime]] = deque(maxlen=SHOWN)
    for frame in frames_of(opened.store, new.station, since=new.since, until=new.until):
        count += 1
        pair = frame, corrected(frame.said, frame.original, [*already, new])
        if count <= SHOWN:
            first.append(pair)
        else:
            last.append(pair)
    if as_json:
        told = [faced_json(frame, after) for frame, after in [*first, *last]]
        print_json({"station": new.station, "frames": count, "in_force": [each.pk for each in already], "some": told})
        return
    zone = ZoneInfo(opened.timezone_of(new.station))
    print_changes(first, list(last), zone=zone, count=count)
    if already:
        numbers = ", ".join(str(each.pk) for each in already)
        typer.echo(_("this comes on top of what is in force: correction {numbers}").format(numbers=numbers))
    typer.echo(_("nothing was changed (--dry-run)"))


def _recount(opened: _Open, station: str) -> dict[str, int]:
    """Give a station's frames their times, step by step, with a bar."""
    from ..chores import do
    from ..store.clocks import stations_of
    from .export import progress_bar

    with _open_store(opened.plan) as store, store.transaction() as connection:
        total = stations_of(connection).get(station, (0, 0))[0]
    values: dict[str, Any] = {"station": station, "began": opened.clock.now().isoformat(), "done": False}
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        while not values["done"]:
            values |= do(opened.plan, "clock.recount", values, clock=opened.clock)
            bar.update(task, completed=int(values["frames"]))
    return {name: int(values[name]) for name in ("frames", "changed", "encounters")}


@contextmanager
def _open(site: Path | None) -> Iterator[_Open]:
    from ..clock import SystemClock
    from ..config import load_plan
    from ..registry import load_registry

    plan = load_plan(site_path(site), load_registry())
    with _open_store(plan) as store:
        yield _Open(plan, SystemClock(), store)


@contextmanager
def _open_store(plan: "Plan") -> Iterator["Store"]:
    from ..export import open_store

    with open_store(plan) as store:
        yield store


def _refuse_station(name: str, known: dict[str, Any]) -> NoReturn:
    import difflib

    from ..site_file import did_you_mean

    near = did_you_mean(difflib.get_close_matches(name, known, n=3))
    raise FatalError(_("no frame of a station {name!r}{near}").format(name=name, near=near))


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=asdict))
