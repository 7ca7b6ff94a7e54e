"""Does every frame arrive, how fast, and what does it cost? Four measurements, each printed with its goal.

Usage: python benchmarks/delivery.py [--only chaos|load|outage|agent] [--seconds S]

chaos   200 kills over agents, broker and server, 5,000 frames: nothing lost, doubled or changed
load    32 agents × 200 KB, durable and acknowledged: frames/s, the server's memory, slowest over fastest agent
outage  24 h without a network, a frame each 10 s: frames/s of the replay, and how soon a fresh frame is alerted then
agent   one agent with the replay camera at a frame a second: memory and processor

Everything runs on this machine: mosquitto (in memory only), the daemon, the agents. The agents of `load` are light: one
process drives 32 connections with a window of 4 frames each and keeps nothing on disk. In `load` and `outage` the
detector is a stand-in that sleeps; see delivery_kit/stand_in.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from delivery_kit import FRAME_BYTES, Place, open_place, read_json, still, watched
from kit import machine

from raspberry_pi.spool import Moment, Spool

AGENTS, BACKLOG, BACKLOG_EVERY_S = 32, 8_640, 10
DETECTOR_MS = 100  # about what the lite detector takes on one of two cores
FRESH_EVERY_S = 4
WARM_S = 4
AGENT = """\
station: {station}
broker: {{host: 127.0.0.1, port: {port}}}
spool: {{folder: spool, max_bytes: 20000000000}}
camera: {{use: replay, path: pictures, loop: true}}
trigger: {{use: interval, every_s: {every_s}}}
max_frames: {frames}
"""


def told(what: str, value: float, goal: float, *, unit: str = "", at_most: bool = False, digits: int = 0) -> bool:
    """Print a figure with its goal; whether it is reached."""
    good = value <= goal if at_most else value >= goal
    sign, word = ("≤", "reached") if at_most else ("≥", "reached")
    shown = f"{value:.{digits}f}{unit}"
    print(f"  {what:<46}{shown:>12}   goal {sign} {goal:g}{unit}  {word if good else 'MISSED'}", flush=True)
    return good


def chaos(folder: Path, _seconds: float) -> bool:
    command = [sys.executable, "-m", "edge.cli", "chaos", "--json", "--keep", str(folder / "run")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(f"tigrillo chaos ended with {done.returncode}")
    found = json.loads(done.stdout)
    killed = ", ".join(f"{count} {role}" for role, count in sorted(found["killed"].items()))
    points = len(found["stopped"])
    print(f"  from outside: {killed}; stopped at {points} points: {sum(found['stopped'].values())}")
    print(f"  points not reached: {', '.join(found['untried']) or 'none'}; strays {found['strays']}")
    print(
        f"  {found['seconds']} s, the last {found['drained_s']} s without a kill; {found['quarantined']} in quarantine"
    )
    for fault in found["faults"]:
        print(f"  {fault}")
    good = [told("kills", found["kills"], 200), told("frames on the server", found["rows"], found["frames"])]
    good += [told(what, found[what], 0, at_most=True) for what in ("lost", "doubled", "mismatched")]
    return all(good) and bool(found["ok"])


def load(folder: Path, seconds: float) -> bool:
    seconds = seconds or 20
    with open_place(folder, detector_ms=DETECTOR_MS) as place, watched(place.server_pid) as server:
        script = Path(__file__).parent / "delivery_kit" / "agents.py"
        numbers = (place.port, AGENTS, seconds, WARM_S, FRAME_BYTES)
        command = [sys.executable, str(script), *map(str, numbers)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        recorded = place.rows(where="state = 'recorded'")
        rows = place.rows()
    acked, delays = found["acked"], found["delays_ms"]
    rate = sum(acked) / seconds
    print(
        f"  {AGENTS} agents × {FRAME_BYTES // 1000} KB, {seconds:g} s: {rate * FRAME_BYTES / 1e6:.0f} MB/s; "
        f"{rows} rows, {recorded} looked at; {found['unanswered']} frames unanswered",
    )
    print(f"  server: idle {server.first_mb:.0f} MB, {server.cpu_s / (seconds + WARM_S):.0%} of a core")
    print(
        f"  from the first byte to the ack: median {statistics.median(delays):.0f} ms, "
        f"p99 {delays[len(delays) * 99 // 100]:.0f} ms"
    )
    return all(
        [
            told("durable and acknowledged, frames/s", rate, 300),
            told("server's memory, resident", server.peak_mb, 150, unit=" MB", at_most=True),
            told("slowest over fastest agent", min(acked) / max(1, *acked), 0.8, digits=2),
        ]
    )


def outage(folder: Path, _seconds: float) -> bool:
    home = prepare_agent(folder, name="fresh")
    fill(home / "spool")
    with open_place(folder, detector_ms=DETECTOR_MS) as place:
        write_agent(home, place, every_s=FRESH_EVERY_S, frames=100_000)
        began_s = time.monotonic()
        place.crew.start("agent", [sys.executable, "-m", "raspberry_pi.agent", str(home / "agent.yaml")])
        first_s, done_s = 0.0, 0.0
        # no more than ten minutes: at a sixth of the goal
        while not done_s and time.monotonic() < began_s + 600:
            time.sleep(0.1)
            rows = place.rows(where="name like 'old%'")
            now_s = time.monotonic()
            first_s = first_s or (now_s if rows else 0.0)
            done_s = now_s if rows >= BACKLOG else 0.0
        time.sleep(3)  # for the last alert
        delays = alert_delays(place, until=datetime.now(UTC) - timedelta(seconds=3))
        waiting = place.rows(where="state = 'spooled'")
        doubled = place.rows("count(*) - count(distinct name)", "name like 'old%'")
    if not done_s:
        raise SystemExit(f"only {rows} of {BACKLOG} frames after ten minutes")
    print(
        f"  {BACKLOG} × {FRAME_BYTES // 1000} KB in {done_s - first_s:.0f} s; "
        f"detector {DETECTOR_MS} ms: {waiting} frames wait for it"
    )
    print(f"  {len(delays)} fresh frames meanwhile, from capture to the alert's handing out: ", end="")
    print(f"median {statistics.median(delays):.2f} s" if delays else "none was alerted")
    return all(
        [
            told("replayed, frames/s", BACKLOG / max(done_s - first_s, 0.1), 150),
            told("recorded twice", doubled, 0, at_most=True),
            told(
                "slowest alert of a fresh frame",
                max(delays, default=float("inf")),
                2,
                unit=" s",
                at_most=True,
                digits=2,
            ),
        ]
    )


def prepare_agent(folder: Path, *, name: str) -> Path:
    home = folder / "agent"
    (home / "pictures").mkdir(parents=True)
    for number in range(8):
        (home / "pictures" / f"{name}-{number}.jpg").write_bytes(still(seed=number))
    return home


def write_agent(home: Path, place: Place, *, every_s: float, frames: int) -> None:
    text = AGENT.format(station="cam-01", port=place.port, every_s=every_s, frames=frames)
    (home / "agent.yaml").write_text(text, "utf-8")


def fill(folder: Path) -> None:
    """A day's frames into an agent's spool, by its own code, with the times they would have."""
    folder.mkdir()
    body, now, now_s = still(), datetime.now(UTC), time.monotonic()
    began_s = time.monotonic()
    with Spool(folder, max_bytes=20_000_000_000) as spool:
        for number in range(BACKLOG):
            ago_s = (BACKLOG - number) * BACKLOG_EVERY_S
            moment = Moment(now - timedelta(seconds=ago_s), "ok", now_s - ago_s)
            unlike = b"".join([body[:2], b"\xff\xfe\x00\x0a", b"%08d" % number, body[2:]])
            spool.put(unlike, kind="still", name=f"old-{number:05}.jpg", moment=moment, trigger="interval")
    print(
        f"  spooled by the agent: {BACKLOG} frames, {BACKLOG / (time.monotonic() - began_s):.0f} a second", flush=True
    )


def alert_delays(place: Place, *, until: datetime) -> list[float]:
    """Seconds from capture to the handing out of the alert, for each fresh frame captured before `until`."""
    lines = (place.folder / "told.txt").read_text().splitlines() if (place.folder / "told.txt").exists() else []
    told_at = {frame: float(at) for at, frame in (line.split() for line in lines)}
    rows = place.rows("group_concat(id || ' ' || captured_original)", "name like 'fresh%'") or ""
    captured = {
        frame: datetime.fromisoformat(at) for frame, at in (row.split(" ", 1) for row in rows.split(",") if row)
    }
    return sorted(told_at.get(frame, float("inf")) - at.timestamp() for frame, at in captured.items() if at < until)


def agent(folder: Path, seconds: float) -> bool:
    seconds = seconds or 60
    home = prepare_agent(folder, name="still")
    with open_place(folder, detector_ms=0) as place:
        write_agent(home, place, every_s=1, frames=100_000)
        part = place.crew.start("agent", [sys.executable, "-m", "raspberry_pi.agent", str(home / "agent.yaml")])
        time.sleep(WARM_S)
        assert part.process is not None
        with watched(part.process.pid) as process:
            time.sleep(0.3)
            before_s, at_s = process.cpu_s, time.monotonic()
            time.sleep(seconds)
            share = (process.cpu_s - before_s) / (time.monotonic() - at_s) * 100
        status = read_json(home / "spool" / "status.json")
    print(f"  {seconds:g} s, a frame of {FRAME_BYTES // 1000} KB a second; {status.get('acked')} acknowledged")
    return all(
        [
            told("agent's memory, resident", process.peak_mb, 60, unit=" MB", at_most=True),
            told("agent's processor, of one core", share, 5, unit=" %", at_most=True, digits=1),
        ]
    )


PARTS: dict[str, Callable[[Path, float], bool]] = {"chaos": chaos, "load": load, "outage": outage, "agent": agent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="measure this one")
    parser.add_argument("--seconds", type=float, default=0, help="how long load (20) and agent (60) are measured")
    chosen = parser.parse_args()
    print(f"$ python benchmarks/{Path(__file__).name} {' '.join(sys.argv[1:])}")
    print(machine("paho-mqtt"), flush=True)
    reached = 0
    parts = [chosen.only] if chosen.only else list(PARTS)
    for name in parts:
        print(f"{name}: load before {os.getloadavg()[0]:.1f}", flush=True)
        with tempfile.TemporaryDirectory(prefix="tigrillo-delivery-", ignore_cleanup_errors=True) as folder:
            reached += PARTS[name](Path(folder), chosen.seconds)
        print(f"  load after {os.getloadavg()[0]:.1f}", flush=True)
    print(f"ratio: {reached / len(parts):.2f} (measurements that reached all their goals)")


if __name__ == "__main__":
    main()
