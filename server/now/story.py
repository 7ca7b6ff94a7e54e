"""One encounter's story: which rules held and why, who was told when and how, who saw to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from edge.alerts.because import Because, tell
from edge.alerts.explain import explain, fate
from edge.config import Plan
from edge.daemon import alert_desk
from edge.model import Outcome
from edge.simulate import still_services
from edge.store import encounters as rows
from edge.store import notices
from edge.store.encounters import Encounter
from edge.store.notices import NoticeRow
from edge.store.rows import outcome_from
from edge.store.schema import frames, matches, observations

from ..web import Web

MOST_RULES = 40


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of why. depth: how many conditions it lies in."""

    text: str
    holds: bool
    depth: int


@dataclass(frozen=True, slots=True)
class RuleHeld:
    """A rule that held, at the frame where it did so first. outcome: opened, better, joined or late."""

    rule: str
    outcome: str
    frame_pk: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RuleNow:
    """What a rule, as it is now, says to the best picture."""

    rule: str
    holds: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A message about it. why: of its state, "" when there is nothing to say."""

    row: NoticeRow
    state: str
    why: str


def rules_held(connection: Connection, encounter: Encounter, language: str) -> list[RuleHeld]:
    """The rules that held, once each, in their order; as they were when the frames were recorded."""
    query = select(matches).where(matches.c.encounter_pk == encounter.pk).order_by(matches.c.pk).limit(500)
    found: dict[str, RuleHeld] = {}
    for row in connection.execute(query).mappings():
        if row["rule"] not in found and len(found) < MOST_RULES:
            reasons = _reasons((Because.from_json(each) for each in row["because"]), language)
            found[row["rule"]] = RuleHeld(row["rule"], row["outcome"], row["frame_pk"], reasons)
    return list(found.values())


def messages(connection: Connection, encounter: Encounter, language: str) -> list[Told]:
    """What was said about it to whom, oldest first."""
    return [Told(row, *fate(row, language)) for row in notices.of_encounter(connection, encounter.pk)]


def rules_now(web: Web, connection: Connection, encounter: Encounter, language: str) -> list[RuleNow]:
    """What each rule of now says to the best picture of an encounter; none while that is not recorded."""
    outcome = outcome_of(connection, encounter.best_frame_pk)
    if outcome is None:
        return []
    plan: Plan = web.plan
    with still_services(plan, web.clock) as services:
        groups = explain(alert_desk(plan, services), connection, outcome)
    mine = next((each for each in groups if each.encounter and each.encounter.pk == encounter.pk), None)
    return [RuleNow(each.rule, each.holds, _reasons(each.because, language)) for each in mine.rules] if mine else []


def outcome_of(connection: Connection, frame_pk: int) -> Outcome | None:
    """What was recorded of a frame; None while it is not."""
    row = connection.execute(select(frames).where(frames.c.pk == frame_pk)).mappings().first()
    if row is None or row["state"] != "recorded":
        return None
    query = select(observations).where(observations.c.frame_pk == frame_pk).order_by(observations.c.pk)
    return outcome_from(row, list(connection.execute(query).mappings()))


def acknowledge(connection: Connection, encounter: Encounter, *, by: str, now: datetime) -> bool:
    """As an ACK by SMS does it: the first one's name stays. False when somebody else was first."""
    return rows.acknowledge(connection, encounter.pk, by=by[:64], now=now)


def _reasons(found: Iterable[Because], language: str) -> tuple[Reason, ...]:
    return tuple(Reason(tell(each, language), each.holds, min(each.depth, 4)) for each in found)
