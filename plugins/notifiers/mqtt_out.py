"""Notifier `mqtt`: notices, states and pictures on a broker that other programs read, Home Assistant before all.

Every notice is one JSON message with QoS 1, delivered when the broker has acknowledged it. Beside the notices the
broker holds, retained, how each station is; with `discovery` Home Assistant makes a device of each by itself.

This file: settings, and what a notice becomes. mqtt_publisher.py has the connection, mqtt_board.py what is retained.

It is meant for the broker of Home Assistant, not for the site's own: there only stations and the daemon may connect.
"""

import hashlib
import re
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edge.api import (
    Alert,
    Broker,
    ConfigError,
    Event,
    Notice,
    NoticeRefused,
    NotifierSpec,
    Secret,
    Services,
    Tls,
    _,
    hookimpl,
    is_safe_name,
    one_line,
    translate,
    wire,
)

from .home_assistant import Low, Topics
from .mqtt_board import VERBS, Board, Post, Showing
from .mqtt_publisher import Delivery, Publisher, Refused
from .notice_json import document, encode, utc

PORT, TLS_PORT = 1883, 8883  # registered with IANA
TOPIC = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")  # no wildcard, no empty level, no $SYS
SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")  # Debian's, where OpenSSL's own place is empty


def _topic(text: str) -> str:
    if not TOPIC.fullmatch(text) or len(text) > 128 or text.partition("/")[0] == wire.ROOT:
        raise ValueError(
            _("{text!r} can't begin a topic: write letters, digits, '_', '-', '.', with '/' between").format(
                text=text[:80]
            )
        )
    return text


TopicPart = Annotated[str, AfterValidator(_topic)]


class MqttConfig(BaseModel):
    """A broker, and how things are called there.

    ca: of the broker's certificate; the system's when left out. cert, key: PEM, for a broker that wants a certificate
    of us. base: what our topics begin with; two sites on one broker need two. seen_s: how long "animal seen" stays on.
    timeout_s: how long to wait until the broker has a message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65_535)
    username: str = ""
    password: Secret | None = None
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    client_id: str = Field(default="", max_length=128)
    keepalive_s: int = Field(default=30, ge=5, le=65_535)
    base: TopicPart = "tigrillo"
    discovery: bool = True
    discovery_prefix: TopicPart = "homeassistant"
    seen_s: int = Field(default=60, ge=1, le=86_400)
    battery_low_percent: float | None = Field(default=20.0, ge=0, le=100)
    battery_low_volts: float | None = Field(default=None, gt=0)
    language: Literal["en", "es"] | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=300)

    @model_validator(mode="after")
    def _settings_fit(self) -> "MqttConfig":
        if self.password is not None and not self.username:
            raise ValueError(_("`password` needs a `username`"))
        if not self.tls and (self.ca or self.cert or self.key):
            raise ValueError(_("`ca`, `cert` and `key` need `tls: true`"))
        if bool(self.cert) != bool(self.key):
            raise ValueError(_("`cert` and `key` go together: give both or neither"))
        return self


@dataclass(frozen=True, slots=True)
class MqttNotifier:
    """Publishes notices; `observe` keeps the retained states right."""

    config: MqttConfig
    services: Services
    broker: Broker
    topics: Topics
    board: Board
    publisher: Publisher

    def __repr__(self) -> str:
        return f"MqttNotifier({self.broker.host}:{self.broker.port})"  # a Broker would show its password

    def send(self, notice: Notice, *, picture: bytes) -> None:
        """Publish the notice and what it shows of its station; returns when the broker has it. Raises NotifyError.

        A picture that is larger than the broker takes is left out; the log says so.
        """
        station = notice.station if is_safe_name(notice.station) else ""
        shown = {"topic": self.topics.of(station, "picture")} if station and picture else None
        posts: deque[Post] = deque()
        prepare = None
        if notice.alert is not None and notice.kind in {"alert", "update"} and station:
            category, sighting = notice.alert.detection.category, encode(flat(notice))
            prepare = partial(self.board.sighted, station, category, sighting)
            if picture:  # first, so that whoever hears of the animal finds its picture
                posts.append(Post(self.topics.of(station, "picture"), picture, retain=True, optional=True))
            posts.append(Post(self.topics.of(station, "sighting"), sighting, retain=True))
            posts.append(Post(self.topics.of(station, category), b"ON"))
        posts.append(Post(self.topics.event(station), encode(flat(notice))))
        posts.append(Post(self.topics.notice(station), encode(document(notice, self.services, picture=shown))))
        self.publisher.deliver(Delivery(posts, prepare), timeout_s=self.config.timeout_s)

    def observe(self, event: Event) -> None:
        """Have the retained states follow: online and offline stations, their health. Returns at once."""
        if event.verb in VERBS:
            self.publisher.note(event)
        else:
            self.publisher.start()

    def check(self) -> str:
        """Who answered. Raises NotifyError (not reached), NoticeRefused (login, or no right to publish)."""
        looking = Publisher(
            self.broker,
            client_id=f"{_client_id(self.config)}-check",
            topics=self.topics,
            services=self.services,
            board=None,
        )
        topics = [f"{self.topics.base}/check"]
        if self.config.discovery:
            topics.append(f"{self.topics.prefix}/{self.topics.device_id('')}/check")  # nothing that it would discover
        try:
            looking.deliver(Delivery(deque(Post(each, b"") for each in topics)), timeout_s=self.config.timeout_s)
        except Refused as exc:
            raise NoticeRefused(str(exc)) from exc
        finally:
            looking.close()
        return f"broker {self.broker.host}:{self.broker.port} takes what is published under " + ", ".join(
            sorted({each.partition("/")[0] for each in topics})
        )


def flat(notice: Notice) -> dict[str, Any]:
    """A notice in one level, as Home Assistant shows the attributes of an entity. docs/alerts.md names the keys."""
    words, alert = notice.words, notice.alert
    seen = notice.kind in {"alert", "update"} and alert is not None
    return {
        "event_type": alert.detection.category if seen and alert is not None else notice.kind,
        "kind": notice.kind,
        "severity": notice.severity,
        "station": one_line(notice.station),
        "headline": one_line(words.headline),
        "text": "\n".join(f"{label}: {value}" if label else value for label, value in words.rows),
        "link": notice.link,
        "code": notice.code,
        "thread": notice.thread,
        "at": utc(notice.at),
        **({} if alert is None else _facts(alert, notice)),
    }


def _facts(alert: Alert, notice: Notice) -> dict[str, Any]:
    seen = alert.detection
    what = notice.words.fields.get("what") or translate(seen.category, notice.language)
    return {
        "what": one_line(what),
        "scientific": one_line(seen.answer.taxon.scientific_name) if seen.answer else "",
        "category": seen.category,
        "score": round(seen.answer.score if seen.answer else seen.score, 4),
        "count": alert.count,
        "rule": one_line(alert.rule),
        "frame_id": one_line(alert.frame_id),
        "captured_at": utc(alert.captured.utc),
        "received_at": utc(alert.received_at),
    }


def _client_id(config: MqttConfig) -> str:
    return config.client_id or f"tigrillo-alerts-{config.base.replace('/', '-')}-{socket.gethostname()}"[:120]


def _tls(config: MqttConfig) -> Tls | None:
    """Raises ConfigError when a file is missing."""
    if not config.tls:
        return None
    ca = config.ca or Path(ssl.get_default_verify_paths().cafile or SYSTEM_CA)
    if missing := [path for path in (ca, config.cert, config.key) if path and not path.is_file()]:
        raise ConfigError(_("channel mqtt: {path}: there is no such file").format(path=missing[0]))
    return Tls(ca, config.cert, config.key, check_time=True)


@contextmanager
def build(config: MqttConfig, services: Services) -> Iterator[MqttNotifier]:
    """Read the password once; it connects with the first notice or event. Raises ConfigError."""
    broker = Broker(
        config.host,
        config.port or (TLS_PORT if config.tls else PORT),
        config.username,
        config.password.reveal() if config.password else "",
        config.keepalive_s,
        _tls(config),
    )
    topics = Topics(config.base, config.discovery_prefix)
    low = Low(config.battery_low_percent, config.battery_low_volts)
    showing = Showing(topics, config.language or services.language, config.seen_s, low, config.discovery)
    place = hashlib.sha256(f"{broker.host}\0{broker.port}\0{topics.base}\0{topics.prefix}".encode()).hexdigest()[:16]
    board = Board(showing, services, services.state_dir / "mqtt" / f"{place}.json")
    publisher = Publisher(
        broker,
        client_id=_client_id(config),
        topics=topics,
        services=services,
        board=board,
        birth=topics.birth if config.discovery else "",
    )
    try:
        yield MqttNotifier(config, services, broker, topics, board, publisher)
    finally:
        publisher.close()


SPEC = NotifierSpec("mqtt", MqttConfig, build)


@hookimpl
def tigrillo_notifiers() -> list[NotifierSpec[MqttConfig]]:
    """Name this channel."""
    return [SPEC]
