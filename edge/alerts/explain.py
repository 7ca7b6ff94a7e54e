"""Why an alert was or was not sent: for one recorded frame, rule by rule and addressee by addressee."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ..model import Outcome
from ..store import encounters, notices, suspects
from ..store.encounters import Encounter, Match
from ..store.notices import NoticeRow
from .because import Because, tell
from .desk import AlertDesk
from .encounters import Group, Sighted, akin, groups_in, lineage_of, seen_at
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
    outcome, found = _without_repeats(desk, connection, outcome)
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


def _without_repeats(desk: AlertDesk, connection: Connection, outcome: Outcome) -> tuple[Outcome, list[GroupExplained]]:
    """The frame without its suppressed repeats, and what is to be said of those: no rule looked at them."""
    repeats = suspects.suppressed_in(connection, outcome.spooled.pk)
    if not repeats:
        return outcome, []
    left, told = [], []
    for picture in outcome.pictures:
        of_it = {index: suspect for number, index, suspect in repeats if number == picture.number}
        kept = tuple(each for index, each in enumerate(picture.detections) if index not in of_it)
        left.append(replace(picture, detections=kept))
        for index, suspect in of_it.items():
            detection = picture.detections[index]
            when = f"{suspect.decided_at:%Y-%m-%d}" if suspect.decided_at else ""
            fields = {"number": str(suspect.pk), "who": suspect.decided_by, "when": when}
            because = (Because("repeat", holds=False, fields=fields),)
            group = Group(detection.category, lineage_of(detection), (Sighted(picture, detection),))
            rules = tuple(
                Explained(rule.name, holds=False, because=because, recorded=None, messages=()) for rule in desk.rules
            )
            told.append(GroupExplained(group, None, rules))
    return replace(outcome, pictures=tuple(left)), told


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
