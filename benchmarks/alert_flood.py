"""A herd stands in front of the lens: how many messages does it make, and what does deciding that cost?

Usage: python benchmarks/alert_flood.py [--frames N]

2,000 frames in ten minutes, by a stepped clock: three animals, closer or farther, named more or less finely by chance.
Store, desk and outbox are the daemon's (tests/alert_rig.py), the channels keep what they get. Measured is the desk's
part of each frame (edge/alerts/desk.py): encounter, three rules, messages; the frame's transaction around it not.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alert_kit import percentiles, told
from kit import machine
from sqlalchemy import Connection

from edge.alerts.desk import AlertDesk
from edge.alerts.people import Recipient
from edge.alerts.rules import Rule
from edge.model import Outcome, Taxon
from tests.alert_rig import Rig, animal

MINUTES, FRAMES, SEED = 10, 2_000, 3
GOAL_MESSAGES = 3
FAMILY = ("Animalia", "Chordata", "Mammalia", "Proboscidea", "Elephantidae")
NAMES = (
    Taxon("Elephantidae", "family", FAMILY, "elephant family", "elefante"),
    Taxon("Loxodonta africana", "species", (*FAMILY, "Loxodonta", "Loxodonta africana"), "elephant", "elefante"),
    None,
)
RECIPIENTS = (
    Recipient(name="ana", reach={"mail": "ana@example.org"}),
    Recipient(name="ben", reach={"mail": "ben@example.org"}),
)
RULES = (
    Rule(name="animals", category="animal", to=("ana", "ben"), channels=("board",)),
    Rule(name="elephants", taxon="Elephantidae", severity="critical", to=("ana",)),
    Rule(name="cats", taxon="Felidae", to=("ana",)),
)


@dataclass(slots=True)
class Timed:
    """A desk, and the milliseconds that it took for each frame."""

    desk: AlertDesk
    spent_ms: list[float] = field(default_factory=list)

    def note(self, connection: Connection, outcome: Outcome, now: datetime) -> int:
        began_s = time.perf_counter()
        queued = self.desk.note(connection, outcome, now)
        self.spent_ms.append((time.perf_counter() - began_s) * 1000)
        return queued


def flood(folder: Path, frames: int) -> tuple[Counter[str], int, list[float]]:
    """(messages by addressee, encounters, milliseconds of the desk for each frame)."""
    rig, chance = Rig(folder, RULES, RECIPIENTS, channels=("mail", "board")), Random(SEED)
    desk = Timed(rig.desk)
    rig.desk = desk  # type: ignore[assignment]  # because the rig calls no more of it
    for number in range(frames):
        rig.see(*(animal(chance.choice(NAMES), chance.uniform(0.4, 0.99), chance.uniform(0.1, 0.7)) for _ in range(3)))
        rig.clock.step(MINUTES * 60 / frames)
        if number % 10 == 0:
            rig.send()
    rig.live(300)
    messages = Counter(row.addressee for row in rig.rows() if row.state == "sent")
    encounters = rig.store.count_encounters()
    rig.store.close()
    return messages, encounters, desk.spent_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES)
    chosen = parser.parse_args()
    print(f"$ python benchmarks/{Path(__file__).name} {' '.join(sys.argv[1:])}".rstrip())
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="tigrillo-flood-") as folder:
        messages, encounters, spent_ms = flood(Path(folder), chosen.frames)
    print(f"  {chosen.frames} frames in {MINUTES} minutes; messages: {dict(messages)}")
    last = spent_ms[-len(spent_ms) // 10 :]
    p50, p95, longest = percentiles(spent_ms)
    print(f"  the desk a frame: p50 {p50:.1f}, p95 {p95:.1f}, max {longest:.1f} ms; of the last tenth p50 ", end="")
    print(f"{percentiles(last)[0]:.1f} ms")
    good = [
        told("encounters", encounters, 1),
        told("messages to one recipient, at most", max(messages.values()), GOAL_MESSAGES),
    ]
    print(f"ratio: {sum(good) / len(good):.2f} (goals reached)")


if __name__ == "__main__":
    main()
