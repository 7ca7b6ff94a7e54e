"""How fast is the web page over a million observations while frames come in?

Usage: python benchmarks/web.py [--database sqlite|postgresql] [--observations N] [--times N]

A year of 200 stations is seeded (benchmarks/web_kit/seed.py), its summaries are made, then `tigrillo run` runs with its
page, and a camera gives it 5 frames a second through the folder source and a stage that finds a puma at once: a model
would take both cores for itself. Somebody who is logged in asks for every page many times, with other stations,
species, filters and places in the lists; `server` is what the page says itself (Server-Timing), `client` is from the
request to the last byte. Then they review, and at last 50 viewers listen to live updates. PostgreSQL is one of our own,
as Debian sets it up, with its files beside the rest.
"""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

from kit import SHARED_MEDIA, machine
from PIL import Image, ImageFile
from sqlalchemy import select
from web_kit.addresses import PAGES, Some
from web_kit.running import Meter, Running, camera, running, write_site
from web_kit.seed import STATIONS, TAXA, House, fill
from web_kit.visitors import Browser, Times, watching

from edge.clock import SystemClock
from edge.config import load_plan
from edge.logs import make_log
from edge.registry import load_registry
from edge.store import keys, users
from edge.store import summaries as summary_rows
from edge.store.readers import Readers
from edge.store.sql import Store
from edge.store.web_schema import sequences
from edge.summaries.work import Summariser

REPO = Path(__file__).resolve().parents[1]
GOAL_PAGE_MS, GOAL_ACTION_MS, GOAL_MB, GOAL_LOSS = 150, 50, 250, 0.05
FRAMES_PER_S, VIEWERS, LISTEN_S = 5, 50, 40
ACTION = re.compile(r'data-action="([^"]+)"')
OLDER = re.compile(r'(?:href|hx-get)="(/[^"]*[?&;](?:after|before)=[^"]+)"')


ImageFile.LOAD_TRUNCATED_IMAGES = True  # one of the real ones is


def pictures(folder: Path) -> list[Path]:
    """Real stills, made as small as a cheap camera's thumbnails so that all files together take little room."""
    folder.mkdir(exist_ok=True)
    found = []
    for path in sorted((SHARED_MEDIA / "stills").glob("*.jpg"))[:12]:
        found.append(folder / path.name)
        with Image.open(path) as whole:
            whole.draft("RGB", (640, 480))
            whole.convert("RGB").save(found[-1], quality=80)
    if not found:
        raise SystemExit("../shared/media/stills has no pictures")
    return found


@contextmanager
def database_at(kind: str, server: str) -> Iterator[str]:
    """The address for the site's `database:`; "" for SQLite. server: of an empty one that is there already."""
    if kind == "sqlite" or server:
        yield "" if kind == "sqlite" else server
        return
    sys.path.insert(0, str(REPO))
    from tests.postgres_rig import programs, serving  # noqa: PLC0415  # because only one of the two databases needs it

    programs_at = programs()
    if programs_at is None:
        raise SystemExit("PostgreSQL is missing: apt install postgresql-15")
    with serving(programs_at, durable=True) as ours:
        yield ours.new().replace("+psycopg", "")


def summarise(store: Store, readers: Readers, site: Path) -> int:
    """Make all summaries; how many (station, day)."""
    stations = load_plan(site, load_registry()).stations
    log = make_log(json_lines=False, level="warning")
    worker = Summariser(store, readers, stations, "America/Bogota", SystemClock(), log)
    worker.check_settings()
    with readers.read() as connection:
        days = summary_rows.count_stale(connection)
    while True:
        worker.refresh()
        with readers.read() as connection:
            if not summary_rows.count_stale(connection):
                return days


def walk(browser: Browser, some: Some, times: int) -> dict[str, Times]:
    """Ask for each page so often, one after the other as people do, and for older and older of each list."""
    found = {name: Times() for name in PAGES}
    older: dict[str, list[str]] = {}
    browser.get(PAGES["thumbnail, kept"].format_map(some))
    for _turn in range(times):
        for name, template in PAGES.items():
            text = browser.get(template.format_map(some), found[name])
            if links := OLDER.findall(text):
                older.setdefault(name, []).append(unescape(links[-1]))
        for name, links in list(older.items()):
            text = browser.get(links[-1], found.setdefault(f"{name}, older", Times()))
            older[name] = [unescape(each) for each in OLDER.findall(text)[-1:]] or links[:1]
    return found


def review(browser: Browser, readers: Readers, times: int, dice: random.Random) -> dict[str, Times]:
    """Answers by one key, for several at once, and undone ones."""
    with readers.read() as connection:
        open_ones = select(sequences.c.pk).where(sequences.c.unreviewed > 0).order_by(sequences.c.started_at.desc())
        pks = list(connection.scalars(open_ones.limit(times * 25)))
    dice.shuffle(pks)
    found = {"answer": Times(), "answer for 20": Times(), "undo": Times()}
    for turn in range(times):
        species = f"taxon:{dice.choice(TAXA).scientific_name}"
        done = browser.post("/review/answer", [("what", species), ("sequence", str(pks.pop()))], found["answer"])
        if turn % 5 == 0:
            many = [("what", species), *(("sequence", str(pks.pop())) for _each in range(20))]
            browser.post("/review/answer", many, found["answer for 20"])
        if turn % 5 == 1 and (action := ACTION.search(done)):
            browser.post("/review/undo", [("undone", action[1])], found["undo"])
    return found


def log_in(store: Store) -> str:
    """The secret of a session of a new admin."""
    now = SystemClock().now()
    with store.transaction() as connection:
        user = users.by_name(connection, "eva") or users.add(connection, "eva", "admin", now=now, who="bench")
        return keys.open_session(connection, user.pk, now=now, days=1)


def report(found: dict[str, Times], goal_ms: float) -> float:
    """Print a line for each kind; the largest p95 as a share of the goal."""
    worst = 0.0
    for name, times in found.items():
        over = "  > goal" if times.server and times.p95() > goal_ms else ""
        print(f"  {name:28}{times.line()}{over}", flush=True)
        worst = max(worst, times.p95() / goal_ms if times.server else 9.9)
    return worst


def measure(kind: str, folder: Path, asked: argparse.Namespace) -> float:
    """One database; the worst figure as a share of its goal."""
    dice, port = random.Random(3), asked.port
    with ExitStack() as stack:
        address = stack.enter_context(database_at(kind, asked.server))
        shown = pictures(folder / "pictures")
        site = write_site(folder, address, port)
        (folder / "state").mkdir(exist_ok=True)
        sys.path.insert(0, str(folder / "plugin"))
        url = load_plan(site, load_registry()).database_url
        print(f"\n{kind}: {asked.observations} observations over {STATIONS} stations,", end=" ", flush=True)
        began, seeded = time.monotonic(), folder / "seeded"
        if not seeded.exists() or (kind == "postgresql" and not asked.server):  # that server begins empty each time
            fill(url, House(asked.observations, shown, datetime.now(UTC).replace(tzinfo=None)))
            seeded.touch()
        print(f"made in {time.monotonic() - began:.0f} s", flush=True)
        readers = stack.enter_context(Readers(url))
        with Store(url) as store:
            began = time.monotonic()
            days = summarise(store, readers, site)
            print(f"summaries of {days} days of stations in {time.monotonic() - began:.0f} s", flush=True)
            secret = log_in(store)
        site_runs = stack.enter_context(running(site, port, folder / "daemon.log"))
        print(f"at rest: daemon {site_runs.daemon_mb():.0f} MB, page {site_runs.web_mb():.0f} MB", flush=True)
        stack.enter_context(camera(site, shown[0].read_bytes(), per_s=FRAMES_PER_S))
        return visit(site_runs, readers, Browser(port, secret), secret, asked, dice)


def visit(
    site: Running, readers: Readers, browser: Browser, secret: str, asked: argparse.Namespace, dice: random.Random
) -> float:
    """Everything that is asked of a running site."""
    time.sleep(10)  # until the first frames are through
    meter = Meter(readers)
    time.sleep(LISTEN_S)
    alone = meter.end()
    print(f"nobody visits: {alone}")
    print(f"  {'page (ms)':28}{'times':>5}{'p50':>8}{'p95':>8}{'max':>8}{'client':>9}{'kB':>8}")
    meter.begin()
    used = site.web_cpu_s()
    found = walk(browser, Some(readers, dice), asked.times)
    worst = report(found, GOAL_PAGE_MS)
    used = 1000 * (site.web_cpu_s() - used) / sum(len(each.server) for each in found.values())
    print(
        f"goal: p95 ≤ {GOAL_PAGE_MS} ms. The page's process used {used:.0f} ms of a CPU for each, with its threads;",
        end=" ",
    )
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    print(f"While somebody asked without a pause: {meter.end()}")
    worst = max(worst, report(review(browser, readers, asked.times, dice), GOAL_ACTION_MS))
    print(f"goal: p95 ≤ {GOAL_ACTION_MS} ms. Page {site.web_mb():.0f} MB", flush=True)
    with watching(asked.port, secret, VIEWERS) as viewers:
        time.sleep(5)
        meter.begin()
        time.sleep(LISTEN_S)
        watched, resident = meter.end(), site.web_mb()
    lost = 1 - watched.per_s / alone.per_s if alone.per_s else 1.0
    print(f"{VIEWERS} viewers ({viewers.news} events, {viewers.lost} streams lost): {watched};")
    print(f"  ingest lost {lost:.1%}, goal ≤ {GOAL_LOSS:.0%};", end=" ")
    print(f"page {resident:.0f} MB, goal ≤ {GOAL_MB}; daemon {site.daemon_mb():.0f} MB", flush=True)
    return max(worst, resident / GOAL_MB, lost / GOAL_LOSS)


def main() -> None:
    """Seed, run, visit, say the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", nargs="+", choices=("sqlite", "postgresql"), default=("sqlite", "postgresql"))
    parser.add_argument("--observations", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=60)
    parser.add_argument("--port", type=int, default=18_093)
    parser.add_argument(
        "--keep", type=Path, help="leave all in this folder, and use what is there; a server of our own keeps nothing"
    )
    parser.add_argument("--server", default="", help="postgresql://… of a database, instead of a server of our own")
    asked = parser.parse_args()
    print(machine("sqlalchemy", "fastapi", "uvicorn"))
    worst = 0.0
    for kind in asked.database:
        folder = asked.keep / kind if asked.keep else Path(tempfile.mkdtemp(prefix="tigrillo-web-"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            worst = max(worst, measure(kind, folder, asked))
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)
    print(f"ratio: {worst:.2f}")


if __name__ == "__main__":
    main()
