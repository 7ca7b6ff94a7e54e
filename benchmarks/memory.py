"""How much memory does it take? Resident megabytes of `tigrillo process` over many stills, and of an idle daemon.

Usage: python benchmarks/memory.py [--count N] [--idle-s SECONDS]

`process`: the real command over N stills of 1080p or more, sampled ten times a second and cut into windows of 200
finished stills. Within a window memory goes up and down with the pictures in hand (one of 8 megapixels takes 24 MB), so
windows are compared by their medians; the peak counts for the bound. `daemon`: `tigrillo run` on a site with motion,
detect, classify and rollup, watching a folder and connected to a broker.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from kit import gather_stills, machine

from edge.demo.parts import Crew, broker_command, free_port, wait_for_port

WINDOW = 200  # stills; the first is not counted: arenas and caches fill
GOAL_SWING, GOAL_PEAK, GOAL_IDLE = 30, 600, 300  # MB
SITE = """
state_dir: state
sources: [{{use: watch, folder: inbox}}, {{use: mqtt, host: 127.0.0.1, port: {port}}}]
stages: [{{use: motion}}, {{use: detect}}, {{use: classify}}, {{use: rollup}}]
channels: [{{name: screen, use: console}}]
rules: [{{name: cats, taxon: Felidae, channels: [screen]}}]
"""


def resident_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


def watch_process(folder: Path, out: Path) -> tuple[list[tuple[int, float]], float]:
    """(stills finished, resident MB) over the run of the command, and its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "edge.cli", "process", str(folder), "--out", str(out), "--json"]
    samples = []
    journal = out.with_name(f"{out.name}.journal")
    finished = -1  # the journal's first line is its head
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not journal.exists():
            time.sleep(0.05)
        with journal.open("rb") as lines:
            while process.poll() is None:
                finished += lines.read().count(b"\n")
                if resident := resident_mb(process.pid):  # nothing any more while it ends
                    samples.append((finished, resident))
                time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"tigrillo process ended with {process.returncode}")
    return samples, time.monotonic() - began


def watch_daemon(folder: Path, idle_s: float) -> float:
    port = free_port()
    (folder / "inbox").mkdir()
    (folder / "site.yaml").write_text(SITE.format(port=port))
    with Crew(folder) as crew:
        crew.start(*broker_command(folder, port))
        wait_for_port(port)
        daemon = crew.start("daemon", [sys.executable, "-m", "edge.cli", "run", str(folder / "site.yaml")])
        time.sleep(idle_s)
        if daemon.process is None or daemon.has_ended():
            raise SystemExit(f"the daemon ended:\n{daemon.log.read_text()}")
        return resident_mb(daemon.process.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="stills (5000: about ten minutes on two cores)")
    parser.add_argument("--idle-s", type=float, default=20, help="seconds before the daemon is measured (20)")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("stills", "site"):
            (folder / part).mkdir()
        print(gather_stills(folder / "stills", count=chosen.count))
        idle = watch_daemon(folder / "site", chosen.idle_s)
        samples, seconds = watch_process(folder / "stills", folder / "results.json")
    windows = {
        number: [rss for _, rss in group]
        for number, group in itertools.groupby(samples, key=lambda sample: max(sample[0] - 1, 0) // WINDOW)
    }
    shown = sorted({round(step * (len(windows) - 1) / 12) for step in range(13)})
    print("stills finished    median MB  lowest  highest")
    for number in shown:
        values = windows[list(windows)[number]]
        print(f"{number * WINDOW:6} to {(number + 1) * WINDOW:6}{statistics.median(values):13.0f}", end="")
        print(f"{min(values):8.0f}{max(values):9.0f}")
    medians = [statistics.median(values) for number, values in windows.items() if number] or [0.0]
    middle = (max(medians) + min(medians)) / 2
    print(f"{chosen.count} stills in {seconds:.0f} s on {len(os.sched_getaffinity(0))} cores")
    print(f"swing of the medians after the first {WINDOW}: ± {max(medians) - middle:.0f} MB; goal ≤ {GOAL_SWING}")
    print(f"peak: {max(rss for _, rss in samples):.0f} MB; goal < {GOAL_PEAK}")
    print(f"daemon idle: {idle:.0f} MB; goal < {GOAL_IDLE}")
    print(f"ratio: {max(rss for _, rss in samples) / GOAL_PEAK:.2f}")


if __name__ == "__main__":
    main()
