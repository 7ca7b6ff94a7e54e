"""The processes of the demo: broker, daemon, agent. They are watched and started again as systemd would."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import EXIT_CONFIG, FatalError
from ..i18n import _
from ..paths import write_atomically

STOP_S = 25.0  # the daemon's grace, and a little
EXIT_TERMINATED = 143  # 128 + SIGTERM, as shells report it
UP_S = 15.0  # for the broker to answer
BROKER_MAX_BYTES = 64_000_000  # one frame at most; a demo has no larger


@dataclass(slots=True)
class Part:
    """One process. restarts: how often it ended by itself and was started again."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0

    def start(self) -> None:
        """Start it; what it prints goes to its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def has_ended(self) -> bool:
        """Whether it is not running."""
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        """SIGTERM, wait, SIGKILL."""
        if self.process is None or self.has_ended():
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)


@dataclass(slots=True)
class Crew:
    """All parts, in the order in which they are started. pids stand in `folder`/pids.json."""

    folder: Path
    parts: list[Part] = field(default_factory=list)

    def __enter__(self) -> "Crew":  # noqa: PYI034  # because a dataclass with slots is not subclassed here
        # `timeout 60 tigrillo demo`: without this the parts would live on when we are told to end
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
        return self

    def __exit__(self, *_exc: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for part in reversed(self.parts):
            part.stop()

    def start(self, name: str, command: Sequence[str]) -> Part:
        """Start one more part."""
        part = Part(name, command, self.folder / f"{name}.log")
        self.parts.append(part)
        part.start()
        self._write_pids()
        return part

    def tend(self) -> None:
        """Start again what ended with an error. An exit of 0 is an end; a wrong configuration is raised."""
        for part in self.parts:
            if not part.has_ended() or part.process is None or part.process.returncode == 0:
                continue
            if part.process.returncode in {FatalError.exit_code, EXIT_CONFIG}:
                raise FatalError(_("{part} ended; its last words stand in {log}").format(part=part.name, log=part.log))
            part.restarts += 1
            part.start()
            self._write_pids()

    def restarts(self) -> int:
        """How often any part had to be started again."""
        return sum(part.restarts for part in self.parts)

    def _write_pids(self) -> None:
        pids = {part.name: part.process.pid for part in self.parts if part.process}
        write_atomically(self.folder / "pids.json", json.dumps(pids).encode())


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def broker_command(folder: Path, port: int) -> tuple[str, list[str]]:
    """Name and command of an MQTT 5 broker on the loopback interface: mosquitto if it is there, else iotcore."""
    if mosquitto := shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto"):
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            f"message_size_limit {BROKER_MAX_BYTES}\nmax_queued_messages 100\nset_tcp_nodelay true\n"
        )
        return "mosquitto", [mosquitto, "-c", str(config)]
    config = folder / "iotcore.toml"
    config.write_text(
        "id = 0\n[router]\nid = 0\nmax_connections = 100\nmax_outgoing_packet_count = 200\n"
        "max_segment_size = 104857600\nmax_segment_count = 10\n"
        f'[v5.1]\nname = "demo"\nlisten = "127.0.0.1:{port}"\nnext_connection_delay_ms = 1\n'
        "[v5.1.connections]\nconnection_timeout_ms = 5000\n"
        f"max_payload_size = {BROKER_MAX_BYTES}\nmax_inflight_count = 100\n"
    )
    return "iotcore", [sys.executable, "-m", "iotcore", "--config", str(config), "--log-level", "ERROR"]


def wait_for_port(port: int) -> None:
    """Return once something listens. Raises FatalError when nothing does within UP_S."""
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise FatalError(_("the broker does not answer on port {port}").format(port=port))
