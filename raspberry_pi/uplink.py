"""Hops 1 to 2: frames from the agent's spool over MQTT to the server, until it says that they are durable there.

One thread does it all, so there is nothing to lock. A connection starts with nothing under way: what was sent on an
earlier one and not acknowledged is sent again, and packet ids of an earlier one mean nothing.
"""

import logging
import socket
import threading
import time

from edge.link import Broker, Link, LinkLost, Message
from edge.messages import decode_acks, decode_refusal
from edge.wire import ROOT, WireError, down_topic, up_topic

from .spool import DamagedFrameError, Spool
from .window import Window

log = logging.getLogger(__name__)
RECONNECT_S = 1.0
IDLE_S = 1.0  # the longest sleep in one turn: paho's keepalive and `stop` are looked at this often


class Uplink:
    """Sends what the spool holds, oldest first; deletes a frame only on the server's ack."""

    def __init__(self, spool: Spool, broker: Broker, *, station: str) -> None:
        self.connected = False
        self.alive_at_s = time.monotonic()  # moves on as long as the thread does its work
        self._spool = spool
        self._broker = broker
        self._station = station
        self._last_reason = ""
        self._window = Window()
        self._frame_of: dict[int, str] = {}  # packet id → frame id, of this connection; as large as the window
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; reconnects by itself. What else goes wrong (the disk, a bug) is raised."""
        while not stop.is_set():
            self.alive_at_s = time.monotonic()
            try:
                self._serve(stop)
            except LinkLost as exc:
                self._log_once(str(exc))
            finally:
                self.connected = False
            stop.wait(RECONNECT_S)

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

    def _log_once(self, reason: str) -> None:
        if reason != self._last_reason:
            log.warning("uplink.lost reason=%r; tried again every %s s", reason, RECONNECT_S)
        self._last_reason = reason

    def _serve(self, stop: threading.Event) -> None:
        self._window, self._frame_of = Window(), {}
        link = Link(
            self._broker,
            client_id=f"{ROOT}-{self._station}",
            subscribe=down_topic(self._station, "+"),
            on_message=self._hear,
            on_sent=self._taken,
        )
        with link:
            link.connect()
            while not stop.is_set():
                now_s = self.alive_at_s = time.monotonic()
                wait_s = self._window.wait_s(now_s=now_s)
                link.turn(IDLE_S if wait_s is None else min(wait_s, IDLE_S), wake=self._woken)
                if link.ready:
                    if not self.connected:
                        self.connected, self._last_reason = True, ""
                        log.info("uplink.connected broker=%s:%s", self._broker.host, self._broker.port)
                    self._send_what_fits(link)

    def _send_what_fits(self, link: Link) -> None:
        """Hand frames to the network until it is busy: a copy that is due, else the oldest that was not sent yet."""
        while not link.busy:
            frame_id = self._window.overdue(now_s=time.monotonic())
            if frame_id is None:
                waiting = self._spool.oldest(1, but=self._window.ids)
                if not waiting or not self._window.has_room(waiting[0][1]):
                    return
                frame_id = waiting[0][0]
            self._send(link, frame_id)

    def _send(self, link: Link, frame_id: str) -> None:
        try:
            header, body = self._spool.read(frame_id)
        except DamagedFrameError as exc:
            log.error("spool.damaged frame=%s reason=%r; set aside", frame_id, str(exc))  # noqa: TRY400  # because the reason is in the text
            self._spool.set_aside(frame_id)
            self._window.forget(frame_id)
            return
        mid = link.publish(up_topic(self._station, "frame"), body, properties=header.to_properties())
        self._frame_of[mid] = frame_id
        self._window.sent(frame_id, size=len(body))

    def _taken(self, mid: int, reason: str) -> None:
        frame_id = self._frame_of.pop(mid, "")
        if reason:
            log.warning("uplink.broker_refused frame=%s reason=%r", frame_id, reason)
        self._window.taken(frame_id, now_s=time.monotonic())

    def _hear(self, message: Message) -> None:
        try:
            if message.topic == down_topic(self._station, "ack"):
                for frame_id in decode_acks(message.body):
                    self._window.acked(frame_id, now_s=time.monotonic())
                    self._spool.delete(frame_id)
            elif message.topic == down_topic(self._station, "refused"):
                frame_id, reason = decode_refusal(message.body)
                self._window.forget(frame_id)
                if self._spool.set_aside(frame_id):
                    log.error("uplink.server_refused frame=%s reason=%r; set aside", frame_id, reason)
        except WireError as exc:
            log.warning("uplink.unreadable topic=%s reason=%r", message.topic, str(exc))
