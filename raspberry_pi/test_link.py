"""One picture, all the way: `python -m raspberry_pi.test_link AGENT.yaml`, or `tigrillo agent test AGENT.yaml`.

camera → spool → name → TCP → TLS → MQTT → ack, one line a hop; it ends at the first that fails and says why. The
picture is an ordinary one: the server records it, and when it does not arrive now, the agent sends it later.
"""

import argparse
import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from edge.foreign import foreign
from edge.i18n import _, mark
from edge.link import Broker
from edge.tls import open_context, why

from .agent import correct_with, open_broker, open_spool
from .agent_clock import AgentClock
from .cameras.base import CameraError
from .config import AgentConfigError, Settings, load
from .delivery import Delivery
from .hardware import Hardware
from .needs import HardwareError
from .schedule import Shares
from .shutter import Shutter
from .spool import Spool, SpoolError
from .uplink import Uplink

T = TypeVar("T")
EXIT_CONFIG = 78
WAIT_S = 20.0
CONNECT_S = 10.0
LATER = mark("the picture is kept, and the agent sends it when it can")


class HopError(Exception):
    """This hop failed; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m raspberry_pi.test_link", description=_("Take one picture and follow it to the server.")
    )
    parser.add_argument("config", type=Path, metavar="AGENT.yaml", help=_("The agent's YAML file."))
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help=_("Seconds to wait for the ack."))
    given = parser.parse_args(argv)
    return run(given.config, wait_s=given.wait)


def run(config: Path, *, wait_s: float = WAIT_S) -> int:
    """Take it and follow it; 0 when it arrived, 1 at the hop that failed, 78 when AGENT.yaml is wrong."""
    logging.basicConfig(level=logging.CRITICAL)  # each hop says itself what is wrong
    try:
        settings = load(config)
        broker = open_broker(settings.broker, config)
    except AgentConfigError as exc:
        print(exc, file=sys.stderr)
        return EXIT_CONFIG
    try:
        _follow(settings, broker, wait_s)
    except HopError as exc:
        print(f"✗ {exc}")
        return 1
    return 0


def _follow(settings: Settings, broker: Broker, wait_s: float) -> None:
    clock = AgentClock()
    try:
        with open_spool(settings) as spool:
            frame_id = _take(settings, spool, clock)
            _reach(broker)
            _deliver(settings, broker, spool, clock, frame_id, wait_s)
    except SpoolError as exc:
        raise HopError(_("spool: {reason}").format(reason=exc)) from exc


def _take(settings: Settings, spool: Spool, clock: AgentClock) -> str:
    """Hops camera and spool; the frame's id."""
    before = spool.dropped()
    try:
        with Hardware(settings, clock=clock.now) as hardware:
            hardware.start()
            kept = Shutter(spool, hardware, clock).release("command", only_first=True)
            camera_error = hardware.camera_error
    except (CameraError, HardwareError) as exc:
        raise HopError(_("camera: {reason}").format(reason=exc)) from exc
    if camera_error:
        raise HopError(_("camera: {reason}").format(reason=camera_error))
    if not kept:
        if spool.dropped() == before:
            raise HopError(_("camera: it has no more pictures to give (replay without loop: true)"))
        raise HopError(_("spool: no room for a picture ({used} bytes wait)").format(used=spool.used_bytes))
    size = spool.open(kept[0].id).size
    _say(_("camera"), f"{kept[0].name}, {size / 1000:.1f} kB")
    _say(_("spool"), _("kept as {id}").format(id=kept[0].id))
    return kept[0].id


def _reach(broker: Broker) -> None:
    """Hops name, TCP and TLS. A failure is not the end of the picture."""
    found = _hop(_("name"), lambda: socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM), broker.host)
    address = found[0][4]
    _say(_("name"), f"{broker.host} → {address[0]}")
    began_s = time.monotonic()
    where = f"{broker.host}:{broker.port}"
    sock = _hop(_("TCP"), lambda: socket.create_connection((broker.host, broker.port), timeout=CONNECT_S), where)
    with sock:
        _say(_("TCP"), f"{where}, {(time.monotonic() - began_s) * 1000:.0f} ms")
        tls = broker.tls
        if tls is None:
            return
        context = _hop(_("TLS"), lambda: open_context(tls), where)
        secured = _hop(_("TLS"), lambda: context.wrap_socket(sock, server_hostname=broker.host), where)
        with secured:
            _say(_("TLS"), f"{secured.version()}")


def _deliver(settings: Settings, broker: Broker, spool: Spool, clock: AgentClock, frame_id: str, wait_s: float) -> None:
    """Hops MQTT and ack."""
    halt = threading.Event()
    delivery = Delivery(spool, shares=Shares(1.0), correct=lambda frame: correct_with(clock, spool, frame))
    spool.want(frame_id)  # before everything else that waits
    refused_before = spool.dropped().get("refused", 0)
    began_s = time.monotonic()
    with closing(Uplink(delivery, broker, station=settings.station, boot=spool.boot, clock=clock)) as uplink:
        thread = threading.Thread(target=uplink.run, args=(halt,), daemon=True)
        thread.start()
        try:
            _wait(lambda: uplink.connected or uplink.failed, wait_s)
            if not uplink.connected:
                reason = uplink.state.reason or _("no answer in {seconds:.0f} s").format(seconds=wait_s)
                raise HopError(_("MQTT: {reason}; {later}").format(reason=foreign(reason), later=_(LATER)))
            _say("MQTT", _("{station} is let in").format(station=settings.station))
            if not _wait(lambda: not spool.has(frame_id), wait_s):
                reason = _("none in {seconds:.0f} s; does `tigrillo run` run on the server, and has its disk room?")
                raise HopError(_("ack: {reason} {later}").format(reason=reason.format(seconds=wait_s), later=_(LATER)))
        finally:
            halt.set()
            uplink.wake()
            thread.join(10)
    if spool.dropped().get("refused", 0) > refused_before:
        raise HopError(_("ack: the server refused the picture: {reason}").format(reason=delivery.last_refusal))
    _say(_("ack"), _("the server has it, {ms:.0f} ms").format(ms=(time.monotonic() - began_s) * 1000))


def _hop(name: str, do: Callable[[], T], what: str) -> T:
    try:
        return do()
    except OSError as exc:
        reason = why(exc) if isinstance(exc, ssl.SSLError) else foreign(exc.strerror or str(exc))
        raise HopError(f"{name}: {what}: {reason}; {_(LATER)}") from exc


def _wait(condition: Callable[[], object], wait_s: float) -> bool:
    until_s = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True


def _say(hop: str, what: str) -> None:
    print(f"✓ {hop}: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
