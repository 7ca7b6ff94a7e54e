"""Does every alert arrive while the daemon is killed, and how many twice? 500 alerts against a mailbox that counts.

Usage: python benchmarks/alert_kills.py [--alerts N] [--kills N] [--seed N] [--stops SHARE]

The daemon gets SIGKILL at any moment of its life, its start too. With --stops that share of its lives ends at one of
three points of the outbox instead (edge/crash.py): a message is in its channel's hands, the channel has it, that is
written down. At the second a mail has left that nobody has noted: SMTP has no key by which a server knows it again, so
there the alert comes twice, as two mails of one thread. All that came twice are counted. Lost is an alert without a
mail. Whether one alert's key stands for two is told by the pictures.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from alert_kit import Beat, told
from alert_kit.kills import Kills, Progress, Wish
from kit import machine

GOAL_SHARE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=Wish().alerts)
    parser.add_argument("--kills", type=int, default=Wish().kills)
    parser.add_argument("--seed", type=int, default=Wish().seed)
    parser.add_argument("--stops", type=float, default=Wish().armed)
    chosen = parser.parse_args()
    print(f"$ python benchmarks/{Path(__file__).name} {' '.join(sys.argv[1:])}".rstrip())
    print(machine("aiosmtpd"), flush=True)
    beat = Beat(10)

    def tell(now: Progress) -> None:
        if beat.due():
            left = "" if now.eta_s is None else f", about {now.eta_s:.0f} s left"
            print(f"  {now.spent_s:3.0f} s: {now.kills} kills, {now.delivered} delivered{left}", flush=True)

    with tempfile.TemporaryDirectory(prefix="tigrillo-kills-", ignore_cleanup_errors=True) as folder:
        found = Kills(Path(folder), Wish(chosen.alerts, chosen.kills, chosen.seed, chosen.stops), tell).run()
    stops = ", ".join(f"{count} at {point}" for point, count in sorted(found.stopped.items()))
    print(f"  {found.spent_s:.0f} s; killed {found.killed} times from outside; stopped {stops or 'nowhere'}")
    meant = found.duplicates - found.by_chance
    print(f"  {found.duplicates} alerts came twice: {meant} by stops at outbox.accepted, where each makes one")
    print(f"  {found.mails} mails of {found.alerts} alerts; load after {os.getloadavg()[0]:.1f}")
    for fault in found.faults:
        print(f"  {fault}")
    most = int(GOAL_SHARE * found.alerts) + meant
    good = [
        told("kills", found.kills, min(chosen.kills, 40), at_most=False),
        told("alerts lost", found.lost, 0),
        told("mails of no alert", found.strays, 0),
        told("alerts that came twice", found.duplicates, most),
        told("mails whose Message-ID came before", found.same_id, 0),
        told("two alerts under one key", found.shared, 0),
        told("one alert under two keys", found.split, 0),
        told("frames in quarantine, faults", found.quarantined + len(found.faults), 0),
    ]
    print(f"ratio: {sum(good) / len(good):.2f} (goals reached)")


if __name__ == "__main__":
    main()
