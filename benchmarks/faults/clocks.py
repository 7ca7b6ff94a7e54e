"""Clocks that jump by an hour and by a year, both ways, and one that was never set; libfaketime turns them.

Only the wall clock is turned: the monotonic one goes on, as it does on a real machine.
"""

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .parts import Agent, Daemon, Mosquitto, install_plugin, still, wait_until

HOUR, YEAR = 3_600, 365 * 86_400
JUMPS = (HOUR, -HOUR, YEAR, -YEAR)
STAY_S = 2.0  # at each of them
RIGHT_S = 5.0  # a time that is nearer to the truth counts as right
SITE = """
sources: [{{use: mqtt, port: {port}}}]
stages: [{{use: motion}}]
"""
COOLDOWN_S = 4.0
# Every frame shows an animal and is an encounter of its own; only the cooldown keeps messages back.
COOLDOWN_SITE = """
sources: [{{use: mqtt, port: {port}}}]
stages: [{{use: sees}}]
channels: [{{name: screen, use: console}}]
alerts: {{gap_min: 0, updates: 0}}
rules: [{{name: all, category: animal, channels: [screen], cooldown_min: {minutes}}}]
"""
SEES = """
from contextlib import contextmanager
from dataclasses import replace
from pydantic import BaseModel
from edge.api import Detection, StageSpec, hookimpl

class Config(BaseModel):
    pass

@contextmanager
def build(config, services):
    yield lambda frame: replace(frame, detections=(Detection("animal", 0.9, (0.1, 0.1, 0.5, 0.5)),))

@hookimpl
def tigrillo_stages():
    return [StageSpec("sees", Config, build, writes=frozenset({"detections"}))]
"""


def library() -> str:
    """Where libfaketime is; "" when it is not installed."""
    return next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")


@dataclass(frozen=True, slots=True)
class Turned:
    """A clock that is turned by writing into a file."""

    file: Path

    def environment(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its older name
        }

    def by(self, seconds: int) -> None:
        """From now on it is off by so much."""
        temporary = self.file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n")
        temporary.replace(self.file)


@dataclass(frozen=True, slots=True)
class Figures:
    """frames: captured. in_order: whether (boot_count, seq) and the times that are used are in the order of capture.

    right: frames whose time is within 5 s of the truth. said_wrong: how many the camera itself dated wrongly.
    """

    what: str
    frames: int
    arrived: int
    in_order: bool
    right: int
    said_wrong: int
    flagged: bool
    recorded: int


def agent_jumps(folder: Path) -> Figures:
    """The station's clock jumps four times, while it takes ten pictures a second."""
    folder.mkdir()
    turned = Turned(folder / "faketime")
    turned.by(0)

    def hurt(agent: Agent) -> None:
        wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
        for jump in JUMPS:
            turned.by(jump)
            time.sleep(STAY_S)

    return _watch(folder, "the station's clock: +-1 h, +-1 year", turned, hurt, frames=120)


def no_clock_at_boot(folder: Path) -> Figures:
    """1970 at the start, and no server for the first pictures."""
    folder.mkdir()
    turned = Turned(folder / "faketime")
    turned.by(-int(time.time()) + 86_400)

    def hurt(agent: Agent) -> None:
        wait_until(lambda: agent.status().get("acked", 0) > 20, 20, agent.said)

    return _watch(folder, "no clock at boot, no server for 2 s", turned, hurt, frames=50, alone_s=2.0)


def _watch(folder: Path, what: str, turned: Turned, hurt: Any, *, frames: int, alone_s: float = 0.0) -> Figures:
    broker = Mosquitto(folder)
    daemon = Daemon(folder / "server", SITE.format(port=broker.port))
    agent = Agent(
        folder, broker.port, pictures=[still(each) for each in range(5)], every_s=0.1, frames=frames,
        environment=turned.environment(), more="health: {every_s: 10}\n",
    )  # fmt: skip
    try:
        broker.start()
        if not alone_s:
            daemon.start()
        agent.start()
        wait_until(agent.status, 20, agent.said)
        started_s = time.time() - agent.status()["uptime_s"]
        if alone_s:
            wait_until(lambda: agent.status().get("captured", 0) > 5, 20, agent.said)
            time.sleep(alone_s)
            daemon.start()
        hurt(agent)
        wait_until(agent.has_all, 40, agent.said)
        wait_until(lambda: daemon.count("recorded") == frames, 10, daemon.said)
    finally:
        agent.end()
        daemon.end()
        broker.end()
    return _figures(what, daemon, frames, started_s)


def _figures(what: str, daemon: Daemon, captured: int, started_s: float) -> Figures:
    rows = sorted(daemon.rows(), key=lambda row: (row["boot_count"], row["seq"]))
    used = [_moment(row["captured_utc"]) for row in rows if row["captured_utc"]]
    said = [datetime.fromisoformat(row["captured_original"]) for row in rows]
    first = rows[0]
    truth = [started_s + row["uptime_s"] for row in rows]  # uptime never jumps
    right = sum(
        bool(row["captured_utc"]) and abs(_moment(row["captured_utc"]).timestamp() - true_s) < RIGHT_S
        for row, true_s in zip(rows, truth, strict=True)
    )
    wrong = sum(abs(each.timestamp() - true_s) > RIGHT_S for each, true_s in zip(said, truth, strict=True))
    uptimes = [row["uptime_s"] for row in rows]
    in_order = uptimes == sorted(uptimes) and used == sorted(used) and first["seq"] == 1
    flagged = bool(daemon.lines("station.drift"))
    recorded = sum(row["state"] == "recorded" for row in rows)
    return Figures(what, captured, len(rows), in_order, right, wrong, flagged, recorded)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """longest_s: the longest time from one new row to the next, by our own clock, with ten pictures a second."""

    what: str
    frames: int
    arrived: int
    recorded: int
    in_order: bool
    longest_s: float


def server_jumps(folder: Path) -> ServerFigures:
    """The server's clock jumps four times, while a station sends."""
    folder.mkdir()
    turned = Turned(folder / "faketime")
    turned.by(0)
    broker = Mosquitto(folder)
    daemon = Daemon(folder / "server", SITE.format(port=broker.port), turned.environment())
    agent = Agent(folder, broker.port, pictures=[still(each) for each in range(5)], every_s=0.1, frames=100)
    jumps = iter(JUMPS)
    try:
        broker.start()
        daemon.start()
        agent.start()
        wait_until(lambda: daemon.count("recorded") > 3, 20, daemon.said)
        known, longest_s, seen_s, jumped_s = daemon.count("recorded"), 0.0, time.monotonic(), time.monotonic()
        while known < 100 and time.monotonic() - seen_s < 20:
            time.sleep(0.05)
            now_s = time.monotonic()
            if now_s - jumped_s > STAY_S and (jump := next(jumps, None)) is not None:
                turned.by(jump)
                jumped_s = now_s
            if (count := daemon.count("recorded")) > known:
                known, longest_s, seen_s = count, max(longest_s, now_s - seen_s), now_s
        wait_until(agent.has_all, 20, agent.said)
    finally:
        agent.end()
        daemon.end()
        broker.end()
    rows = daemon.rows()
    uptimes = [row["uptime_s"] for row in sorted(rows, key=lambda row: (row["boot_count"], row["seq"]))]
    in_order = uptimes == sorted(uptimes)
    what = "the server's clock: +-1 h, +-1 year"
    return ServerFigures(what, 100, len(rows), daemon.count("recorded"), in_order, longest_s)


@dataclass(frozen=True, slots=True)
class CooldownFigures:
    """sent: messages; pauses_s: between one and the next, by a clock that nobody sets. held_back: by the cooldown."""

    what: str
    frames: int
    sent: int
    pauses_s: tuple[float, ...]
    held_back: int


def cooldown_jumps(folder: Path) -> CooldownFigures:
    """The server's clock jumps four times while a rule with a cooldown holds for every frame of a station."""
    folder.mkdir()
    turned = Turned(folder / "faketime")
    turned.by(0)
    broker = Mosquitto(folder)
    environment = {**turned.environment(), **install_plugin(folder / "plugin", "sees", SEES)}
    site = COOLDOWN_SITE.format(port=broker.port, minutes=COOLDOWN_S / 60)
    daemon = Daemon(folder / "server", site, environment)
    agent = Agent(folder, broker.port, pictures=[still(each) for each in range(5)], every_s=0.2, frames=130)
    jumps, sent_s = iter(JUMPS), list[float]()
    try:
        broker.start()
        daemon.start()
        agent.start()
        jumped_s = time.monotonic()
        while len(sent_s) < 6 and time.monotonic() - jumped_s < 30:
            time.sleep(0.02)
            now_s = time.monotonic()
            if daemon.said().count("ALERT ") > len(sent_s):
                sent_s.append(now_s)
            if sent_s and now_s - jumped_s > COOLDOWN_S * 0.7 and (jump := next(jumps, None)) is not None:
                turned.by(jump)
                jumped_s = now_s
        wait_until(agent.has_all, 30, agent.said)
    finally:
        agent.end()
        daemon.end()
        broker.end()
    held_back = daemon.rows("select count(*) n from notices where reason = 'cooldown'")[0]["n"]
    pauses_s = tuple(round(later - sooner, 1) for sooner, later in itertools.pairwise(sent_s))
    what = "a cooldown of 4 s, the server's clock: +-1 h, +-1 year"
    return CooldownFigures(what, len(daemon.rows()), len(sent_s), pauses_s, held_back)
