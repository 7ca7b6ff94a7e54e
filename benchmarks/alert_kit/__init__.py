"""What the alert benchmarks share: servers in processes of their own that note what reaches them, and their notes."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from edge.demo.parts import Crew, Part, free_port, wait_for_port

HERE = Path(__file__).resolve().parent
MAIL_USER, MAIL_PASSWORD = "station", "contraseña-7"
UP_S = 40.0  # for the daemon to receive: models are opened first


@dataclass(frozen=True, slots=True)
class Notes:
    """What a server has noted, a line of JSON each. port: where it listens."""

    file: Path
    port: int

    def read(self) -> list[dict[str, Any]]:
        """All of it so far, oldest first."""
        whole = self.file.read_text("utf-8").rpartition("\n")[0] if self.file.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]


def start_mailbox(crew: Crew, *, certificate: tuple[Path, Path] | None = None) -> Notes:
    """A mail server: with a certificate it wants STARTTLS and a login. Notes at, id, notice, mail, bytes."""
    notes = Notes(crew.folder / "mailbox.jsonl", free_port())
    files = [str(each) for each in certificate or ()]
    crew.start("mailbox", [sys.executable, str(HERE / "mail_server.py"), str(notes.port), str(notes.file), *files])
    wait_for_port(notes.port)
    return notes


def start_twilio(crew: Crew) -> Notes:
    """Twilio's Messages API. Notes at, sid, to, body."""
    file = crew.folder / "twilio.jsonl"
    part = crew.start("twilio", [sys.executable, str(HERE / "sms_server.py"), str(file)])
    port, until = file.with_suffix(".port"), time.monotonic() + UP_S
    while not port.exists():
        if part.has_ended() or time.monotonic() > until:
            raise SystemExit(f"no Twilio:\n{part.log.read_text()}")
        time.sleep(0.02)
    return Notes(file, int(port.read_text()))


def picture_of(mail: Path) -> str:
    """A hash of a mail's JPEG; "" without one."""
    parts = message_from_bytes(mail.read_bytes(), policy=policy.default).walk()
    jpegs = [part.get_content() for part in parts if part.get_content_type() == "image/jpeg"]
    return hashlib.sha256(jpegs[0]).hexdigest() if jpegs else ""


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key. Needs openssl."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def wait_for_line(part: Part, line: str, *, since: int = 0) -> None:
    """Return once a process has logged it, from byte `since` on. Raises SystemExit when it ends or does not."""
    until = time.monotonic() + UP_S
    while line.encode() not in part.log.read_bytes()[since:]:
        if part.has_ended() or time.monotonic() > until:
            raise SystemExit(f"no {line} from {part.name}:\n{part.log.read_text()[-3000:]}")
        time.sleep(0.02)


def told(what: str, value: float, goal: float, *, unit: str = "", at_most: bool = True, digits: int = 0) -> bool:
    """Print a figure with its goal; whether it is reached."""
    good = value <= goal if at_most else value >= goal
    sign, word = ("≤", "reached") if at_most else ("≥", "reached")
    shown = f"{value:.{digits}f}{unit}"
    print(f"  {what:<52}{shown:>10}   goal {sign} {goal:g}{unit}  {word if good else 'MISSED'}", flush=True)
    return good


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """p50, p95 and the largest; nearest rank."""
    ordered = sorted(values)
    rank = [ordered[min(len(ordered) - 1, -(-len(ordered) * share // 100) - 1)] for share in (50, 95)]
    return rank[0], rank[1], ordered[-1]


@dataclass(slots=True)
class Beat:
    """Says when so many seconds have passed again; for lines about how far a run is."""

    seconds: float
    last_s: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether it is time; then not again for as long."""
        now_s = time.monotonic()
        if now_s - self.last_s < self.seconds:
            return False
        self.last_s = now_s
        return True
