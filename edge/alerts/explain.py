"""Why an alert was or was not sent: for one recorded frame, rule by rule and addressee by addressee."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ..model import Outcome
from ..store import encounters, notices
from ..store.encounters import Encounter, Match
from ..store.notices import NoticeRow
from .because import Because, tell
from .desk import AlertDesk
from .encounters import Group, akin, groups_in, seen_at
from .gate import HELD, tell_reason


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule and one group of a frame. now: whether the rule, as it is now, holds; recorded: as it was, or None.

    messages: about the encounter, to the addressees of this rule.
    """

    rule: str
    holds: bool
    because: tuple[Because, ...]
    recorded: Match | None
    messages: tuple[NoticeRow, ...]


@dataclass(frozen=True, slots=True)
class GroupExplained:
    """What a frame shows of one kind, the encounter it is part of, and what each rule says to it."""

    group: Group
    encounter: Encounter | None
    rules: tuple[Explained, ...]


def explain(desk: AlertDesk, connection: Connection, outcome: Outcome) -> list[GroupExplained]:
    """Explain a recorded frame. Reads only."""
    matches = encounters.matches_of(connection, outcome.spooled.pk)
    found = []
    for group in groups_in(outcome):
        at = seen_at(outcome)
        near = encounters.near(connection, outcome.spooled.station, group.category, at=at, gap=desk.settings.gap)
        own = {match.encounter_pk for match in matches}
        kin = [each for each in near if akin(each.lineage, group.lineage)]
        encounter = next((each for each in kin if each.pk in own), kin[0] if kin else None)
        rows = notices.of_encounter(connection, encounter.pk) if encounter else []
        rules = []
        for rule, _held, verdict in desk.judge_all(connection, outcome, group, encounter):
            recorded = next(
                (
                    each
                    for each in matches
                    if each.rule == rule.name and encounter and each.encounter_pk == encounter.pk
                ),
                None,
            )
            names = {to.name for name in rule.names if (to := desk.directory.find(name))}
            steps = {to.name for step in rule.escalate for name in step.to if (to := desk.directory.find(name))}
            told = tuple(row for row in rows if row.addressee in names or (row.step and row.addressee in steps))
            rules.append(Explained(rule.name, verdict.holds, verdict.because, recorded, told))
        found.append(GroupExplained(group, encounter, tuple(rules)))
    return found


def fate(row: NoticeRow, language: str) -> tuple[str, str]:
    """(state in one word, why) of a message; the word is English, for programs and for translation."""
    why = tell_reason(row.reason, language) if row.reason else row.error
    if row.state == "dropped" and row.reason in HELD:  # "…; it is told in the digest" was not to be
        why = f"{why.partition(';')[0]}; {tell_reason('no digest', language)}"
    if row.reason and row.error:
        why = f"{why} ({row.error})"
    return row.state, why


def as_json(found: list[GroupExplained], language: str) -> list[dict[str, Any]]:
    """The explanation as plain values."""
    return [
        {
            "category": each.group.category,
            "taxon": each.group.lineage[-1] if each.group.lineage else "",
            "encounter": each.encounter.code if each.encounter else "",
            "rules": [
                {
                    "rule": rule.rule,
                    "holds": rule.holds,
                    "recorded": rule.recorded.outcome if rule.recorded else "",
                    "because": [reason.to_json() | {"text": tell(reason, language)} for reason in rule.because],
                    "messages": [_row_json(row, language) for row in rule.messages],
                }
                for rule in each.rules
            ],
        }
        for each in found
    ]


def _row_json(row: NoticeRow, language: str) -> dict[str, Any]:
    state, why = fate(row, language)
    return {
        "addressee": row.addressee,
        "kind": row.kind,
        "rule": row.rule,
        "frame": row.frame_id,
        "state": state,
        "reason": row.reason,
        "text": why,
        "at": _moment(row.sent_at or row.created_at),
        "receipt": row.receipt_state,
    }


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
