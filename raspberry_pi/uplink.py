"""Hops 1 to 2: frames from the agent's spool over MQTT to the server, until it says that they are durable there.

One thread does it all, so there is nothing to lock. What is sent next and what follows from an answer is in
delivery.py; here are the connection, its hours, and everything that is no frame: hello, status, health, commands.
"""

import logging
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from edge import __version__
from edge.crash import reached
from edge.link import Broker, Link, LinkLost, Message, Will
from edge.messages import Command, Hello, Progress, ServerTime, Status, decode_acks, decode_refusal
from edge.wire import ROOT, WireError, down_topic, read_topic, up_topic

from .agent_clock import AgentClock
from .commands import Desk
from .delivery import Delivery
from .schedule import Budget, Hours

log = logging.getLogger(__name__)
RECONNECT_S = 1.0
LONGEST_RECONNECT_S = 8.0  # a station with a wrong password must not spend its data plan on asking
IDLE_S = 1.0  # the longest sleep in one turn: paho's keepalive and `stop` are looked at this often
GOODBYE_S = 1.0
ASK_AGAIN_S = 60.0  # until the server tells the time
ASK_SOON_S = 5.0  # the same while frames wait for it
ASK_HOURLY_S = 3600.0  # from then on: the clock drifts


@dataclass(frozen=True, slots=True)
class LinkState:
    """connected | closed (outside `uplink.windows`) | lost. since_s: on the monotonic clock. reason: of the loss."""

    name: str
    since_s: float
    reason: str = ""


class Uplink:
    """Sends what the spool holds; deletes a frame only on the server's ack. desk: takes commands; None refuses them."""

    def __init__(
        self,
        delivery: Delivery,
        broker: Broker,
        *,
        station: str,
        boot: str,
        clock: AgentClock | None = None,
        desk: Desk | None = None,
        hours: Hours | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.hours = hours or Hours()
        self.state = LinkState("lost", time.monotonic(), "not connected yet")
        self.alive_at_s = time.monotonic()  # moves on as long as the thread does its work
        self._delivery = delivery
        self._broker = broker
        self._station = station
        self._boot = boot
        self._clock = clock or AgentClock()
        self._desk = desk
        self._budget = budget
        self._started_s = time.monotonic()
        self.connections = 0
        self._failures = 0
        self._asked: tuple[datetime, float] | None = None
        self._ask_at_s = 0.0
        self._looked_at_s = float("-inf")
        self._health = b""  # the newest, and whether it was sent
        self._health_sent = True
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us in."""
        return self.state.name == "connected"

    @property
    def failed(self) -> bool:
        """Whether a connection was tried and lost since the last one that worked."""
        return self._failures > 0

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; reconnects by itself. What else goes wrong (the disk, a bug) is raised."""
        while not stop.is_set():
            self.alive_at_s = time.monotonic()
            if not self._is_open():
                self._set_state("closed", self.state.reason)
                stop.wait(IDLE_S)
                continue
            try:
                self._serve(stop)
            except LinkLost as exc:
                if str(exc) != self.state.reason:
                    log.warning("uplink.lost reason=%r; tried again until it is back", str(exc))
                self._set_state("lost", str(exc))
                self._failures += 1
                stop.wait(min(RECONNECT_S * 2.0 ** min(self._failures - 1, 8), self._longest_wait_s()))
        self._set_state("lost", "stopped")

    def say_health(self, payload: bytes) -> None:
        """Send this when there is a connection; only the newest is kept. Called from any thread."""
        self._health, self._health_sent = payload, False

    def wake(self) -> None:
        """Tell the thread that there is a new frame, or that `stop` is set."""
        try:
            self._waker.send(b"\0")
        except BlockingIOError:
            return  # it has not looked at the last thousand wake-ups yet, and will

    def close(self) -> None:
        """Give back what the uplink holds; `run` has ended by then."""
        self._waker.close()
        self._woken.close()
        if self._budget is not None:
            self._budget.close()

    def _longest_wait_s(self) -> float:
        return max(RECONNECT_S, min(LONGEST_RECONNECT_S, self._broker.keepalive_s / 4))

    def _set_state(self, name: str, reason: str = "") -> None:
        since_s = self.state.since_s if self.state.name == name else time.monotonic()
        self.state = LinkState(name, since_s, reason)

    def _is_open(self) -> bool:
        now_s = time.monotonic()
        known = self._clock.best_now()
        local = known.astimezone() if known is not None else None
        if self._budget is not None:
            self._budget.begin(local, now_s=now_s)
        return self.hours.open_at(self.hours.second_of_day(local, uptime_s=now_s - self._started_s))

    def _serve(self, stop: threading.Event) -> None:
        self._delivery.reset()
        self._asked = None
        gone = Will(up_topic(self._station, "status"), Status(online=False, boot=self._boot).encode(), retain=True)
        link = Link(
            self._broker,
            client_id=f"{ROOT}-{self._station}",
            subscribe=down_topic(self._station, "+"),
            on_message=self._hear,
            on_sent=self._taken,
            will=gone,
        )
        with link:
            link.connect()
            while not stop.is_set():
                now_s = self.alive_at_s = time.monotonic()
                wait_s = self._delivery.wait_s(now_s=now_s)
                link.turn(IDLE_S if wait_s is None else min(wait_s, IDLE_S), wake=self._woken)
                if not link.ready:
                    continue
                if not self.connected:
                    self._greet(link)
                if now_s - self._looked_at_s >= IDLE_S:
                    self._looked_at_s = now_s
                    if not self._is_open():
                        break
                self._say_what_is_due(link)
                self._send_what_fits(link)
            self._say_goodbye(link, gone)

    def _greet(self, link: Link) -> None:
        self._failures = 0
        self.connections += 1
        self._set_state("connected")
        log.info("uplink.connected broker=%s:%s", self._broker.host, self._broker.port)
        online = Status(online=True, boot=self._boot).encode()
        link.publish(up_topic(self._station, "status"), online, retain=True)
        self._health_sent = not self._health
        self._ask_at_s = 0.0

    def _say_goodbye(self, link: Link, gone: Will) -> None:
        """Say that we go, so that nobody has to find out; not waited for long."""
        if link.ready:
            link.publish(gone.topic, gone.body, retain=True)
            until_s = time.monotonic() + GOODBYE_S
            while link.busy and time.monotonic() < until_s:
                link.turn(0.1)

    def _say_what_is_due(self, link: Link) -> None:
        now_s = time.monotonic()
        if now_s >= self._ask_at_s:
            self._ask_at_s = now_s + (ASK_SOON_S if self._waits_for_time() else ASK_AGAIN_S)
            self._asked = (self._clock.now(), now_s)
            hello = Hello(__version__, self._boot, self._asked[0], clock_ok=self._clock.state == "ok")
            self._publish(link, "hello", hello.encode())
        if not self._health_sent:
            self._health_sent = True
            self._publish(link, "health", self._health)
        for answer in self._desk.answers() if self._desk is not None else ():
            self._publish(link, "result", answer.encode())

    def _publish(self, link: Link, what: str, body: bytes) -> None:
        """Something small that is no frame: it counts for the day's budget and is not held back by it."""
        if self._budget is not None:
            self._budget.spend(len(body))
        link.publish(up_topic(self._station, what), body)

    def _send_what_fits(self, link: Link) -> None:
        """Hand messages to the network until it is busy."""
        while not link.busy and not self._waits_for_time():
            out = self._delivery.next(now_s=time.monotonic())
            if out is None:
                return
            mid = link.publish(up_topic(self._station, out.what), out.body, properties=out.properties)
            self._delivery.went(out, mid=mid, now_s=time.monotonic())
            reached("uplink.sent")

    def _waits_for_time(self) -> bool:
        """Whether nobody knows yet what time it is.

        A frame that went now would never have a time. A server that is there tells it at once, and without one nobody
        would acknowledge the frame.
        """
        return self._clock.offset_s is None and self._clock.state == "unknown"

    def _taken(self, mid: int, reason: str) -> None:
        if reason:
            log.warning("uplink.broker_refused reason=%r", reason)
        self._delivery.taken(mid, now_s=time.monotonic())
        reached("uplink.puback")

    def _hear(self, message: Message) -> None:
        try:
            self._answer(read_topic(message.topic).what, message.body)
        except WireError as exc:
            log.warning("uplink.unreadable topic=%s reason=%r", message.topic, str(exc))

    def _answer(self, what: str, body: bytes) -> None:
        now_s = time.monotonic()
        match what:
            case "ack":
                reached("uplink.ack")
                self._delivery.acked(decode_acks(body), now_s=now_s)
                reached("uplink.acked")
            case "refused":
                frame_id, reason = decode_refusal(body)
                if self._delivery.refused(frame_id, reason):
                    log.error("uplink.server_refused frame=%s reason=%r; set aside", frame_id, reason)
            case "progress":
                progress = Progress.decode(body)
                self._delivery.progress(progress.id, progress.offset, now_s=now_s)
            case "time":
                self._set_clock(ServerTime.decode(body))
            case "command" if self._desk is not None:
                self._desk.take(Command.decode(body), now=self._clock.best_now())

    def _set_clock(self, told: ServerTime) -> None:
        """Take the server's time, when it answers our last question."""
        if self._asked is None or told.hello_clock != self._asked[0]:
            return
        asked_at_s, self._asked = self._asked[1], None
        self._ask_at_s = time.monotonic() + ASK_HOURLY_S
        before = self._clock.state
        self._clock.tell(told.now, asked_at_s=asked_at_s)
        if self._clock.state != before or before != "ok":
            log.info("clock.told state=%s offset_s=%.1f", self._clock.state, self._clock.offset_s or 0.0)
