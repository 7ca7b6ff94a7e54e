"""`tigrillo deployments`: when which camera stood where, and how much it looked; the work is in edge.fieldwork."""

import getpass
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import FatalError
from ..i18n import _
from .deployment_options import (
    EMPTY,
    BaitOption,
    ByOption,
    CameraOption,
    CommentsOption,
    EndOption,
    FeatureOption,
    HabitatOption,
    HeadingOption,
    HeightOption,
    IdArgument,
    LatOption,
    LonOption,
    ModelOption,
    ProblemOption,
    SetupByOption,
    StartOption,
    TagOption,
    TiltOption,
    TimelapseOption,
    UncertaintyOption,
    ZoneOption,
    cleared,
    given_in,
    moment_of,
    values_of,
)
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

if TYPE_CHECKING:
    from ..deployed import Deployment
    from ..fieldwork.deployments import Deployments
    from ..store.sql import Store

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
SHOWN_FAULTS = 50


@dataclass(frozen=True, slots=True)
class _Open:
    """A site whose deployments are looked at or changed."""

    store: "Store"
    deployments: "Deployments"


@command(
    "list",
    short_help=_("List the deployments."),
    help=_("List the deployments, by station and start; and frames that belong to none."),
)
def list_deployments(
    station: Annotated[str, typer.Option(help=_("Only this station."))] = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one line a deployment."""
    from ..store.signs import frames_of_no_deployment
    from . import deployment_tables as tables

    with _open(site) as opened:
        found = [each for each in opened.deployments.all() if station in ("", each.station)]
        with opened.store.transaction() as connection:
            loose = [each for each in frames_of_no_deployment(connection) if station in ("", each[0])]
        if as_json:
            typer.echo(json.dumps([tables.as_json(each) for each in found], ensure_ascii=False))
            return
        tables.print_list(found, opened.deployments)
        for name, count in loose:
            typer.echo(_("{station}: {count} frames of no deployment").format(station=name, count=count), err=True)


@command(
    "show",
    short_help=_("Show all that is known of a deployment, with its effort."),
    help=_("Show all that is known of a deployment: place, camera, effort, and when it failed."),
)
def show(deployment: IdArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Print one deployment."""
    from . import deployment_tables as tables

    with _open(site) as opened:
        found = opened.deployments.find(deployment)
        effort = _efforts(opened, [found])[0]
        if as_json:
            both = {**tables.as_json(found), "effort": tables.effort_json(effort)}
            typer.echo(json.dumps(both, ensure_ascii=False))
            return
        tables.print_one(found, effort, opened.deployments)


@command(
    "add",
    short_help=_("Note that a camera was set up at a station."),
    help=_(
        "Note that a camera was set up at a station, and what is known of it.\n\n"
        "tigrillo deployments add cam-01 --start 2026-11-01T14:30 --height 0.4 --bait sardine. Without a position it "
        "takes the station's. Two deployments of one station may not overlap: end the first with `tigrillo deployments "
        "end`. A position that fits neither the country nor the other stations is taken, with a warning."
    ),
)
def add(
    station: Annotated[str, typer.Argument(metavar="STATION", help=_("The station's name."))],
    start: StartOption = "",
    end: EndOption = "",
    number: Annotated[str, typer.Option("--id", help=_("Its id; station and day when left out."))] = "",
    lat: LatOption = "",
    lon: LonOption = "",
    uncertainty: UncertaintyOption = None,
    camera: CameraOption = "",
    model: ModelOption = "",
    height: HeightOption = None,
    tilt: TiltOption = None,
    heading: HeadingOption = None,
    bait: BaitOption = "",
    feature: FeatureOption = "",
    habitat: HabitatOption = "",
    setup_by: SetupByOption = "",
    tag: TagOption = None,
    comments: CommentsOption = "",
    timezone: ZoneOption = "",
    timelapse: TimelapseOption = None,
    problem: ProblemOption = None,
    by: ByOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a deployment."""
    from ..clock import SystemClock
    from ..deployed import Deployment

    given = given_in(locals())
    with _open(site, by, write=True) as opened:
        work = opened.deployments
        blank = Deployment(number, station, SystemClock().now().replace(microsecond=0), timezone=timezone)
        new, warnings = work.add(replace(blank, **values_of(work, blank, given)))
        _said(work, new, warnings, _("{span}: added"), as_json=as_json)


@command(
    "end",
    short_help=_("Note that a camera was taken down."),
    help=_(
        "Note that a camera was taken down: tigrillo deployments end cam-01 2026-11-30T10:00. Without a time it is "
        "now; of a day alone it is the end."
    ),
)
def end_deployment(
    deployment: IdArgument,
    at: Annotated[str, typer.Argument(metavar="[WHEN]", help=_("2026-11-30T10:00 or 2026-11-30; now."))] = "",
    by: ByOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a deployment."""
    with _open(site, by, write=True) as opened:
        work = opened.deployments
        old = work.find(deployment)
        moment = moment_of(at, work.zone_of(old), "WHEN", end=True) if at else work.now.replace(microsecond=0)
        new, warnings = work.change(old, ended_at=moment)
        _said(work, new, warnings, _("{span}: ended"), as_json=as_json)


@command(
    "change",
    short_help=_("Correct what is noted of a deployment."),
    help=_(
        "Correct what is noted of a deployment; what is not named stays. What it was before is kept in the audit.\n\n"
        "--clear takes something away: --clear end lets it go on, --clear problems, --clear bait."
    ),
)
def change(
    deployment: IdArgument,
    start: StartOption = "",
    end: EndOption = "",
    lat: LatOption = "",
    lon: LonOption = "",
    uncertainty: UncertaintyOption = None,
    camera: CameraOption = "",
    model: ModelOption = "",
    height: HeightOption = None,
    tilt: TiltOption = None,
    heading: HeadingOption = None,
    bait: BaitOption = "",
    feature: FeatureOption = "",
    habitat: HabitatOption = "",
    setup_by: SetupByOption = "",
    tag: TagOption = None,
    comments: CommentsOption = "",
    timezone: ZoneOption = "",
    timelapse: TimelapseOption = None,
    problem: ProblemOption = None,
    clear: Annotated[
        list[str] | None, typer.Option(help=_("Take this away: an option's name, such as end; may be given again."))
    ] = None,
    by: ByOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a deployment."""
    given = given_in(locals())
    unknown = [each for each in clear or () if each not in EMPTY]
    if unknown:
        text = _("--clear {name}: one of {names}")
        raise FatalError(text.format(name=unknown[0], names=", ".join(EMPTY)))
    if not given and not clear and not timezone:
        raise FatalError(_("say what to change: `tigrillo deployments change --help`"))
    with _open(site, by, write=True) as opened:
        work = opened.deployments
        old = work.find(deployment)
        values = cleared(old, clear or ())
        if timezone:
            values["timezone"] = timezone
        new, warnings = work.change(old, **{**values, **values_of(work, replace(old, **values), given)})
        _said(work, new, warnings, _("{span}: changed") if new != old else _("{span}: is so already"), as_json=as_json)


@command(
    "remove",
    short_help=_("Take out a deployment that was noted by mistake."),
    help=_(
        "Take out a deployment that was noted by mistake; its frames stay and belong to no deployment. What it said is "
        "kept in the audit."
    ),
)
def remove(deployment: IdArgument, by: ByOption = "", site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Remove a deployment."""
    with _open(site, by, write=True) as opened:
        found = opened.deployments.find(deployment)
        opened.deployments.remove(found)
        _said(opened.deployments, found, [], _("{span}: taken out"), as_json=as_json)


@command(
    "import",
    short_help=_("Take deployments from a CSV sheet, a GPX file or a Camtrap DP."),
    help=_(
        "Take deployments from a CSV sheet, from the waypoints of a GPS device (GPX), or from a Camtrap DP (folder, "
        "zip or deployments.csv).\n\n"
        "Headers may be English or Spanish, columns parted by commas, semicolons or tabs, numbers with a decimal "
        "comma; columns that are not known are kept. Every bad row is one line; nothing is taken while one is bad, "
        "unless --skip-bad. What was imported before is not added again. Which headers are known: docs/field-data.md."
    ),
)
def import_deployments(
    path: Annotated[Path, typer.Argument(help=_("The CSV or GPX file, or the Camtrap DP."))],
    start: Annotated[str, typer.Option(help=_("For entries without a start, such as waypoints without a time."))] = "",
    end: Annotated[str, typer.Option(help=_("For entries without an end."))] = "",
    dates: Annotated[str, typer.Option(help=_("How 01/02/2026 is meant: dmy or mdy."))] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help=_("Take the good rows, leave the bad ones."))] = False,
    by: ByOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import deployments."""
    from ..fieldwork.entries import Reading
    from ..fieldwork.intake import read_file, take_in
    from . import deployment_tables as tables

    if dates not in ("", "dmy", "mdy"):
        raise FatalError(_("--dates {dates}: dmy or mdy").format(dates=dates))
    with _open(site, by, write=True) as opened:
        work = opened.deployments
        entries = read_file(path, Reading(work.timezone_of, dates, start, end))
        done = take_in(work, entries, skip_bad=skip_bad)
    counts = {"added": len(done.added), "known": done.known, "bad": len(done.faults)}
    lines = [*done.faults, *done.warnings]
    if as_json:
        ids = [each.id for each in done.added]
        said = {**counts, "ids": ids, "faults": done.faults, "warnings": done.warnings}
        typer.echo(json.dumps(said, ensure_ascii=False))
    else:
        tables.print_lines(lines, SHOWN_FAULTS)
        typer.echo(_("{added} added, {known} known already, {bad} bad").format(**counts))
    if done.faults and not skip_bad:
        if not as_json:
            typer.echo(_("nothing was taken: correct the file, or leave bad rows out with --skip-bad"), err=True)
        raise typer.Exit(1)


@command(
    "effort",
    short_help=_("Trap-nights and camera-days, and when cameras failed."),
    help=_(
        "Trap-nights and camera-days of each deployment, how many of them its camera worked, failed, or nobody can "
        "tell; and the failures.\n\n"
        "A gap in the frames of a card is no failure: nothing may have passed. After its last frame nothing is known. "
        "Stations with an agent, and cameras that take pictures by the clock (--timelapse), tell more; how it is "
        "worked out: docs/field-data.md. --months parts it by month."
    ),
)
def effort(
    station: Annotated[list[str] | None, typer.Option(help=_("Only this station; may be given again."))] = None,
    months: Annotated[bool, typer.Option("--months", help=_("One line a month."))] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the effort."""
    from . import deployment_tables as tables

    with _open(site) as opened:
        chosen = [each for each in opened.deployments.all() if not station or each.station in station]
        found = _efforts(opened, chosen)
        if as_json:
            typer.echo(json.dumps([tables.effort_json(each) for each in found], ensure_ascii=False))
            return
        if not found:
            typer.echo(_("no deployment is noted down: `tigrillo deployments add` or `import`"), err=True)
            return
        tables.print_efforts(found, months=months)


@contextmanager
def _open(site: Path | None, by: str = "", *, write: bool = False) -> Iterator[_Open]:
    """The site's deployments; to be written by us, or by the daemon when it runs. Raises FatalError."""
    from ..chores import do
    from ..clock import SystemClock
    from ..config import load_plan
    from ..daemon import is_running, only_one
    from ..export import known_stations, open_store
    from ..fieldwork.changes import Change, as_json
    from ..fieldwork.deployments import Deployments
    from ..registry import load_registry
    from ..store.sql import Store

    plan, clock = load_plan(site_path(site), load_registry()), SystemClock()
    if write and not is_running(plan.state_dir):
        # cameras are set up before the first frame comes: the database may not be there yet
        with only_one(plan.state_dir), Store(plan.database_url):
            pass
    stations = known_stations(plan, clock)
    who = by or _user()

    def written(changes: "Sequence[Change]") -> None:
        do(plan, "deployments.write", as_json(changes, who=who), clock=clock)

    with open_store(plan) as store:
        yield _Open(store, Deployments(store, written, stations.get, plan.file.site.timezone, clock.now()))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        return "?"


def _efforts(opened: _Open, chosen: "list[Deployment]") -> list[Any]:
    from ..fieldwork.effort import effort_of

    work = opened.deployments
    with opened.store.transaction() as connection:
        return [effort_of(connection, each, zone=work.zone_of(each), now=work.now) for each in chosen]


def _said(work: "Deployments", each: "Deployment", warnings: list[str], text: str, *, as_json: bool) -> None:
    from . import deployment_tables as tables

    if as_json:
        typer.echo(json.dumps({**tables.as_json(each), "warnings": warnings}, ensure_ascii=False))
        return
    for line in warnings:
        typer.echo(line, err=True)
    typer.echo(text.format(span=work.span(each)))
