"""A frame's header and bytes → Incoming, as the sink takes it."""

import hashlib
from pathlib import Path

from edge.api import AgentFacts, CaptureTime, Incoming, Services, wire


def incoming_of(services: Services, station: str, header: wire.FrameHeader, body: bytes | Path) -> Incoming:
    """A frame as the sink takes it. A Path is a file of ours.

    The time is the corrected one when the agent has one, none when its clock knew nothing; what it said is kept.
    """
    said = header.captured_at.isoformat()
    utc = header.corrected_at or (header.captured_at if header.clock != "unknown" else None)
    return Incoming(
        station=station,
        name=header.name,
        kind="still" if header.kind == "still" else "clip",
        body=body,
        source="mqtt",
        id=header.id,
        sha256=header.sha256,
        captured=CaptureTime(utc, said, services.timezone_of(station), "agent"),
        ours=not isinstance(body, bytes),
        agent=AgentFacts(
            boot=header.boot,
            boot_count=header.boot_count,
            seq=header.seq,
            uptime_s=header.uptime_s,
            clock=header.clock,
            triggered_by=header.trigger,
            stands_for=header.stands_for,
            waited_s=header.waited_s,
        ),
    )


def is_damaged(incoming: Incoming) -> bool:
    """Whether the bytes are not those that the agent meant."""
    if isinstance(incoming.body, bytes):
        return hashlib.sha256(incoming.body).hexdigest() != incoming.sha256
    with incoming.body.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != incoming.sha256
