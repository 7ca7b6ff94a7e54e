"""How fast, and in how much memory, are a million observations exported?

Usage: python benchmarks/export.py [--observations N] [--formats NAME …]

A database of 200 stations is made by SQL, 2.5 observations a frame, every tenth frame blank, a third of the rest in
encounters; then `tigrillo export` writes each format, one process after the other: its seconds by the clock and of the
CPU, and its largest resident memory as the kernel counts it. On a machine that others use too, only the CPU's seconds
tell something. yolo and tags are left out: they copy pictures, as fast as the disk is. The goals are those of the
issue: ≤ 60 s and ≤ 300 MB each.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kit import machine

from edge.model import Answer, Classification, Detection, Taxon
from edge.store.rows import detection_to_json
from edge.store.sql import Store

STATIONS, OF_A_FRAME = 200, (2, 3)
FORMATS = (
    *("camtrap-dp", "csv", "coco", "geojson", "megadetector"),
    *("wildlife-insights", "darwin-core", "gpx", "kml", "matrices", "report"),
)
PACKED = ("camtrap-dp", "wildlife-insights", "darwin-core", "matrices")
GOAL_S, GOAL_MB = 60, 300
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cat family", "felino")
RAW = tuple(Classification(f"class {number}", 0.4 / number) for number in range(1, 6))

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) "
FRAMES = """INSERT INTO frames (pk, station, id, kind, path, name, sha256, size_bytes, spool_bytes, source,
 captured_utc, captured_original, captured_timezone, captured_origin, received_at, state, attempts, reason, recorded_at,
 width, height, damage, stage_ms, pictures, boot, boot_count, seq, clock, triggered_by, stands_for, late) {numbers}
 SELECT i + 1, printf('cam-%03d', i % {stations}), printf('%024x', i), 'still', '/srv/' || i || '.jpg',
 'DCIM/100/IMG_' || i || '.jpg', printf('%064x', i), 300000, 0, 'watch',
 strftime('%Y-%m-%d %H:%M:%f000', '2026-01-01', (i / {stations} * 37) || ' seconds'), '', 'America/Bogota', 'exif',
 '2026-11-22 00:00:00.000000', 'recorded', 1, '', '2026-11-22 00:00:00.000000', 1920, 1080, '', '{{}}',
 '[[0, 0.0, ""]]',  '', 0, 0, '', '', '', 0 FROM n"""
OBSERVATIONS = """INSERT INTO observations (frame_pk, number, time_s, category, score, x, y, w, h, label, taxon,
 taxon_rank, taxon_score, detection) {numbers}
 SELECT (i * 10 / 25) * 10 / 9 + 1, 0, 0.0, 'animal', 0.9, 0.1, 0.2, 0.3, 0.4, 'animal', 'Felidae', 'family', 0.95, ?
 FROM n"""
ENCOUNTERS = """INSERT INTO encounters (uid, code, station, category, lineage, started_at, last_at, opened_at, frames,
 best_frame_pk, best_number, best_quality, acked_by) {numbers}
 SELECT printf('%012x', i), 'ABCD', printf('cam-%03d', i % {stations}), 'animal', ?,
 strftime('%Y-%m-%d %H:%M:%f000', '2026-01-01', (i / {stations} * 370) || ' seconds'),
 strftime('%Y-%m-%d %H:%M:%f000', '2026-01-01', (i / {stations} * 370 + 120) || ' seconds'),
 '2026-11-22 00:00:00.000000', 4, 1, 0, 0.5, '' FROM n"""


def make_site(folder: Path, observations: int) -> Path:
    """A site with its database; returns its YAML."""
    (folder / "state").mkdir()
    database = folder / "state" / "tigrillo.sqlite"
    Store(f"sqlite:///{database}").close()
    detection = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", RAW, Answer(FELIDAE, 0.95))
    frames = observations * 10 // 25 * 10 // 9 + 2
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        numbers = {"stations": STATIONS}
        connection.execute(FRAMES.format(numbers=NUMBERS.format(count=frames), **numbers))
        text = json.dumps(detection_to_json(detection))
        connection.execute(OBSERVATIONS.format(numbers=NUMBERS.format(count=observations)), (text,))
        encounters = max(frames // 10, 1)
        lineage = json.dumps(FELIDAE.lineage)
        connection.execute(ENCOUNTERS.format(numbers=NUMBERS.format(count=encounters), **numbers), (lineage,))
    connection.close()
    stations = "\n".join(f"  - {{name: cam-{i:03d}, latitude: {i / 100}, longitude: -73.8}}" for i in range(STATIONS))
    site = folder / "site.yaml"
    site.write_text(f"site: {{name: Bench}}\nstate_dir: state\nstations:\n{stations}\n", "utf-8")
    return site


def export(site: Path, name: str, out: Path) -> tuple[float, float, float, dict[str, int]]:
    """Seconds by the clock, of the CPU, peak MB and the summary of one export."""
    command = [sys.executable, "-m", "edge.cli", "export", name, "--out", str(out), "--site", str(site), "--json"]
    started = time.monotonic()
    # a process of its own between, so that the peak is of this export alone
    measured = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], check=False);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss); sys.exit(done.returncode)"
    )
    done = subprocess.run([sys.executable, "-c", measured, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    summary, used = done.stdout.strip().splitlines()
    cpu, peak_kb = used.split()
    return time.monotonic() - started, float(cpu), int(peak_kb) / 1000, json.loads(summary)


def main() -> None:
    """Make the database, export it in each format, say the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    asked = parser.parse_args()
    print(machine("sqlalchemy"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        site = make_site(folder, asked.observations)
        size = (folder / "state" / "tigrillo.sqlite").stat().st_size / 1e6
        print(f"{asked.observations} observations, {STATIONS} stations, {size:.0f} MB; made in", end=" ")
        print(f"{time.monotonic() - started:.0f} s", flush=True)
        print(f"{'format':18}{'frames':>9}{'observations':>14}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}{'file MB':>9}")
        slowest = busiest = largest = 0.0
        for each in asked.formats:
            out = folder / f"out-{each}{'.zip' if each in PACKED else ''}"
            seconds, cpu, peak, summary = export(site, each, out)
            if summary["observations"] != asked.observations:
                raise SystemExit(f"{each}: {summary['observations']} observations came out")
            slowest, busiest, largest = max(slowest, seconds), max(busiest, cpu), max(largest, peak)
            counts = f"{summary['frames']:9}{summary['observations']:14}"
            print(f"{each:18}{counts}{seconds:9.1f}{cpu:8.1f}{peak:9.0f}{out.stat().st_size / 1e6:9.0f}", flush=True)
            out.unlink()
    print(f"slowest {slowest:.1f} s, most of the CPU {busiest:.1f} s; goal ≤ {GOAL_S}.", end=" ")
    print(f"Largest peak {largest:.0f} MB; goal ≤ {GOAL_MB}")
    print(f"ratio: {max(slowest / GOAL_S, largest / GOAL_MB):.2f}")


if __name__ == "__main__":
    main()
