"""A whole site in a folder, with two weeks of record behind it, and the real processes over it.

    with House(tmp_path) as house:        # `tigrillo run`, which serves the page
        house.url, house.password

People: ana (admin), rosa (reviewer), juan (viewer). Pictures are our own (scenes.py).
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from sqlalchemy import update

from edge.alerts.desk import AlertDesk, AlertSettings
from edge.clock import SystemClock
from edge.config import Plan, load_plan
from edge.configuring.changes import Changes
from edge.model import Answer, CaptureTime, Detection, Outcome, PictureResult, SpooledFrame
from edge.models.taxa import all_taxa
from edge.passwords import Hasher
from edge.pipeline.recording import note_outcome
from edge.registry import load_registry
from edge.store import users
from edge.store.schema import encounters, notices
from edge.store.sql import Store
from tests.browser.scenes import scene
from tests.e2e.waiting import HOST, free_port, wait_until

SITE = """\
# The reserve's cameras.
site: {{name: Reserva El Silencio, language: {language}, timezone: America/Bogota}}
state_dir: state
stations:
  - {{name: quebrada-norte, latitude: 4.6512, longitude: -73.9120}}
  - {{name: filo-alto, latitude: 4.6733, longitude: -73.9044}}
  - {{name: salado, latitude: 4.6420, longitude: -73.8931}}
  - {{name: camino-viejo, latitude: 4.6608, longitude: -73.8840}}
  - {{name: rio-claro, latitude: 4.6295, longitude: -73.9077}}
sources:
  - {{use: watch, folder: inbox, settle_s: 0.3, rescan_s: 2}}
{sources}
stages:
  - {{use: detect, model: megadetector-lite}}
  - {{use: classify, model: efficientnet-lite0}}
  - {{use: rollup}}
channels:
  - {{name: radio, use: console}}   # the radio room's printer
rules:
  # What everybody waits for.
  - {{name: cats, taxon: Felidae, min_score: 0.85, severity: critical, channels: [radio]}}
  - {{name: perhaps a cat, taxon: Felidae, min_score: 0.66, channels: [radio]}}
  - {{name: people at night, category: person, severity: warning, channels: [radio]}}
web: {{listen: {host}, port: {port}}}
"""
STATIONS = ("quebrada-norte", "filo-alto", "salado", "camino-viejo", "rio-claro")
# taxon → how often, and the hours in which it is about.
WHO = {
    "Panthera onca": (2, (2, 3, 20, 23)),
    "Leopardus pardalis": (8, (0, 1, 3, 4, 19, 21, 22)),
    "Puma concolor": (3, (5, 18, 20)),
    "Cuniculus paca": (14, (0, 1, 2, 3, 20, 21, 22, 23)),
    "Mazama americana": (7, (5, 6, 17, 18)),
    "Dicotyles tajacu": (9, (6, 7, 8, 16, 17)),
    "Dasyprocta punctata": (16, (6, 7, 8, 9, 15, 16, 17)),
    "person": (3, (9, 11, 22)),
    "": (12, (8, 10, 12, 13, 14)),
}
PASSWORD = "cauca-verde-1974"  # because it is of a site that lives for a test


@dataclass
class House:
    """See the module. language: the site's. agent_port: of a broker to hear agents through. seeded: with a past of so
    many days."""

    folder: Path
    language: str = "es"
    agent_port: int = 0
    seeded: bool = True
    people: bool = True
    days: int = 14
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.port}"

    @property
    def site(self) -> Path:
        """The YAML file."""
        return self.folder / "site.yaml"

    @property
    def state(self) -> Path:
        """The site's folder."""
        return self.folder / "state"

    @property
    def log(self) -> str:
        """What the daemon and the page have said."""
        return (self.folder / "log.txt").read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        (self.folder / "inbox").mkdir(parents=True)
        self.state.mkdir()
        source = f"  - {{use: mqtt, host: {HOST}, port: {self.agent_port}}}" if self.agent_port else ""
        self.site.write_text(SITE.format(language=self.language, host=HOST, port=self.port, sources=source), "utf-8")
        if self.seeded:
            seed(load_plan(self.site, load_registry()), self.folder / "pictures", self.days)
        if self.people:
            self._add_people()
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _add_people(self) -> None:
        hashed = Hasher().hash(PASSWORD)
        with Store(load_plan(self.site, load_registry()).database_url) as store, store.transaction() as connection:
            for name, role in (("ana", "admin"), ("rosa", "reviewer"), ("juan", "viewer")):
                now = SystemClock().now()
                users.add(connection, name, role, password=hashed, now=now, who="test")

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run `tigrillo …`; what it printed. Fails the test when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "edge.cli", *arguments],
            input=stdin.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def start(self) -> None:
        """Start the daemon; returns when the page answers."""
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge.cli", "run", str(self.site)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"TIGRILLO_LANG": "en"},
            )
        wait_until(self.answers, 60)

    def answers(self) -> bool:
        """Whether the page does."""
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def settled(self, timeout_s: float = 60.0) -> None:
        """Wait until no day's summaries are out of date."""
        with Store(load_plan(self.site, load_registry()).database_url, read_only=True) as store:

            def nothing_stale() -> bool:
                with store.transaction() as connection:
                    return not connection.exec_driver_sql("SELECT 1 FROM stale_days LIMIT 1").first()

            wait_until(nothing_stale, timeout_s)

    def decided(self, timeout_s: float = 90.0) -> None:
        """Wait until a change of the configuration is kept or rolled back, and the page answers."""
        changes = Changes(load_plan(self.site, load_registry()).state_dir)
        wait_until(lambda: changes.trial() is None, timeout_s)
        wait_until(self.answers, timeout_s)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)


def seed(plan: Plan, pictures: Path, days: int) -> None:
    """So many days of frames up to now, recorded as the daemon records them, with encounters and messages."""
    rng = random.Random(7)  # because the record is to be the same each time
    pictures.mkdir(parents=True)
    plan.state_dir.mkdir(parents=True, exist_ok=True)
    drawn = {
        (what, night, number): _draw(pictures, what, night=night, number=number)
        for what in WHO
        for night in (False, True)
        for number in range(3)
    }
    now = SystemClock().now()
    desk = AlertDesk(plan.rules, plan.directory, plan.stations, AlertSettings(), plan.file.site.timezone)
    with Store(plan.database_url) as store:
        for at, station, what in sorted(_visits(rng, now, days)):
            local = at - timedelta(hours=5)  # Colombia
            night = local.hour < 6 or local.hour >= 18
            number = rng.randrange(3)
            for shot in range(rng.choice((1, 2, 3, 3))):
                path, box = drawn[what, night, number]
                taken = at + timedelta(seconds=2 * shot)
                _record(store, desk, station, taken, path, _seen(rng, what, box), now)
        with store.transaction() as connection:
            past = notices.c.created_at < now - timedelta(minutes=20)
            told = {"state": "sent", "attempts": 1, "sent_at": notices.c.created_at, "late": False}
            connection.execute(update(notices).where(past).values(told))
            some = encounters.c.pk % 3 == 0
            acked = {"acked_at": encounters.c.last_at, "acked_by": "ana"}
            connection.execute(update(encounters).where(some).values(acked))


def _visits(rng: random.Random, now: datetime, days: int) -> list[tuple[datetime, str, str]]:
    midnight = now.astimezone(UTC).replace(hour=5, minute=0, second=0, microsecond=0)
    visits = []
    for day in range(days):
        for what, (often, hours) in WHO.items():
            for _time in range(often):
                if rng.random() < 0.3:
                    at = midnight - timedelta(days=day) + timedelta(hours=rng.choice(hours), minutes=rng.randrange(60))
                    station = rng.choice(STATIONS[: 4 if day < 5 else 5])  # rio-claro fell silent
                    if at < now - timedelta(minutes=3):
                        visits.append((at, station, what))
    return visits


def _draw(
    folder: Path, what: str, *, night: bool, number: int
) -> tuple[Path, tuple[float, float, float, float] | None]:
    picture, box = scene(what, night=night, seed=number * 11 + sum(map(ord, what)))
    path = folder / f"{what or 'blank'}-{'night' if night else 'day'}-{number}.jpg".replace(" ", "-")
    picture.save(path, quality=85)
    return path, box


def _seen(rng: random.Random, what: str, box: tuple[float, float, float, float] | None) -> tuple[Detection, ...]:
    if box is None:
        return ()
    score = round(rng.uniform(0.55, 0.97), 2)
    if what == "person":
        return (Detection("person", score, box),)
    return (Detection("animal", score, box, answer=Answer(all_taxa()[what], round(rng.uniform(0.66, 0.98), 2))),)


def _record(
    store: Store, desk: AlertDesk, station: str, at: datetime, path: Path, seen: tuple[Detection, ...], now: datetime
) -> None:
    received = min(at + timedelta(seconds=20), now)
    name = f"{station}-{at:%Y%m%d%H%M%S}"
    frame = SpooledFrame(
        station=station,
        id=name,
        kind="still",
        path=path,
        name=f"{name}.jpg",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        size_bytes=path.stat().st_size,
        source="mqtt",
        captured=CaptureTime(at, at.isoformat(), "America/Bogota", "agent"),
        received_at=received,
    )
    if store.add_frames([(frame, 0)]) == [False]:
        return  # two visits in one second
    claimed = store.claim_next(received)
    assert claimed is not None
    outcome = Outcome(claimed, (PictureResult(0, 0.0, seen),), width=960, height=640, infrared="night" in path.name)
    assert store.record(outcome, now=received, also=lambda found: note_outcome(found, outcome, desk, received))


def wait_for_status(house: House, verb: str, done: int, timeout_s: float = 30.0) -> None:
    """Wait until the daemon has done a verb so often since its start."""

    def there() -> bool:
        try:
            status = json.loads((house.state / "status.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(status["verbs"][verb]["done"] >= done)

    wait_until(there, timeout_s)
