"""A frame that ends the process of whoever looks at it, among others: how long those wait, and what becomes of it.

A stage from a plug-in, installed beside the daemon for this, calls os._exit for one content. The daemon is started
again at once each time, as systemd does after its RestartSec.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .parts import Daemon, install_plugin, still, wait_until

MOST_DEATHS = 6
EVERY_S = 0.3  # another frame

SITE = """
sources: [{use: watch, folder: inbox, settle_s: 0.1, rescan_s: 0.3}]
stages: [{use: poison}]
limits: {inbox_frames: 2}
"""
PLUGIN = """
import os
from contextlib import contextmanager
from pydantic import BaseModel
from edge.api import StageSpec, hookimpl

class Config(BaseModel):
    pass

@contextmanager
def build(config, services):
    def look(frame):
        if frame.spooled.name.endswith("poison.jpg"):
            os._exit(9)
        return frame
    yield look

@hookimpl
def tigrillo_stages():
    return [StageSpec("poison", Config, build)]
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """deaths: of the daemon. longest_s: what another frame waited from its arrival, or from the start if later.

    beside: frames that were in work beside the poisoned one when it struck; they wait for their turn as it does.
    """

    deaths: int
    longest_s: float
    beside: int
    quarantined: dict[str, str]
    recorded: int
    others: int


def poison(folder: Path) -> Figures:
    """The poisoned frame is the oldest; others come before and after each death."""
    folder.mkdir()
    inbox = folder / "site" / "inbox" / "cam-1"
    daemon = Daemon(folder / "site", SITE, install_plugin(folder / "plugin", "poison", PLUGIN))
    inbox.mkdir(parents=True)
    (inbox / "poison.jpg").write_bytes(still(99))
    deaths = others = 0
    try:
        while deaths < MOST_DEATHS:
            daemon.start(sign="site.started")
            while not daemon.ended and not daemon.count("quarantined"):
                others += 1
                (inbox / f"{others:03}.jpg").write_bytes(still(others))
                time.sleep(EVERY_S)
            if not daemon.ended:
                break
            deaths += 1
            daemon.end()
        wait_until(lambda: daemon.count("recorded") == others, 20, daemon.said)
    finally:
        daemon.end()
    rows = daemon.rows()
    quarantined = {row["name"]: row["reason"] for row in rows if row["state"] == "quarantined"}
    done = [row for row in rows if row["state"] == "recorded"]
    starts = [_moment(line["timestamp"]) for line in daemon.lines("site.started")]
    waited = [_waited_s(row, starts) for row in done if row["attempts"] == 1]
    return Figures(deaths, max(waited), sum(row["attempts"] > 1 for row in done), quarantined, len(done), others)


def _waited_s(row: Mapping[str, Any], starts: Sequence[datetime]) -> float:
    received, recorded = _moment(row["received_at"]), _moment(row["recorded_at"])
    return (recorded - max([received, *(start for start in starts if start < recorded)])).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
