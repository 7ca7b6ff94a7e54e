"""The private broker: a mosquitto of our own, its files, its process, and how a revoked station is thrown out of it."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from .. import wire
from ..errors import FatalError
from ..i18n import _
from ..link import Broker, Link, LinkLost
from ..services import Log
from ..tls import Tls
from .addresses import why_not_listening
from .authority import key_pem
from .desk import Desk
from .folders import PRIVATE, Folders, write_file
from .mosquitto import acl_text, config_text
from .overheard import Overheard

PLACES = ("/usr/sbin", "/usr/local/sbin")  # where Debian puts it, and no user's PATH leads
AGAIN_S = 2.0  # pause before a broker that ended is started again; doubled up to AGAIN_MOST_S
AGAIN_MOST_S = 60.0
WELL_S = 60.0  # a broker that ran so long had a good start
END_S = 5.0  # what it may take to end
PIPE_BYTES = 2**20  # of what it prints, unread: a daemon that is busy for a second does not stop its broker
RELOAD_S = 0.3  # mosquitto looks at its signals ten times a second
CUT_S = 5.0
GUEST_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """Where the broker is. host, port: for stations. listen: the address it listens on, "" for all.

    external: somebody else's broker, which we neither write nor start.
    """

    host: str
    port: int
    listen: str = ""
    external: bool = False

    @property
    def near(self) -> str:
        """The host by which this machine itself reaches it."""
        return self.host if self.external else self.listen or "127.0.0.1"


def find_mosquitto() -> str:
    """The program. Raises FatalError when it is not installed."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    if found is None:
        raise FatalError(_("mosquitto is not installed: apt install mosquitto"))
    return found


def write_config(folders: Folders, place: BrokerPlace, *, overheard: bool = False) -> None:
    """Write mosquitto.conf and the access list. Raises FatalError when they can't be written.

    overheard: what it prints is read by an Overheard, not by people.
    """
    try:
        config = config_text(folders, port=place.port, listen=place.listen, log_messages=overheard)
        write_file(folders.broker_acl, acl_text().encode(), mode=PRIVATE)  # mosquitto 2.1 refuses one others can read
        write_file(folders.broker_config, config.encode(), mode=PRIVATE)
    except (OSError, ValueError) as exc:
        raise FatalError(
            _("{path}: can't be written ({reason}): check `state_dir` and its owner").format(
                path=folders.folder, reason=exc
            )
        ) from exc


def running_pid(folders: Folders) -> int | None:
    """The process of our broker, whoever started it; None when it does not run."""
    try:
        pid = int(folders.broker_pid.read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(folders.broker_config.absolute()).encode() in arguments else None


def reload(folders: Folders) -> bool:
    """Let our broker read certificates, access list and revoked ones anew; False when it does not run."""
    pid = running_pid(folders)
    if pid is not None:
        os.kill(pid, signal.SIGHUP)
    return pid is not None


@dataclass(frozen=True, slots=True)
class PrivateBroker:
    """A mosquitto that runs as long as we do.

    overheard: reads what it prints; without one that goes to our own standard error. ended: told each time it ends by
    itself, with the reason. place: where it listens, for that reason.
    """

    folders: Folders
    log: Log
    overheard: Overheard | None = None
    ended: Callable[[str], None] = lambda _reason: None
    place: BrokerPlace | None = None

    def run(self, stop: threading.Event) -> None:
        """Keep it running until `stop` is set; one that ends is started again after a pause. Raises FatalError."""
        program, pause_s = find_mosquitto(), AGAIN_S
        self._end_old()
        while not stop.is_set():
            began_s = time.monotonic()
            with self._start(program) as process:
                listener = self._listen_to(process)
                try:
                    while process.poll() is None and not stop.wait(0.2):
                        pass
                finally:
                    _end(process)
                    self.folders.broker_pid.unlink(missing_ok=True)
                    if listener is not None:
                        listener.join(END_S)
            if stop.is_set():
                return
            pause_s = AGAIN_S if time.monotonic() - began_s > WELL_S else min(pause_s * 2, AGAIN_MOST_S)
            self.log.error("broker.ended", code=process.returncode, again_in_s=pause_s)
            self.ended(self._why(process.returncode))
            stop.wait(pause_s)

    def _why(self, code: int) -> str:
        """Why it ended: a port that is taken is the commonest reason."""
        taken = why_not_listening(self.place.listen, self.place.port) if self.place else ""
        return f"exit code {code}" + (f"; {taken}" if taken else "")

    def _start(self, program: str) -> subprocess.Popen[bytes]:
        command = [program, "-c", str(self.folders.broker_config.absolute())]
        process = subprocess.Popen(command, stderr=None if self.overheard is None else subprocess.PIPE)
        write_file(self.folders.broker_pid, str(process.pid).encode(), mode=PRIVATE)
        self.log.info("broker.started", pid=process.pid, config=str(self.folders.broker_config))
        return process

    def _listen_to(self, process: subprocess.Popen[bytes]) -> threading.Thread | None:
        if self.overheard is None or process.stderr is None:
            return None
        with contextlib.suppress(OSError):  # a user may have used up what all pipes may hold
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        listener = threading.Thread(
            target=self.overheard.listen, args=(process.stderr,), name="broker-says", daemon=True
        )
        listener.start()
        return listener

    def _end_old(self) -> None:
        """End a broker that outlived a killed daemon: it holds our port."""
        pid, until_s = running_pid(self.folders), time.monotonic() + END_S
        if pid is None:
            return
        self.log.warning("broker.left_over", pid=pid)
        os.kill(pid, signal.SIGTERM)
        while running_pid(self.folders) is not None and time.monotonic() < until_s:
            time.sleep(0.05)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_config(folders: Folders) -> str:
    """What mosquitto says against its configuration, "" when it starts with it.

    mosquitto 2.0 can't check without starting: it is started with everything as it will be, but on a port of the
    loopback that is free, and ended when it listens.
    """
    with tempfile.TemporaryDirectory(prefix="tigrillo-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        config = Path(folder, "mosquitto.conf")
        config.write_text(config_text(folders, port=port, listen="127.0.0.1"))
        with subprocess.Popen([find_mosquitto(), "-c", str(config)], stderr=subprocess.PIPE, text=True) as process:
            listens = _wait_for(process, port)
            _end(process)
            said = process.stderr.read() if process.stderr else ""
    return "" if listens else said.strip() or f"exit {process.returncode}"


def _wait_for(process: subprocess.Popen[str], port: int) -> bool:
    until_s = time.monotonic() + END_S
    while process.poll() is None and time.monotonic() < until_s:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            time.sleep(0.05)
    return False


def throw_out(desk: Desk, place: BrokerPlace, station: str) -> bool:
    """End the live session of a station that was revoked; False when the broker could not be reached.

    Broker: reads the list, so that the station can't come back. Then we connect under the station's own name, with a
    certificate that ends in ten minutes and never leaves this machine: a name has one session, and it is ours now.
    """
    if reload(desk.folders):
        time.sleep(RELOAD_S)
    key = ec.generate_private_key(ec.SECP256R1())
    now = desk.clock.now()
    guest = desk.authority.sign_station(station, key.public_key(), now, life=GUEST_LIFE)
    with tempfile.TemporaryDirectory(prefix="tigrillo-") as folder:  # mode 0700
        certificate, key_file = Path(folder, "cert.pem"), Path(folder, "key.pem")
        certificate.write_text(guest.pem)
        write_file(key_file, key_pem(key), mode=PRIVATE)
        broker = Broker(place.near, place.port, tls=Tls(desk.folders.ca, certificate, key_file))
        try:
            _visit(broker, station)
        except LinkLost:
            return False
    return True


def _visit(broker: Broker, station: str) -> None:
    """Connect under a station's name and leave. Raises LinkLost."""
    until_s = time.monotonic() + CUT_S
    topic = wire.down_topic(station, "ack")
    with Link(broker, client_id=f"{wire.ROOT}-{station}", subscribe=topic, on_message=lambda _message: None) as link:
        link.connect()
        while not link.ready and time.monotonic() < until_s:
            link.turn(0.1)
        if not link.ready:
            raise LinkLost("no answer")
