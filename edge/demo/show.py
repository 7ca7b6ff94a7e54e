"""The demo's run: start the parts, show the eight verbs live, stop when all is done, and hold the counts together."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..config import load_plan
from ..errors import SchemaError, StoreBusy
from ..i18n import _, decimal, mark, user_language
from ..model import VERBS
from ..registry import load_registry
from ..site_database import sqlite_url
from ..store.sql import Store
from .mailbox import Mailbox
from .parts import Crew, broker_command, free_port, wait_for_port

REFRESH_S = 0.5
WORDS = (  # of VERBS, in the table
    *(mark("capture"), mark("receive"), mark("spool"), mark("claim")),
    *(mark("stage"), mark("record"), mark("notify"), mark("show")),
)
STATION = "demo-01"

AGENT = """\
station: {station}
broker: {{host: 127.0.0.1, port: {mqtt}}}
spool: {{folder: agent-spool, max_bytes: 2000000000}}
camera: {{use: replay, path: "{media}", loop: true}}
trigger: {{use: interval, every_s: {every_s}}}
max_frames: {frames}
"""

SITE = """\
site: {{name: Demo, language: {language}, timezone: America/Bogota}}
state_dir: state
stations:
  - {{name: {station}, latitude: 2.2, longitude: -73.8}}
sources:
  - {{use: mqtt, host: 127.0.0.1, port: {mqtt}, client_id: tigrillo-demo}}
  - {{use: watch, folder: sdcard, station: {station}-sd, settle_s: 0.5, rescan_s: 2}}
stages:
  - {{use: motion}}
  - {{use: detect, model: megadetector-lite}}
  - {{use: classify, model: efficientnet-lite0}}
  - {{use: rollup}}
channels:
  - {{name: mailbox, use: email, host: 127.0.0.1, port: {smtp}, security: none, sender: demo@tigrillo.invalid,
     recipients: [ranger@tigrillo.invalid]}}
alerts: {{updates: 0}}  # which would come a minute later
rules:
  - {{name: {cats}, taxon: Felidae, min_score: 0.5, channels: [mailbox]}}
  - {{name: {people}, category: person, min_score: 0.5, channels: [mailbox]}}
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the frames are. captured: by the agent; given: files on the SD card."""

    captured: int = 0
    given: int = 0
    received: int = 0
    waiting: int = 0
    in_work: int = 0
    recorded: int = 0
    quarantined: int = 0
    observations: int = 0
    alerts: int = 0
    sent: int = 0
    failed: int = 0
    agent_done: bool = False

    def settled(self, frames: int) -> bool:
        """Whether every frame has ended its way and every alert left."""
        return (
            self.agent_done
            and self.received == frames
            and self.recorded + self.quarantined == frames
            and self.alerts == self.sent + self.failed
        )

    def by_verb(self, *, shown: int) -> dict[str, int]:
        """The eight verbs' counts."""
        done = self.recorded + self.quarantined
        made = (self.captured + self.given, self.received, self.received, done + self.in_work)
        return dict(zip(VERBS, (*made, done, self.recorded, self.sent, shown), strict=True))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. shown: frames in results.json. pictures: annotated ones. mails: in the mailbox."""

    counts: Counts
    shown: int
    pictures: int
    mails: int
    restarts: int
    spent_s: float


def write_site(folder: Path, media: Path, *, frames: int, every_s: float, mqtt: int, smtp: int) -> None:
    """Write site.yaml and agent.yaml for this run."""
    values: dict[str, Any] = {"station": STATION, "mqtt": mqtt, "smtp": smtp, "language": user_language()}
    values |= {"cats": _("cats"), "people": _("people")}
    (folder / "sdcard").mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(SITE.format(**values), "utf-8")
    agent = AGENT.format(**values, media=media, frames=frames, every_s=every_s)
    (folder / "agent.yaml").write_text(agent, "utf-8")


def run_show(
    folder: Path,
    media: Path,
    *,
    frames: int,
    sd_card: Callable[[Path], int],
    every_s: float,
    limit_s: float,
    console: Console,
) -> Ended:
    """Run all parts over `frames` stills of `media`, and what `sd_card` puts into the watched folder.

    Ends when everything has settled or after `limit_s`; then writes results.json and the annotated pictures.
    """
    mqtt, smtp = free_port(), free_port()
    write_site(folder, media, frames=frames, every_s=every_s, mqtt=mqtt, smtp=smtp)
    started = time.monotonic()
    with Mailbox(folder / "mail", smtp) as mailbox, Crew(folder) as crew:
        broker, command = broker_command(folder, mqtt)
        crew.start("broker", command)
        wait_for_port(mqtt)
        crew.start("daemon", [sys.executable, "-m", "edge.cli", "run", str(folder / "site.yaml"), "--log-json"])
        crew.start("agent", [sys.executable, "-m", "raspberry_pi.agent", str(folder / "agent.yaml")])
        given = sd_card(folder / "sdcard")
        title = _("{broker} · agent · daemon · mailbox").format(broker=broker)
        counts = Counts(given=given)
        before = (started, counts.by_verb(shown=0))
        with Live(console=console, refresh_per_second=4) as live:
            while time.monotonic() - started < limit_s and not counts.settled(frames + given):
                time.sleep(REFRESH_S)
                crew.tend()
                counts = read_counts(folder, given)
                now = (time.monotonic(), counts.by_verb(shown=0))
                live.update(_table(title, counts, before, now, frames + given, started))
                before = now
            counts, spent_s = read_counts(folder, given), time.monotonic() - started
            shown, pictures = export(folder)
            whole = (started, dict.fromkeys(VERBS, 0)), (started + spent_s, counts.by_verb(shown=shown))
            live.update(_table(title, counts, *whole, frames + given, started))
        if not console.is_terminal:
            console.line()
        return Ended(counts, shown, pictures, len(mailbox.messages()), crew.restarts(), spent_s)


def read_counts(folder: Path, given: int) -> Counts:
    """Where the frames are now, read from the agent's status and the site's database."""
    agent = _read_json(folder / "agent-spool" / "status.json")
    found: dict[str, int] = {}
    try:
        with Store(sqlite_url(folder / "state"), read_only=True) as store:
            found = store.counts()
    except (SchemaError, StoreBusy):
        pass  # the daemon has not made it yet
    states = ("spooled", "claimed", "recorded", "quarantined")
    alerts = {state: found.get(f"alerts_{state}", 0) for state in ("pending", "sent", "failed")}
    return Counts(
        captured=int(agent.get("captured", 0)),
        given=given,
        received=sum(found.get(state, 0) for state in states),
        waiting=found.get("spooled", 0),
        in_work=found.get("claimed", 0),
        recorded=found.get("recorded", 0),
        quarantined=found.get("quarantined", 0),
        observations=found.get("observations", 0),
        alerts=sum(alerts.values()),
        sent=alerts["sent"],
        failed=alerts["failed"],
        agent_done=bool(agent.get("done")),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value


def _table(
    title: str,
    counts: Counts,
    before: tuple[float, dict[str, int]],
    now: tuple[float, dict[str, int]],
    frames: int,
    started: float,
) -> Table:
    left = _("{seconds:.0f} s, {waiting} waiting, {found} observations").format(
        seconds=now[0] - started, waiting=counts.waiting, found=counts.observations
    )
    table = Table(_("verb"), _("count"), _("of"), _("a second"), title=title, caption=left, min_width=48)
    for verb, word in zip(VERBS, WORDS, strict=True):
        rate = (now[1][verb] - before[1][verb]) / max(now[0] - before[0], 1e-6)
        of = counts.alerts if verb == "notify" else frames
        table.add_row(_(word), str(now[1][verb]), str(of), decimal(rate))
    return table


def export(folder: Path) -> tuple[int, int]:
    """Write results.json and the annotated pictures from what was recorded; returns (frames, pictures)."""
    from ..clock import SystemClock  # noqa: PLC0415
    from ..daemon import open_services  # noqa: PLC0415  # because only the end of the show needs the codecs
    from ..logs import make_log  # noqa: PLC0415
    from ..media.evidence import write_annotated  # noqa: PLC0415
    from ..pipeline.tally import Tally  # noqa: PLC0415

    registry = load_registry()
    plan = load_plan(folder / "site.yaml", registry)
    log = make_log(json_lines=False, level="warning")
    frames = pictures = 0
    with (
        open_services(plan, registry, log=log, clock=SystemClock(), tally=Tally()) as services,
        Store(plan.database_url, read_only=True) as store,
        registry.exporters["megadetector"].open(folder / "results.json", services) as writer,
    ):
        for outcome in store.recorded():
            writer.add(outcome)
            frames += 1
            pictures += write_annotated(folder / "annotated", outcome, services) is not None
        for name, reason in store.quarantined():
            writer.fail(name, reason)
    return frames, pictures
