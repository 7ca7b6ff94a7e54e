"""From the outbox to a mailbox: a real SQLite file, real files on disk and a real SMTP server with TLS and login."""

import io
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy

import numpy as np
import pytest
import simplejpeg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from PIL import Image

from edge.alerts.rules import Rule, matches
from edge.clock import SteppedClock
from edge.errors import NotifyError
from edge.fakes import NOON
from edge.i18n import translate
from edge.media.opener import FileMedia
from edge.model import Answer, CaptureTime, Detection, Outcome, PictureResult, Taxon
from edge.pipeline.outbox import Outbox
from edge.services import Station
from edge.store.sql import Store
from edge.testing import check_notifier_contract, fake_services, spooled_frame
from plugins.notifiers.email import SPEC, EmailConfig

PASSWORD = "contraseña-7"
JAGUAR = Taxon("Panthera onca", "species", ("Animalia", "Felidae", "Panthera onca"), "jaguar", "yaguareté")
GREY = 120


@dataclass
class Mailbox:
    """What a mail server does. answers: given instead of taking a mail. refused: recipients, and why not."""

    mails: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    goodbye: str = ""
    password: str = PASSWORD
    logins: list[bytes] = field(default_factory=list)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  # because aiosmtpd says so
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
        return self.goodbye or "221 Bye"

    def login(self, server, session, envelope, mechanism, data):
        self.logins.append(data.password)
        return AuthResult(success=(data.login, data.password) == (b"station", self.password.encode()), handled=False)

    def parsed(self):
        return [message_from_bytes(raw, policy=policy.default) for _to, raw in self.mails]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate of localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    assert shutil.which("openssl"), "openssl makes the test's certificate: apt-get install openssl"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def mail_server(mailbox, certificate, port, *, security="starttls"):
    """A mail server on `port` that wants a login, or with security "none" one of the old days."""
    context = None
    if security != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    login = {"authenticator": mailbox.login, "auth_required": True}
    options = {
        "starttls": {"tls_context": context, "require_starttls": True} | login,
        "tls": {"ssl_context": context, "auth_require_tls": False} | login,
        "none": {},
    }
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, ready_timeout=30, **options[security])
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@pytest.fixture
def settings(certificate, port, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    return {
        "host": "localhost",
        "port": port,
        "ca_file": certificate[0],
        "username": "station",
        "password": {"env": "MAIL_PASSWORD"},
        "sender": "Cámaras <trap@example.org>",
        "recipients": ["ana@example.org", "Benjamín Ríos <ben@example.org>"],
        "language": "es",
        "timeout_s": 10,
    }


class Rig:
    """A store with one alert of a jaguar in it, and the outbox that sends it through `settings`."""

    def __init__(self, tmp_path, store, notifier, clock):
        self.store, self.clock, self.events = store, clock, []
        self.outbox = Outbox(
            store, {"mail": notifier}, media=FileMedia(), clock=clock, emit=self.events.append, language="es",
            jitter=lambda: 0.0,
        )  # fmt: skip
        path = tmp_path / "frame.jpg"
        path.write_bytes(simplejpeg.encode_jpeg(np.full((720, 960, 3), GREY, np.uint8), quality=95))
        captured = CaptureTime(NOON, "2026:06:01 07:00:00", "America/Bogota", "exif")
        store.add_frames([(spooled_frame(path, station="cam-03", captured=captured), 0)])
        seen = Detection("animal", 0.9, (0.25, 0.25, 0.5, 0.5), answer=Answer(JAGUAR, 0.93))
        outcome = Outcome(store.claim_next(clock.now()), (PictureResult(0, 0.0, (seen,)),), 960, 720)
        self.alerts = matches(outcome, [Rule(name="felinos grandes", taxon="Felidae", channels=("mail",))])
        assert store.record(outcome, queued=self.alerts, now=clock.now())

    def error(self):
        """What the last attempt left behind."""
        return self.events[-1].fields.get("reason", "")


@contextmanager
def a_rig(tmp_path, settings):
    clock = SteppedClock(NOON)
    services = fake_services(clock=clock, stations={"cam-03": Station("cam-03", "America/Bogota")})
    with (
        Store(f"sqlite:///{tmp_path / 'site.sqlite'}") as store,
        SPEC.build(EmailConfig.model_validate(settings), services) as notifier,
    ):
        yield Rig(tmp_path, store, notifier, clock)


@pytest.fixture
def rig(tmp_path, settings):
    with a_rig(tmp_path, settings) as made:
        yield made


def test_an_alert_reaches_the_mailbox_in_spanish_with_its_picture(rig, certificate, port):
    mailbox = Mailbox()

    with mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 1

    ((recipients, _raw),) = mailbox.mails
    (mail,) = mailbox.parsed()
    assert mailbox.logins == [PASSWORD.encode()]
    assert recipients == ("ana@example.org", "ben@example.org")
    assert mail["Subject"] == "Yaguareté · cam-03 · 07:00"
    assert mail["From"] == "Cámaras <trap@example.org>"
    assert mail["To"] == "ana@example.org, Benjamín Ríos <ben@example.org>"
    text = mail.get_body(("plain",)).get_content().splitlines()
    for label, value in (
        ("Seen", "Yaguareté (Panthera onca), 93\N{NO-BREAK SPACE}%"),
        ("Station", "cam-03"),
        ("Captured", "1 de junio de 2026, 07:00:00 (America/Bogota)"),
        ("Rule", "felinos grandes"),
    ):
        assert f"{translate(label, 'es')}: {value}" in text
    html = mail.get_body(("html",)).get_content()
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
    assert f"cid:{image['Content-ID'][1:-1]}" in html
    assert_box_is_drawn(image.get_content())
    assert rig.store.counts()["alerts_sent"] == 1


def assert_box_is_drawn(jpeg):
    picture = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    assert picture.shape == (720, 960, 3)
    off = abs(picture - GREY).max(axis=2) > 60
    assert off[537:544, 250:710].any(axis=0).all(), "the lower edge of the box is drawn from end to end"
    assert off[200:530, 237:244].any(axis=1).all(), "the left edge of the box is drawn from end to end"
    assert off[200:530, 716:724].any(axis=1).all(), "the right edge of the box is drawn from end to end"
    assert not off[250:500, 300:650].any(), "the inside of the box is as it was"
    assert not off[600:].any(), "outside of the box it is as it was"


def test_a_password_in_plain_ascii_logs_in_too(tmp_path, settings, certificate, port, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    mailbox = Mailbox(password="hunter2")

    with a_rig(tmp_path, settings) as rig, mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 1, rig.error()

    assert mailbox.logins == [b"hunter2"]


# aiosmtpd counts STARTTLS only as TLS, so it is told not to ask for it, and warns
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_implicit_tls_delivers_too(tmp_path, settings, certificate, port):
    mailbox = Mailbox()

    with (
        a_rig(tmp_path, settings | {"security": "tls"}) as rig,
        mail_server(mailbox, certificate, port, security="tls"),
    ):
        assert rig.outbox.dispatch_due() == 1, rig.error()

    assert len(mailbox.mails) == 1


def test_a_server_that_is_down_gets_the_mail_once_when_it_is_back(rig, certificate, port):
    mailbox = Mailbox()

    assert rig.outbox.dispatch_due() == 0
    assert rig.error().startswith(f"mail server localhost:{port}: ")
    assert "refused" in rig.error()
    with mail_server(mailbox, certificate, port):
        rig.clock.step(10)
        assert rig.outbox.dispatch_due() == 1
        rig.clock.step(3600)
        assert rig.outbox.dispatch_due() == 0

    assert len(mailbox.mails) == 1
    assert rig.store.counts()["alerts_sent"] == 1


def test_a_mail_that_is_sent_again_after_a_crash_has_the_same_message_id(rig, certificate, port, monkeypatch):
    mailbox = Mailbox()
    unmarked = rig.store.due_alerts(rig.clock.now(), 1)

    with mail_server(mailbox, certificate, port):
        rig.outbox.dispatch_due()
        # as after a kill between "250 taken" and the commit: the row is still pending
        monkeypatch.setattr(rig.store, "due_alerts", lambda *_args, **_named: [unmarked.pop()] if unmarked else [])
        rig.outbox.dispatch_due()

    first, second = mailbox.parsed()
    assert first["Message-ID"] == second["Message-ID"]


def test_a_mail_refused_for_now_is_tried_again(rig, certificate, port):
    mailbox = Mailbox(answers=["451 4.7.1 greylisted, come back"])

    with mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 0
        assert "refused the mail for now: 451 4.7.1 greylisted" in rig.error()
        rig.clock.step(10)
        assert rig.outbox.dispatch_due() == 1

    assert len(mailbox.mails) == 1


def test_one_refused_recipient_costs_the_others_neither_the_mail_nor_a_second_one(rig, certificate, port):
    mailbox = Mailbox(refused={"ben@example.org": "550 5.1.1 no such user"})

    with mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 0
        assert "ben@example.org permanently refused: 550 5.1.1 no such user" in rig.error()
        assert "ana@example.org" not in rig.error()
        mailbox.refused.clear()
        rig.clock.step(10)
        assert rig.outbox.dispatch_due() == 1

    assert [to for to, _raw in mailbox.mails] == [("ana@example.org",), ("ben@example.org",)]


def test_when_all_recipients_are_refused_the_reason_is_told(rig, certificate, port):
    mailbox = Mailbox(refused=dict.fromkeys(("ana@example.org", "ben@example.org"), "450 4.2.1 mailbox busy"))

    with mail_server(mailbox, certificate, port):
        rig.outbox.dispatch_due()

    assert "ana@example.org refused for now: 450" in rig.error()
    assert "ben@example.org refused for now: 450" in rig.error()


def test_a_server_that_is_rude_at_the_end_has_the_mail_all_the_same(rig, certificate, port):
    mailbox = Mailbox(goodbye="554 go away")

    with mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 1

    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("password", ["hunter2", "qué-va"])
def test_a_wrong_password_is_told_by_the_server_s_words_without_the_password(
    tmp_path, settings, certificate, port, monkeypatch, password
):
    monkeypatch.setenv("MAIL_PASSWORD", password)
    mailbox = Mailbox()

    with a_rig(tmp_path, settings) as rig, mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 0

    assert "refused the login permanently: 535" in rig.error()
    assert password not in rig.error()
    assert mailbox.mails == []


@pytest.mark.parametrize("change", [{"ca_file": None}, {"host": "127.0.0.1"}])
def test_a_certificate_that_is_not_trusted_gets_no_password(tmp_path, settings, certificate, port, change):
    mailbox = Mailbox()

    with a_rig(tmp_path, settings | change) as rig, mail_server(mailbox, certificate, port):
        assert rig.outbox.dispatch_due() == 0

    assert "certificate is not trusted" in rig.error()
    assert mailbox.logins == []
    assert mailbox.mails == []


def test_a_server_without_starttls_gets_neither_password_nor_mail(tmp_path, settings, certificate, port):
    mailbox = Mailbox()

    with a_rig(tmp_path, settings) as rig, mail_server(mailbox, certificate, port, security="none"):
        assert rig.outbox.dispatch_due() == 0

    assert "offers no STARTTLS" in rig.error()
    assert mailbox.logins == []
    assert mailbox.mails == []


def test_a_mailbox_on_this_machine_needs_no_tls(tmp_path, settings, certificate, port):
    plain = settings | {"security": "none", "username": "", "password": None, "ca_file": None, "host": "127.0.0.1"}
    mailbox = Mailbox()

    with a_rig(tmp_path, plain) as rig, mail_server(mailbox, certificate, port, security="none"):
        assert rig.outbox.dispatch_due() == 1

    assert len(mailbox.mails) == 1


def test_a_server_that_says_nothing_is_left_after_timeout_s(tmp_path, settings, port):
    with socket.create_server(("127.0.0.1", port)), a_rig(tmp_path, settings | {"timeout_s": 0.3}) as rig:
        dispatching = threading.Thread(target=rig.outbox.dispatch_due)
        dispatching.start()
        dispatching.join(10)

        assert not dispatching.is_alive()
        assert "localhost" in rig.error()
        assert "timed out" in rig.error() or "in time" in rig.error()


def test_it_keeps_the_contract_of_notifiers(rig, settings, certificate, port):
    mailbox = Mailbox()
    config = EmailConfig.model_validate(settings)

    with mail_server(mailbox, certificate, port):
        check_notifier_contract(SPEC, config, rig.alerts[0], fake_services(), picture=b"\xff\xd8jpeg")

    assert len(mailbox.mails) == 2


def test_a_notifier_says_what_happened_in_one_line(rig, settings, port):
    config = EmailConfig.model_validate(settings)

    with SPEC.build(config, fake_services()) as notifier, pytest.raises(NotifyError) as failure:
        notifier.send(rig.alerts[0], picture=b"")

    assert len(str(failure.value).splitlines()) == 1
