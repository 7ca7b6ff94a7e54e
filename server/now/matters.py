"""What matters now, in a line each, with the page that helps: few rows, and what the daemon says of itself."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, func, select

from edge.alerts.heartbeat import DISK_MOST_BYTES, DISK_SHARE
from edge.i18n import mark
from edge.store.schema import counters, frames, notices, station_state, watched
from edge.store.web_schema import days

from ..rights import Principal
from ..speech import Speech
from ..web import Web

FRESH = timedelta(seconds=90)  # of the status file, which is written every few seconds
LATELY = timedelta(days=3)
MOST = 100  # of what is counted row by row
LONG_WAIT = timedelta(minutes=10)
WRONG = {  # names in `watched`, as edge/alerts/heartbeat.py has them, beside those that are looked at here
    "battery": mark("{station}: battery low"),
    "supply": mark("{station}: supply voltage too low"),
    "card": mark("{station}: its disk is nearly full"),
    "backlog": mark("{station}: its pictures wait there"),
    "clock": mark("{station}: its clock is off"),
    "workers": mark("Pictures are not looked at: the pipeline stands still"),
    "source": mark("A source fails again and again: {station}"),
    "quarantine": mark("Many pictures went into quarantine"),
}
PLACES = {"workers": "/system", "source": "/system", "quarantine": "/system/quarantine"}


@dataclass(frozen=True, slots=True)
class Matter:
    """One line. tone: "", good, warn or bad. path: the page that helps, "" for none that they may open."""

    text: str
    path: str
    tone: str = ""


def matters(web: Web, connection: Connection, principal: Principal, speech: Speech) -> list[Matter]:
    """What somebody should know before they look at pictures; the worst first."""
    now = web.clock.now()
    found = [
        *_running(web, now, speech),
        *_room(web, connection, speech),
        *_backlog(connection, now, speech),
        *_stations(connection, principal, speech),
        *_undelivered(connection, principal, now, speech),
        *_today(connection, principal, now, speech),
    ]
    if not principal.may("manage"):  # the page would turn them away
        found = [replace(each, path="") if each.path.startswith("/system") else each for each in found]
    rank = {"bad": 0, "warn": 1, "": 2, "good": 3}
    return sorted(found, key=lambda each: rank[each.tone])


def read_status(web: Web) -> Mapping[str, Any]:
    """What the daemon said of itself last; empty when it never ran."""
    try:
        found = json.loads((web.state_dir / "status.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _running(web: Web, now: datetime, speech: Speech) -> Iterator[Matter]:
    status = read_status(web)
    try:
        at = datetime.fromisoformat(str(status.get("at", "")))
    except ValueError:
        at = None
    if at is None:
        yield Matter(speech.text(mark("The pipeline has not run yet: start `tigrillo run`")), "/system", "warn")
    elif status.get("stopped") or now - at > FRESH:
        text = mark("The pipeline does not run: last heard of {ago}. New pictures wait until it starts")
        yield Matter(speech.text(text).format(ago=speech.ago(at, now)), "/system", "bad")
    for name, lane in dict(status.get("channels") or {}).items():
        if isinstance(lane, dict) and lane.get("state") in {"fails", "paused"}:
            text = speech.text(mark("Channel {name} takes no messages")).format(name=name)
            yield Matter(text, "/alerts", "bad")


def _room(web: Web, connection: Connection, speech: Speech) -> Iterator[Matter]:
    try:
        disk = shutil.disk_usage(web.state_dir)
    except OSError:
        return
    if disk.free < min(DISK_SHARE * disk.total, DISK_MOST_BYTES):
        text = speech.text(mark("The disk is nearly full: {free} free")).format(free=speech.bytes(disk.free))
        yield Matter(text, "/system", "bad")
    waiting = connection.scalar(select(counters.c.value).where(counters.c.name == "waiting_bytes")) or 0
    if waiting > 0.75 * web.plan.file.limits.spool_bytes:
        text = speech.text(mark("Waiting pictures fill {share} of their room"))
        yield Matter(text.format(share=speech.percent(waiting / web.plan.file.limits.spool_bytes)), "/system", "warn")


def _backlog(connection: Connection, now: datetime, speech: Speech) -> Iterator[Matter]:
    table = frames.c
    query = select(table.received_at).where(table.state == "spooled", table.late.is_(False)).order_by(table.pk).limit(1)
    oldest = connection.scalar(query)
    if oldest is not None and now - oldest > LONG_WAIT:
        text = speech.text(mark("Pictures wait to be looked at, the oldest for {time}"))
        yield Matter(text.format(time=speech.span(now - oldest)), "/system", "warn")


def _stations(connection: Connection, principal: Principal, speech: Speech) -> Iterator[Matter]:
    silent = {
        name
        for name in connection.scalars(select(station_state.c.station).where(station_state.c.online.is_(False)))
        if principal.sees(name)
    }
    for name in connection.scalars(select(watched.c.name).order_by(watched.c.since).limit(MOST)):
        sort, _slash, what = name.partition("/")
        if sort in {"silent", "never"} and principal.sees(what):
            silent.add(what)
        elif sort in WRONG and (principal.stations is None or what in principal.stations):
            yield Matter(speech.text(WRONG[sort]).format(station=what), PLACES.get(sort, "/stations"), "warn")
    if len(silent) == 1:
        name = min(silent)
        text = speech.text(mark("{station} is silent")).format(station=name)
        yield Matter(text, f"/stations/{quote(name)}", "warn")
    elif silent:
        text = speech.text(mark("{count} stations are silent")).format(count=speech.number(len(silent)))
        yield Matter(text, "/stations", "warn")


def _undelivered(connection: Connection, principal: Principal, now: datetime, speech: Speech) -> Iterator[Matter]:
    table = notices.c
    query = select(table.pk).where(table.state == "failed", table.next_attempt_at > now - LATELY).limit(MOST)
    if principal.stations is not None:
        query = query.where(table.station.in_(principal.stations))
    count = len(connection.scalars(query).all())
    if count == 1:
        yield Matter(speech.text(mark("1 message reached nobody")), "/alerts?state=failed", "bad")
    elif count:
        many = f"{speech.number(count)}{'+' if count == MOST else ''}"
        text = speech.text(mark("{count} messages reached nobody")).format(count=many)
        yield Matter(text, "/alerts?state=failed", "bad")


def _today(connection: Connection, principal: Principal, now: datetime, speech: Speech) -> Iterator[Matter]:
    today = now.astimezone(speech.zone).date().isoformat()
    query = select(func.sum(days.c.frames), func.sum(days.c.unreviewed)).where(days.c.day == today)
    if principal.stations is not None:
        query = query.where(days.c.station.in_(principal.stations))
    taken, unreviewed = connection.execute(query).one()
    text = speech.text(mark("1 picture today") if taken == 1 else mark("{count} pictures today"))
    yield Matter(text.format(count=speech.number(taken or 0)), f"/review?from={today}")
    if unreviewed:
        text = speech.text(mark("{count} of today are to be reviewed")).format(count=speech.number(unreviewed))
        yield Matter(text, f"/review?from={today}&unreviewed=1")
