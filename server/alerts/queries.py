"""Reads of messages, mutes and recipients. A page of messages looks at LOOK of them at most, as that of encounters."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, or_, select

from edge.alerts.explain import fate
from edge.alerts.people import Addressee, Directory, Recipient
from edge.models.taxa import all_taxa
from edge.store import notices as rows
from edge.store.encounters import Encounter, encounter_from
from edge.store.notices import NoticeRow
from edge.store.schema import encounters, mutes, notices, watched

from ..speech import Speech

PAGE = 40
LOOK = 5000
MOST_WATCHED = 50
STATES = ("pending", "sending", "sent", "failed", "dropped", "digest", "digested")
KINDS = ("alert", "update", "digest", "health", "answer", "test")


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; "" for all. who: a person, or a channel's own addressees ("@mail")."""

    state: str = ""
    channel: str = ""
    who: str = ""
    station: str = ""
    severity: str = ""
    kind: str = ""

    @property
    def is_set(self) -> bool:
        """Whether anything is left out."""
        return any((self.state, self.channel, self.who, self.station, self.severity, self.kind))


@dataclass(frozen=True, slots=True)
class Line:
    """A message as a page lists it. why: in the reader's language, "" when there is nothing to say."""

    row: NoticeRow
    encounter: Encounter | None
    why: str

    @property
    def taxon(self) -> str:
        """Scientific name of what it is about, "" without one."""
        answer = self.row.detection.answer if self.row.detection else None
        return answer.taxon.scientific_name if answer else ""

    def headline(self, speech: Speech) -> str:
        """What it says, in few words; as it was sent where it is about no animal."""
        if self.row.detection is None:
            return str((self.row.words or {}).get("headline", ""))
        category = self.row.detection.category
        answer = self.row.detection.answer
        if answer is None:
            return speech.text(category)
        known = all_taxa().get(self.taxon)
        return known.name(speech.language) if known else answer.taxon.name(speech.language)


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, newest first. next: the pk that the next page begins after, None at the end."""

    lines: list[Line]
    next: int | None


@dataclass(frozen=True, slots=True)
class MuteRow:
    """Somebody hears nothing. until: None for no end. station: "" for all."""

    pk: int
    who: str
    station: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class OnCall:
    """One who is told, and whether a message of each severity would reach them now.

    hears: severity → whether it comes at once. sent_today, per_day: None where there is no bound.
    """

    who: str
    ways: tuple[str, ...]
    language: str
    hears: Mapping[str, bool]
    quiet: str
    muted: bool
    sent_today: int
    per_day: int | None
    digest: str


def page_of(
    connection: Connection,
    stations: frozenset[str] | None,
    filters: Filters,
    language: str,
    *,
    after: int | None,
    size: int = PAGE,
) -> Page:
    """Messages about these stations (None: all, also those about none) that fit the filters."""
    table = notices.c
    columns = (table.pk, table.state, table.channel, table.who, table.station, table.severity, table.kind)
    look = LOOK if filters.is_set or stations is not None else size + 1
    looked = select(*columns).order_by(table.pk.desc()).limit(look)
    if after is not None:
        looked = looked.where(table.pk < after)
    seen = looked.subquery()
    query = select(seen.c.pk).order_by(seen.c.pk.desc()).limit(size + 1)
    if stations is not None:
        query = query.where(seen.c.station.in_(stations))
    for name in ("state", "channel", "who", "station", "severity", "kind"):
        if value := getattr(filters, name):
            query = query.where(seen.c[name] == value)
    pks = list(connection.scalars(query))
    if len(pks) > size:
        return Page(lines_of(connection, pks[:size], language), pks[size - 1])
    last = connection.scalar(looked.with_only_columns(table.pk).offset(look - 1).limit(1))
    return Page(lines_of(connection, pks, language), last)


def lines_of(connection: Connection, pks: Collection[int], language: str) -> list[Line]:
    """These messages, newest first."""
    found = rows.by_pks(connection, pks)
    about = {row.encounter_pk for row in found} - {None}
    query = select(encounters).where(encounters.c.pk.in_(about))
    known = {row["pk"]: encounter_from(row) for row in connection.execute(query).mappings()}
    return [Line(row, known.get(row.encounter_pk or 0), fate(row, language)[1]) for row in found]


def mutes_now(connection: Connection, now: datetime) -> list[MuteRow]:
    """The mutes that hold: a row a person and station at most."""
    query = select(mutes).where(or_(mutes.c.until.is_(None), mutes.c.until > now)).order_by(mutes.c.who, mutes.c.pk)
    return [MuteRow(**row) for row in connection.execute(query.limit(500)).mappings()]


def watched_now(connection: Connection) -> list[tuple[str, datetime, datetime | None]]:
    """(name, since, told) of what the heartbeat finds wrong, the oldest first."""
    query = select(watched.c.name, watched.c.since, watched.c.told_at).order_by(watched.c.since).limit(MOST_WATCHED)
    return [(name, since, told) for name, since, told in connection.execute(query) if "/" in name or name != "quiet"]


def on_call(
    connection: Connection, directory: Directory, recipients: Collection[Recipient], now: datetime
) -> list[OnCall]:
    """Everybody whom a rule can tell, and whether they would hear of it now."""
    people = {each.name: each for each in recipients}
    silent = {each.who for each in mutes_now(connection, now) if not each.station}
    found: dict[str, list[Addressee]] = {}
    for each in directory.by_name.values():
        found.setdefault(each.who, []).append(each)
    told = []
    for who, ways in found.items():
        first = ways[0]
        person = people.get(who)
        begin, end = first.day(now)
        sent = rows.sent_between(connection, who, begin, end) if first.per_day is not None else 0
        full = first.per_day is not None and sent >= first.per_day
        hears: dict[str, bool] = {
            each: who not in silent and not full and not _rests(first, each, now) for each in _SEVERITIES
        }
        quiet = ", ".join(person.quiet.hours) if person and person.quiet else ""
        told.append(
            OnCall(
                who,
                tuple(each.channel for each in ways),
                first.language,
                hears,
                quiet,
                who in silent,
                sent,
                first.per_day,
                first.digest or "",
            )
        )
    return told


_Severity = Literal["info", "warning", "critical"]
_SEVERITIES: tuple[_Severity, ...] = ("info", "warning", "critical")


def _rests(to: Addressee, severity: _Severity, now: datetime) -> bool:
    return to.quiet is not None and to.quiet.forbids(severity, to.local(now))


def channels_of(status: Mapping[str, Any], names: Collection[str]) -> list[dict[str, Any]]:
    """Each channel with what the daemon said of it last: state, since, error, next_try_s."""
    lanes = status.get("channels")
    lanes = lanes if isinstance(lanes, dict) else {}
    unknown = {"state": "", "since": "", "error": "", "next_try_s": 0}
    found = []
    for name in names:
        lane = lanes.get(name)
        found.append({"name": name, **unknown, **(lane if isinstance(lane, dict) else {})})
    return found
