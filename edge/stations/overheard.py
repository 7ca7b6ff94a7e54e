"""What our broker refused, from what it prints: a line → an event that is counted, and said once a minute and kind.

What mosquitto refuses never reaches the daemon as a message. That it denied a topic it says among its debugging lines
only, about four a frame; they are read, and go no further.
"""

import re
from typing import IO

from ..clock import Clock
from ..model import Event
from ..services import Emit, Log

LINE_BYTES = 4_096  # of a longer line, such as one with a topic of 64 KB, the rest is read as lines that say nothing
STAMP = re.compile(rb"^\d+: ")
DENIED = re.compile(r"^Denied PUBLISH from (?P<who>\S+) \(.*?'(?P<topic>[^']*)")
PACKET = re.compile(r"^Client (?P<who>\S+) disconnected due to (?P<what>(?:oversize|malformed) packet|protocol error)")
HANDSHAKE = re.compile(
    r"(?:OpenSSL Error\[0\]|Client connection from (?P<address>\S+) failed): .*SSL routines::(?P<what>.+?)\.?$"
)
# mosquitto 2.0 and 2.1 print these as notices, warnings and errors; what else it prints is about single messages.
FOR_PEOPLE = re.compile(
    r"^(?:mosquitto version|Config loaded|Opening ipv|mosquitto .*terminating|Error|Warning|Reloading|"
    r"New client connected|Client .+ (?:disconnected|closed|already connected|has exceeded))"
)
UNKNOWN = "<unknown>"


class Overheard:
    """Reads what the broker prints. emit: told of each refusal. log: gets each line that is for people."""

    def __init__(self, emit: Emit, clock: Clock, log: Log) -> None:
        self._emit = emit
        self._clock = clock
        self._log = log

    def listen(self, pipe: IO[bytes]) -> None:
        """Read until the broker closes its end."""
        while line := pipe.readline(LINE_BYTES):
            if (event := self.event_of(line)) is not None:
                self._emit(event)
            elif text := for_people(line):
                self._log.info("broker.said", text=text)

    def event_of(self, line: bytes) -> Event | None:
        """The refusal that a line tells of; None when it tells of none."""
        text = _text(line)
        if found := DENIED.match(text):
            return self._event(found["who"], "topic", f"the broker denied topic {found['topic'][:120]!r}")
        if found := PACKET.match(text):
            return self._event(found["who"], "packet", f"the broker hung up: {found['what']}")
        if found := HANDSHAKE.search(text):
            kind = "certificate" if "certificate" in found["what"] else "handshake"
            return self._event("", kind, f"the broker took nobody in: {found['what'][:120]}")
        return None

    def _event(self, who: str, kind: str, reason: str) -> Event:
        station = "" if who == UNKNOWN else who[:64]
        fields = {"source": "broker", "reason": reason, "refusal": kind}
        return Event("receive", self._clock.now(), ok=False, station=station, fields=fields)


def for_people(line: bytes) -> str:
    """A line that belongs into the log: about the broker or a known client, and no debugging line; "" otherwise."""
    text = _text(line)
    return text if UNKNOWN not in text and FOR_PEOPLE.match(text) else ""


def _text(line: bytes) -> str:
    return STAMP.sub(b"", line).decode("utf-8", "replace").rstrip()
