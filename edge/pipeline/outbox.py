"""Hop 7, notify: messages that wait in the store → their channels, each until it is accepted, dropped or given up.

One process runs one Outbox, and one thread of it decides (edge/alerts/gate.py) what goes out, so that no two decisions
can exceed a budget together. A message that a channel has in hand is `sending` in the store; kill -9 leaves it so, and
the next start sends it again, under the same key, as the next attempt. It is marked as sent by the thread that sent it,
right after the channel has accepted it.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from sqlalchemy import Connection

from ..alerts.cooldowns import Cooldowns
from ..alerts.digest import Digests
from ..alerts.gate import Decision, Facts, decide
from ..alerts.people import Addressee, Directory
from ..clock import Clock
from ..crash import reached
from ..errors import FatalError, NotifyError, StoreBusy
from ..hookspecs import TracksReceipts
from ..model import Event
from ..notices import Notice, PictureLimits, Receipt
from ..services import Emit
from ..store import clock_set, encounters, notices
from ..store.notices import NoticeRow, Notices
from .lanes import LONGEST_ASKED_S, RANDOM, Jitter, Lane, Outlet, Sending, Taken, retry_pause_s
from .runner import Done, Failed, attempt

DRAIN_ATTEMPTS = 3  # at the end, to mark what was sent; each waits for the store's own time-out
GIVE_UP_AFTER = timedelta(hours=24)
SLOW_S = 300.0  # a send that takes longer is reported: an alert channel that hangs must not go unnoticed
DIGESTS_EVERY_S = 20.0
RECEIPTS_EVERY_S = 60.0
CLOCK_SET = timedelta(seconds=60)  # clocks that are further apart than they were have been set
LOOK_AGAIN = timedelta(minutes=5)  # whether a digest may go out
MOST_DECIDED = 200  # at once, before what has been sent is looked at again


class Composes(Protocol):
    """Puts messages together: see compose.Composer."""

    def notice(self, row: NoticeRow, to: Addressee, now: datetime) -> Notice:
        """The message in the addressee's language."""

    def picture(self, row: NoticeRow, to: Addressee, limits: PictureLimits) -> bytes:
        """The picture that goes with it."""


@dataclass(frozen=True, slots=True)
class Post:
    """What the outbox needs to know of the site. give_up_after: a message that no channel takes is kept so long."""

    directory: Directory
    composer: Composes
    cooldowns: Cooldowns
    digests: Digests | None = None
    give_up_after: timedelta = GIVE_UP_AFTER


@dataclass(slots=True)
class _Asked:
    """What a channel said of the receipts it was asked for. wanted: id → pk."""

    lane: Lane
    wanted: Mapping[str, int]
    result: Done[Mapping[str, Receipt]] | Failed | None = None


@dataclass(frozen=True, slots=True)
class _Woken:
    """Something was queued."""


_WOKEN = _Woken()


@dataclass(slots=True)
class Outbox:
    """Sends what is due: one message at a time a channel, each in a thread of its own, the most severe first.

    So one that hangs or fails stops no other, and there are never more threads than channels. A notifier bounds its
    own sends in time. A channel that fails again and again is paused (lanes.py). jitter: gives 0..1.
    """

    notices: Notices
    outlets: Mapping[str, Outlet]
    post: Post
    clock: Clock
    emit: Emit
    jitter: Jitter = RANDOM
    poll_s: float = 1.0
    grace_s: float = 5.0
    _lanes: dict[str, Lane] = field(default_factory=dict)
    # bounded by the number of lanes, and one _WOKEN for each thread that wakes
    _finished: "SimpleQueue[Sending | _Asked | _Woken]" = field(default_factory=SimpleQueue)
    _woken: threading.Event = field(default_factory=threading.Event)  # there is a _WOKEN to be taken
    _said: "Sending | _Asked | None" = None  # finished, and not written down yet
    _digests_at_s: float = float("-inf")
    _started: bool = False
    _looked: tuple[datetime, float] | None = None  # at both clocks, in the last turn

    def __post_init__(self) -> None:
        for name in self.outlets:  # now, because `snapshot` looks at them from another thread
            self._lane(name)

    def wake(self) -> None:
        """A message was queued: `run` looks at once instead of after `poll_s`. From any thread; never waits."""
        if not self._woken.is_set():
            self._woken.set()
            self._finished.put(_WOKEN)

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; then wait `grace_s` for what is under way and leave the rest for the next start."""
        while not stop.is_set():
            try:
                self._turn()
                self._settle(wait_s=self.poll_s)
            except StoreBusy as exc:
                self.emit(Event("notify", self.clock.now(), ok=False, fields={"reason": str(exc)}))
                stop.wait(self.poll_s)
            self._report_slow()
        self._drain()

    def dispatch_due(self) -> int:
        """Try every message that is due now once, wait for all channels; return how many were sent.

        Not while `run` is running. Raises StoreBusy; what was sent by then is marked at the next call.
        """
        sent = 0
        while self._turn() or self._busy():
            said = self._settle(wait_s=None)
            sent += isinstance(said, Sending) and isinstance(said.result, Done)
        return sent

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """The channels' states, by name; for the status file."""
        now_s = self.clock.monotonic_s()
        return {name: self._lane(name).as_dict(now_s) for name in self.outlets}

    def _turn(self) -> int:
        """Everything that is due: digests, messages, receipts. Returns how many messages were handed over."""
        self._follow_clock()
        if not self._started:
            self.notices.give_back()
            with self.notices.store.transaction() as connection:
                since = self.clock.now() - self.post.cooldowns.longest
                self.post.cooldowns.remember(notices.last_sent(connection, since=since))
            self._started = True
        now_s = self.clock.monotonic_s()
        if self.post.digests is not None and now_s - self._digests_at_s >= DIGESTS_EVERY_S:
            with self.notices.store.transaction() as connection:
                self.post.digests.make_due(connection, self.clock.now())
            self._digests_at_s = now_s
        started = self._hand_over()
        self._ask_for_receipts()
        return started

    def _follow_clock(self) -> None:
        """Notice that somebody has set the clock: no message is older for it, and no mute longer."""
        now, now_s, by, since = self.clock.now(), self.clock.monotonic_s(), None, self.clock.now()
        if self._looked is not None:
            passed = timedelta(seconds=now_s - self._looked[1])
            by, since = now - self._looked[0] - passed, now - passed
        if by is None or abs(by) >= CLOCK_SET:
            with self.notices.store.transaction() as connection:
                clock_set.follow_clock(connection, now, by, since)
        self._looked = now, now_s

    def _hand_over(self) -> int:
        """Give each free channel what is due for it; return how many got something."""
        started = 0
        for _each in range(MOST_DECIDED):
            taken = self._take()
            if taken is None:
                break
            row, decision = taken
            if decision.way == "wait":
                continue
            if decision.way != "send":
                self._tell(row, ok=True, held_back=decision.reason, to=decision.way)
                continue
            sending = Sending(row, self.clock.monotonic_s())
            self._lane(row.channel).in_hand = sending
            _start(f"notify-{row.channel}", partial(self._send, sending))
            started += 1
        return started

    def _take(self) -> tuple[NoticeRow, Decision] | None:
        """The next message that is due, moved on as the gate decides; None when nothing is."""
        now, now_s = self.clock.now(), self.clock.monotonic_s()
        busy = [name for name, lane in self._lanes.items() if not lane.is_free(now_s)]
        with self.notices.store.transaction() as connection:
            row = notices.due(connection, now, busy=busy)
            if row is None:
                return None
            to = self.post.directory.find(row.addressee)
            decision = Decision("send")
            if to is not None:
                decision = self._past_it(row, now) or decide(row, to, self._facts(connection, row, to, now), now)
            if decision.way == "send":
                if row.step and row.attempts == 0:
                    row = replace(row, created_at=now)  # its time begins when it is its turn
                notices.set_state(connection, row.pk, "sending", created_at=row.created_at)
            elif decision.way == "wait":
                notices.set_state(connection, row.pk, "pending", next_attempt_at=now + LOOK_AGAIN)
            else:
                if row.kind == "digest":
                    notices.untold(connection, row.pk, "dropped", reason=decision.reason)
                state = "digest" if decision.way == "digest" else "dropped"
                notices.set_state(connection, row.pk, state, reason=decision.reason)
        if decision.way == "send":
            reached("outbox.taken")
        return row, decision

    def _past_it(self, row: NoticeRow, now: datetime) -> Decision | None:
        """What is too old to be told as if it were new, though its channel works; one that fails is tried with it."""
        if row.kind not in notices.KINDS_OF_BUDGET or (row.step and row.attempts == 0):
            return None
        old = now - row.created_at >= self.post.give_up_after
        return Decision("digest", "late") if old and not self._lane(row.channel).failures else None

    def _facts(self, connection: Connection, row: NoticeRow, to: Addressee, now: datetime) -> Facts:
        first, last = to.day(now)
        found = encounters.by_pk(connection, row.encounter_pk) if row.encounter_pk is not None else None
        return Facts(
            acked=found is not None and found.acked_at is not None,
            mutes=notices.mutes_of(connection, row.who, now),
            sent_today=notices.sent_between(connection, row.who, first, last),
            cooling=self.post.cooldowns.holds(row.rule, row.station, row.addressee),
        )

    def _send(self, sending: Sending) -> None:
        """In the channel's thread."""
        result: Done[Taken] | Failed = Failed("bug", "the notifier ended its thread")
        try:
            result = attempt(lambda: self._deliver(sending.row))
        except FatalError as exc:
            result = Failed("wait", str(exc))
        finally:
            sending.result = result
            if isinstance(result, Done):
                marked = attempt(partial(self._mark, sending.row, result.value))
                sending.marked = isinstance(marked, Done)
            self._finished.put(sending)

    def _deliver(self, row: NoticeRow) -> Taken:
        to, outlet = self.post.directory.find(row.addressee), self.outlets.get(row.channel)
        if to is None or outlet is None:
            raise NotifyError(f"the site has no channel or recipient {row.addressee!r} any more: add it again")
        notice, picture, why = self.post.composer.notice(row, to, self.clock.now()), b"", ""
        if outlet.picture is not None and row.frame_pk is not None:
            # A picture that can't be made must not cost the alert.
            drawn = attempt(partial(self.post.composer.picture, row, to, outlet.picture))
            picture, why = (drawn.value, "") if isinstance(drawn, Done) else (b"", drawn.reason)
        return Taken(outlet.notifier.send(notice, picture=picture) or "", why)

    def _mark(self, row: NoticeRow, taken: Taken) -> None:
        outlet = self.outlets.get(row.channel)
        # an id that nobody asks for later would wait for ever
        receipt = taken.receipt if outlet and isinstance(outlet.notifier, TracksReceipts) else ""
        self.notices.sent(row.pk, self.clock.now(), receipt=receipt)

    def _settle(self, *, wait_s: float | None) -> "Sending | _Asked | _Woken | None":
        """Write down what the next channel to finish said; None when none does within `wait_s` (None: no limit)."""
        if self._said is None:
            try:
                said = self._finished.get(timeout=wait_s)
            except Empty:
                return None
            if isinstance(said, _Woken):
                self._woken.clear()  # before the store is looked at: what is queued from here on wakes again
                return said
            self._said = said
        said = self._said
        if isinstance(said, Sending):
            self._write_down(said)
            # only now: while the store is busy the message stays in hand, so it is not sent again
            self._lane(said.row.channel).in_hand = None
        else:
            self._keep_receipts(said)
            said.lane.asking = False
        self._said = None
        return said

    def _write_down(self, sending: Sending) -> None:
        row, now, now_s = sending.row, self.clock.now(), self.clock.monotonic_s()
        lane, result = self._lane(row.channel), sending.result
        if isinstance(result, Done):
            if not sending.marked:
                self._mark(row, result.value)
                sending.marked = True
            if row.kind == "alert":
                self.post.cooldowns.charge(row.rule, row.station, row.addressee)
            if lane.worked(now_s):
                self.notices.bring_forward(row.channel, now)
            no_picture = {"no_picture": result.value.no_picture} if result.value.no_picture else {}
            self._tell(row, ok=True, **no_picture)
            return
        assert result is not None
        if result.reaction == "quarantine":
            self.notices.fail(row.pk, "refused", result.reason)
            self._tell(row, ok=False, reason=result.reason, given_up=True)
            return
        attempts, age = row.attempts + 1, now - row.created_at
        jitter = self.jitter()
        lane.failed(result.reason, now, now_s, again_in_s=result.again_in_s, jitter=jitter)
        if age >= self.post.give_up_after:
            reason = f"given up after {attempts} attempts in {age.total_seconds() / 3600:.0f} h: {result.reason}"
            self.notices.fail(row.pk, "expired", reason)
            # what has waited behind it for as long goes with it: a channel that is dead tries one of them at a time
            behind = f"given up behind another: {result.reason}"
            self.notices.expire(row.channel, now - self.post.give_up_after, behind)
            self._tell(row, ok=False, reason=reason, given_up=True)
            return
        pause_s = retry_pause_s(attempts, jitter=jitter)
        if result.again_in_s is not None:
            pause_s = min(max(result.again_in_s, 0.0), LONGEST_ASKED_S)
        self.notices.retry(row.pk, now + timedelta(seconds=pause_s), result.reason)
        self._tell(row, ok=False, reason=result.reason, again_in_s=round(pause_s, 1))

    def _ask_for_receipts(self) -> None:
        """Ask idle channels that know it what became of what they took."""
        now_s = self.clock.monotonic_s()
        for name, outlet in self.outlets.items():
            lane = self._lane(name)
            if (
                not isinstance(outlet.notifier, TracksReceipts)
                or now_s < lane.receipts_due_s
                or not lane.is_free(now_s)
            ):
                continue
            lane.receipts_due_s = now_s + RECEIPTS_EVERY_S
            if wanted := self.notices.receipts_wanted(name, self.clock.now()):
                lane.asking = True
                asked = _Asked(lane, wanted)
                _start(f"receipts-{name}", partial(self._ask, asked, outlet.notifier))

    def _ask(self, asked: _Asked, notifier: TracksReceipts) -> None:
        """In the channel's thread."""
        asked.result = Failed("bug", "the notifier ended its thread")
        try:
            asked.result = attempt(lambda: notifier.receipts(list(asked.wanted)))
        except FatalError as exc:
            asked.result = Failed("wait", str(exc))
        finally:
            self._finished.put(asked)

    def _keep_receipts(self, asked: _Asked) -> None:
        if not isinstance(asked.result, Done):
            return  # it is asked again; when the channel is gone, sending says so
        for name, receipt in asked.result.value.items():
            if receipt.state == "waiting" or name not in asked.wanted:
                continue
            self.notices.keep_receipt(asked.wanted[name], receipt.state, receipt.reason)
            if receipt.state == "failed":
                fields = {"channel": asked.lane.name, "receipt": name, "reason": receipt.reason}
                self.emit(Event("notify", self.clock.now(), ok=False, fields=fields))

    def _drain(self) -> None:
        """Write down what is under way; what is sent and can't be marked now is sent once more after the next start."""
        for _attempt in range(DRAIN_ATTEMPTS):
            try:
                while self._busy() and self._settle(wait_s=self.grace_s) is not None:
                    pass
            except StoreBusy as exc:
                self.emit(Event("notify", self.clock.now(), ok=False, fields={"reason": str(exc)}))
            else:
                return

    def _busy(self) -> Collection[str]:
        return [name for name, lane in self._lanes.items() if lane.in_hand is not None or lane.asking]

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name, self.outlets.get(name))
        return lane

    def _tell(self, row: NoticeRow, *, ok: bool, **fields: object) -> None:
        known = {"channel": row.channel, "addressee": row.addressee, "kind": row.kind, "rule": row.rule}
        told = known | {"attempts": row.attempts + 1} | fields
        event = Event("notify", self.clock.now(), ok=ok, station=row.station, frame_id=row.frame_id, fields=told)
        self.emit(event)

    def _report_slow(self) -> None:
        for lane in self._lanes.values():
            sending = lane.in_hand
            spent_s = self.clock.monotonic_s() - sending.started_s if sending else 0.0
            if sending and spent_s > SLOW_S and not sending.reported_slow and sending.result is None:
                sending.reported_slow = True
                self._tell(sending.row, ok=False, reason=f"still sending after {spent_s:.0f} s: the channel hangs")


def _start(name: str, work: Any) -> None:
    # daemon: a plugin that never comes back must not keep the process from ending
    threading.Thread(target=work, name=name, daemon=True).start()
