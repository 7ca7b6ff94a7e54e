"""A local mailbox: a real SMTP server on the loopback interface that keeps each message as a file."""

import re
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FatalError
from ..i18n import _

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope
    from aiosmtpd.smtp import Session as SmtpSession


COPY = re.compile(r"\.copy\d+\.eml$")


class Mailbox:
    """Receives mail into `folder`, one .eml a message, named by the alert it tells of (X-Tigrillo-Notice)."""

    def __init__(self, folder: Path, port: int) -> None:
        """Make the folder; nothing listens until the context is entered. Raises FatalError without aiosmtpd."""
        try:
            from aiosmtpd.controller import Controller  # noqa: PLC0415  # because it belongs to the extra `demo`
        except ImportError as exc:
            raise FatalError(_("the demo needs its extra: pip install 'tigrillo[demo]'")) from exc
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._controller: Controller = Controller(self, hostname="127.0.0.1", port=port)

    def __enter__(self) -> "Mailbox":  # noqa: PYI034  # because it is not subclassed
        self._controller.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: "SMTP", _session: "SmtpSession", envelope: "Envelope") -> str:  # noqa: N802  # because aiosmtpd calls it so
        """Keep one message."""
        body = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        mail = message_from_bytes(body)
        told = str(mail["X-Tigrillo-Notice"] or mail["Message-ID"] or "no-id")
        name = re.sub(r"[^A-Za-z0-9_.@-]", "_", told.strip("<> "))[:100]
        copies = len(list(self.folder.glob(f"{name}*.eml")))
        (self.folder / (f"{name}.eml" if not copies else f"{name}.copy{copies}.eml")).write_bytes(body)
        return "250 kept"

    def messages(self) -> list[Path]:
        """What has arrived, by name; an alert that came twice (after a crash) is counted once."""
        return sorted(path for path in self.folder.glob("*.eml") if not COPY.search(path.name))
