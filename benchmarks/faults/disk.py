"""A disk that is full to the last byte, at the agent, below the server's spool, below its database; and room again.

Small tmpfs mounts, named with our pid, unmounted with the block that made them. Needs root.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .parts import Agent, Daemon, Mosquitto, still, wait_until

FULL_S = 7.0  # after so long, a frame that is left to itself is sent again another 7 s later
SITE = "sources: [{{use: mqtt, port: {port}}}]\nstages: [{{use: motion}}]\n"
HEALTH = "health: {every_s: 10}\n"


@contextmanager
def tmpfs(path: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `path`, gone with the block."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", f"tgfault{os.getpid()}", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def allowed(folder: Path) -> bool:
    """Whether this machine lets us mount one."""
    with suppress(OSError, subprocess.CalledProcessError), tmpfs(folder, "64k"):
        return True
    return False


@contextmanager
def full(mount: Path) -> Iterator[None]:
    """Not a byte is free on it until the end of the block: what others free is taken at once."""
    ballast, stop = mount / "ballast", threading.Event()
    with ballast.open("wb", buffering=0) as file:
        _fill(file)

        def go_on() -> None:
            while not stop.wait(0.005):
                _fill(file)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            ballast.unlink()


def _fill(file: IO[bytes]) -> None:
    for size in (2**16, 2**12, 1):
        with suppress(OSError):
            while file.write(bytes(size)) == size:
                pass


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one full disk. said: the state that was found while it was full. back_s: from room to the next ack."""

    where: str
    said: str
    back_s: float
    captured: int
    acked: int
    dropped: int
    rows: int
    damage: tuple[str, ...]


def _next_ack_s(agent: Agent) -> float:
    """Seconds from now to an ack of a frame that is not acknowledged yet."""
    before, began_s = int(agent.status()["acked"]), time.monotonic()
    wait_until(lambda: agent.status().get("acked", 0) > before, 40, agent.said)
    return time.monotonic() - began_s


def _finish(agent: Agent, daemon: Daemon, where: str, said: str, back_s: float) -> Figures:
    """Let the agent hand over what it has, and count."""
    agent.end()
    status = agent.status()
    rows = len(daemon.rows())
    damage = tuple(daemon.damage())
    return Figures(where, said, back_s, status["captured"], status["acked"], status["dropped"], rows, damage)


@contextmanager
def _site(folder: Path) -> Iterator[tuple[Mosquitto, Daemon]]:
    folder.mkdir()
    broker = Mosquitto(folder)
    daemon = Daemon(folder / "server", SITE.format(port=broker.port))
    try:
        broker.start()
        yield broker, daemon
    finally:
        daemon.end()
        broker.end()


def at_the_agent(folder: Path) -> Figures:
    with _site(folder) as (broker, daemon), tmpfs(folder / "card", "3m") as card:
        daemon.start()
        agent = Agent(
            folder, broker.port, pictures=[still(each) for each in range(5)], every_s=0.1, state=card / "state",
            more=HEALTH,
        )  # fmt: skip
        agent.start()
        try:
            wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
            with full(card):
                wait_until(lambda: "full" in _health(daemon), 25, daemon.said)
                said = f"health at the server: dropped {_health(daemon)}"
            back_s = _next_ack_s(agent)
            time.sleep(1)
        finally:
            agent.end()
        return _finish(agent, daemon, "the agent's card", said, back_s)


def _health(daemon: Daemon) -> str:
    rows = daemon.rows("select json_extract(health, '$.dropped') dropped from station_state")
    return str(rows[0]["dropped"]) if rows else ""


def below_the_spool(folder: Path) -> Figures:
    with _site(folder) as (broker, daemon), tmpfs(daemon.state / "media", "4m") as media:
        return _server_disk(folder, broker, daemon, media, "the server's spool")


def below_the_database(folder: Path) -> Figures:
    with _site(folder) as (broker, daemon), tmpfs(daemon.state, "3m") as state:
        (folder / "media").mkdir()
        (state / "media").symlink_to(folder / "media")
        return _server_disk(folder, broker, daemon, state, "the server's database")


def _server_disk(folder: Path, broker: Mosquitto, daemon: Daemon, mount: Path, where: str) -> Figures:
    daemon.start()
    pictures = [still(each) for each in range(5)]
    agent = Agent(folder, broker.port, pictures=pictures, every_s=0.25)
    agent.start()
    try:
        wait_until(lambda: agent.status().get("acked", 0) > 3, 20, agent.said)
        with full(mount):
            wait_until(lambda: daemon.lines("mqtt.deferred"), 20, daemon.said)
            time.sleep(FULL_S)
            said = f"log: {daemon.lines('mqtt.deferred')[-1]['reason']}"
            if deferred := daemon.status().get("deferred", {}).get("count"):
                said += f"; status.json: {deferred} deferred"
        back_s = _next_ack_s(agent)
        time.sleep(1)
        return _finish(agent, daemon, where, said, back_s)
    finally:
        agent.end()
