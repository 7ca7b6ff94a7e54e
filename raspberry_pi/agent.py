"""The agent: trigger → camera → spool, and an uplink beside it; until it is told to stop.

The main thread takes pictures, does what the server commands, writes status.json and feeds systemd's watchdog; a second
one is the uplink. Whatever goes wrong for good ends the process with a line and an exit code: systemd starts it again,
and nothing is lost.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from edge.foreign import foreign
from edge.i18n import _
from edge.link import Broker
from edge.sd_notify import READY, STOPPING, notify
from edge.tls import Tls
from edge.wire import FrameHeader

from .agent_clock import AgentClock
from .beat import BEAT_S, Beat, LastError
from .cameras.base import CameraError
from .commands import Desk, Journal
from .config import AgentConfigError, Settings, load
from .delivery import Delivery
from .frame_file import FrameFile
from .hardware import Hardware
from .needs import HardwareError
from .orders import Orders
from .renew import renew_if_due
from .schedule import Budget, Shares
from .shutter import Shutter
from .spool import Spool, SpoolError
from .uplink import Uplink
from .uplink_config import BrokerSettings

log = logging.getLogger(__name__)
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: the unit does not start us again for it
RENEW_EVERY_S = 86_400.0
RENEW_AGAIN_S = 60.0  # while nobody knows what time it is


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m raspberry_pi.agent", description=_("Tigrillo's camera agent."))
    parser.add_argument("config", type=Path, metavar="AGENT.yaml", help=_("station, broker, spool, camera, trigger"))
    return run(parser.parse_args(argv).config)


def run(config_path: Path, stop: threading.Event | None = None) -> int:
    """Run the agent until `stop` is set, or until all it was to take has arrived; returns the exit code.

    Without `stop`, SIGTERM and SIGINT end it. 0: ended as asked. 1: the spool's folder is in use or can't be used.
    78: AGENT.yaml is wrong; one line a fault on standard error. Anything unforeseen is raised.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    stop = stop or _stop_on_signal()
    try:
        settings = load(config_path)
        broker = open_broker(settings.broker, config_path)
        clock = AgentClock()
        hardware = Hardware(settings, clock=lambda: clock.best_now() or clock.now())
    except AgentConfigError as exc:
        print(exc, file=sys.stderr)
        return EXIT_CONFIG
    except (CameraError, HardwareError) as exc:
        print(f"{config_path}: {exc}", file=sys.stderr)
        return EXIT_CONFIG
    try:
        with hardware, open_spool(settings) as spool:
            clock.not_before(spool.newest)
            _work(settings, broker, spool, hardware, clock, stop)
    except SpoolError as exc:
        print(f"{config_path}: {exc}", file=sys.stderr)
        return 1
    return 0


def _stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set; from a thread, because the main thread may hold the event's own lock.

    A handler runs in the main thread wherever that is, also within `Event.wait`: setting the event there would wait
    for itself, and the agent would never end. SimpleQueue.put is made for handlers.
    """
    stop, asked = threading.Event(), SimpleQueue[None]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.put(None))

    def wait() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


def open_broker(settings: BrokerSettings, config_path: Path) -> Broker:
    """Where the broker is and who we are there. Raises AgentConfigError when the password can't be read."""
    password, tls = "", None
    if settings.password_file is not None:
        try:
            password = settings.password_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as exc:
            what = _("{path}: can't be read: {reason}").format(path=settings.password_file, reason=foreign(exc))
            fault = f"{config_path}: broker.password_file: {what}"
            raise AgentConfigError([fault]) from exc
    if settings.tls is not None:
        tls = Tls(settings.tls.ca, settings.tls.cert, settings.tls.key)
    return Broker(settings.host, settings.port, settings.username, password, settings.keepalive_s, tls)


def open_spool(settings: Settings) -> Spool:
    """The spool that the settings ask for, to be entered. Raises SpoolError when the state folder can't be made."""
    try:
        settings.state_folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SpoolError(f"state_dir: {settings.state_folder}: {foreign(exc.strerror)}") from exc
    return Spool(
        settings.spool_folder,
        max_bytes=settings.spool.max_bytes,
        min_free_bytes=settings.spool.min_free_bytes,
        policy=settings.spool.policy,
        fresh_s=settings.uplink.fresh_s,
        only_wanted=settings.uplink.thumbnails == "only_wanted",
    )


def correct_with(clock: AgentClock, spool: Spool, frame: FrameFile) -> FrameHeader:
    """A frame's header with how long it has waited, and when it was really taken, where that is known only now."""
    if not spool.same_machine_start(frame.notes):
        return frame.header
    corrected = clock.corrected(clock=frame.header.clock, monotonic_s=frame.notes.monotonic_s)
    waited_s = max(0.0, time.monotonic() - frame.notes.monotonic_s)
    return replace(frame.header, corrected_at=corrected, waited_s=waited_s)


def _work(
    settings: Settings,
    broker: Broker,
    spool: Spool,
    hardware: Hardware,
    clock: AgentClock,
    stop: threading.Event,
) -> None:
    halt = threading.Event()
    errors = LastError()
    budget = Budget(settings.state_folder / "budget.json", settings.uplink.bytes_per_day)
    journal = Journal(settings.state_folder / "commands.json")
    delivery = Delivery(
        spool,
        shares=Shares(settings.uplink.fresh_share),
        budget=budget,
        correct=lambda frame: correct_with(clock, spool, frame),
    )
    desk = Desk(journal, lambda command: orders.run(command))  # noqa: PLW0108  # because orders needs the uplink, and it the desk
    budget.load()
    journal.load()
    logging.getLogger().addHandler(errors)
    with (
        closing(
            Uplink(
                delivery,
                broker,
                station=settings.station,
                boot=spool.boot,
                clock=clock,
                desk=desk,
                hours=settings.uplink.hours,
                budget=budget,
            )
        ) as uplink,
        ThreadPoolExecutor(1, "uplink") as threads,
    ):
        shutter = Shutter(
            spool,
            hardware,
            clock,
            limit=settings.max_frames,
            thumbnails=settings.uplink.thumbnails,
            wake=uplink.wake,
        )
        orders = Orders(
            allow=settings.commands.allow,
            settings=settings.uplink,
            spool=spool,
            shutter=shutter,
            hardware=hardware,
            delivery=delivery,
            uplink=uplink,
            budget=budget,
            journal=journal,
        )
        beat = Beat(
            settings.state_folder / "status.json",
            station=settings.station,
            spool=spool,
            uplink=uplink,
            delivery=delivery,
            clock=clock,
            budget=budget,
            errors=errors,
            health_every_s=settings.health.every_s,
            measure=hardware.health,
        )
        orders.resume()
        sending = threads.submit(uplink.run, halt)
        # A daemon, as asking for a certificate may take a minute and nobody need wait for it at the end.
        threading.Thread(target=_keep_certificate, args=(settings, clock, halt), name="renewal", daemon=True).start()
        try:
            hardware.start()
            notify(READY)
            log.info("agent.started station=%s boot=%s seq=%s", settings.station, spool.boot, spool.seq)
            _take_pictures(shutter, hardware, desk, beat, sending, stop)
        finally:
            notify(STOPPING)
            halt.set()
            uplink.wake()
            logging.getLogger().removeHandler(errors)
    sending.result()
    beat.write(done=shutter.finished and not spool.waits())
    log.info("agent.stopped %s", spool.counts())


def _keep_certificate(settings: Settings, clock: AgentClock, halt: threading.Event) -> None:
    """Once a day, as soon as the time is known, look whether our certificate ends soon, and have it renewed."""
    while not halt.is_set():
        now = clock.best_now()
        if now is not None:
            renew_if_due(settings, now)
        halt.wait(RENEW_EVERY_S if now is not None else RENEW_AGAIN_S)


def _take_pictures(
    shutter: Shutter, hardware: Hardware, desk: Desk, beat: Beat, sending: Future[None], stop: threading.Event
) -> None:
    while not stop.is_set() and not (shutter.finished and not beat.spool.waits()):
        if sending.done():
            sending.result()  # raises what ended the uplink
        beat.if_due()
        if desk.work():
            beat.uplink.wake()
        elif shutter.finished:
            stop.wait(0.05)
        elif trigger := hardware.wait(stop, timeout_s=BEAT_S / 2):
            shutter.release(trigger)


if __name__ == "__main__":
    sys.exit(main())
