"""Source `mqtt`: hop 2, receive, from agents over an MQTT 5 broker (docs/protocol.md).

Message → header checked → sink.receive (durable now) → ack to the agent → PUBACK to the broker, one after the other in
one thread, so nothing waits in memory: while the sink writes, the network waits. What the sink can't take now gets a
PUBACK but no ack: the broker need not keep it, because the agent does, and sends it again.
"""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from edge.api import (
    Broker,
    CaptureTime,
    ConfigError,
    Incoming,
    Link,
    LinkLost,
    Message,
    RefusedError,
    RetryableError,
    Secret,
    Services,
    Sink,
    SourceSpec,
    hookimpl,
    messages,
    wire,
)

RECONNECT_S = 1.0
TURN_S = 0.5  # how often `stop` is looked at while nothing arrives
SESSION_S = 3600  # the broker keeps for us so long; what it loses, the agents send again
RECEIVE_MAXIMUM = 16  # unacknowledged messages the broker may have under way to us
SAY_AGAIN_S = 10.0  # a full spool meets every frame: one line in so many seconds is enough


class MqttConfig(BaseModel):
    """Where the broker is and who we are there. client_id: two daemons on one broker need two."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65_535)
    username: str = ""
    password: Secret | None = None
    client_id: str = Field(default_factory=lambda: f"tigrillo-{socket.gethostname()}", min_length=1, max_length=128)
    keepalive_s: int = Field(default=30, ge=5, le=65_535)


@dataclass(slots=True)
class MqttSource:
    """Frames that agents publish."""

    config: MqttConfig
    services: Services
    _last_reason: str = field(default="", init=False)
    _said_deferred_at_s: float = field(default=float("-inf"), init=False)

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Receive until `stop` is set; see Source. A lost connection is replaced, anything else is raised."""
        while not stop.is_set():
            try:
                self._serve(sink, stop)
            except LinkLost as exc:
                if str(exc) != self._last_reason:
                    self.services.log.warning("mqtt.lost", reason=str(exc), again_in_s=RECONNECT_S)
                self._last_reason = str(exc)
            stop.wait(RECONNECT_S)

    def _serve(self, sink: Sink, stop: threading.Event) -> None:
        try:
            password = self.config.password.reveal() if self.config.password else ""
        except ConfigError as exc:  # it was there at the start: somebody is changing it, or its disk is away
            raise LinkLost(str(exc)) from exc
        broker = Broker(self.config.host, self.config.port, self.config.username, password, self.config.keepalive_s)
        link = Link(
            broker,
            client_id=self.config.client_id,
            subscribe=wire.ALL_UP,
            on_message=lambda message: self._take(message, sink, link),
            manual_ack=True,
            session_expiry_s=SESSION_S,
            receive_maximum=RECEIVE_MAXIMUM,
        )
        said = False
        with link:
            link.connect()
            while not stop.is_set():
                link.turn(TURN_S)
                if link.ready and not said:
                    said, self._last_reason = True, ""
                    self.services.log.info("mqtt.connected", broker=f"{broker.host}:{broker.port}")

    def _take(self, message: Message, sink: Sink, link: Link) -> None:
        """Deal with one message so that the broker may forget it."""
        try:
            self._receive(message, sink, link)
        except RetryableError as exc:
            now_s = time.monotonic()
            if now_s - self._said_deferred_at_s > SAY_AGAIN_S:
                self._said_deferred_at_s = now_s
                self.services.log.warning("mqtt.deferred", topic=message.topic, reason=str(exc))
        link.ack(message)

    def _receive(self, message: Message, sink: Sink, link: Link) -> None:
        try:
            address = wire.read_topic(message.topic)
            station = address.station
            header = wire.FrameHeader.from_properties(message.properties)
        except wire.WireError as exc:
            sink.refuse(source="mqtt", name=message.topic, reason=str(exc), body=message.body)
            return
        if address.what != "frame":
            return
        try:
            sink.receive(self._incoming(station, header, message.body))
        except RefusedError as exc:
            # The sink has recorded it. Damaged on the way: the agent, unanswered, sends the whole one again.
            # Whole and yet refused: it will never do, so the agent is told to put it aside.
            if hashlib.sha256(message.body).hexdigest() == header.sha256:
                link.publish(wire.down_topic(station, "refused"), messages.encode_refusal(header.id, str(exc)))
        else:
            link.publish(wire.down_topic(station, "ack"), messages.encode_acks([header.id]))

    def _incoming(self, station: str, header: wire.FrameHeader, body: bytes) -> Incoming:
        zone = self.services.timezone_of(station)
        return Incoming(
            station=station,
            name=header.name,
            kind="still" if header.kind == "still" else "clip",
            body=body,
            source="mqtt",
            id=header.id,
            sha256=header.sha256,
            captured=CaptureTime(header.captured_at, header.captured_at.isoformat(), zone, "agent"),
        )


@contextmanager
def build(config: MqttConfig, services: Services) -> Iterator[MqttSource]:
    """Give the source; it connects when it runs. Raises ConfigError when the password is not where it should be."""
    if config.password:
        config.password.reveal()
    yield MqttSource(config, services)


SPEC = SourceSpec("mqtt", MqttConfig, build)


@hookimpl
def tigrillo_sources() -> list[SourceSpec[MqttConfig]]:
    """Name this source."""
    return [SPEC]
