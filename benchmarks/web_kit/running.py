"""The site's processes: a real daemon with its real page, and a camera that gives it frames."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import func, select

from edge.store.readers import Readers
from edge.store.schema import frames

from . import plugin
from .seed import STATIONS, station
from .visitors import HOST, percentile

READY_S = 120.0
STATION = "  - {{name: {name}, latitude: {latitude}, longitude: -73.8}}"
SITE = """\
site: {{name: Bench, language: es, timezone: America/Bogota}}
{database}
stations:
{stations}
sources: [{{use: watch, folder: inbox, settle_s: 0.5, rescan_s: 30}}]
stages: [{{use: bench-puma}}]
channels: [{{name: screen, use: console}}]
rules: [{{name: animals, category: animal, channels: [screen]}}]
web: {{port: {port}}}
"""


def write_site(folder: Path, database: str, port: int) -> Path:
    """The site's YAML. database: "" for SQLite in its state folder, else PostgreSQL's address."""
    stations = "\n".join(STATION.format(name=station(each), latitude=4 + each / 1000) for each in range(STATIONS))
    site = folder / "site.yaml"
    line = f"database: {database}" if database else ""
    site.write_text(SITE.format(database=line, stations=stations, port=port), "utf-8")
    for each in range(STATIONS):
        (folder / "inbox" / station(each)).mkdir(parents=True, exist_ok=True)
    plugin.install(folder / "plugin")
    return site


@dataclass
class Running:
    """The daemon and its page."""

    daemon: psutil.Process
    web: psutil.Process

    def web_mb(self) -> float:
        """What the page takes on top of the daemon: its process and those it started, MB resident."""
        return sum(each.memory_info().rss for each in (self.web, *self.web.children(recursive=True))) / 1e6

    def web_cpu_s(self) -> float:
        """Of the page's process, since its start."""
        used = self.web.cpu_times()
        return float(used.user + used.system)

    def daemon_mb(self) -> float:
        """The daemon's own, MB resident."""
        return float(self.daemon.memory_info().rss) / 1e6


@contextmanager
def running(site: Path, port: int, log: Path) -> Iterator[Running]:
    """`tigrillo run` from its first answer to the end of the context. Raises SystemExit when there is none."""
    environment = {**os.environ, "PYTHONPATH": str(site.parent / "plugin")}
    with log.open("ab") as out:
        command = [sys.executable, "-m", "edge.cli", "run", str(site), "--log-json"]
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        until = time.monotonic() + READY_S
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the site does not come up:\n{log.read_text('utf-8')[-3000:]}")
            time.sleep(0.2)
        daemon = psutil.Process(process.pid)
        # the page, whatever started it: the child that listens
        web = next(each for each in daemon.children(recursive=True) if _listens(each, port))
        yield Running(daemon, web)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(each.laddr.port == port for each in process.net_connections("tcp") if each.status == "LISTEN")
    except psutil.Error:
        return False


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def camera(site: Path, picture: bytes, *, per_s: float) -> Iterator[None]:
    """Frames, each of another content, into the watched folders of one station after the other."""
    stop = threading.Event()

    def give() -> None:
        began, number = time.monotonic(), 0
        while not stop.wait(max(0.0, began + number / per_s - time.monotonic())):
            number += 1
            name = f"{time.time_ns()}.jpg"
            new = site.parent / name
            new.write_bytes(picture + name.encode())  # after the picture's end, where no decoder looks
            shutil.move(new, site.parent / "inbox" / station(number % STATIONS) / name)

    giver = threading.Thread(target=give)
    giver.start()
    try:
        yield
    finally:
        stop.set()
        giver.join()


@dataclass(frozen=True, slots=True)
class Ingested:
    """What was recorded in a time. delay_s: from the file's last byte to its row, median and p95."""

    per_s: float
    delay_s: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{self.per_s:.2f} frames/s recorded, {self.delay_s[0]:.1f} s after the file, p95 {self.delay_s[1]:.1f} s"
        )


class Meter:
    """Counts what is recorded between two moments."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self.begin()

    def begin(self) -> None:
        """From now on."""
        self._since, self._began = datetime.now(UTC), time.monotonic()
        with self._readers.read() as connection:
            self._last = int(connection.scalar(select(func.max(frames.c.pk))) or 0)

    def end(self) -> Ingested:
        """Since `begin`."""
        with self._readers.read() as connection:
            # with those that came just before and were recorded since, as those of the end will be recorded later
            few = select(frames.c.name, frames.c.recorded_at).where(frames.c.pk > self._last - 200)
            rows = connection.execute(few.where(frames.c.recorded_at >= self._since)).all()
        spent = time.monotonic() - self._began
        given = [at.timestamp() - int(Path(name).stem) / 1e9 for name, at in rows]
        return Ingested(len(rows) / spent, (median(given), percentile(given, 95)) if given else (0.0, 0.0))
