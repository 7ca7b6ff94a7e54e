"""A mail server in a process of its own that notes each mail the moment it has all of it, before it says 250.

`python mail_server.py PORT FILE [CERT KEY]`: a line of JSON a mail goes to FILE, the mail itself into `mails` beside
it. With a certificate it wants STARTTLS and a login.
"""

import json
import re
import signal
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from alert_kit import MAIL_PASSWORD, MAIL_USER  # because its folder is set first

MOST_BYTES = 2**25
HEADS = {
    "id": re.compile(rb"^Message-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE),
    "notice": re.compile(rb"^X-Tigrillo-Notice:\s*(\S+)", re.IGNORECASE | re.MULTILINE),
}


class Counting:
    """What aiosmtpd calls."""

    def __init__(self, file: Path) -> None:
        self.file, self.kept, self.count = file, file.parent / "mails", 0
        self.kept.mkdir(exist_ok=True)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # because aiosmtpd calls it so
        at, raw = time.time(), envelope.content
        self.count += 1
        path = self.kept / f"{self.count:04}.eml"
        path.write_bytes(raw)
        # by hand: whoever is killed while we read a whole mail would get the blame for that time
        found = {name: head.search(raw) for name, head in HEADS.items()}
        line: dict[str, Any] = {name: match[1].decode() if match else "" for name, match in found.items()}
        line |= {"at": at, "mail": str(path), "bytes": len(raw)}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return "250 kept"

    def login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = (data.login, data.password) == (MAIL_USER.encode(), MAIL_PASSWORD.encode())
        return AuthResult(success=known, handled=False)


def main() -> None:
    port, file, *certificate = sys.argv[1:]
    counting, options = Counting(Path(file)), dict[str, Any]()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        options = {"tls_context": context, "require_starttls": True}
        options |= {"authenticator": counting.login, "auth_required": True}
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    controller = Controller(
        counting, hostname="127.0.0.1", port=int(port), ready_timeout=30, data_size_limit=MOST_BYTES, **options
    )
    controller.start()
    stop.wait()
    controller.stop()


if __name__ == "__main__":
    main()
