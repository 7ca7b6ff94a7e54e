"""Many light agents in one process: a connection each, frames of one size, a bounded window, no disk.

`python agents.py PORT COUNT SECONDS WARM_S SIZE_BYTES` prints one line of JSON: frames acknowledged, by agent, in the
SECONDS after WARM_S, frames without an ack for long, and the milliseconds from a frame's first byte to its ack.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from delivery_kit import still  # because its folder is set first
from edge.link import Broker, Link, Message
from edge.messages import decode_acks
from edge.wire import FrameHeader, down_topic, up_topic

LATE_S = 5.0  # without an ack; the real one sends it again, which nothing here should make necessary
WINDOW = 4  # frames of one agent under way; the real one allows itself eight
COMMENT = b"\xff\xfe\x00\x0a"  # of a JPEG, eight bytes follow


@dataclass(slots=True)
class LightAgent:
    """One connection. acked: (when, milliseconds) of each frame that the server has."""

    station: str
    port: int
    body: bytes
    number: int = 0
    under_way: dict[str, float] = field(default_factory=dict)
    acked: list[tuple[float, float]] = field(default_factory=list)
    link: Link = field(init=False)

    def __post_init__(self) -> None:
        self.link = Link(
            Broker("127.0.0.1", self.port),
            client_id=f"wc-{self.station}",
            subscribe=down_topic(self.station, "+"),
            on_message=self.hear,
        )

    def hear(self, message: Message) -> None:
        if message.topic != down_topic(self.station, "ack"):
            return
        now_s = time.monotonic()
        for frame_id in decode_acks(message.body):
            if (sent_s := self.under_way.pop(frame_id, None)) is not None:
                self.acked.append((now_s, (now_s - sent_s) * 1000))

    def turn(self, wait_s: float) -> None:
        self.link.turn(wait_s)
        while self.link.ready and not self.link.busy and len(self.under_way) < WINDOW:
            self.send()

    def send(self) -> None:
        self.number += 1
        body = b"".join([self.body[:2], COMMENT, b"%08d" % self.number, self.body[2:]])
        header = FrameHeader(
            id=f"0badcafe-{self.number:08d}",
            sha256=hashlib.sha256(body).hexdigest(),
            captured_at=datetime.now(UTC),
            boot="0badcafe",
            seq=self.number,
            kind="still",
            name=f"{self.number:08d}.jpg",
        )
        self.under_way[header.id] = time.monotonic()
        self.link.publish(up_topic(self.station, "frame"), body, properties=header.to_properties())


def turns(agents: list[LightAgent], until_s: float) -> Iterator[float]:
    """Let each have its turn, over and over."""
    while (now_s := time.monotonic()) < until_s:
        before = sum(len(agent.acked) + agent.number for agent in agents)
        for agent in agents:
            agent.turn(0)
        if before == sum(len(agent.acked) + agent.number for agent in agents):
            time.sleep(0.001)
        yield now_s


def main() -> None:
    port, count, seconds, warm_s, size_bytes = (float(each) for each in sys.argv[1:])
    body = still(int(size_bytes))
    agents = [LightAgent(f"light-{number + 1:02}", int(port), body) for number in range(int(count))]
    with ExitStack() as stack:
        for agent in agents:
            stack.enter_context(agent.link)
            agent.link.connect()
        began_s = time.monotonic() + warm_s
        for _now_s in turns(agents, began_s + seconds):
            pass
    within = [[ms for at_s, ms in agent.acked if at_s >= began_s] for agent in agents]
    late = sum(time.monotonic() - sent_s > LATE_S for agent in agents for sent_s in agent.under_way.values())
    delays = sorted(ms for each in within for ms in each)
    print(
        json.dumps(
            {
                "acked": [len(each) for each in within],
                "unanswered": late,
                "delays_ms": delays[:: max(1, len(delays) // 1000)],
            }
        )
    )


if __name__ == "__main__":
    main()
