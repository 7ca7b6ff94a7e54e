"""The JSON payloads that agent and server exchange: one frozen value each, `encode` and strict `decode`.

Standard library only, as edge/wire.py. `decode` raises WireError for anything that is not exactly such a message, and
never something worse: what arrives was written by strangers.

    up    offer · health · hello · status · result
    down  ack · refused · progress · time · command
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn, Self

from .wire import (
    MAX_BODY_BYTES,
    MAX_SEQ,
    NAME,
    PROTOCOL,
    FrameHeader,
    WireError,
    checked_id,
    checked_text,
    read_time,
)

ACK_BATCH = 64  # ids in one ack
MAX_JSON_BYTES = 65_536
MAX_TEXT = 1_000  # characters of a reason or an answer
MAX_VALUES = 100  # of a health message, and arguments of a command
COMMANDS = ("reboot", "capture", "schedule", "snapshot", "want")
UNKNOWN = -1  # the offset in a progress that says: offer this frame again

Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar] | dict[str, Scalar]


def encode_acks(ids: Iterable[str]) -> bytes:
    """The payload of an ack: these frames are durable."""
    return json.dumps(list(ids)).encode()


def decode_acks(payload: bytes) -> list[str]:
    """The ids in an ack. Raises WireError when it is not a list of at most ACK_BATCH frame ids."""
    ids = _read_json(payload)
    if not isinstance(ids, list) or not all(isinstance(each, str) and NAME.fullmatch(each) for each in ids):
        raise WireError("ack is not a list of frame ids")
    if len(ids) > ACK_BATCH:
        raise WireError(f"ack names {len(ids)} frames, {ACK_BATCH} are allowed")
    return ids


def encode_refusal(frame_id: str, reason: str) -> bytes:
    """The payload that tells an agent never to send this frame again."""
    return _json({"id": frame_id, "reason": reason[:MAX_TEXT]})


def decode_refusal(payload: bytes) -> tuple[str, str]:
    """(frame id, reason) of a refusal. Raises WireError when it is none."""
    found = _Fields("refusal", payload)
    return found.id(), found.text("reason", default="")


@dataclass(frozen=True, slots=True)
class Offer:
    """A frame larger than CHUNK_BYTES that the agent has. size: of its body, bytes. Answered by Progress."""

    header: FrameHeader
    size: int

    def encode(self) -> bytes:
        """All fields of the header, as text, and `size`."""
        return _json({**dict(self.header.to_properties()), "size": self.size})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("offer", payload)
        size = found.whole("size", most=MAX_BODY_BYTES)
        if not size:
            raise WireError("offer: size must be 1 at least")
        texts = {key: value for key, value in found.all.items() if key != "size"}
        return cls(FrameHeader.from_properties(texts.items()), size)


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a frame lies durably on the server. offset: bytes, or UNKNOWN when it must be offered again."""

    id: str
    offset: int

    def encode(self) -> bytes:
        """{"id", "offset"}."""
        return _json({"id": self.id, "offset": self.offset})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("progress", payload)
        return cls(found.id(), found.whole("offset", least=UNKNOWN, most=MAX_BODY_BYTES))


@dataclass(frozen=True, slots=True)
class Hello:
    """What an agent says when it has connected. clock: its clock now; clock_ok: whether it trusts it."""

    version: str
    boot: str
    clock: datetime
    clock_ok: bool
    protocol: int = PROTOCOL

    def encode(self) -> bytes:
        """{"version", "boot", "protocol", "clock", "clock_ok"}."""
        return _json(
            {
                "version": self.version,
                "boot": self.boot,
                "protocol": self.protocol,
                "clock": _time(self.clock),
                "clock_ok": self.clock_ok,
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("hello", payload)
        return cls(
            version=found.text("version", most=64),
            boot=found.id("boot"),
            clock=found.time("clock"),
            clock_ok=found.flag("clock_ok"),
            protocol=found.whole("protocol", least=1),
        )


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The server's answer to Hello. hello_clock: the agent's own time in the Hello that is answered."""

    now: datetime
    hello_clock: datetime

    def encode(self) -> bytes:
        """{"now", "hello_clock"}."""
        return _json({"now": _time(self.now), "hello_clock": _time(self.hello_clock)})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("time", payload)
        return cls(found.time("now"), found.time("hello_clock"))


@dataclass(frozen=True, slots=True)
class Status:
    """Whether an agent is connected; retained, and its last will."""

    online: bool
    boot: str

    def encode(self) -> bytes:
        """{"online", "boot"}."""
        return _json({"online": self.online, "boot": self.boot})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("status", payload)
        return cls(found.flag("online"), found.id("boot"))


@dataclass(frozen=True, slots=True)
class Health:
    """How an agent is. at: its clock; clock: how far it trusts it; uptime_s: since its start.

    values: what else it has to say, at most MAX_VALUES names → number, truth, text, null, or a list or an object of
    these (`spool`, `dropped`, `temperature_c`, `supply_low`, `sensors`, …; docs/protocol.md has the usual ones).
    """

    at: datetime
    boot: str
    version: str
    clock: str = "ok"
    uptime_s: float = 0.0
    values: Mapping[str, Value] = field(default_factory=dict)

    OWN: ClassVar = frozenset({"at", "boot", "version", "clock", "uptime_s"})

    def encode(self) -> bytes:
        """One JSON object: the named fields and all of `values`. Raises ValueError when it would be too large."""
        own = {"at": _time(self.at), "boot": self.boot, "version": self.version, "clock": self.clock}
        payload = _json({**self.values, **own, "uptime_s": self.uptime_s})
        if len(payload) > MAX_JSON_BYTES:
            raise ValueError(f"health: {len(payload)} bytes, {MAX_JSON_BYTES} are allowed")
        return payload

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("health", payload)
        return cls(
            at=found.time("at"),
            boot=found.id("boot"),
            version=found.text("version", most=64),
            clock=found.text("clock", default="ok", most=16),
            uptime_s=found.number("uptime_s"),
            values=_values({key: value for key, value in found.all.items() if key not in cls.OWN}, "health"),
        )


@dataclass(frozen=True, slots=True)
class Command:
    """What the server asks an agent to do, once. name: one of COMMANDS. After expires_at it is not done any more."""

    id: str
    name: str
    expires_at: datetime
    args: Mapping[str, Value] = field(default_factory=dict)

    def encode(self) -> bytes:
        """{"id", "name", "args", "expires_at"}."""
        args = dict(self.args)
        return _json({"id": self.id, "name": self.name, "args": args, "expires_at": _time(self.expires_at)})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError; also for a command that this program does not know, naming it."""
        found = _Fields("command", payload)
        name = found.text("name", most=64)
        if name not in COMMANDS:
            raise WireError(f"command {name!r} is none of {', '.join(COMMANDS)}")
        args = found.all.get("args", {})
        if not isinstance(args, dict):
            raise WireError("command: args is no object")
        return cls(found.id(), name, found.time("expires_at"), _values(args, "command"))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a command. text: for a person to read."""

    id: str
    ok: bool
    text: str = ""

    def encode(self) -> bytes:
        """{"id", "ok", "text"}."""
        return _json({"id": self.id, "ok": self.ok, "text": self.text[:MAX_TEXT]})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Raises WireError."""
        found = _Fields("result", payload)
        return cls(found.id(), found.flag("ok"), found.text("text", default=""))


class _Fields:
    """The fields of a JSON object, each taken with its type or refused with a WireError that names it."""

    def __init__(self, what: str, payload: bytes) -> None:
        self._what = what
        found = _read_json(payload)
        if not isinstance(found, dict):
            raise WireError(f"{what} is no JSON object")
        self.all: dict[str, Any] = found

    def text(self, key: str, *, default: str | None = None, most: int = MAX_TEXT) -> str:
        value = self.all.get(key, default)
        if not isinstance(value, str):
            self._wrong(key, "text")
        return checked_text(value, f"{self._what}: {key}", most=most)

    def id(self, key: str = "id") -> str:
        return checked_id(self.text(key), f"{self._what}: {key}")

    def time(self, key: str) -> datetime:
        return read_time(self.text(key), f"{self._what}: {key}")

    def flag(self, key: str) -> bool:
        value = self.all.get(key)
        if not isinstance(value, bool):
            self._wrong(key, "true or false")
        return value

    def whole(self, key: str, *, least: int = 0, most: int = MAX_SEQ) -> int:
        value = self.all.get(key)
        if type(value) is not int or not least <= value <= most:
            self._wrong(key, f"a whole number of {least} to {most}")
        return value

    def number(self, key: str) -> float:
        value = self.all.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SEQ:
            self._wrong(key, "a number of 0 or more")
        return float(value)

    def _wrong(self, key: str, wanted: str) -> NoReturn:
        raise WireError(f"{self._what}: {key!r} is missing or not {wanted}")


def _values(found: dict[str, Any], what: str) -> dict[str, Value]:
    """What an object of scalars, and of lists and objects of scalars, holds. Raises WireError for anything deeper."""
    if len(found) > MAX_VALUES:
        raise WireError(f"{what}: {len(found)} values, {MAX_VALUES} are allowed")
    for key, value in found.items():
        checked_text(key, f"{what}: a name", most=64)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if len(inner) > MAX_VALUES:
            raise WireError(f"{what}: {key!r} has {len(inner)} values, {MAX_VALUES} are allowed")
        for name in value if isinstance(value, dict) else ():
            checked_text(name, f"{what}: a name in {key!r}", most=64)
        for each in inner:
            _check_scalar(each, f"{what}: {key!r}")
    return found


def _check_scalar(value: object, what: str) -> None:
    if isinstance(value, str):
        checked_text(value, what, most=MAX_TEXT)
    elif isinstance(value, int | float):
        if not -MAX_SEQ <= value <= MAX_SEQ:
            raise WireError(f"{what} is out of range")
    elif value is not None:
        raise WireError(f"{what} is nested too deeply")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _no_constant(name: str) -> NoReturn:
    raise WireError(f"{name} is no JSON")


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise WireError(f"{text[:40]} is out of range")
    return value


def _read_json(payload: bytes) -> Any:
    if len(payload) > MAX_JSON_BYTES:
        raise WireError(f"payload has {len(payload)} bytes, {MAX_JSON_BYTES} are allowed")
    try:
        return json.loads(payload, parse_constant=_no_constant, parse_float=_read_float)
    except WireError:
        raise
    except (ValueError, RecursionError) as exc:
        raise WireError(f"payload is not JSON: {exc}") from exc
