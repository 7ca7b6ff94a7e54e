"""What agent and server say to each other over MQTT 5: topics, and the headers of frames and chunks.

Standard library only: a Raspberry Pi imports this with nothing but paho and PyYAML installed. The JSON payloads are in
edge/messages.py, and docs/protocol.md tells the whole conversation.

    wc/1/<station>/up/<what>    agent → server: frame, offer, chunk, health, hello, status, result
    wc/1/<station>/down/<what>  server → agent: ack, refused, progress, time, command

All with QoS 1. A PUBACK only says that the broker has the message in memory; the agent deletes a frame only on the ack.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal

PROTOCOL = 1
ROOT = "wc"
PREFIX = f"{ROOT}/{PROTOCOL}"
UP = ("frame", "offer", "chunk", "health", "hello", "status", "result")
DOWN = ("ack", "refused", "progress", "time", "command")
ALL_UP = f"{PREFIX}/+/up/#"  # what the server subscribes to
# A station or frame id becomes a folder, a topic level and a file name: nothing else may be in it.
NAME = re.compile(r"[A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_][A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_.\-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
KINDS = ("still", "clip")
CLOCKS = ("ok", "guessed", "unknown")
TRIGGERS = ("pir", "motion", "interval", "schedule", "command")
STILL_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
CLIP_SUFFIXES = frozenset({".mp4", ".avi", ".asf", ".mov", ".mkv", ".m4v"})
CHUNK_BYTES = 1_000_000  # the body of a message at most; a larger frame is offered and goes in chunks
MAX_BODY_BYTES = 256_000_000  # of a frame, in whatever many messages
MAX_SEQ = 2**63 - 1  # what a database column holds
MAX_NAME = 500  # characters of a file's name
# Sorted as whole numbers and short decimals are read here, what we write comes back the same.
WHOLE = re.compile(r"[0-9]{1,19}")
SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,3})?")

Way = Literal["up", "down"]


class WireError(ValueError):
    """The message is not one of ours; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a topic says: whose message this is, which way it goes, and what it is."""

    station: str
    way: Way
    what: str


def up_topic(station: str, what: str) -> str:
    """The topic on which this station says `what`, one of UP. Raises WireError for a forbidden name."""
    assert what in UP, what
    return f"{PREFIX}/{checked_station(station)}/up/{what}"


def down_topic(station: str, what: str) -> str:
    """The topic on which this station hears `what`, one of DOWN, or "+" for all of them. Raises WireError."""
    assert what in DOWN or what == "+", what
    return f"{PREFIX}/{checked_station(station)}/down/{what}"


def read_topic(topic: str) -> Address:
    """What a topic says. Raises WireError when it is not one of ours or names a forbidden station."""
    levels = topic.split("/", 5)
    if len(levels) != 5 or levels[:2] != [ROOT, str(PROTOCOL)]:
        raise WireError(f"topic {topic[:120]!r} is not {PREFIX}/<station>/up|down/<what>")
    _root, _version, station, way, what = levels
    if way == "up" and what in UP:
        return Address(checked_station(station), "up", what)
    if way == "down" and what in DOWN:
        return Address(checked_station(station), "down", what)
    raise WireError(f"topic {topic[:120]!r}: {way[:20]}/{what[:20]} is unknown")


def checked_station(station: str) -> str:
    """`station` itself when it may be a topic level and a folder. Raises WireError when not."""
    if not NAME.fullmatch(station):
        raise WireError(
            f"station {station[:80]!r}: letters, digits, '_', '-' and '.' only, at most 64, no dot in front"
        )
    return station


def kind_of(name: str) -> Literal["still", "clip"] | None:
    """The kind by the ending of a file name, "still" or "clip"; None when it is neither."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in STILL_SUFFIXES:
        return "still"
    return "clip" if suffix in CLIP_SUFFIXES else None


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What travels beside the bytes of a frame.

    id: unique within the station, made by the agent. captured_at: the agent's clock, aware. boot: id of this start of
    the agent; seq: counts frames of this agent, never reused. kind: "still" or "clip". name: the file's name.
    clock: how far captured_at can be trusted: "ok" | "guessed" | "unknown". boot_count: counts the agent's starts, so
    that (boot_count, seq) is the order of a station's frames whatever its clock said. uptime_s: seconds since this
    start at capture, three decimals. corrected_at: captured_at by the server's clock, once the agent knew it.
    stands_for: id of the full frame when this is its thumbnail. trigger: one of TRIGGERS, "" when not told.
    waited_s: seconds from its capture to its sending by a clock that nobody sets, None when the agent can't tell.
    """

    id: str
    sha256: str
    captured_at: datetime
    boot: str
    seq: int
    kind: str
    name: str
    clock: str = "ok"
    boot_count: int = 0
    uptime_s: float = 0.0
    corrected_at: datetime | None = None
    stands_for: str = ""
    trigger: str = ""
    waited_s: float | None = None

    def to_properties(self) -> list[tuple[str, str]]:
        """The header as MQTT user properties; what is empty is left out."""
        corrected = self.corrected_at.astimezone(UTC).isoformat() if self.corrected_at else ""
        pairs = [
            ("id", self.id),
            ("sha256", self.sha256),
            ("captured_at", self.captured_at.astimezone(UTC).isoformat()),
            ("boot", self.boot),
            ("seq", str(self.seq)),
            ("kind", self.kind),
            ("name", self.name),
            ("clock", self.clock),
            ("boot_count", str(self.boot_count)),
            ("uptime_s", f"{self.uptime_s:.3f}"),
        ]
        waited = "" if self.waited_s is None else f"{self.waited_s:.3f}"
        maybe = [("corrected_at", corrected), ("stands_for", self.stands_for), ("trigger", self.trigger)]
        maybe.append(("waited_s", waited))
        return pairs + [pair for pair in maybe if pair[1]]

    @classmethod
    def from_properties(cls, properties: Iterable[tuple[str, str]]) -> "FrameHeader":
        """Read the header back. Raises WireError naming the property that is missing or wrong."""
        found = _properties(properties, needed=("id", "sha256", "captured_at", "boot", "seq", "kind", "name"))
        if not SHA256.fullmatch(found["sha256"]):
            raise WireError("sha256 is not 64 hexadecimal digits")
        header = cls(
            id=checked_id(found["id"]),
            sha256=found["sha256"],
            captured_at=read_time(found["captured_at"], "captured_at"),
            boot=checked_id(found["boot"], "boot"),
            seq=_whole(found["seq"], "seq"),
            kind=_one_of(found["kind"], KINDS, "kind"),
            name=checked_text(found["name"], "name", most=MAX_NAME),
            clock=_one_of(found.get("clock", "ok"), CLOCKS, "clock"),
            boot_count=_whole(found.get("boot_count", "0"), "boot_count"),
            uptime_s=_seconds(found.get("uptime_s", "0"), "uptime_s"),
            corrected_at=read_time(found["corrected_at"], "corrected_at") if "corrected_at" in found else None,
            waited_s=_seconds(found["waited_s"], "waited_s") if "waited_s" in found else None,
            stands_for=checked_id(found["stands_for"], "stands_for") if "stands_for" in found else "",
            trigger=_one_of(found["trigger"], TRIGGERS, "trigger") if "trigger" in found else "",
        )
        if header.stands_for == header.id:
            raise WireError("stands_for names the frame itself")
        return header


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """What travels beside a piece of a frame. offset: of its first byte in the frame."""

    id: str
    offset: int

    def to_properties(self) -> list[tuple[str, str]]:
        """The header as MQTT user properties."""
        return [("id", self.id), ("offset", str(self.offset))]

    @classmethod
    def from_properties(cls, properties: Iterable[tuple[str, str]]) -> "ChunkHeader":
        """Read the header back. Raises WireError naming the property that is missing or wrong."""
        found = _properties(properties, needed=("id", "offset"))
        return cls(checked_id(found["id"]), _whole(found["offset"], "offset", most=MAX_BODY_BYTES))


def checked_id(text: str, what: str = "id") -> str:
    """`text` itself when it may be a frame's id and a file name. Raises WireError naming `what` when not."""
    if not NAME.fullmatch(text):
        raise WireError(f"{what} {text[:80]!r} is not a frame id")
    return text


def checked_text(text: str, what: str, *, most: int) -> str:
    """`text` itself when it has at most `most` characters and can be written as UTF-8. Raises WireError when not."""
    if len(text) > most:
        raise WireError(f"{what} has {len(text)} characters, {most} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise WireError(f"{what} is no text: {exc.reason}") from exc
    return text


def read_time(text: str, what: str) -> datetime:
    """An ISO 8601 time with a zone, in UTC. Raises WireError naming `what`."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise WireError(f"{what} {text[:80]!r} can't be read: {exc}") from exc
    raise WireError(f"{what} {text[:80]!r} has no zone")


def _properties(pairs: Iterable[tuple[str, str]], *, needed: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if not isinstance(value, str):
            raise WireError(f"user property {key[:80]!r} is not text")
        if key in found:
            raise WireError(f"user property {key[:80]!r} is there twice")
        found[key] = value
    if missing := [key for key in needed if key not in found]:
        raise WireError(f"user property {missing[0]!r} is missing")
    return found


def _whole(text: str, what: str, *, most: int = MAX_SEQ) -> int:
    if not WHOLE.fullmatch(text):
        raise WireError(f"{what} {text[:80]!r} is not a whole number")
    if int(text) > most:
        raise WireError(f"{what} must be 0 to {most}")
    return int(text)


def _seconds(text: str, what: str) -> float:
    if not SECONDS.fullmatch(text):
        raise WireError(f"{what} {text[:80]!r} is not a number of seconds with at most three decimals")
    return float(text)


def _one_of(text: str, known: Collection[str], what: str) -> str:
    if text not in known:
        raise WireError(f"{what} {text[:80]!r} is none of {', '.join(known)}")
    return text
