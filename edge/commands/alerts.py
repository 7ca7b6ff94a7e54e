"""`tigrillo alerts`: what was sent and why not, what other rules would do, and a message to try a channel."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _, mark, user_language
from .replay import pick_frame
from .station import SITES, JsonOption
from .words import Command, Group

if TYPE_CHECKING:
    from ..alerts.explain import Explained, GroupExplained
    from ..config import Plan
    from ..notices import NoticeKind
    from ..simulate import Message, Simulated

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
SiteOption = Annotated[Path, typer.Option("--site", help=_("The site's YAML file."))]
STATES = {  # of a message
    "pending": mark("waits"),
    "sending": mark("is being sent"),
    "sent": mark("sent"),
    "failed": mark("failed"),
    "dropped": mark("not sent"),
    "digest": mark("waits for the digest"),
    "digested": mark("told in the digest"),
}
LANE_STATES = {"works": mark("works"), "waits": mark("waits"), "fails": mark("fails"), "paused": mark("paused")}
RECEIPTS = {"waiting": mark("no receipt yet"), "delivered": mark("delivered"), "failed": mark("not delivered")}
OUTCOMES = {  # of a rule that held
    "opened": mark("first of its encounter"),
    "better": mark("better than what waited"),
    "joined": mark("part of an encounter that was told"),
    "late": mark("came late"),
}


@command(
    "explain",
    short_help=_("Say rule by rule why an alert was or was not sent for a frame."),
    help=_(
        "Say rule by rule why an alert was or was not sent for a frame.\n\n"
        "For each kind of animal in it: the encounter it is part of, whether each rule holds and every reason, and "
        "what became of the messages. Rules are judged as they are now; what was recorded with the rules of then "
        "stands beside it. Writes nothing, and may run beside the daemon."
    ),
)
def explain(
    frame_id: Annotated[str, typer.Argument(help=_("The frame's id, as alerts and the log give it."))],
    site: SiteOption = SITES[0],
    station: Annotated[str | None, typer.Option(help=_("Needed when two stations have this id."))] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain one frame."""
    from ..alerts.explain import as_json as explained_json
    from ..alerts.explain import explain as explain_frame
    from ..clock import SystemClock
    from ..daemon import alert_desk
    from ..simulate import still_services
    from ..store.sql import Store

    plan = _plan(site)
    with Store(plan.database_url, read_only=True) as store, still_services(plan, SystemClock()) as services:
        spooled = pick_frame(store.find_frames(frame_id), frame_id, station)
        outcome = store.outcome(spooled.pk)
        found: list[GroupExplained] = []
        if outcome is not None:
            with store.transaction() as connection:
                found = explain_frame(alert_desk(plan, services), connection, outcome)
    rejected = [each.rejected for each in outcome.pictures if each.rejected] if outcome else []
    if as_json:
        head = {"frame": frame_id, "station": spooled.station, "recorded": outcome is not None, "rejected": rejected}
        typer.echo(json.dumps(head | {"groups": explained_json(found, user_language())}, ensure_ascii=False))
        return
    zone = services.timezone_of(spooled.station)
    taken = spooled.captured.utc
    typer.echo(f"{spooled.station}/{spooled.id}  {_local(taken, zone) if taken else _('time unknown')}")
    if outcome is None:
        typer.echo(_("not recorded: it waits, or is in quarantine (`tigrillo replay` looks at it again)"))
    elif not found:
        said = _("no animal, person or vehicle in it")
        typer.echo(f"{said}: {rejected[0]}" if rejected else said)
    for each in found:
        _print_group(each, zone)


@command(
    "simulate",
    short_help=_("Run other rules over recorded history; print what would have been sent, day by day."),
    help=_(
        "Run the rules of another file over recorded history and print what would have been sent, day by day. Nothing "
        "is sent, nothing is written.\n\n"
        "RULES.yaml has any of `rules:`, `groups:`, `zones:`, `recipients:` and `alerts:`, in the place of the site's "
        "own; without it the site's own rules run. The same code decides as in the daemon: encounters, quiet hours, "
        "budgets, digests. Every channel works in it and nobody answers."
    ),
)
def simulate(
    rules: Annotated[Path | None, typer.Argument(metavar="[RULES.yaml]", help=_("The rules to try."))] = None,
    since: Annotated[str, typer.Option(help=_("How far back: 30d, 12h, or a day such as 2026-11-01."))] = "30d",
    site: SiteOption = SITES[0],
    brief: Annotated[bool, typer.Option("--brief", help=_("Numbers only, no messages."))] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate rules over history."""
    from ..config import plan_with
    from ..registry import load_registry
    from ..simulate import simulate as run_simulation
    from ..store.sql import Store

    plan = plan_with(site, rules, load_registry()) if rules else _plan(site)
    now = datetime.now(UTC)
    start = _since(since, now, plan.file.site.timezone)
    with Store(plan.database_url, read_only=True) as store:
        total = store.count_received(since=start)
        with _progress(total) as tell:
            found = run_simulation(plan, store.recorded(since=start), since=start, now=now, tell=tell)
    if as_json:
        typer.echo(json.dumps(_simulated_json(found, start, now), ensure_ascii=False))
        return
    _print_simulated(found, plan.file.site.timezone, brief=brief)


@command(
    "status",
    short_help=_("Show channels, what waits and what was sent last."),
    help=_(
        "Show every channel: whether it works, what waits for it, what failed; and the newest messages.\n\n"
        "Exit 1 when a channel fails."
    ),
)
def status(
    site: SiteOption = SITES[0],
    last: Annotated[int, typer.Option(min=0, max=1000, help=_("How many of the newest messages to show."))] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the state of all channels."""
    from ..alerts.explain import fate
    from ..store.notices import Notices
    from ..store.sql import Store

    plan = _plan(site)
    with Store(plan.database_url, read_only=True) as store:
        counts, newest = Notices(store).counts(), Notices(store).newest(last)
    lanes = _read_lanes(plan.state_dir / "status.json")
    channels: dict[str, dict[str, Any]] = {
        name: {"state": "", "since": "", "error": "", "next_try_s": 0} | lanes.get(name, {}) | {"messages": {}}
        for name in plan.channels
    }
    for channel, state, count, oldest in counts:
        of = channels.setdefault(channel, {"state": "", "since": "", "error": "", "next_try_s": 0, "messages": {}})
        of["messages"][state] = {"count": count, "oldest": oldest.isoformat() if oldest else ""}
    if as_json:
        rows = [
            {"at": row.created_at.isoformat(), "addressee": row.addressee, "kind": row.kind, "rule": row.rule}
            | {"station": row.station, "frame": row.frame_id, "state": row.state, "reason": row.reason}
            | {"error": row.error, "receipt": row.receipt_state, "attempts": row.attempts}
            for row in newest
        ]
        typer.echo(json.dumps({"channels": channels, "newest": rows}, ensure_ascii=False))
    else:
        _print_channels(channels)
        table = Table(_("when"), _("to"), _("about"), _("state"), "", box=None)
        zone = plan.file.site.timezone
        for row in newest:
            state, why = fate(row, user_language())
            about = f"{row.station} {row.rule}".strip() or row.kind
            table.add_row(_local(row.created_at, zone), row.addressee, about, _(STATES.get(state, state)), why)
        if newest:
            Console(markup=False, highlight=False).print(table)
    if any(each["state"] in {"fails", "paused"} for each in channels.values()):
        raise typer.Exit(1)


@command(
    "test",
    short_help=_("Send a message now, to see whether it arrives."),
    help=_(
        "Send a message now, past all rules, quiet hours and the daemon, to see whether it arrives. TO is a recipient "
        "(`ana`), one of the ways to her (`ana/sms`) or a channel's own addressees (`@mail`).\n\n"
        "Exit 1 when the channel did not take it; then the reason is printed."
    ),
)
def send_test(
    to: Annotated[list[str], typer.Argument(metavar="TO…", help=_("Whom to send it to."))],
    site: SiteOption = SITES[0],
    text: Annotated[str | None, typer.Option(help=_("What it says; a greeting when left out."))] = None,
) -> None:
    """Try a way to somebody."""
    _send_now(_plan(site), to, text)


@command(
    "tell",
    short_help=_("Tell the heartbeat's people something now; for units and scripts."),
    help=_(
        "Tell those whom the site's `alerts.heartbeat` names something now, past the daemon, which may not run: "
        "tigrillo-failed@.service does so when it fails.\n\n"
        "Exit 1 when a channel did not take it; then the reason is printed."
    ),
)
def tell_people(
    site: Annotated[Path, typer.Argument(help=_("The site's YAML file."))],
    text: Annotated[str, typer.Argument(metavar="TEXT", help=_("What to tell."))],
) -> None:
    """Tell the heartbeat's people."""
    from ..errors import FatalError

    plan = _plan(site)
    if plan.file.alerts.heartbeat is None:
        raise FatalError(_("{site}: has no `alerts: {{heartbeat: …}}`, so nobody is named to tell").format(site=site))
    _send_now(plan, plan.file.alerts.heartbeat.names, text, kind="health")


def _send_now(plan: "Plan", names: list[str], text: str | None, *, kind: "NoticeKind" = "test") -> None:
    """Send a message past the outbox. Raises FatalError for a name that is nobody's; exit 1 when a channel fails."""
    from ..clock import SystemClock
    from ..send_now import send_now
    from ..simulate import still_services

    with still_services(plan, SystemClock()) as services:
        failed = False
        for name, problem in send_now(plan, services, names, text, kind=kind):
            failed = failed or bool(problem)
            typer.echo(f"{name}: {problem}" if problem else _("{name}: sent").format(name=name), err=bool(problem))
    if failed:
        raise typer.Exit(1)


def _plan(site: Path) -> "Plan":
    from ..config import load_plan
    from ..registry import load_registry

    return load_plan(site, load_registry())


def _since(text: str, now: datetime, zone: str) -> datetime:
    """`30d`, `12h` or `2026-11-01`. Raises FatalError."""
    from zoneinfo import ZoneInfo

    from ..errors import FatalError

    units = {"d": timedelta(days=1), "h": timedelta(hours=1)}
    problem = _("--since {text!r}: write 30d, 12h or a day such as 2026-11-01").format(text=text)
    try:
        if text[-1:] in units:
            start = now - float(text[:-1]) * units[text[-1]]
        else:
            start = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise FatalError(problem) from exc
    if start > now:
        raise FatalError(problem)
    return start


def _local(at: datetime, zone: str) -> str:
    from zoneinfo import ZoneInfo

    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def _print_group(found: "GroupExplained", zone: str) -> None:
    from ..wording import percent

    best = found.group.best.detection
    score = best.answer.score if best.answer else best.score
    name = best.answer.taxon.name(user_language()) if best.answer else _(found.group.category)
    line = f"\n{name}, {percent(score, user_language())}"
    if found.encounter is not None:
        line += " · " + _("encounter {code}, {first} to {last}, frames: {count}").format(
            code=found.encounter.code,
            first=_local(found.encounter.started_at, zone)[11:16],
            last=_local(found.encounter.last_at, zone)[11:16],
            count=found.encounter.frames,
        )
        if found.encounter.acked_at is not None:
            line += " · " + _("acknowledged by {who}").format(who=found.encounter.acked_by)
    typer.echo(line)
    for each in found.rules:
        _print_rule(each, zone)


def _print_rule(found: "Explained", zone: str) -> None:
    from ..alerts.because import tell
    from ..alerts.explain import fate

    language = user_language()
    held = found.recorded is not None
    said = _(OUTCOMES[found.recorded.outcome]) if found.recorded else ""
    typer.echo(f"  {'✓' if found.holds else '✗'} {found.rule}" + (f": {said}" if said else ""))
    if held != found.holds:
        typer.echo("      " + _("this rule was another one when the frame was recorded"))
    for reason in found.because:
        typer.echo(f"      {'  ' * reason.depth}{'✓' if reason.holds else '✗'} {tell(reason, language)}")
    for row in found.messages if found.holds or held else ():
        state, why = fate(row, language)
        when = _local(row.sent_at or row.created_at, zone)
        about = "" if row.frame_id == "" else f" ({row.frame_id})"
        text = f"      → {row.addressee}: {_(STATES.get(state, state))} {when}{about}"
        typer.echo(
            text
            + (f": {why}" if why else "")
            + (f" [{_(RECEIPTS[row.receipt_state])}]" if row.receipt_state in RECEIPTS else "")
        )


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(_("frames")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def _simulated_json(found: "Simulated", start: datetime, now: datetime) -> dict[str, Any]:
    return {
        "since": start.isoformat(timespec="seconds"),
        "until": now.isoformat(timespec="seconds"),
        "frames": found.frames,
        "encounters": found.encounters,
        "held_back": dict(found.held_back),
        "messages": [
            {"at": each.at.isoformat(timespec="seconds"), "addressee": each.addressee, "kind": each.kind}
            | {"severity": each.severity, "rule": each.rule, "headline": each.headline, "frame": each.frame_id}
            | {"lines": list(each.lines)}
            for each in found.messages
        ],
    }


def _print_simulated(found: "Simulated", zone: str, *, brief: bool) -> None:
    from ..alerts.gate import tell_reason

    def day_of(message: "Message") -> str:
        return _local(message.at, zone)[:10]

    for day, of_day in groupby(found.messages, key=day_of):
        told = list(of_day)
        kinds = Counter(each.addressee for each in told)
        typer.echo(f"{day}  " + ", ".join(f"{who} {count}" for who, count in sorted(kinds.items())))
        for each in () if brief else told:
            rule = f"  [{each.rule}]" if each.rule else ""
            typer.echo(f"    {_local(each.at, zone)[11:16]}  {each.addressee:<16} {each.headline}{rule}")
            for line in each.lines:
                typer.echo(f"           {line}")
    typer.echo(
        _("{frames} frames, {encounters} encounters, {messages} messages").format(
            frames=found.frames, encounters=found.encounters, messages=len(found.messages)
        )
    )
    for reason, count in found.held_back.most_common():
        typer.echo(f"  {count} × {tell_reason(reason, user_language())}")


def _read_lanes(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text("utf-8")).get("channels", {})
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _print_channels(channels: dict[str, dict[str, Any]]) -> None:
    table = Table(_("channel"), _("state"), *(_(each) for each in STATES.values()), "", box=None)
    for name, each in channels.items():
        counts = [str(each["messages"].get(state, {}).get("count", "")) for state in STATES]
        state = _(LANE_STATES[each["state"]]) if each["state"] in LANE_STATES else "–"
        why = f"{each['error']} ({each['since'][:16]})" if each["error"] else ""
        table.add_row(name, state, *counts, why)
    Console(markup=False, highlight=False).print(table)
