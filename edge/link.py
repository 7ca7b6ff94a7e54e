"""One connection to an MQTT 5 broker, driven by the thread that uses it.

paho's own thread dies silently when a callback raises, and after a reconnect paho sends all it had queued at once. So
there is no thread here and no reconnect: the caller turns the connection's wheel, errors of its callbacks come out of
`turn`, and a lost connection is replaced by a new Link, with which all packet ids of the old one are forgotten.

Standard library and paho only: a Raspberry Pi imports this. The encrypted socket is in tls.py.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from .tls import Tls, TlsContext, TlsSocket, open_context, why

# Small, so that on a slow link a ping is not stuck for minutes behind data the kernel has taken (it takes twice this):
# 60 s of keepalive do for 2 KB/s, and 200 ms of delay still allow 600 KB/s.
SEND_BUFFER_BYTES = 65_536
CONNECT_S = 10.0  # paho's 5 s are few for a handshake of four packets where one in five is lost
SILENT = 1.5  # keepalives; paho asks after one, and a lost connection is replaced before the second is over
PACKET_BYTES = 268_435_455  # MQTT 5, 2.1.4: what the length in front of a packet can say
IN_FLIGHT = 20  # what paho sends without a PUBACK; mosquitto's default for what it takes


class LinkLost(Exception):
    """There is no connection (any more); the text says why, and a new Link is the way on."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are there. tls: encrypted, and the certificate is who we are; None: plain TCP."""

    host: str
    port: int = 1883
    username: str = ""
    password: str = ""
    keepalive_s: int = 60
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us, with QoS 1, when we are gone without a word."""

    topic: str
    body: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message that arrived. properties: its user properties, in order."""

    topic: str
    body: bytes
    properties: tuple[tuple[str, str], ...]
    mid: int
    qos: int


class Link:
    """A connection with one subscription, from `connect` until LinkLost or the end of the `with` block.

    on_message: called within `turn`; what it raises comes out of `turn`. on_sent: the broker took the message with this
    packet id (""), or refused it (the reason). manual_ack: the broker keeps a message until `ack` is called for it.
    session_expiry_s: how long the broker keeps what we have not acknowledged while we are away; 0 also forgets what it
    kept so far. will: published by the broker when the connection ends in any way but the end of the `with` block.
    most_bytes: the largest packet that the broker takes, once `ready`; it hangs up on a larger one.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        subscribe: str,
        on_message: Callable[[Message], None],
        on_sent: Callable[[int, str], None] = lambda _mid, _reason: None,
        manual_ack: bool = False,
        session_expiry_s: int = 0,
        receive_maximum: int = 20,
        will: Will | None = None,
    ) -> None:
        self.ready = False
        self.most_bytes = PACKET_BYTES
        self._broker = broker
        self._subscription = subscribe
        self._on_message = on_message
        self._on_sent = on_sent
        self._session_expiry_s = session_expiry_s
        self._receive_maximum = receive_maximum
        self._reason = ""
        self._wrote_at = 0.0
        self._alive_at = 0.0
        self._in_flight = 0
        self._most_in_flight = IN_FLIGHT
        self._context: TlsContext | None = None
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=manual_ack
        )
        self._client.connect_timeout = CONNECT_S
        self._client.username_pw_set(broker.username or None, broker.password or None)
        if will is not None:
            self._client.will_set(will.topic, will.body, qos=1, retain=will.retain)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received
        self._client.on_publish = self._sent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye, unless the connection is gone already; never blocks."""
        self.ready = False
        self._client.disconnect()
        if sock := self._client.socket():
            sock.close()

    def connect(self) -> None:
        """Open the connection; `ready` becomes true in a later `turn`. Raises LinkLost.

        Certificates are read from their files here, so a renewed one is used from the next connection on.
        """
        properties = _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._session_expiry_s
        properties.ReceiveMaximum = self._receive_maximum
        try:
            if self._broker.tls is not None:
                self._context = open_context(self._broker.tls)
                self._client.tls_set_context(self._context)
            self._client.connect(
                self._broker.host,
                self._broker.port,
                self._broker.keepalive_s,
                clean_start=self._session_expiry_s == 0,
                properties=properties,
            )
        except ssl.SSLError as exc:
            raise self._lost(why(exc)) from exc
        except OSError as exc:
            raise self._lost(" ".join(filter(None, [exc.strerror or str(exc), exc.filename]))) from exc
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._wrote_at = self._alive_at = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether bytes wait that the network has not taken yet, or the broker has as many messages as it can take.

        paho pays no heed to the second; a broker that is overrun hangs up.
        """
        return self._client.want_write() or self._in_flight >= self._most_in_flight

    def turn(self, timeout_s: float, *, wake: socket.socket | None = None) -> None:
        """Read and write what the network allows, after waiting at most `timeout_s` for it or for `wake`.

        Raises LinkLost, and whatever the callbacks raise.
        """
        sock = self._socket()
        descriptor = sock.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        if wake is not None:
            poll.register(wake.fileno(), select.POLLIN)
        # What was decrypted and not read yet does not show on the descriptor.
        deciphered = isinstance(sock, TlsSocket) and sock.pending() > 0
        happened = dict(poll.poll(0 if deciphered else timeout_s * 1000))
        if deciphered:
            happened[descriptor] = happened.get(descriptor, 0) | select.POLLIN
        now = time.monotonic()
        if wake is not None and wake.fileno() in happened:
            wake.recv(4096)
        if happened.get(descriptor, 0):
            self._alive_at = now  # bytes came, or room for more after there was none: the other side took some
        elif now - self._alive_at > SILENT * self._broker.keepalive_s:
            raise self._lost(f"nothing heard for {now - self._alive_at:.0f} s")
        if happened.get(descriptor, 0) & ~select.POLLOUT:
            self._check(self._client.loop_read())
        if happened.get(descriptor, 0) & select.POLLOUT:
            self._wrote_at = now
            self._check(self._client.loop_write())
        # While a slow network takes bytes, the link lives: paho would time out its ping, which stands behind them.
        if not (self._client.want_write() and now - self._wrote_at < self._broker.keepalive_s / 2):
            self._check(self._client.loop_misc())

    def publish(
        self, topic: str, body: bytes, *, properties: Iterable[tuple[str, str]] = (), retain: bool = False
    ) -> int:
        """Hand a message to the network with QoS 1; returns its packet id, of this connection only. Raises LinkLost.

        retain: the broker keeps it for whoever subscribes later.
        """
        extra = _properties(PacketTypes.PUBLISH)
        if pairs := list(properties):
            extra.UserProperty = pairs
        self._wrote_at = time.monotonic()
        info = self._client.publish(topic, body, qos=1, retain=retain, properties=extra)
        self._check(info.rc)
        self._in_flight += 1
        return info.mid

    def ack(self, message: Message) -> None:
        """Tell the broker that it may forget a message (manual_ack)."""
        if message.qos:
            self._check(self._client.ack(message.mid, message.qos))

    def _socket(self) -> socket.socket:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            raise self._lost("connection closed")
        return sock

    def _check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or self._client.socket() is None:
            raise self._lost(str(code))

    def _lost(self, reason: str) -> LinkLost:
        self.ready = False
        if self._context is not None and self._context.fault is not None:
            reason = why(self._context.fault)
        else:
            reason = self._reason or reason
        return LinkLost(f"broker {self._broker.host}:{self._broker.port}: {reason}")

    def _connected(
        self, client: Client, _data: object, _flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._reason = f"refused the connection: {code}"
            return
        self._most_in_flight = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))
        self.most_bytes = min(PACKET_BYTES, getattr(properties, "MaximumPacketSize", PACKET_BYTES))
        client.subscribe(self._subscription, qos=1)

    def _subscribed(
        self, client: Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(code.is_failure for code in codes):
            self._reason = f"refused the subscription to {self._subscription}: {codes[0]}"
            client.disconnect()
        else:
            self.ready = True

    def _disconnected(
        self, _client: Client, _data: object, _flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self._reason = self._reason or f"connection lost: {code}"

    def _received(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        pairs = getattr(message.properties, "UserProperty", [])
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(a topic that is not UTF-8)"
        self._on_message(Message(topic, bytes(message.payload), tuple(pairs), message.mid, message.qos))

    def _sent(self, _client: Client, _data: object, mid: int, code: ReasonCode, _properties: Properties | None) -> None:
        self._in_flight -= 1
        self._on_sent(mid, str(code) if code.is_failure else "")


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # because paho left this one constructor untyped
