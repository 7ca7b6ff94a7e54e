"""The agent: trigger → camera → spool, and an uplink beside it; until it is told to stop.

The main thread takes pictures, writes status.json and feeds systemd's watchdog; a second one is the uplink. Whatever
goes wrong for good ends the process with a line and an exit code: systemd starts it again, and nothing is lost.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

from edge.foreign import foreign
from edge.i18n import _
from edge.link import Broker
from edge.sd_notify import ALIVE, READY, STOPPING, notify

from .camera import Camera, CameraError, open_camera
from .config import AgentConfigError, BrokerSettings, Settings, load
from .spool import Spool, SpoolError, SpoolFullError
from .trigger import Trigger, open_trigger
from .uplink import Uplink

log = logging.getLogger(__name__)
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: the unit does not start us again for it
BEAT_S = 1.0
HUNG_S = 45.0  # an uplink that has not turned for so long hangs; a name look-up may take half of it
SAY_FULL_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Status:
    """What status.json says. captured = acked + spooled + dropped, over all runs."""

    station: str
    captured: int
    acked: int
    spooled: int
    dropped: int
    connected: bool
    seq: int
    updated_at: str
    done: bool


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
        broker = _broker(settings.broker, config_path)
        camera, trigger = open_camera(settings.camera), open_trigger(settings.trigger)
    except AgentConfigError as exc:
        print(exc, file=sys.stderr)
        return EXIT_CONFIG
    except CameraError as exc:
        print(f"{config_path}: {exc}", file=sys.stderr)
        return EXIT_CONFIG
    try:
        with Spool(
            settings.spool.folder, max_bytes=settings.spool.max_bytes, min_free_bytes=settings.spool.min_free_bytes
        ) as spool:
            _work(settings, broker, spool, camera, trigger, stop)
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


def _broker(settings: BrokerSettings, config_path: Path) -> Broker:
    password = ""
    if settings.password_file is not None:
        try:
            password = settings.password_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as exc:
            what = _("{path}: can't be read: {reason}").format(path=settings.password_file, reason=foreign(exc))
            fault = f"{config_path}: broker.password_file: {what}"
            raise AgentConfigError([fault]) from exc
    return Broker(settings.host, settings.port, settings.username, password, settings.keepalive_s)


def _work(
    settings: Settings, broker: Broker, spool: Spool, camera: Camera, trigger: Trigger, stop: threading.Event
) -> None:
    halt = threading.Event()
    with closing(Uplink(spool, broker, station=settings.station)) as uplink, ThreadPoolExecutor(1, "uplink") as threads:
        sending = threads.submit(uplink.run, halt)
        shutter = _Shutter(spool, camera, limit=settings.max_frames)
        beat = _Beat(settings, spool, uplink)
        try:
            notify(READY)
            log.info("agent.started station=%s boot=%s seq=%s", settings.station, spool.boot, spool.seq)
            _take_pictures(shutter, trigger, uplink, beat, sending, stop)
        finally:
            notify(STOPPING)
            halt.set()
            uplink.wake()
    sending.result()
    beat.write(done=shutter.finished and not spool.counts().spooled)
    log.info("agent.stopped %s", spool.counts())


def _take_pictures(
    shutter: "_Shutter", trigger: Trigger, uplink: Uplink, beat: "_Beat", sending: Future[None], stop: threading.Event
) -> None:
    while not stop.is_set() and not (shutter.finished and not beat.spool.counts().spooled):
        if sending.done():
            sending.result()  # raises what ended the uplink
        beat.if_due()
        if shutter.finished:
            stop.wait(0.05)
        elif trigger.wait(stop, timeout_s=BEAT_S / 2) and shutter.release():
            uplink.wake()


class _Shutter:
    """Takes one picture and puts it into the spool. limit: pictures to take over all runs."""

    def __init__(self, spool: Spool, camera: Camera, *, limit: int | None) -> None:
        self._spool = spool
        self._camera = camera
        self._limit = limit
        self._said_full_at = -SAY_FULL_EVERY_S
        self.finished = limit is not None and spool.seq >= limit

    def release(self) -> bool:
        """Take a picture; whether there is a new frame to send."""
        try:
            shot = self._camera.capture(self._spool.seq)
            if shot is None:
                self.finished = True
                return False
            header = self._spool.put(shot.body, kind=shot.kind, name=shot.name, captured_at=datetime.now(UTC))
        except CameraError as exc:
            self._spool.drop()
            log.error("camera.failed reason=%r; dropped", str(exc))  # noqa: TRY400  # because the reason is in the text
            return False
        except SpoolFullError as exc:
            self._say_full(str(exc))
            return False
        finally:
            self.finished = self.finished or (self._limit is not None and self._spool.seq >= self._limit)
        log.debug("frame.captured id=%s name=%s", header.id, header.name)
        return True

    def _say_full(self, reason: str) -> None:
        """Say that new pictures are dropped, at once and then now and again: a full disk must not fill its own log."""
        if time.monotonic() - self._said_full_at >= SAY_FULL_EVERY_S:
            self._said_full_at = time.monotonic()
            log.warning("spool.full reason=%r dropped=%s; older frames are kept", reason, self._spool.counts().dropped)


class _Beat:
    """Once a second: status.json for people and programs, a sign of life for systemd."""

    def __init__(self, settings: Settings, spool: Spool, uplink: Uplink) -> None:
        self.spool = spool
        self._station = settings.station
        self._path = settings.spool.folder / "status.json"
        self._uplink = uplink
        self._due_at_s = 0.0

    def if_due(self) -> None:
        """Write and notify if a second has passed."""
        now_s = time.monotonic()
        if now_s < self._due_at_s:
            return
        self._due_at_s = now_s + BEAT_S
        self.write(done=False)
        if now_s - self._uplink.alive_at_s < HUNG_S:
            notify(ALIVE)

    def write(self, *, done: bool) -> None:
        """Write status.json, whole or not at all; not synced, as every number in it can be found again."""
        counts = self.spool.counts()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        status = Status(
            self._station,
            **asdict(counts),
            connected=self._uplink.connected,
            seq=self.spool.seq,
            updated_at=now,
            done=done,
        )
        temporary = self._path.with_name(f".status.{os.getpid()}.part")
        try:
            temporary.write_text(json.dumps(asdict(status)) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError as exc:
            log.warning("status.not_written reason=%r", exc.strerror)  # a full disk: the frames matter more


if __name__ == "__main__":
    sys.exit(main())
