"""Hop 6, record: what a frame shows → encounters, and what is to be said about them to whom.

Called in the transaction that records the frame, so that there is no observation whose alert was forgotten. Whether a
message really goes out, and when, is decided in hop 7 (gate.py): only then is it known what was sent before.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ..model import SEVERITIES, Detection, Outcome
from ..models.taxa import fold
from ..services import Station
from ..store import encounters as rows
from ..store import notices
from ..store.encounters import Encounter, Match
from ..store.notices import NewNotice, NoticeRow
from .because import Verdict
from .encounters import Group, Sighted, akin, groups_in, is_closer, is_finer, quality, seen_at, together
from .judge import Sight, judge
from .people import Addressee, Directory
from .rules import Rule

# From capture to arrival: longer is no backlog but a clock that is wrong (as edge/store/rows.py has it).
LONGEST_WAIT = timedelta(days=200)
SETTLE = timedelta(seconds=60)  # between two messages about one encounter to one addressee
OUTCOMES = ("opened", "better", "joined", "late")


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """gap: what comes closer together is one encounter. max_age: later is not live. updates: after the first message.

    queue: how many messages may wait for one channel; the rest goes into the digest.
    """

    gap: timedelta = timedelta(minutes=10)
    max_age: timedelta = timedelta(minutes=30)
    updates: int = 2
    queue: int = 500


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds for a group. best: the detection that speaks most for it. count: of its kind in the picture."""

    rule: Rule
    best: Sighted
    verdict: Verdict
    count: int


@dataclass(frozen=True, slots=True)
class AlertDesk:
    """Looks at recorded frames with the site's rules. stations: as Services has them."""

    rules: Sequence[Rule]
    directory: Directory
    stations: Mapping[str, Station]
    settings: AlertSettings
    default_timezone: str = "UTC"

    def note(self, connection: Connection, outcome: Outcome, now: datetime) -> int:
        """Take a frame into its encounters and queue what is to be said; returns how many messages were queued."""
        return sum(self._note_group(connection, outcome, group, now) for group in groups_in(outcome))

    def judge_all(
        self, connection: Connection, outcome: Outcome, group: Group, encounter: Encounter | None
    ) -> list[tuple[Rule, Held | None, Verdict]]:
        """Each rule with what makes it hold, or None, and the reasons."""
        past = RecordedPast(connection, but=encounter.pk if encounter else 0)
        return [(rule, *self._judge(rule, outcome, group, encounter, past)) for rule in self.rules]

    def is_late(self, rule: Rule, outcome: Outcome, now: datetime) -> bool:
        """Whether a frame is recorded too long after it was taken to be told as if it were live.

        Clocks may be wrong: an agent says how long a frame has waited, by one that nobody sets; where it can't, only a
        time that can be a backlog's counts. A file that says nothing, or a time to come, is not known to be live.
        """
        spooled = outcome.spooled
        captured, received, agent = spooled.captured.utc, spooled.received_at, spooled.agent
        here = max(now - received, timedelta(0))
        most = timedelta(minutes=rule.max_age_min) if rule.max_age_min is not None else self.settings.max_age
        if agent is not None and agent.waited_s is not None:
            return timedelta(seconds=agent.waited_s) + here > most
        if agent is not None:
            return captured is not None and most < received - captured + here < LONGEST_WAIT
        return captured is None or received - captured + here > most or captured - received > most

    def _note_group(self, connection: Connection, outcome: Outcome, group: Group, now: datetime) -> int:
        encounter, is_new = self._encounter(connection, outcome, group, now)
        queued = 0
        for rule, held, verdict in self.judge_all(connection, outcome, group, None if is_new else encounter):
            if held is None:
                continue
            late = self.is_late(rule, outcome, now)
            added, better = self._tell(connection, outcome, encounter, held, late=late, now=now)
            said = "late" if late else "opened" if added else "better" if better else "joined"
            because = [each.to_json() for each in verdict.because]
            number = held.best.picture.number
            match = Match(outcome.spooled.pk, encounter.pk, rule.name, said, number, because)
            rows.add_match(connection, match, quality=quality(held.best.detection))
            queued += added
        return queued

    def _encounter(
        self, connection: Connection, outcome: Outcome, group: Group, now: datetime
    ) -> tuple[Encounter, bool]:
        """The encounter a group belongs to, with the frame in it, and whether it is new."""
        at, best, spooled = seen_at(outcome), group.best, outcome.spooled
        near = rows.near(connection, spooled.station, group.category, at=at, gap=self.settings.gap)
        found = next((each for each in near if akin(each.lineage, group.lineage)), None)
        shown = {
            "lineage": group.lineage,
            "at": at,
            "frame_pk": spooled.pk,
            "number": best.picture.number,
            "quality": quality(best.detection),
        }
        if found is None:
            opened = rows.open_encounter(
                connection,
                station=spooled.station,
                category=group.category,
                now=now,
                **shown,  # type: ignore[arg-type]  # because mypy takes the values for one type
            )
            return opened, True
        thumbnail = spooled.agent is not None and bool(spooled.agent.stands_for)
        return rows.extend(connection, found, counts=not thumbnail, **shown), False  # type: ignore[arg-type]  # as above

    def _judge(
        self, rule: Rule, outcome: Outcome, group: Group, encounter: Encounter | None, past: "RecordedPast"
    ) -> tuple[Held | None, Verdict]:
        """What of a group makes a rule hold: the detection it shows best."""
        name = outcome.spooled.station
        station = self.stations.get(name) or Station(name, self.default_timezone)
        best: Held | None = None
        reasons = Verdict(holds=False)
        for each in sorted(group.sighted, key=lambda each: -quality(each.detection)):
            sight = Sight(
                each.detection,
                each.picture,
                outcome,
                station,
                at=outcome.spooled.captured.utc,
                began=encounter.started_at if encounter else None,
            )
            verdict = judge(rule, sight, past)
            if verdict.holds:
                best = Held(rule, each, verdict, together(group.sighted, each))
                return best, verdict
            reasons = reasons if reasons.because else verdict
        return best, reasons

    def _tell(
        self, connection: Connection, outcome: Outcome, encounter: Encounter, held: Held, *, late: bool, now: datetime
    ) -> tuple[int, bool]:
        """(how many messages were queued, whether one that waits shows something better now)."""
        known: dict[str, list[NoticeRow]] = {}
        for row in notices.of_encounter(connection, encounter.pk):
            if row.kind not in notices.KINDS_OF_BUDGET:
                continue  # a picture that somebody asked for is no news
            known.setdefault(row.addressee, []).append(row)
        added, better = 0, False
        for name in held.rule.names:
            addressee = self.directory.find(name)
            if addressee is None:
                continue
            earlier = [row for row in known.get(addressee.name, []) if row.step == 0]
            new, improved = self._tell_one(connection, outcome, encounter, held, addressee, earlier, late=late, now=now)
            added, better = added + new, better or improved
        if held.rule.escalate and not late and encounter.acked_at is None:
            added += self._escalate(connection, outcome, encounter, held, now)
        return added, better

    def _tell_one(
        self,
        connection: Connection,
        outcome: Outcome,
        encounter: Encounter,
        held: Held,
        addressee: Addressee,
        earlier: Sequence[NoticeRow],
        *,
        late: bool,
        now: datetime,
    ) -> tuple[int, bool]:
        told = [row for row in earlier if row.state in {"sent", "sending"}]
        updates = sum(row.kind == "update" for row in earlier)  # whatever became of them
        waits = [row for row in earlier if row.state == "pending" or (row.state == "digest" and (late or not row.late))]
        last = earlier[-1] if earlier else None
        if late and earlier:
            return 0, False
        if waits:
            return 0, self._improve(connection, outcome, waits[-1], held, now)
        if not told and (last is None or last.late):
            # the first, or what came late was all there was so far
            kind, number, after = "alert", len(earlier), now
        elif told and not encounter.acked_at and updates < self.settings.updates and _is_better(held, told):
            kind, number, after = "update", len(earlier), max(now, (told[-1].sent_at or now) + SETTLE)
        else:
            return 0, False
        reason = "late" if late else self._full(connection, addressee)
        new = NewNotice(
            key=f"{encounter.uid}/{addressee.key}/{number}",
            kind="update" if kind == "update" else "alert",
            not_before=after,
            late=late,
            state="digest" if reason else "pending",
            reason=reason,
            **_shown(outcome, encounter, held, addressee),  # type: ignore[arg-type]  # because mypy takes the values for one type
        )
        return int(notices.add(connection, new, now) is not None), False

    def _full(self, connection: Connection, addressee: Addressee) -> str:
        """Why a message can't wait for its channel: too many do; "" when it can."""
        return "queue" if notices.waiting(connection, addressee.channel) >= self.settings.queue else ""

    def _improve(self, connection: Connection, outcome: Outcome, row: NoticeRow, held: Held, now: datetime) -> bool:
        """Let a message that waits show this frame, when that shows more."""
        if row.detection is None or not _is_better(held, [row], by_picture=quality(held.best.detection)):
            return False
        severity = max(row.severity, held.rule.severity, key=SEVERITIES.index)
        # quiet hours, or the other rule's cooldown, may not hold for what is more urgent: the gate decides again
        again = {"state": "pending", "reason": "", "next_attempt_at": now} if severity != row.severity else {}
        notices.improve(
            connection,
            row.pk,
            rule=held.rule.name if severity == held.rule.severity else row.rule,
            severity=severity,
            frame_pk=outcome.spooled.pk,
            number=held.best.picture.number,
            count=held.count,
            detection=held.best.detection,
            shows_people=held.rule.shows_people,
            **(again if row.state == "digest" else {}),
        )
        return True

    def _escalate(
        self, connection: Connection, outcome: Outcome, encounter: Encounter, held: Held, now: datetime
    ) -> int:
        """Queue the steps of an escalation, once: each goes out at its time, unless somebody has answered by then."""
        added = 0
        for step, escalation in enumerate(held.rule.escalate, 1):
            for name in escalation.to:
                addressee = self.directory.find(name)
                if addressee is None:
                    continue
                reason = self._full(connection, addressee)
                new = NewNotice(
                    key=f"{encounter.uid}/{addressee.key}/step-{step}",
                    kind="alert",
                    step=step,
                    state="digest" if reason else "pending",
                    reason=reason,
                    not_before=now + timedelta(minutes=escalation.after_min),
                    **_shown(outcome, encounter, held, addressee),  # type: ignore[arg-type]  # as above
                )
                added += notices.add(connection, new, now) is not None
        return added


@dataclass(frozen=True, slots=True)
class RecordedPast:
    """The encounters in the database, for rules that ask for them. but: pk of the one that is judged."""

    connection: Connection
    but: int = 0

    def times(
        self, station: str, *, names: Collection[str] | None, category: str | None, since: datetime, before: datetime
    ) -> list[datetime]:
        """When encounters at a station began; see judge.Past."""
        found = rows.starts(self.connection, station, category=category, since=since, before=before, but=self.but)
        wanted = None if names is None else set(names)
        return [at for at, lineage in found if wanted is None or wanted & {fold(name) for name in lineage}]


def _is_better(held: Held, told: Sequence[NoticeRow], *, by_picture: float | None = None) -> bool:
    """Whether it says more than all that was told: a finer name, a higher severity, a closer picture.

    by_picture: what waits may be bettered by the picture's quality alone.
    """
    new = held.best.detection
    shown: list[Detection] = [row.detection for row in told if row.detection is not None]
    rank = SEVERITIES.index
    if all(rank(held.rule.severity) > rank(row.severity) for row in told) or all(is_finer(new, old) for old in shown):
        return True
    if any(is_finer(old, new) for old in shown):
        return False  # a closer picture that knows less would take a name back
    if by_picture is not None:
        return all(by_picture > quality(old) for old in shown)
    return all(is_closer(new, old) for old in shown)


def _shown(outcome: Outcome, encounter: Encounter, held: Held, addressee: Addressee) -> dict[str, object]:
    return {
        "addressee": addressee.name,
        "who": addressee.who,
        "channel": addressee.channel,
        "severity": held.rule.severity,
        "station": outcome.spooled.station,
        "rule": held.rule.name,
        "shows_people": held.rule.shows_people,
        "encounter_pk": encounter.pk,
        "frame_pk": outcome.spooled.pk,
        "number": held.best.picture.number,
        "count": held.count,
        "detection": held.best.detection,
    }
