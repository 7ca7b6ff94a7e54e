"""Source `mqtt`: hop 2, receive, from agents over an MQTT 5 broker (docs/protocol.md).

One thread. What the network holds ready is read, up to a bound; then all of it is dealt with together (durable first,
then our acks, then the PUBACKs), and only then more is read: while the sink writes, the network waits. What the sink
can't take now gets a PUBACK but no ack: the broker need not keep it, because the agent does, and sends it again.

This file: settings, connection, when a batch is full. mqtt_receiver.py deals with a batch, mqtt_pieces.py with frames
that come in pieces.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from edge.api import (
    Broker,
    ConfigError,
    Link,
    LinkLost,
    Message,
    Secret,
    Services,
    Sink,
    SourceSpec,
    Tls,
    _,
    hookimpl,
    wire,
)

from .mqtt_receiver import Receiver

RECONNECT_S = 1.0
TURN_S = 0.5  # how often `stop` and the commands are looked at while nothing arrives
SESSION_S = 3600  # the broker keeps for us so long; what it loses, the agents send again
RECEIVE_MAXIMUM = 16  # messages without our PUBACK that the broker may have under way to us; some allow themselves more
BATCH = 32  # messages dealt with together
BATCH_BYTES = 4 * 2**20
BATCH_S = 0.02  # the first of a batch waits for others so long at most
MORE_S = 0.002  # no next message within this: nothing is ready


class MqttConfig(BaseModel):
    """Where the broker is and who we are there. client_id: two daemons on one broker need two.

    tls: whether the connection is encrypted; by default when the site has a `broker:` of its own, where the server
    shows its own certificate. ca, cert, key: PEM files for a broker that is somebody else's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65_535)
    username: str = ""
    password: Secret | None = None
    client_id: str = Field(default_factory=lambda: f"tigrillo-{socket.gethostname()}", min_length=1, max_length=128)
    keepalive_s: int = Field(default=30, ge=5, le=65_535)
    tls: bool | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(slots=True)
class MqttSource:
    """Frames that agents publish."""

    config: MqttConfig
    services: Services
    _last_reason: str = field(default="", init=False)
    _receiver: Receiver | None = field(default=None, init=False)

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Receive until `stop` is set; see Source. A lost connection is replaced, anything else is raised."""
        if self._receiver is None:  # what it counts outlives an error that ended `run`
            self._receiver = Receiver(self.services, sink)
        while not stop.is_set():
            try:
                self._serve(self._receiver, stop)
            except LinkLost as exc:
                if str(exc) != self._last_reason:
                    self.services.log.warning("mqtt.lost", reason=str(exc), again_in_s=RECONNECT_S)
                self._last_reason = str(exc)
            stop.wait(RECONNECT_S)

    def _serve(self, receiver: Receiver, stop: threading.Event) -> None:
        try:
            password = self.config.password.reveal() if self.config.password else ""
            tls = tls_of(self.config, self.services)
        except ConfigError as exc:  # it was there at the start: somebody is changing it, or its disk is away
            raise LinkLost(str(exc)) from exc
        config = self.config
        broker = Broker(config.host, config.port, config.username, password, config.keepalive_s, tls)
        batch: list[Message] = []
        link = Link(
            broker,
            client_id=config.client_id,
            subscribe=wire.ALL_UP,
            on_message=batch.append,  # bounded: `_gather` looks at it after each read, and the broker by its window
            manual_ack=True,
            session_expiry_s=SESSION_S,
            receive_maximum=RECEIVE_MAXIMUM,
        )
        said = False
        with link:
            link.connect()
            receiver.connected()
            while not stop.is_set():
                self._gather(link, batch)
                if link.ready and not said:
                    said, self._last_reason = True, ""
                    self.services.log.info("mqtt.connected", broker=f"{broker.host}:{broker.port}")
                taken, batch[:] = list(batch), []
                receiver.deal_with(taken, link)
                del taken  # not kept until the next message comes, which may be in hours
                if link.ready:
                    receiver.tick(link)

    def _gather(self, link: Link, batch: list[Message]) -> None:
        """Read until nothing is ready, or the batch is full or old enough."""
        link.turn(0 if batch else TURN_S)
        until_s = time.monotonic() + BATCH_S
        while batch and len(batch) < BATCH and sum(len(each.body) for each in batch) < BATCH_BYTES:
            before = len(batch)
            link.turn(MORE_S)
            if len(batch) == before or time.monotonic() > until_s:
                return


def tls_of(config: MqttConfig, services: Services) -> Tls | None:
    """How the connection is encrypted; None when it is not. Raises ConfigError when a file is missing."""
    if config.tls is False:
        return None
    if config.ca is not None:
        if missing := [path for path in (config.ca, config.cert, config.key) if path and not path.is_file()]:
            raise ConfigError(_("source mqtt: {path}: there is no such file").format(path=missing[0]))
        return Tls(config.ca, config.cert, config.key)
    if services.identity is None and config.tls:
        raise ConfigError(_("source mqtt: `tls: true` needs a `broker:` section in the site, or `ca:` here"))
    return services.identity


@contextmanager
def build(config: MqttConfig, services: Services) -> Iterator[MqttSource]:
    """Give the source; it connects when it runs. Raises ConfigError when password or certificate are not there."""
    if config.password:
        config.password.reveal()
    tls_of(config, services)
    yield MqttSource(config, services)


SPEC = SourceSpec("mqtt", MqttConfig, build)


@hookimpl
def tigrillo_sources() -> list[SourceSpec[MqttConfig]]:
    """Name this source."""
    return [SPEC]
