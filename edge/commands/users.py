"""`tigrillo users`: people who log in to the web page; thin, the rows are edge.store.users and edge.store.keys."""

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import FatalError
from ..i18n import _, mark
from .station import JsonOption, SiteOption, site_path
from .words import Command, Group

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ..config import Plan
    from ..store.users import User

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
ROLES = {"viewer": mark("viewer"), "reviewer": mark("reviewer"), "manager": mark("manager"), "admin": mark("admin")}

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=_("Who."))]
RoleOption = Annotated[str, typer.Option(help=_("viewer, reviewer, manager or admin."))]
EmailOption = Annotated[str, typer.Option(help=_("Their mail address."))]
StationsOption = Annotated[
    list[str] | None, typer.Option("--station", help=_("They see this station only; give it again for more."))
]


@dataclass(frozen=True, slots=True)
class Open:
    """A site whose people are looked at or changed, in one transaction. who: for the audit."""

    plan: "Plan"
    connection: "Connection"
    now: datetime
    who: str

    def user(self, name: str) -> "User":
        """Somebody of this name. Raises FatalError."""
        from ..store.users import by_name

        if (found := by_name(self.connection, name)) is None:
            raise FatalError(_("{name!r}: nobody of this name: `tigrillo users list` names them").format(name=name))
        return found


@command(
    "list",
    short_help=_("List who may log in."),
    help=_("List who may log in: role, stations, when they were last there."),
)
def list_users(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """A line each."""
    from ..store.users import all_users

    with _open(site) as opened:
        found = all_users(opened.connection)
    if as_json:
        typer.echo(json.dumps([_as_json(user) for user in found], ensure_ascii=False))
        return
    table = Table(_("name"), _("role"), _("stations"), _("mail"), _("last seen"), _("state"), box=None)
    for user in found:
        stations = _("all") if user.stations is None else ", ".join(sorted(user.stations))
        seen = f"{user.seen_at:%Y-%m-%d %H:%M} UTC" if user.seen_at else "–"
        state = _("active") if user.active else _("disabled")
        table.add_row(user.name, _(ROLES.get(user.role, user.role)), stations, user.email, seen, state)
    Console(markup=False, highlight=False).print(table)


@command(
    "add",
    short_help=_("Add somebody who may log in."),
    help=_(
        "Add somebody who may log in, with a password: asked for twice, or from standard input with "
        "--password-stdin.\n\n"
        "To let them choose their password themselves: `tigrillo users invite`."
    ),
)
def add(
    name: NameArgument,
    role: RoleOption = "viewer",
    email: EmailOption = "",
    stations: StationsOption = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help=_("Read the password from standard input, one line."))
    ] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """One person."""
    from ..passwords import Hasher, fault_of
    from ..store.users import add as add_user
    from ..store.users import checked_name, checked_role

    checked_role(role)
    name = checked_name(name)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt(_("Password"), hide_input=True, confirmation_prompt=_("Once more"))
    if fault := fault_of(password, name):
        raise FatalError(_(fault))
    kept = Hasher().hash(password)
    with _open(site) as opened:
        user = add_user(
            opened.connection, name, role,
            now=opened.now, who=opened.who, password=kept, email=email, stations=_known(opened, stations),
        )  # fmt: skip
    _say(_as_json(user), _("{name}: may log in as {role}").format(name=user.name, role=_(ROLES[user.role])), as_json)


@command(
    "invite",
    short_help=_("Print a link with which somebody sets name and password."),
    help=_(
        "Print a link with which somebody sets their name and password and is let in: once, within 7 days.\n\n"
        "Give it to them in a way that nobody else reads. The page's own address (web: address) goes into it."
    ),
)
def invite(
    role: RoleOption = "viewer",
    email: EmailOption = "",
    stations: StationsOption = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """One link."""
    from ..store.keys import invite as make

    with _open(site) as opened:
        scope = _known(opened, stations)
        secret = make(opened.connection, role, email=email, stations=scope, now=opened.now, who=opened.who)
        link = _link(opened.plan, secret)
    _say({"link": link, "role": role}, link, as_json)


@command(
    "reset",
    short_help=_("Print a link with which somebody sets a new password."),
    help=_(
        "Print a link with which somebody sets a new password: once, within a day. The password that they have works "
        "until then. Links that were made for them before end."
    ),
)
def reset(name: NameArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """One link."""
    from ..store.keys import reset as make

    with _open(site) as opened:
        user = opened.user(name)
        link = _link(opened.plan, make(opened.connection, user, now=opened.now, who=opened.who))
    _say({"link": link, "name": user.name}, link, as_json)


@command(
    "role",
    short_help=_("Give somebody another role, or other stations."),
    help=_(
        "Give somebody another role, or other stations; with neither --station nor --all-stations they see those they "
        "saw. They have to log in again. The last admin stays one."
    ),
)
def role(
    name: NameArgument,
    new: Annotated[str, typer.Argument(metavar="ROLE", help=_("viewer, reviewer, manager or admin."))],
    stations: StationsOption = None,
    all_stations: Annotated[bool, typer.Option("--all-stations", help=_("They see all stations."))] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """One person's."""
    from ..store.users import change_role

    with _open(site) as opened:
        user = opened.user(name)
        scope = None if all_stations else _known(opened, stations) if stations else user.stations
        change_role(opened.connection, user, new, stations=scope, now=opened.now, who=opened.who)
        user = opened.user(name)
    _say(_as_json(user), _("{name}: is {role} now").format(name=user.name, role=_(ROLES[user.role])), as_json)


@command(
    "disable",
    short_help=_("Let somebody in no more; what they said stays."),
    help=_(
        "Let somebody in no more, at once: sessions and keys end within two seconds. What they reviewed stays theirs. "
        "The last admin can't be disabled."
    ),
)
def disable(name: NameArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """One person."""
    _change_active(name, site, as_json, active=False)


@command("enable", short_help=_("Let somebody in again."), help=_("Let somebody in again who was disabled."))
def enable(name: NameArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """One person."""
    _change_active(name, site, as_json, active=True)


@command(
    "token",
    short_help=_("Make a key with which a program uses the API as somebody."),
    help=_(
        "Make a key with which a program uses the API as somebody, and print it; it is shown this once.\n\n"
        "Programs send it as `Authorization: Bearer KEY`. --scope names what it may (see, review, unblur, originals, "
        "export, upload, manage, administer), never more than its user; without it, see."
    ),
)
def token(
    name: NameArgument,
    label: Annotated[str, typer.Option("--name", help=_("By which you will know the key."))] = "command line",
    scopes: Annotated[list[str] | None, typer.Option("--scope", help=_("What it may; give it again for more."))] = None,
    days: Annotated[int, typer.Option(min=0, max=3650, help=_("It ends after so many days; 0 for never."))] = 90,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """One key."""
    from ..store.keys import add_token

    with _open(site) as opened:
        user = opened.user(name)
        wanted = scopes or ["see"]
        secret = add_token(opened.connection, user, label, wanted, now=opened.now, who=opened.who, days=days or None)
    _say({"token": secret, "user": user.name, "scopes": sorted(set(wanted))}, secret, as_json)


def _change_active(name: str, site: Path | None, as_json: bool, *, active: bool) -> None:
    from ..store.users import change_active

    with _open(site) as opened:
        change_active(opened.connection, opened.user(name), active=active, now=opened.now, who=opened.who)
        user = opened.user(name)
    said = _("{name}: may log in again") if active else _("{name}: may log in no more")
    _say(_as_json(user), said.format(name=user.name), as_json)


def _known(opened: Open, stations: list[str] | None) -> list[str] | None:
    """Stations as they were named. Raises FatalError for one that nobody has heard of."""
    from ..store.users import has_sent

    for name in stations or []:
        if name not in opened.plan.stations and not has_sent(opened.connection, name):
            raise FatalError(_("{name!r}: there is no station of this name").format(name=name))
    return stations or None


@contextmanager
def _open(site: Path | None) -> Iterator[Open]:
    """The site's people, whether or not the daemon runs: one short transaction of our own."""
    from ..clock import SystemClock
    from ..config import load_plan
    from ..daemon import is_running
    from ..registry import load_registry
    from ..store.sql import Store

    plan = load_plan(site_path(site), load_registry())
    plan.state_dir.mkdir(parents=True, exist_ok=True)
    who = f"{getpass.getuser()} (command line)"
    store = Store(plan.database_url, beside=is_running(plan.state_dir))
    with store, store.transaction() as connection:
        yield Open(plan, connection, SystemClock().now(), who)


def _link(plan: "Plan", secret: str) -> str:
    from ..site_web import WebConfig

    web = plan.file.web or WebConfig()
    here = f"{'https' if web.tls else 'http'}://{web.listen}:{web.port}"
    return f"{web.address or here}/invitation/{secret}"


def _as_json(user: "User") -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "stations": None if user.stations is None else sorted(user.stations),
        "email": user.email,
        "active": user.active,
        "seen_at": user.seen_at.isoformat() if user.seen_at else None,
    }


def _say(values: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False) if as_json else text)
