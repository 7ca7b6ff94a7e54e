"""`tigrillo station`: add, list, show, revoke, bundle and enroll; thin, the work is in edge.stations."""

import importlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import FatalError
from ..i18n import _, mark
from .words import Command, Group

if TYPE_CHECKING:
    from ..site_file import SiteFile
    from ..stations.book import StationRow
    from ..stations.desk import Desk
    from ..tokens import Token

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
SITES = (Path("site.yaml"), Path("/etc/tigrillo/site.yaml"))
LOOK_S = 0.5
WAYS = {"enroll": mark("by token"), "renew": mark("renewed"), "bundle": mark("in a bundle")}  # Certificate.way

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=_("The station's name."))]
SiteOption = Annotated[
    Path | None, typer.Option("--site", help=_("The site's YAML file; site.yaml here, else /etc/tigrillo/site.yaml."))
]
JsonOption = Annotated[bool, typer.Option("--json", help=_("Print as JSON."))]


@dataclass(frozen=True, slots=True)
class Open:
    """A site whose stations are looked at or changed."""

    path: Path
    file: "SiteFile"
    desk: "Desk"


@command(
    "add",
    short_help=_("Add a station, and print the token with which its Pi enrols."),
    help=_(
        "Add a station, or change the one of this name, and print a token as text and as QR code.\n\n"
        "On the Pi: tigrillo station enroll TOKEN --config agent.yaml. A token is good for 15 minutes and for one Pi. "
        "The Pi makes its own key, which never leaves it.\n\n"
        "The Pi asks the enrolment of this machine: `tigrillo run` has one when the site says broker: {enroll: {}}; "
        "with --wait this command has one itself, until the Pi has come."
    ),
)
def add(
    name: NameArgument,
    lat: Annotated[float | None, typer.Option(help=_("Latitude, degrees; south is negative."))] = None,
    lon: Annotated[float | None, typer.Option(help=_("Longitude, degrees; west is negative."))] = None,
    timezone: Annotated[str | None, typer.Option(help=_("Zone its clock is set to; the site's when left out."))] = None,
    species_list: Annotated[str | None, typer.Option(help=_("Name of the list of species that live there."))] = None,
    host: Annotated[str | None, typer.Option(help=_("Name or address by which the Pi reaches this machine."))] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help=_("Wait until the Pi has enrolled, 15 minutes at most."))
    ] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a station and print its token."""
    from ..station_site import broker_place, enroll_settings

    if wait and as_json:
        raise typer.BadParameter(_("waits and tells people how it goes: leave --json out"), param_hint="--wait")
    opened = _open(site)
    row = _checked_row(opened, name, lat=lat, lon=lon, timezone=timezone, species_list=species_list)
    opened.desk.add(row)
    enroll = enroll_settings(opened.file)
    token = _invite(opened, name, host or broker_place(opened.file).host, enroll.port)
    answered = opened.file.broker is not None and opened.file.broker.enroll is not None
    if as_json:
        typer.echo(json.dumps({"station": name, "token": token.text, "answered": answered}, ensure_ascii=False))
        return
    _print_token(name, token)
    if wait:
        _wait(opened, name, token)
    elif not answered:
        typer.echo(
            _("Nobody answers the Pi yet: add --wait, or write broker: {{enroll: {{}}}} into {path}").format(
                path=opened.path
            )
        )


@command("list", short_help=_("List the stations."), help=_("List the stations: place, zone, certificate."))
def list_stations(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Print one line a station."""
    opened = _open(site)
    rows, now = opened.desk.book.all(), opened.desk.clock.now()
    if as_json:
        typer.echo(json.dumps([_as_json(row, now) for row in rows], ensure_ascii=False))
        return
    table = Table(_("station"), _("latitude"), _("longitude"), _("zone"), _("state"), _("certificate until"), box=None)
    for row in rows:
        table.add_row(
            row.name,
            _degrees(row.latitude),
            _degrees(row.longitude),
            row.timezone or opened.file.site.timezone,
            _(state_of(row, now)),
            row.expires_at.date().isoformat() if row.expires_at else "",
        )
    Console(markup=False, highlight=False).print(table)


@command("show", short_help=_("Show all that is known of a station."), help=_("Show all that is known of a station."))
def show(name: NameArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Print one station."""
    opened = _open(site)
    row, now = _known(opened, name), opened.desk.clock.now()
    if as_json:
        typer.echo(json.dumps(_as_json(row, now), ensure_ascii=False))
        return
    place = f"{_degrees(row.latitude)}, {_degrees(row.longitude)}" if row.latitude is not None else ""
    table = Table(box=None, show_header=False)
    for what, text in (
        (_("station"), row.name),
        (_("state"), _(state_of(row, now))),
        (_("place"), place),
        (_("zone"), row.timezone or opened.file.site.timezone),
        (_("species list"), row.species_list),
        (_("added"), _moment(row.added_at)),
        (_("revoked"), _moment(row.revoked_at)),
    ):
        if text:
            table.add_row(what, text)
    for each in row.certificates:
        ended = _("revoked {day}").format(day=_moment(each.revoked_at)) if each.revoked_at else ""
        until = _("{way} {day}, until {end}").format(
            way=_(WAYS.get(each.way, each.way)), day=_moment(each.issued_at), end=each.expires_at.date().isoformat()
        )
        table.add_row(_("certificate"), f"{each.serial[-12:]}  {until}  {ended}".rstrip())
    Console(markup=False, highlight=False).print(table)


@command(
    "revoke",
    short_help=_("Take a station's right to send away, at once."),
    help=_(
        "Take a station's right to send away: its certificate, its open token, and the connection it has now.\n\n"
        "The broker refuses it from now on, and so does the daemon, whatever the broker does. What it sent stays. "
        "`tigrillo station add` with its name makes it welcome again, with a new certificate."
    ),
)
def revoke(name: NameArgument, site: SiteOption = None) -> None:
    """Revoke a station."""
    from ..station_site import broker_place
    from ..stations.broker import throw_out

    opened = _open(site)
    _known(opened, name)
    opened.desk.revoke(name)
    typer.echo(_("{name}: revoked; the daemon takes nothing of it any more").format(name=name))
    place = broker_place(opened.file)
    if throw_out(opened.desk, place, name):
        typer.echo(_("{name}: its connection is closed").format(name=name))
    else:
        typer.echo(
            _("broker {host}:{port}: does not answer; it refuses the station from its next start on").format(
                host=place.near, port=place.port
            )
        )
    if place.external:
        typer.echo(_("Give {path} to the broker and let it read it (SIGHUP).").format(path=opened.desk.folders.crl))


@command(
    "bundle",
    short_help=_("Write certificate and key of a station that can't enrol itself into a tar file."),
    help=_(
        "Write a tar file for a station that can't enrol itself: authority, certificate, private key, and an "
        "agent.yaml to start from. Only its owner may read the file (mode 0600).\n\n"
        "The key is made here, so whoever gets hold of the file is the station: carry it on a stick, unpack it on the "
        "Pi, delete it. Certificates that the station had before are revoked."
    ),
)
def bundle(
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", help=_("The tar file to write; it must not be there."))],
    site: SiteOption = None,
) -> None:
    """Write a bundle."""
    from ..station_site import broker_place, enroll_settings
    from ..stations.bundle import write_bundle

    opened = _open(site)
    row = _known(opened, name)
    if row.revoked_at is not None:
        raise FatalError(_("{name}: is revoked: `tigrillo station add {name}` first").format(name=name))
    place = broker_place(opened.file)
    enroll_module = importlib.import_module("raspberry_pi.enroll")
    yaml_module = importlib.import_module("raspberry_pi.agent_yaml")
    files = {"ca": "identity/ca.pem", "cert": "identity/cert.pem", "key": "identity/key.pem"}
    yaml = yaml_module.with_station(enroll_module.starter(), name, host=place.host, port=place.port, files=files)
    write_bundle(opened.desk, name, out, agent_yaml=yaml, origin=(place.host, enroll_settings(opened.file).port))
    typer.echo(
        _("{out}: whoever has this file is {name}; unpack it on the Pi and delete it").format(out=out, name=name)
    )


@command(
    "enroll",
    short_help=_("On the Pi: become the station that a token is for."),
    help=_(
        "On the Pi: become the station that a token is for.\n\n"
        "Makes a key here, which never leaves this machine, asks the server for a certificate, and writes station and "
        "broker into the agent's YAML file; the rest of it stays as it is. The same without tigrillo's other packages: "
        "python -m raspberry_pi.enroll TOKEN --config agent.yaml"
    ),
)
def enroll(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help=_("What `tigrillo station add` printed."))],
    config: Annotated[Path, typer.Option("--config", help=_("The agent's YAML file."))] = Path("agent.yaml"),
    folder: Annotated[
        Path | None, typer.Option("--folder", help=_("Where key and certificate go, instead of `identity`."))
    ] = None,
) -> None:
    """Enrol this machine."""
    # by name, so that no arrow leads from the runtime to the agent
    raise typer.Exit(importlib.import_module("raspberry_pi.enroll").run(token, config, folder))


def state_of(row: "StationRow", now: datetime) -> str:
    """One word for it, English: revoked, enrolled, expired, invited or added."""
    if row.revoked_at is not None:
        return mark("revoked")
    if row.expires_at is not None:
        return mark("enrolled") if row.expires_at > now else mark("expired")
    if row.token_expires_at is not None and row.token_expires_at > now:
        return mark("invited")
    return mark("added")


def site_path(given: Path | None) -> Path:
    """The site that is meant. Raises FatalError when none is named and none is at its usual place."""
    if given is not None:
        return given
    found = next((path for path in SITES if path.exists()), None)
    if found is None:
        raise FatalError(_("no site.yaml here: name it with --site"))
    return found


def _open(site: Path | None) -> Open:
    from ..clock import SystemClock
    from ..config import load_general
    from ..station_site import site_desk

    path = site_path(site)
    file, state_dir = load_general(path)
    return Open(path, file, site_desk(file, state_dir, SystemClock()))


def _known(opened: Open, name: str) -> "StationRow":
    """The station's row. Raises FatalError when there is none."""
    row = opened.desk.book.find(name)
    if row is None:
        raise FatalError(
            _("{name!r}: no station of this name was added; `tigrillo station list` shows them").format(name=name)
        )
    return row


def _checked_row(opened: Open, name: str, **given: Any) -> "StationRow":
    """The row to write: what is given, else what is known. Raises FatalError naming the option that is wrong."""
    from pydantic import ValidationError

    from ..site_file import StationConfig
    from ..stations.book import StationRow

    try:
        checked = StationConfig(name=name, timezone=given["timezone"], latitude=given["lat"], longitude=given["lon"])
    except ValidationError as exc:
        error = exc.errors()[0]
        option = {"name": "NAME", "timezone": "--timezone", "latitude": "--lat", "longitude": "--lon"}
        reason = error.get("ctx", {}).get("error", error["msg"])
        raise FatalError(f"{option[str(error['loc'][0])]}: {reason}") from exc
    old = opened.desk.book.find(name)
    new = StationRow(
        name=name,
        latitude=checked.latitude,
        longitude=checked.longitude,
        timezone=checked.timezone,
        species_list=given["species_list"] or "",
        added_at=opened.desk.clock.now(),
        revoked_at=None,
    )
    if old is None:
        return new
    return replace(
        new,
        latitude=old.latitude if new.latitude is None else new.latitude,
        longitude=old.longitude if new.longitude is None else new.longitude,
        timezone=new.timezone or old.timezone,
        species_list=new.species_list or old.species_list,
        added_at=old.added_at,
    )


def _invite(opened: Open, name: str, host: str, port: int) -> "Token":
    from ..tokens import TokenError

    try:
        return opened.desk.invite(name, host=host, port=port)
    except TokenError as exc:
        raise FatalError(str(exc)) from exc


def _print_token(name: str, token: "Token") -> None:
    import segno

    typer.echo(_("{name} is added. On its Pi, within 15 minutes:").format(name=name))
    typer.echo(f"\n  tigrillo station enroll {token.text} --config agent.yaml\n")
    segno.make(token.text).terminal(compact=True)


def _wait(opened: Open, name: str, token: "Token") -> None:
    """Answer the Pi, or let the daemon do it, until it has its certificate. Raises FatalError when it does not come."""
    from ..tokens import LIFE, secret_sha256

    until, sha256 = opened.desk.clock.now() + LIFE, secret_sha256(token.secret)
    with _enrolment(opened):
        typer.echo(_("Waiting for the Pi; Ctrl-C leaves, the token stays good where somebody answers."))
        while opened.desk.clock.now() < until:
            if opened.desk.book.token_used(sha256):
                time.sleep(LOOK_S)  # the answer is on its way
                row = _known(opened, name)
                day = row.expires_at.date().isoformat() if row.expires_at else ""
                typer.echo(_("{name}: enrolled, certificate until {day}").format(name=name, day=day))
                return
            time.sleep(LOOK_S)
    raise FatalError(_("{name}: nobody came within 15 minutes: run the same command again").format(name=name))


@contextmanager
def _enrolment(opened: Open) -> Iterator[None]:
    """Our own enrolment, unless the daemon answers on that port."""
    from ..logs import make_log
    from ..station_site import enroll_settings, enrolment_of

    if _listens(enroll_settings(opened.file).port):
        yield
        return
    with enrolment_of(opened.file, opened.desk, log=make_log(json_lines=False, level="warning")):
        yield


def _listens(port: int) -> bool:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _as_json(row: "StationRow", now: datetime) -> dict[str, Any]:
    found: dict[str, Any] = asdict(row) | {"state": state_of(row, now), "expires_at": row.expires_at}
    return json.loads(json.dumps(found, default=lambda moment: moment.isoformat()))  # type: ignore[no-any-return]  # because json's types say Any


def _degrees(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _moment(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC") if at else ""
