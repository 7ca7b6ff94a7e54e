"""Real mail servers for tests of the channel `email`: SMTP by aiosmtpd, IMAP by Debian's dovecot."""

import asyncio
import grp
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.e2e.waiting import free_port, listens, wait_until

PASSWORD = "contraseña-7"
DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
NOBODY = 65534


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key."""
    assert shutil.which("openssl"), "openssl makes the test's certificate: apt-get install openssl"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@dataclass
class Mailbox:
    """What a mail server does. answers: given instead of taking a mail. refused: recipients, and why not."""

    mails: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    sender_refused: str = ""
    goodbye: str = ""
    goodbye_s: float = 0.0
    password: str = PASSWORD
    logins: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802  # because aiosmtpd says so
        if self.sender_refused:
            return self.sender_refused
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        self.asked.append(address)
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        self.mails.append((tuple(envelope.rcpt_tos), envelope.content))
        return "250 taken"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        await asyncio.sleep(self.goodbye_s)
        return self.goodbye or "221 Bye"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append(data.password)
        return AuthResult(success=(data.login, data.password) == (b"station", self.password.encode()), handled=False)

    def parsed(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=policy.default) for _to, raw in self.mails]


@contextmanager
def smtp_server(
    mailbox: Mailbox, certificate: tuple[Path, Path], port: int, *, security: str = "starttls", most_bytes: int = 2**25
) -> Iterator[None]:
    """A mail server on `port` that wants a login, or with security "none" one of the old days."""
    context = None
    if security != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    login = {"authenticator": mailbox.login, "auth_required": True}
    options: dict[str, dict[str, Any]] = {
        "starttls": {"tls_context": context, "require_starttls": True} | login,
        "tls": {"ssl_context": context, "auth_require_tls": False} | login,
        "none": {},
    }
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=port, ready_timeout=30, data_size_limit=most_bytes, **options[security]
    )
    controller.start()
    try:
        yield
    finally:
        controller.stop()


DOVECOT_CONF = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log.txt
instance_name = {folder.name}
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
auth_failure_delay = 0
ssl = yes
ssl_cert = <{certificate[0]}
ssl_key = <{certificate[1]}
disable_plaintext_auth = yes
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  user =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {starttls_port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
"""


@dataclass
class Dovecot:
    """A running IMAP server with one user, `answers`. folder: its mail, a Maildir."""

    folder: Path
    tls_port: int
    starttls_port: int
    client_tls: ssl.SSLContext
    owner: int | None
    host: str = "localhost"
    count: int = 0

    def deliver(self, raw: bytes) -> None:
        """Put a mail into the inbox, as a mail server does (maildir(5))."""
        self.count += 1
        name = f"{1_700_000_000 + self.count}.M{self.count}.test"
        path = self.folder / "tmp" / name
        path.write_bytes(raw)
        if self.owner is not None:
            os.chown(path, self.owner, self.owner)
        path.rename(self.folder / "new" / name)


@contextmanager
def imap_server(certificate: tuple[Path, Path]) -> Iterator[Dovecot]:
    """Dovecot on two ports of the loopback; as root the mail belongs to nobody, because root's mail is never read."""
    assert DOVECOT, "dovecot is missing: apt-get install dovecot-imapd"
    root = os.geteuid() == 0
    uid, gid = (NOBODY, NOBODY) if root else (os.geteuid(), os.getegid())
    # not below pytest's folder: that is closed to nobody, and its path too long for a socket
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        client_tls = ssl.create_default_context(cafile=certificate[0])
        made = Dovecot(_maildir(folder, uid, gid), free_port(), free_port(), client_tls, uid if root else None)
        (folder / "passwd").write_text(f"answers:{{PLAIN}}{PASSWORD}\n", "utf-8")
        config = folder / "dovecot.conf"
        config.write_text(
            DOVECOT_CONF.format(
                folder=folder, user=pwd.getpwuid(uid).pw_name, group=grp.getgrgid(gid).gr_name, uid=uid, gid=gid,
                certificate=certificate, tls_port=made.tls_port, starttls_port=made.starttls_port,
            )
        )  # fmt: skip
        with (folder / "out.txt").open("wb") as out:
            process = subprocess.Popen([DOVECOT, "-F", "-c", str(config)], stdout=out, stderr=out)
        try:
            wait_until(lambda: process.poll() is not None or listens(made.tls_port))
            assert process.poll() is None, (folder / "out.txt").read_text()
            yield made
        finally:
            process.terminate()
            process.wait(10)


def _maildir(folder: Path, uid: int, gid: int) -> Path:
    mail = folder / "mail" / "answers"
    for each in ("new", "cur", "tmp"):
        (mail / each).mkdir(parents=True)
    for each in (folder / "mail", mail, *mail.iterdir()):
        os.chown(each, uid, gid)
    return mail
