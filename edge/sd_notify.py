"""Tell systemd how a service fares (`Type=notify`, `WatchdogSec=`); does nothing when systemd did not start us.

Standard library only, for the daemon and for the agent on a Pi. Protocol: sd_notify(3).
"""

import os
import socket
import time

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def reloading() -> str:
    """The state of a service that loads its configuration anew; READY ends it. Needs systemd 253 for the time in it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def notify(state: str) -> bool:
    """Send one state, for example READY; returns whether there was somebody to tell.

    Raises OSError when systemd named a socket that does not take it.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket, whose real name starts with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), address)
    return True


def watchdog_s() -> float | None:
    """Seconds within which systemd wants to hear ALIVE from this process; None when it does not watch us."""
    watched = os.environ.get("WATCHDOG_PID", "")
    if watched and watched != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) > 0 else None
