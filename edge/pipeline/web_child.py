"""The web page's process, kept running beside the daemon: what it does, and how it ends, stops no frame."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..foreign import foreign
from ..services import Log
from ..site_web import TlsConfig, tls_fault
from ..stations.addresses import why_not_listening

MODULE = "server"  # by name, so that no arrow leads from the runtime to the page
AGAIN_S = 2.0  # pause before one that ended is started again; doubled up to AGAIN_MOST_S
AGAIN_MOST_S = 60.0
WELL_S = 60.0  # one that ran so long had a good start
END_S = 8.0  # what it may take to end: 3 s for requests in hand, and a write that waits for the database
LOOK_S = 0.2
LISTENS = "0A"  # TCP_LISTEN in /proc/net/tcp, proc(5)


@dataclass(slots=True)
class WebChild:
    """The process of a site's page. ended: told each time it ends by itself, with the reason. listen: its address.

    tls: its own, which is looked at when it ends.
    """

    site: Path
    port: int
    log: Log
    ended: Callable[[str], None] = lambda _reason: None
    command: tuple[str, ...] = ()  # for tests; ours when left out
    listen: str = "127.0.0.1"
    tls: TlsConfig | None = None
    _process: subprocess.Popen[bytes] | None = None
    _endings: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, stop: threading.Event) -> None:
        """Keep it running until `stop` is set; one that ends is started again after a pause."""
        pause_s = AGAIN_S
        while not stop.is_set():
            began_s = time.monotonic()
            reason = self._run_once(stop)
            if stop.is_set():
                return
            pause_s = AGAIN_S if time.monotonic() - began_s > WELL_S else min(pause_s * 2, AGAIN_MOST_S)
            with self._lock:
                self._endings += 1
            self.log.error("web.ended", reason=reason, again_in_s=pause_s)
            self.ended(reason)
            stop.wait(pause_s)

    def listens(self) -> bool:
        """Whether it, and no other program, takes connections at its port."""
        process = self._process
        return process is not None and process.poll() is None and listens(process.pid, self.port)

    def snapshot(self) -> dict[str, int | None]:
        """{"pid", "port", "endings"} for the status file; endings: how often it ended by itself."""
        process = self._process
        alive = process is not None and process.poll() is None
        return {"pid": process.pid if process and alive else None, "port": self.port, "endings": self._endings}

    def _run_once(self, stop: threading.Event) -> str:
        """Start it and stay with it; why it ended."""
        # -P: no code from the folder in which the daemon happens to run
        ours = (sys.executable, "-P", "-m", "edge.lifeline", str(os.getpid()), MODULE, str(self.site.absolute()))
        try:
            # its own group: a Ctrl-C on the terminal is for the daemon, which ends the page itself
            self._process = process = subprocess.Popen(self.command or ours, stdin=subprocess.DEVNULL, process_group=0)
        except OSError as exc:
            return f"can't be started: {foreign(exc.strerror or exc)}"
        self.log.info("web.child_started", pid=process.pid, port=self.port)
        try:
            while process.poll() is None and not stop.wait(LOOK_S):
                pass
        finally:
            end_group(process)
        code = process.returncode
        reason = f"exit code {code}" if code >= 0 else f"signal {-code}"
        why = why_not_listening(self.listen, self.port) or tls_fault(self.tls)
        return f"{reason}; {why or 'its log says why'}"


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and those it started; kill what has not ended after END_S."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:  # it ended between the two lines
            return


def listens(pid: int, port: int) -> bool:
    """Whether this process has a TCP socket that listens on this port, of whatever address."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path("/proc/self/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    try:
        return any(_link(each) in sockets for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed meanwhile
        return ""
