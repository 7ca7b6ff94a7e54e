"""What arrives over MQTT, a batch at a time: durable first, then our answers, then the PUBACKs.

frame → sink; offer and chunk → Pieces; health, hello, status, result → roster; anything else is refused: counted by
kind, said once a minute and station, kept in quarantine as often, and never in memory.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edge.api import (
    Event,
    Incoming,
    Link,
    Message,
    Received,
    RetryableError,
    Said,
    Services,
    Sink,
    crash,
    messages,
    wire,
)

from .mqtt_deferred import Deferred
from .mqtt_incoming import incoming_of, is_damaged
from .mqtt_pieces import Answer, Pieces, Refusal

SAY_AGAIN_S = 10.0  # a full spool meets every frame: one line in so many seconds is enough
KEEP_AGAIN_S = 60.0  # one refused message of a kind and station is kept in quarantine so often
MOST_KEPT = 1_000  # (station, kind) pairs kept in mind for that
COMMANDS_S = 1.0  # how often commands are looked for; two seconds are promised
CLEAN_S = 3600.0  # how often abandoned pieces are looked for
LIVE_S = 60.0  # after so long on one connection nothing waits in the broker any more, however busy it is
MOST_UNSAID = 256  # what agents said while the database was busy

WITH_BYTES = ("frame", "chunk")
DECODE: Mapping[str, Callable[[bytes], Said]] = {
    "health": messages.Health.decode,
    "hello": messages.Hello.decode,
    "status": messages.Status.decode,
    "result": messages.Result.decode,
}


@dataclass(slots=True)
class _Answers:
    """What is to be published, in this order: times, frame ids by station, refusals, the last progress of each frame.

    It waits here, not in paho, while the broker has as many of our messages as it can take: to wait for the broker
    would be to read more and more frames. Bounded by what agents send without an ack, and by MOST_UNSAID.
    """

    hellos: dict[str, messages.Hello] = field(default_factory=dict)
    acks: dict[str, list[str]] = field(default_factory=dict)
    refusals: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=MOST_UNSAID))
    progress: dict[tuple[str, str], int] = field(default_factory=dict)

    def ack(self, station: str, frame_id: str) -> None:
        """This frame is durable."""
        if len(ids := self.acks.setdefault(station, [])) < MOST_UNSAID:  # what is forgotten is asked for again
            ids.append(frame_id)
        self.progress.pop((station, frame_id), None)

    def next(self, now: datetime) -> tuple[str, str, bytes] | None:
        """The next one, (station, what, payload), and it is no longer here; None when nothing is to be said."""
        if self.hellos:
            station = next(iter(self.hellos))
            return station, "time", messages.ServerTime(now, self.hellos.pop(station).clock).encode()
        if self.acks:
            station = next(iter(self.acks))
            ids = self.acks.pop(station)
            if more := ids[messages.ACK_BATCH :]:
                self.acks[station] = more
            return station, "ack", messages.encode_acks(ids[: messages.ACK_BATCH])
        if self.refusals:
            station, frame_id, reason = self.refusals.popleft()
            return station, "refused", messages.encode_refusal(frame_id, reason)
        if self.progress:
            station, frame_id = next(iter(self.progress))
            offset = self.progress.pop((station, frame_id))
            return station, "progress", messages.Progress(frame_id, offset).encode()
        return None


@dataclass(slots=True)
class _Batch:
    """Of one batch: frames for the sink, words for the roster."""

    frames: list[Incoming] = field(default_factory=list)
    said: list[tuple[str, Said]] = field(default_factory=list)


class Receiver:
    """Deals with batches of messages; outlives connections."""

    def __init__(self, services: Services, sink: Sink) -> None:
        self._services = services
        self._sink = sink
        self._pieces = Pieces(services, sink)
        self._answers = _Answers()
        self._deferred = Deferred()
        self._unsaid: deque[tuple[str, Said]] = deque(maxlen=MOST_UNSAID)
        self._kept_at_s: dict[tuple[str, str], float] = {}
        self._said_deferred_at_s = float("-inf")
        self._connected_at_s = 0.0
        self._live = False
        self._commands_at_s = 0.0
        self._cleaned_at_s = float("-inf")

    def connected(self) -> None:
        """A new connection begins: what comes first may have waited in the broker."""
        self._connected_at_s, self._live = time.monotonic(), False

    def deal_with(self, batch: Sequence[Message], link: Link) -> None:
        """Deal with messages so that the broker may forget them. Raises LinkLost, and what nobody foresaw."""
        if not batch:
            self._live = self._live or link.ready
            self._ask_again()
            self._publish(link)
            return
        found = _Batch()
        for message in batch:
            self._sort(message, found)
        results = self._sink.receive_many(found.frames) if found.frames else ()
        for incoming, result in zip(found.frames, results, strict=True):
            self._settle(incoming, result)
        self._ask_again()
        self._publish(link)
        self._tell_roster(found.said)
        for message in batch:
            link.ack(message)
            crash.reached("mqtt.puback")

    def tick(self, link: Link) -> None:
        """What is to be done now and then: send commands, tell what the database could not take, clean up."""
        now_s = time.monotonic()
        if now_s - self._connected_at_s > LIVE_S:
            self._live = True
        if now_s - self._commands_at_s >= COMMANDS_S:
            self._commands_at_s = now_s
            self._send_commands(link)
            self._tell_roster(())
        if now_s - self._cleaned_at_s >= CLEAN_S:
            self._cleaned_at_s = now_s
            self._pieces.clean()

    # in

    def _sort(self, message: Message, found: _Batch) -> None:
        """Do what this message asks for, or put it into `found` to be done together with others."""
        try:
            address = wire.read_topic(message.topic)
        except wire.WireError as exc:
            self._refuse("", "topic", message, str(exc), keep=True)
            return
        station, what = address.station, address.what
        if address.way != "up":
            self._refuse(station, "topic", message, "only agents are listened to", keep=True)
            return
        try:
            if not self._services.is_allowed(station):
                self._refuse(station, "station", message, f"station {station!r} is unknown or revoked", keep=False)
            elif len(message.body) > (wire.CHUNK_BYTES if what in WITH_BYTES else messages.MAX_JSON_BYTES):
                self._refuse(station, "size", message, f"{len(message.body)} bytes are too many for {what}", keep=False)
            else:
                self._read(station, what, message, found)
        except wire.WireError as exc:
            self._refuse(station, "header" if what in WITH_BYTES else "payload", message, str(exc), keep=True)
        except RetryableError as exc:
            self._say_deferred(message.topic, exc)

    def _read(self, station: str, what: str, message: Message, found: _Batch) -> None:
        if what == "frame":
            header = wire.FrameHeader.from_properties(message.properties)
            found.frames.append(incoming_of(self._services, station, header, message.body))
        elif what == "offer":
            offer = messages.Offer.decode(message.body)
            self._note(station, offer.header.id, lambda: self._pieces.offered(station, offer))
        elif what == "chunk":
            chunk = wire.ChunkHeader.from_properties(message.properties)
            self._note(station, chunk.id, lambda: self._pieces.arrived(station, chunk, message.body))
        else:
            said = DECODE[what](message.body)
            found.said.append((station, said))
            if isinstance(said, messages.Hello):
                self._answers.hellos[station] = said

    def _note(self, station: str, frame_id: str, ask: Callable[[], Answer]) -> None:
        """Keep the answer to an offer or a piece. Raises WireError, and RetryableError when there is no room for it."""
        try:
            answer = ask()
        except RetryableError:
            self._deferred.add(station, frame_id, now_s=time.monotonic())
            raise
        if isinstance(answer, messages.Progress):
            self._answers.progress[station, answer.id] = answer.offset
        elif isinstance(answer, Refusal):
            self._answers.refusals.append((station, answer.id, answer.reason))
        else:
            self._answers.ack(station, answer)
            self._deferred.taken(station, answer)

    def _ask_again(self) -> None:
        """Ask agents for frames for which there may be room by now."""
        for station, frame_id in self._deferred.due(now_s=time.monotonic()):
            self._answers.progress[station, frame_id] = messages.UNKNOWN

    def _settle(self, incoming: Incoming, result: Received) -> None:
        if isinstance(result, bool):
            self._answers.ack(incoming.station, incoming.id)
            self._deferred.taken(incoming.station, incoming.id)
        elif isinstance(result, RetryableError):
            self._deferred.add(incoming.station, incoming.id, now_s=time.monotonic())
            self._say_deferred(f"{incoming.station}/{incoming.id}", result)
        elif not is_damaged(incoming):  # damaged on the way: the agent, unanswered, sends the whole one again
            # Whole and yet refused: it will never do, so the agent is told to put it aside. The sink has recorded it.
            self._answers.refusals.append((incoming.station, incoming.id, str(result)))

    # out

    def _publish(self, link: Link) -> None:
        """Say what the broker can take now; a broker that is overrun hangs up."""
        while not link.busy and (answer := self._answers.next(self._services.clock.now())) is not None:
            station, what, body = answer
            link.publish(wire.down_topic(station, what), body)
            crash.reached("mqtt.answered")

    def _send_commands(self, link: Link) -> None:
        if link.busy:
            return
        try:
            for station, command in self._services.roster.due_commands():
                self._services.roster.command_sent(command.id)
                link.publish(wire.down_topic(station, "command"), command.encode())
        except RetryableError as exc:
            self._say_deferred("commands", exc)

    def _tell_roster(self, said: Sequence[tuple[str, Said]]) -> None:
        self._unsaid.extend(said)
        if not self._unsaid:
            return
        try:
            self._services.roster.heard(list(self._unsaid), live=self._live)
        except RetryableError as exc:
            self._say_deferred("agents", exc)
        else:
            self._unsaid.clear()

    # what goes wrong

    def _refuse(self, station: str, kind: str, message: Message, reason: str, *, keep: bool) -> None:
        """Count it; the first of a minute also becomes a row in quarantine, with its bytes if `keep`."""
        key, now_s = (station, kind), time.monotonic()
        if key not in self._kept_at_s and len(self._kept_at_s) >= MOST_KEPT:
            key = ("", kind)
        if now_s - self._kept_at_s.get(key, float("-inf")) < KEEP_AGAIN_S:
            fields = {"source": "mqtt", "name": message.topic[:120], "reason": reason, "refusal": kind}
            now = self._services.clock.now()
            self._services.emit(Event("receive", now, ok=False, station=station, fields=fields))
            return
        self._kept_at_s[key] = now_s
        body = message.body if keep and len(message.body) <= wire.CHUNK_BYTES else b""
        try:
            self._sink.refuse(
                source="mqtt", name=message.topic[:200], reason=reason, body=body, station=station, kind=kind
            )
        except RetryableError as exc:
            self._say_deferred(message.topic, exc)

    def _say_deferred(self, what: str, exc: RetryableError) -> None:
        """Count it, and say it now and then."""
        now_s = time.monotonic()
        fields = {"source": "mqtt", "deferred": str(exc)}
        self._services.emit(Event("receive", self._services.clock.now(), ok=False, fields=fields))
        if now_s - self._said_deferred_at_s > SAY_AGAIN_S:
            self._said_deferred_at_s = now_s
            self._services.log.warning("mqtt.deferred", topic=what[:120], reason=str(exc))
