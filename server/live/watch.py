"""Looks at the database once a second and says what is new: a few steps along indexes, whatever the tables hold.

On SQLite `PRAGMA data_version`, which changes when another connection has written, spares even these.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select, text

from edge.pipeline.runner import Done, attempt
from edge.store.dialects import is_postgresql
from edge.store.readers import Readers
from edge.store.schema import encounters, frames, notices, observations, quarantine, station_state, watched
from edge.store.web_schema import stale_days

from ..now.cards import render_cards
from ..web import Web
from .hub import News

LOOK_S = 1.0
AGAIN_S = 10.0  # after a look that failed
RECENT = 60  # encounters, by time, that are looked at for changes: one page of Now, and more
RECENT_NOTICES = 100
MOST_NEW = 200  # rows of a table at once; of what comes faster the newest are told
SILENT = "silent/"  # of names in `watched`

Cards = Callable[[Collection[int], Collection[str]], Mapping[int, Mapping[str, str]]]


def watch(web: Web, stop: threading.Event) -> None:
    """The thread: look, and tell the hub, until `stop` is set."""
    with Readers(web.plan.database_url, most=1) as readers:  # one connection: data_version is told to each its own
        watcher = Watcher(readers, partial(render_cards, web))
        failed = False
        while not stop.wait(AGAIN_S if failed else LOOK_S):
            looked = attempt(partial(watcher.look, web.live.languages))
            if isinstance(looked, Done):
                web.live.publish(looked.value)
            elif not failed:
                web.log.warning("live.failed", reason=looked.reason)
            failed = not isinstance(looked, Done)


@dataclass(slots=True)
class _Seen:
    """The database as the last look found it. Values of the mappings are what a change is known by."""

    encounter: int = 0
    observation: int = 0
    quarantined: int = 0
    notice: int = 0
    encounters: dict[int, Any] = field(default_factory=dict)
    notices: dict[int, Any] = field(default_factory=dict)
    stations: dict[str, Any] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    stale: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class Watcher:
    """Finds what is new since the last look; the first finds nothing. cards: encounters in HTML."""

    readers: Readers
    cards: Cards
    _version: int | None = None
    _seen: _Seen | None = None

    def look(self, languages: Collection[str] = ()) -> list[News]:
        """What is new. languages: those that HTML is wanted in. Raises StoreBusy."""
        with self.readers.read() as connection:
            version = None if is_postgresql(connection) else connection.scalar(text("PRAGMA data_version"))
            if version is not None and version == self._version and self._seen is not None:
                return []
            now = _read(connection, self._seen)
            before, self._seen, self._version = self._seen, now, version
            if before is None:
                return []
            changed = _changed_encounters(before, now)
            found = [*_frames(connection, before, now), *_rest(connection, before, now)]
            about = _about(connection, changed)
        html = self.cards(changed, languages) if changed and languages else {}
        return [*_encounters(before, about, html), *found]


def _read(connection: Connection, before: _Seen | None) -> _Seen:
    recent = select(*_told_of_encounters()).order_by(encounters.c.last_at.desc(), encounters.c.pk.desc()).limit(RECENT)
    newest = select(*_told_of_notices()).order_by(notices.c.pk.desc()).limit(RECENT_NOTICES)
    found = {pk: tuple(rest) for pk, *rest in connection.execute(recent)}
    if before is not None:  # what came late is not among the latest
        late = select(*_told_of_encounters()).where(encounters.c.pk > before.encounter)
        late = late.order_by(encounters.c.pk.desc()).limit(MOST_NEW)
        found |= {pk: tuple(rest) for pk, *rest in connection.execute(late)}
    told = {pk: tuple(rest) for pk, *rest in connection.execute(newest)}
    return _Seen(
        encounter=_highest(connection, encounters.c.pk),
        observation=_highest(connection, observations.c.pk),
        quarantined=_highest(connection, quarantine.c.pk),
        notice=max(told, default=0),
        encounters=found,
        notices=told,
        stations={row.station: row.online for row in connection.execute(_stations())},
        silent=frozenset(connection.scalars(select(watched.c.name).where(watched.c.name.startswith(SILENT)))),
        stale=frozenset(
            (a, b) for a, b in connection.execute(select(stale_days.c.station, stale_days.c.day).limit(1000))
        ),
    )


def _told_of_encounters() -> tuple[Any, ...]:
    table = encounters.c
    return (table.pk, table.frames, table.last_at, table.best_frame_pk, table.lineage, table.acked_by)


def _told_of_notices() -> tuple[Any, ...]:
    table = notices.c
    return (
        table.pk, table.state, table.attempts, table.receipt_state, table.station, table.kind, table.severity,
        table.encounter_pk,
    )  # fmt: skip


def _stations() -> Any:
    return select(station_state.c.station, station_state.c.online)


def _highest(connection: Connection, column: Any) -> int:
    return int(connection.scalar(select(func.max(column))) or 0)


def _changed_encounters(before: _Seen, now: _Seen) -> list[int]:
    """Those that are new, have changed, or about which somebody was told something; the latest last."""
    changed = {
        pk for pk, value in now.encounters.items() if _is_news(before, pk) or before.encounters.get(pk, value) != value
    }
    for pk, value in now.notices.items():
        if value[-1] is not None and _notice_changed(before, pk, value):
            changed.add(value[-1])
    return sorted(changed)


def _is_news(before: _Seen, pk: int) -> bool:
    return pk > before.encounter


def _notice_changed(before: _Seen, pk: int, value: Any) -> bool:
    return before.notices.get(pk) != value and (pk > before.notice or pk in before.notices)


def _about(connection: Connection, pks: Collection[int]) -> list[Any]:
    if not pks:
        return []
    table = encounters.c
    columns = (table.pk, table.uid, table.code, table.station, table.category, table.lineage, table.last_at)
    return list(connection.execute(select(*columns).where(table.pk.in_(pks)).order_by(table.last_at, table.pk)))


def _encounters(before: _Seen, about: Collection[Any], html: Mapping[int, Mapping[str, str]]) -> Iterator[News]:
    for pk, uid, code, station, category, lineage, last_at in about:
        values = {"uid": uid, "code": code, "new": _is_news(before, pk), "category": category}
        values |= {"taxon": lineage[-1] if lineage else "", "at": last_at.isoformat(timespec="seconds")}
        yield News("encounter", station, values, html.get(pk, {}))


def _frames(connection: Connection, before: _Seen, now: _Seen) -> Iterator[News]:
    """Stations at which something was seen, with how many frames show it."""
    if now.observation <= before.observation:
        return
    since = max(before.observation, now.observation - 5000)  # an import records thousands a second
    table = frames.c
    query = (
        select(table.station, func.count(table.pk.distinct()), func.max(table.pk))
        .join(observations, observations.c.frame_pk == table.pk)
        .where(observations.c.pk > since, observations.c.pk <= now.observation)
        .group_by(table.station)
    )
    for station, count, last in connection.execute(query):
        yield News("frame", station, {"frames": count, "last": last})


def _rest(connection: Connection, before: _Seen, now: _Seen) -> Iterator[News]:
    for pk, value in sorted(now.notices.items()):
        if _notice_changed(before, pk, value):
            state, _attempts, receipt, station, kind, severity, _of = value
            yield News(
                "alert", station, {"pk": pk, "state": state, "receipt": receipt, "kind": kind, "severity": severity}
            )
    for name, online in now.stations.items():
        if name in before.stations and before.stations[name] != online:
            yield News("station", name, {"state": "online" if online else "offline"})
    for name in sorted(now.silent ^ before.silent):
        yield News("station", name.removeprefix(SILENT), {"state": "silent" if name in now.silent else "heard"})
    if now.quarantined > before.quarantined:
        recent = select(frames.c.station, func.count()).select_from(quarantine)
        recent = recent.join(frames, frames.c.pk == quarantine.c.frame_pk, isouter=True)
        since = max(before.quarantined, now.quarantined - MOST_NEW)
        for station, count in connection.execute(recent.where(quarantine.c.pk > since).group_by(frames.c.station)):
            yield News("quarantine", station or "", {"count": count})
    done: dict[str, list[str]] = {}
    for station, day in sorted(before.stale - now.stale):
        done.setdefault(station, []).append(day)
    for station, fresh in done.items():
        yield News("summary", station, {"days": fresh[-7:]})
