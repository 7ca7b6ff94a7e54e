"""`python -m server.export.child SITE.yaml FOLDER`: make one export, beside the page, so that its memory is its own.

Reads FOLDER/job.json, writes progress and the file; prints one line of JSON at the end. Exit code 1 with the reason
on stderr when it can't be made.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from edge.clock import SystemClock
from edge.config import Plan, load_plan
from edge.errors import EdgeError
from edge.export import (
    Wanted,
    context_of,
    known_stations,
    open_store,
    read_interval,
    read_options,
    read_taxa,
    read_time,
    services_for,
    why_nothing,
    write_export,
)
from edge.i18n import speaking
from edge.logs import make_log
from edge.model import Category
from edge.paths import write_atomically
from edge.registry import Registry, load_registry
from edge.store.harvest import Span

from .jobs import Asked, read_job

EVERY_S = 0.5  # how often progress is written


def wanted_of(asked: Asked, zone: str) -> Wanted:
    """What an export takes in. Raises FatalError for what can't be read; unknown taxa match nothing."""
    taxa, _faults = read_taxa(asked.taxa)
    span = Span(
        asked.stations,
        read_time(asked.since, zone, end=False) if asked.since else None,
        read_time(asked.until, zone, end=True) if asked.until else None,
    )
    interval = read_interval(asked.independent) if asked.independent else None
    categories: frozenset[Category] = frozenset(asked.categories)  # type: ignore[arg-type]  # because asked.py checked them
    return Wanted(span, taxa, categories, asked.min_score, asked.suppressed, interval)


def make(plan: Plan, registry: Registry, asked: Asked, out: Path, progress: Path) -> dict[str, object]:
    """Write the export; what it has. Raises EdgeError, OSError."""
    zone, clock = plan.file.site.timezone, SystemClock()
    wanted, exporter = wanted_of(asked, zone), registry.exporters[asked.format]
    with open_store(plan) as store:
        stations = known_stations(plan, clock)
        context = context_of(
            store, wanted.span, timezone_of=lambda name: stations[name].timezone if name in stations else zone
        )
        options = read_options([f"{name}={value}" for name, value in asked.options.items()], exporter)
        log = make_log(json_lines=False, level="warning")
        services = services_for(plan, log=log, clock=clock, context=replace(context, options=options))
        total = sum(period.frames for period in context.periods)
        told_s = float("-inf")

        def tell(read: int) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= EVERY_S:
                told_s = time.monotonic()
                write_atomically(progress, json.dumps({"read": read, "total": total}).encode())

        tell(0)
        done = write_export(store, exporter, out, services, wanted, progress=tell)
        told_s = float("-inf")
        tell(done.read)
        reason = "" if done.frames else why_nothing(store, wanted, [])
    return {
        "frames": done.frames,
        "observations": done.observations,
        "without_position": done.without_position,
        "size": out.stat().st_size,
        "reason": reason,
    }


def main(arguments: list[str]) -> int:
    """Exit code."""
    site, folder = Path(arguments[0]), Path(arguments[1])
    job = read_job(folder)
    if job is None:
        print(f"{folder}: no export", file=sys.stderr)
        return 1
    with speaking(job.language):
        try:
            registry = load_registry()
            plan = load_plan(site, registry)
            made = make(plan, registry, job.asked, (folder / job.name).absolute(), folder / "progress.json")
        except (EdgeError, OSError) as exc:
            print(exc, file=sys.stderr)
            return 1
    print(json.dumps(made))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
