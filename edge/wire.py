"""What agent and server say to each other over MQTT 5: topics and the headers of a frame.

Standard library only: a Raspberry Pi imports this with nothing but paho and PyYAML installed.

    wc/<station>/up/frame    agent → server, QoS 1: the file's bytes; the headers travel as MQTT user properties
    wc/<station>/down/ack    server → agent, QoS 1: JSON list of frame ids that are durable on the server
    wc/<station>/down/refused  server → agent, QoS 1: JSON {"id", "reason"}: never send this frame again

A PUBACK only says that the broker has the message in memory; the agent deletes a frame only on the ack.
docs/protocol.md tells the whole conversation.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal

ROOT = "wc"
UP_FRAMES = f"{ROOT}/+/up/frame"
# A station or frame id becomes a folder, a topic level and a file name: nothing else may be in it.
NAME = re.compile(r"[A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_][A-Za-z0-9ÁÉÍÓÚÜÑáéíóúüñ_.\-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
KINDS = ("still", "clip")
STILL_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
CLIP_SUFFIXES = frozenset({".mp4", ".avi", ".asf", ".mov", ".mkv", ".m4v"})
MAX_BODY_BYTES = 256_000_000  # MQTT's own limit is 268,435,455 bytes a packet, headers included
MAX_SEQ = 2**63 - 1  # what a database column holds


class WireError(ValueError):
    """The message is not one of ours; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What travels beside the bytes of a frame.

    id: unique within the station, made by the agent. captured_at: the agent's clock, aware. boot: id of the agent's
    boot; seq: counts frames of this agent, never reused. kind: "still" or "clip". name: the file's name.
    """

    id: str
    sha256: str
    captured_at: datetime
    boot: str
    seq: int
    kind: str
    name: str

    def to_properties(self) -> list[tuple[str, str]]:
        """The header as MQTT user properties."""
        return [
            ("id", self.id),
            ("sha256", self.sha256),
            ("captured_at", self.captured_at.astimezone(UTC).isoformat()),
            ("boot", self.boot),
            ("seq", str(self.seq)),
            ("kind", self.kind),
            ("name", self.name),
        ]

    @classmethod
    def from_properties(cls, properties: Iterable[tuple[str, str]]) -> "FrameHeader":
        """Read the header back. Raises WireError naming the property that is missing or wrong."""
        found = dict(properties)
        if missing := [
            key for key in ("id", "sha256", "captured_at", "boot", "seq", "kind", "name") if key not in found
        ]:
            raise WireError(f"user property {missing[0]!r} is missing")
        if not NAME.fullmatch(found["id"]):
            raise WireError(f"id {found['id'][:80]!r} is not a frame id")
        if not SHA256.fullmatch(found["sha256"]):
            raise WireError("sha256 is not 64 hexadecimal digits")
        if found["kind"] not in KINDS:
            raise WireError(f"kind {found['kind'][:80]!r} is neither 'still' nor 'clip'")
        try:
            seq = int(found["seq"])
        except ValueError as exc:
            raise WireError(f"seq {found['seq'][:80]!r} is not a whole number") from exc
        if not 0 <= seq <= MAX_SEQ:
            raise WireError(f"seq must be 0 to {MAX_SEQ}")
        return cls(
            found["id"],
            found["sha256"],
            _read_time(found["captured_at"]),
            found["boot"],
            seq,
            found["kind"],
            found["name"],
        )


def frame_topic(station: str) -> str:
    """The topic on which this station publishes frames."""
    return f"{ROOT}/{checked_station(station)}/up/frame"


def ack_topic(station: str) -> str:
    """The topic on which this station hears what is durable."""
    return f"{ROOT}/{checked_station(station)}/down/ack"


def refused_topic(station: str) -> str:
    """The topic on which this station hears what the server will never take."""
    return f"{ROOT}/{checked_station(station)}/down/refused"


def station_of(topic: str) -> str:
    """The station that published on a frame topic. Raises WireError on another topic or a forbidden name."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[0] != ROOT or levels[2:] != ["up", "frame"]:
        raise WireError(f"topic {topic[:120]!r} is not {UP_FRAMES}")
    return checked_station(levels[1])


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


def encode_acks(ids: Iterable[str]) -> bytes:
    """The payload of an ack."""
    return json.dumps(list(ids)).encode()


def decode_acks(payload: bytes) -> list[str]:
    """The ids in an ack. Raises WireError when it is not a list of frame ids."""
    ids = _read_json(payload)
    if not isinstance(ids, list) or not all(isinstance(each, str) and NAME.fullmatch(each) for each in ids):
        raise WireError("ack is not a list of frame ids")
    return ids


def encode_refusal(frame_id: str, reason: str) -> bytes:
    """The payload that tells an agent never to send this frame again."""
    return json.dumps({"id": frame_id, "reason": reason}).encode()


def decode_refusal(payload: bytes) -> tuple[str, str]:
    """(frame id, reason) of a refusal. Raises WireError when it is none."""
    found = _read_json(payload)
    if not isinstance(found, dict) or not isinstance(found.get("id"), str) or not NAME.fullmatch(found["id"]):
        raise WireError("refusal names no frame id")
    return found["id"], str(found.get("reason", ""))


def _read_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise WireError(f"captured_at {text[:80]!r} can't be read: {exc}") from exc
    raise WireError(f"captured_at {text[:80]!r} has no zone")


def _read_json(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise WireError(f"payload is not JSON: {exc}") from exc
