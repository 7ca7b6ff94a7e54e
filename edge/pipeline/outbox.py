"""Hop 7, notify: alerts that wait in the store → their channels, each until it is accepted or given up with a reason.

One process runs one Outbox. What is under way is known in memory only, so kill -9 leaves every alert pending: nothing
is lost. An alert is marked as sent right after its channel has accepted it; a crash between the two sends it once more,
under the same key (the email notifier makes the same Message-ID of it).
"""

import random
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Protocol

from ..clock import Clock
from ..errors import FatalError, NotifyError, StoreBusy
from ..hookspecs import Notifier
from ..media.evidence import evidence
from ..model import Alert, Event
from ..notices import Notice
from ..services import Emit, Media
from ..wording import word_alert
from .runner import Done, Failed, attempt

FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 1800.0
DRAIN_ATTEMPTS = 3  # at the end, to mark what was sent; each waits for the store's own time-out
GIVE_UP_AFTER = timedelta(hours=24)
SLOW_S = 300.0  # a send that takes longer is reported: an alert channel that hangs must not go unnoticed


class AlertStore(Protocol):
    """What the outbox asks of the store. Every method may raise StoreBusy."""

    def due_alerts(self, now: datetime, limit: int, *, busy: Collection[str] = ()) -> list[Alert]:
        """Pending alerts with next_attempt_at ≤ now, oldest first, with pk, attempts and queued_at.

        busy: channels to leave out, so that the waiting alerts of one that hangs don't hide those of the others.
        """

    def alert_sent(self, pk: int, at: datetime) -> None:
        """The channel has accepted the alert; counts the attempt."""

    def alert_retry(self, pk: int, next_attempt_at: datetime, error: str) -> None:
        """The channel did not take the alert; it is due again later. Counts the attempt."""

    def alert_failed(self, pk: int, error: str) -> None:
        """Given up. Counts the attempt."""


@dataclass(slots=True)
class _Sending:
    """An alert in the hands of its channel. result: why there was no picture ("" when there was), or the failure."""

    alert: Alert
    started_s: float
    result: Done[str] | Failed | None = None
    reported_slow: bool = False


class Outbox:
    """Sends what is due: one alert at a time a channel, each channel in a thread of its own.

    So one that hangs or fails stops no other, and there are never more threads than channels. A notifier bounds its
    own sends in time. language: of the words in the picture. jitter: gives 0..1.
    """

    def __init__(
        self,
        store: AlertStore,
        notifiers: Mapping[str, Notifier],
        *,
        media: Media,
        clock: Clock,
        emit: Emit,
        language: str = "en",
        jitter: Callable[[], float] = random.random,
        poll_s: float = 1.0,
        grace_s: float = 5.0,
    ) -> None:
        self._store = store
        self._notifiers = notifiers
        self._media = media
        self._clock = clock
        self._emit = emit
        self._language = language
        self._jitter = jitter
        self._poll_s = poll_s
        self._grace_s = grace_s
        self._under_way: dict[str, _Sending] = {}  # by channel: its bound is the number of channels
        self._finished: SimpleQueue[_Sending] = SimpleQueue()  # bounded by _under_way
        self._said: _Sending | None = None  # finished, and not written down yet

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; then wait `grace_s` for what is under way and leave the rest for the next start."""
        while not stop.is_set():
            try:
                self._hand_over()
                self._settle(wait_s=self._poll_s)
            except StoreBusy as exc:
                self._emit(Event("notify", self._clock.now(), ok=False, fields={"reason": str(exc)}))
                stop.wait(self._poll_s)
            self._report_slow()
        self._drain()

    def _drain(self) -> None:
        """Write down what is under way; what is sent and can't be marked now is sent once more after the next start."""
        for _attempt in range(DRAIN_ATTEMPTS):
            try:
                while self._under_way and self._settle(wait_s=self._grace_s) is not None:
                    pass
            except StoreBusy as exc:
                self._emit(Event("notify", self._clock.now(), ok=False, fields={"reason": str(exc)}))
            else:
                return

    def dispatch_due(self) -> int:
        """Try every alert that is due now once, wait for all channels; return how many were sent.

        Not while `run` is running. Raises StoreBusy; what was sent by then is marked at the next call.
        """
        sent = 0
        while self._hand_over() or self._under_way:
            said = self._settle(wait_s=None)
            sent += said is not None and isinstance(said.result, Done)
        return sent

    def _hand_over(self) -> int:
        """Give each idle channel its oldest due alert; return how many channels got one."""
        started = 0
        while due := self._store.due_alerts(self._clock.now(), 1, busy=tuple(self._under_way)):
            sending = _Sending(due[0], self._clock.monotonic_s())
            self._under_way[sending.alert.channel] = sending
            # daemon: a plugin that never comes back must not keep the process from ending
            threading.Thread(
                target=self._send, args=(sending,), name=f"notify-{sending.alert.channel}", daemon=True
            ).start()
            started += 1
        return started

    def _send(self, sending: _Sending) -> None:
        """In the channel's thread."""
        result: Done[str] | Failed = Failed("bug", "the notifier ended its thread")
        try:
            result = attempt(lambda: self._deliver(sending.alert))
        except FatalError as exc:
            result = Failed("wait", str(exc))
        finally:
            sending.result = result
            self._finished.put(sending)

    def _deliver(self, alert: Alert) -> str:
        notifier = self._notifiers.get(alert.channel)
        if notifier is None:
            raise NotifyError(f"the site has no channel {alert.channel!r} any more: add it again under `channels:`")
        # A picture that can't be made must not cost the alert.
        drawn = attempt(lambda: self._draw(alert))
        notice = self._notice(alert)
        notifier.send(notice, picture=drawn.value if isinstance(drawn, Done) else b"")
        return "" if isinstance(drawn, Done) else drawn.reason

    def _notice(self, alert: Alert) -> Notice:
        zone = alert.captured.timezone
        now = self._clock.now()
        words = word_alert(alert, language=self._language, timezone=zone, now=now)
        return Notice(
            alert.key,
            "alert",
            alert.channel,
            words,
            self._language,
            alert.severity,
            now,
            station=alert.station,
            alert=alert,
        )

    def _draw(self, alert: Alert) -> bytes:
        return evidence(
            self._media,
            alert.picture_path,
            alert.kind,
            number=alert.picture_number,
            detections=[alert.detection],
            language=self._language,
        )

    def _settle(self, *, wait_s: float | None) -> _Sending | None:
        """Write down what the next channel to finish said; None when none does within `wait_s` (None: no limit)."""
        if self._said is None:
            try:
                self._said = self._finished.get(timeout=wait_s)
            except Empty:
                return None
        said = self._said
        self._write_down(said)
        # only now: while the store is busy the alert stays under way, so it is not sent again
        del self._under_way[said.alert.channel]
        self._said = None
        return said

    def _write_down(self, sending: _Sending) -> None:
        alert, now = sending.alert, self._clock.now()
        if isinstance(sending.result, Done):
            self._store.alert_sent(alert.pk, now)
            self._tell(alert, no_picture=sending.result.value) if sending.result.value else self._tell(alert)
            return
        assert sending.result is not None
        reason, attempts = sending.result.reason, alert.attempts + 1
        age = now - (alert.queued_at or now)
        if age >= GIVE_UP_AFTER:
            reason = f"given up after {attempts} attempts in {age.total_seconds() / 3600:.0f} h: {reason}"
            self._store.alert_failed(alert.pk, reason)
            self._tell(alert, ok=False, reason=reason, given_up=True)
            return
        pause_s = retry_pause_s(attempts, jitter=self._jitter())
        self._store.alert_retry(alert.pk, now + timedelta(seconds=pause_s), reason)
        self._tell(alert, ok=False, reason=reason, again_in_s=round(pause_s, 1))

    def _tell(self, alert: Alert, *, ok: bool = True, **fields: object) -> None:
        fields = {"channel": alert.channel, "rule": alert.rule, "attempts": alert.attempts + 1} | fields
        event = Event("notify", self._clock.now(), ok=ok, station=alert.station, frame_id=alert.frame_id, fields=fields)
        self._emit(event)

    def _report_slow(self) -> None:
        for sending in self._under_way.values():
            spent_s = self._clock.monotonic_s() - sending.started_s
            if spent_s > SLOW_S and not sending.reported_slow and sending.result is None:
                sending.reported_slow = True
                self._tell(sending.alert, ok=False, reason=f"still sending after {spent_s:.0f} s: the channel hangs")


def retry_pause_s(attempts: int, *, jitter: float) -> float:
    """Seconds to wait after the n-th failed attempt: 10, doubled each time up to 1800, less up to half by jitter 0..1.

    Never below 10. Jitter spreads the alerts that failed together.
    """
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 16))  # 2**16 is past the limit anyway
    return max(FIRST_PAUSE_S, longest_s * (1 - jitter / 2))
