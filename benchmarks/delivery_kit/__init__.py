"""What delivery.py measures with: a site with a stand-in for the detector, light agents, processes that are watched."""

import json
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import simplejpeg

from edge.chaos.pictures import padded
from edge.demo.parts import Crew, Part, broker_command, free_port, wait_for_port

FRAME_BYTES = 200_000
UP_S = 30.0
SITE = """\
site: {{name: Benchmark}}
state_dir: state
sources: [{{use: mqtt, host: 127.0.0.1, port: {port}, client_id: benchmark}}]
stages: [{{use: stand-in, detector_ms: {detector_ms}}}]
alerts: {{gap_min: 0}}
channels: [{{name: told, use: note, file: "{folder}/told.txt"}}]
rules: [{{name: fresh, category: animal, channels: [told]}}]
"""


def still(size_bytes: int = FRAME_BYTES, *, seed: int = 1) -> bytes:
    """A picture that is quick to decode, with random bytes in its comments up to `size_bytes`."""
    tiny = simplejpeg.encode_jpeg(np.full((24, 32, 3), 96, np.uint8), quality=80, colorspace="BGR")
    return padded(tiny, size_bytes, Random(seed))


@dataclass(slots=True)
class Watched:
    """A process's peak memory, resident, in MB, and its processor seconds, sampled ten times a second."""

    pid: int
    peak_mb: float = 0.0
    first_mb: float = 0.0
    cpu_s: float = 0.0
    _end: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Sample until it ends or `stop`; in a thread."""
        try:
            process = psutil.Process(self.pid)
            while not self._end.wait(0.1):
                times = process.cpu_times()
                self.first_mb = self.first_mb or process.memory_info().rss / 1e6
                self.peak_mb = max(self.peak_mb, process.memory_info().rss / 1e6)
                self.cpu_s = times.user + times.system
        except psutil.NoSuchProcess:
            return

    def stop(self) -> None:
        """No more samples."""
        self._end.set()


@contextmanager
def watched(pid: int) -> Iterator[Watched]:
    """Sample a process as long as the context lasts."""
    found = Watched(pid)
    thread = threading.Thread(target=found.watch)
    thread.start()
    try:
        yield found
    finally:
        found.stop()
        thread.join()


@dataclass(slots=True)
class Place:
    """A folder with a broker and a server in it. port: the broker's."""

    folder: Path
    crew: Crew
    port: int
    server: Part

    @property
    def server_pid(self) -> int:
        """The process that receives."""
        assert self.server.process is not None
        return self.server.process.pid

    def rows(self, what: str = "count(*)", where: str = "1") -> Any:
        """A figure of the table of frames; 0 while the database is busy or not there."""
        try:
            path = self.folder / "state" / "tigrillo.sqlite"
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
            try:
                return connection.execute(f"select {what} from frames where {where}").fetchone()[0]
            finally:
                connection.close()
        except sqlite3.OperationalError:
            return 0


@contextmanager
def open_place(folder: Path, *, detector_ms: float) -> Iterator[Place]:
    """Broker and server, running and connected. detector_ms: how long the stand-in takes a picture, asleep."""
    port = free_port()
    (folder / "site.yaml").write_text(SITE.format(port=port, folder=folder, detector_ms=detector_ms), "utf-8")
    with Crew(folder) as crew:
        name, command = broker_command(folder, port)
        if name == "mosquitto":  # with the bounds of a site's own broker (edge/stations/mosquitto.py)
            config = folder / "mosquitto.conf"
            own = "max_queued_messages 500\nmax_queued_bytes 50000000\nmax_inflight_messages 20"
            config.write_text(config.read_text().replace("max_queued_messages 100", own))
        crew.start("broker", command)
        wait_for_port(port)
        script = Path(__file__).with_name("server.py")
        server = crew.start("server", [sys.executable, str(script), str(folder / "site.yaml")])
        until = time.monotonic() + UP_S
        while "mqtt.connected" not in server.log.read_text():
            if server.has_ended() or time.monotonic() > until:
                raise SystemExit(f"the server does not receive:\n{server.log.read_text()}")
            time.sleep(0.05)
        yield Place(folder, crew, port, server)


def read_json(path: Path) -> dict[str, Any]:
    """A status file; empty while it is not there."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found
