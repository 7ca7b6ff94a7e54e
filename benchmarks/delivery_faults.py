"""What delivery does with faults of network, disk, clock, frames and people; each beside its goal.

    sudo python benchmarks/delivery_faults.py [network] [disk] [clocks] [poison] [hostile]

Real agents, mosquitto and daemons, in namespaces and on small tmpfs mounts of our own (apt: mosquitto iproute2 nftables
faketime). About three minutes; exits 1 when a goal is missed.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from faults import clocks, disk, hostile, network, poison

_missed = 0


def say(what: str, figures: str, **goals: bool) -> None:
    """A line; goals: name → whether it was reached."""
    global _missed  # noqa: PLW0603  # because a script has one run
    _missed += sum(not reached for reached in goals.values())
    verdict = ", ".join(
        f"{'reached' if reached else 'MISSED'}: {name.replace('_', ' ')}" for name, reached in goals.items()
    )
    print(f"  {what}\n      {figures}\n      {verdict}", flush=True)


def networks(folder: Path) -> None:
    print(f"network: reconnect within 2 keepalives ({2 * network.KEEPALIVE_S} s), duplicates < 10 %, all arrives once")
    with network.bench(folder) as bench:
        for fault in (bench.loss, bench.slow_link, bench.half_open, bench.unplugged, bench.broker_restart):
            found = fault()
            back = "" if found.back_s is None else f", connected again after {found.back_s:.1f} s"
            dropped = f", {found.dropped} packets dropped" if found.dropped else ""
            say(
                found.fault,
                f"{found.arrived} of {found.frames} frames in {found.seconds:.1f} s, duplicate bytes "
                f"{found.duplicates:.1%}, rows doubled or damaged {found.wrong}{back}{dropped}",
                once=(found.arrived, found.wrong) == (found.frames, 0),
                duplicates=found.duplicates < 0.10,
                reconnect=found.back_s is None or found.back_s < 2 * network.KEEPALIVE_S,
            )


def disks(folder: Path) -> None:
    print("full disk: no corrupt row, a clear state, resumes within 5 s after space returns")
    for fault in (disk.at_the_agent, disk.below_the_spool, disk.below_the_database):
        found = fault(folder / fault.__name__)
        say(
            found.where,
            f"next ack {found.back_s:.1f} s after space returned; captured {found.captured}, acked {found.acked}, "
            f"dropped and counted {found.dropped}, rows {found.rows}, damage {list(found.damage)}; {found.said}",
            sound=not found.damage and found.rows >= found.acked,
            state=bool(found.said),
            resumes=found.back_s < 5,
        )


def turned(folder: Path) -> None:
    print("clocks: order kept, drift flagged, nothing waits for a clock")
    for fault in (clocks.agent_jumps, clocks.no_clock_at_boot):
        found = fault(folder / fault.__name__)
        say(
            found.what,
            f"{found.recorded} of {found.frames} frames recorded, {found.said_wrong} dated wrongly by the camera, "
            f"{found.right} right within 5 s at the server",
            order=found.in_order,
            flagged=found.flagged,
            times=found.right == found.frames,
        )
    served = clocks.server_jumps(folder / "server_jumps")
    say(
        served.what,
        f"{served.recorded} of {served.frames} frames recorded, longest pause {served.longest_s:.1f} s",
        order=served.in_order,
        nothing_waits=served.recorded == served.frames and served.longest_s < 3,
    )
    kept = clocks.cooldown_jumps(folder / "cooldown_jumps")
    say(
        kept.what,
        f"{kept.frames} frames, {kept.sent} messages, {kept.held_back} held back; from one to the next "
        + ", ".join(f"{each:.1f}" for each in kept.pauses_s)
        + " s",
        unharmed=kept.sent == 6 and all(3.5 < each < 7 for each in kept.pauses_s),
    )


def poisoned(folder: Path) -> None:
    print("poisoned frame: put aside after it took the daemon down three times, others delayed < 1 s")
    found = poison.poison(folder / "poison")
    say(
        "a stage that calls os._exit for one frame",
        f"deaths {found.deaths}, quarantined {found.quarantined}, others {found.recorded} of {found.others}, longest "
        f"wait {found.longest_s:.2f} s, in work beside it {found.beside}",
        quarantined=found.deaths == 3 and list(found.quarantined) == ["cam-1/poison.jpg"],
        others=found.longest_s < 1 and found.recorded == found.others,
    )


def attacked(folder: Path) -> None:
    print("hostile: refused, said once, counted, and nobody else delayed")
    found = hostile.hostile(folder / "hostile")
    say(
        "; ".join(f"{name} x {times}" for name, times in found.tried.items()),
        f"let in {found.let_in}; counted in status.json {found.counted}; log lines {found.lines}; the good station's "
        f"{found.good_arrived} of {found.good_frames} frames, {found.good_s * 1000:.0f} ms at most",
        refused=found.let_in == 0,
        counted=sum(found.counted.values()) == sum(found.tried.values()),
        said_once=set(found.lines.values()) == {1},
        others=found.good_arrived == found.good_frames and found.good_s < 2,
    )


PARTS: dict[str, Callable[[Path], None]] = {
    "network": networks,
    "disk": disks,
    "clocks": turned,
    "poison": poisoned,
    "hostile": attacked,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], metavar="PART")
    wanted = parser.parse_args().part or list(PARTS)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    print(f"{' '.join(['python', *sys.argv])}\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cores} cores, load {load}, "
          f"Python {platform.python_version()}, Linux {platform.release()}\n")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tigrillo-faults-") as made:
        for name in wanted:
            (folder := Path(made, name)).mkdir()
            PARTS[name](folder)
    print("\nall goals reached" if not _missed else f"\n{_missed} goals missed")
    return 1 if _missed else 0


if __name__ == "__main__":
    sys.exit(main())
