"""Mails through a real SMTP server with TLS and login. One by way of the outbox: test_email_through_the_outbox.py."""

import socket
import threading
import time

import pytest

from edge.errors import NoticeRefused, NotifyError
from edge.i18n import translate
from edge.testing import check_notifier_contract, fake_services, notice
from plugins.notifiers.email import SPEC, EmailConfig
from tests.e2e.mail_servers import PASSWORD, Mailbox, make_certificate, smtp_server
from tests.e2e.waiting import free_port

JPEG = b"\xff\xd8" + b"picture" * 2000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def port():
    return free_port()


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
        "timeout_s": 10,
    }


def send(settings, about=None, *, picture=b"", services=None):
    """One mail by a notifier that was just built, as after a restart."""
    with SPEC.build(EmailConfig.model_validate(settings), services or fake_services()) as notifier:
        return notifier.send(about or notice(), picture=picture)


def failure_of(settings, kind=NotifyError, *, services=None):
    """The text of the error that sending ends with; NoticeRefused and NotifyError are not of one family."""
    with pytest.raises(kind) as failure:
        send(settings, services=services)
    assert len(str(failure.value).splitlines()) == 1
    return str(failure.value)


def check(settings):
    with SPEC.build(EmailConfig.model_validate(settings), fake_services()) as notifier:
        return notifier.check()


def test_a_notice_reaches_the_mailboxes_with_its_picture(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port):
        receipt = send(settings, notice(language="es"), picture=JPEG)

    ((recipients, _raw),) = mailbox.mails
    (mail,) = mailbox.parsed()
    assert mailbox.logins == [PASSWORD.encode()]
    assert recipients == ("ana@example.org", "ben@example.org")
    assert receipt == mail["Message-ID"]
    assert mail["Subject"] == "Yaguareté · cam-03 · 12:00"
    assert mail["From"] == "Cámaras <trap@example.org>"
    assert mail["To"] == "ana@example.org, Benjamín Ríos <ben@example.org>"
    text = mail.get_body(("plain",)).get_content().splitlines()
    assert f"{translate('Seen', 'es')}: Yaguareté (Panthera onca), 93\N{NO-BREAK SPACE}%" in text
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
    assert f"cid:{image['Content-ID'][1:-1]}" in mail.get_body(("html",)).get_content()
    assert image.get_content() == JPEG


def test_a_notice_for_one_person_goes_to_nobody_else(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port):
        send(settings, notice(to="carla@example.org", person="Carla"))

    assert [to for to, _raw in mailbox.mails] == [("carla@example.org",)]
    assert mailbox.parsed()[0]["To"] == "Carla <carla@example.org>"


def test_a_password_in_plain_ascii_logs_in_too(settings, certificate, port, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    mailbox = Mailbox(password="hunter2")

    with smtp_server(mailbox, certificate, port):
        send(settings)

    assert mailbox.logins == [b"hunter2"]


# aiosmtpd counts STARTTLS only as TLS, so it is told not to ask for it, and warns
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_implicit_tls_delivers_too(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port, security="tls"):
        send(settings | {"security": "tls"})

    assert len(mailbox.mails) == 1


def test_a_server_that_is_down_is_named(settings, port):
    text = failure_of(settings)

    assert text.startswith(f"mail server localhost:{port}: ")
    assert "refused" in text


def test_a_mail_that_is_sent_again_after_a_crash_is_a_second_one_of_the_same_alert(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port):
        receipts = send(settings), send(settings, notice(attempt=1))

    first, second = mailbox.parsed()
    assert (first["Message-ID"], second["Message-ID"]) == receipts
    assert first["Message-ID"] != second["Message-ID"]
    assert first["X-Tigrillo-Notice"] == second["X-Tigrillo-Notice"]
    assert first["References"] == second["References"]


def test_a_mail_refused_for_now_is_sent_again(settings, certificate, port):
    mailbox = Mailbox(answers=["451 4.7.1 greylisted, come back"])

    with smtp_server(mailbox, certificate, port):
        assert "refused the mail for now: 451 4.7.1 greylisted" in failure_of(settings)
        send(settings)

    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox(answers=["554 5.7.1 looks like spam"]),
        Mailbox(sender_refused="554 5.7.1 not your address"),
    ],
)
def test_a_mail_that_will_never_be_taken_is_refused_for_good(settings, certificate, port, mailbox):
    with smtp_server(mailbox, certificate, port):
        text = failure_of(settings, NoticeRefused)

    assert "refused the mail permanently: 554 5.7.1" in text


@pytest.mark.parametrize("code", ["530 5.7.0 log in first", "552 5.2.2 mailbox full"])
def test_what_somebody_can_mend_is_tried_again_whatever_the_code(settings, certificate, port, code):
    with smtp_server(Mailbox(answers=[code]), certificate, port):
        assert code in failure_of(settings)


def test_one_refused_recipient_costs_the_others_neither_the_mail_nor_a_second_one_after_a_restart(
    settings, certificate, port
):
    mailbox, services = Mailbox(refused={"ben@example.org": "450 4.2.1 busy"}), fake_services()

    with smtp_server(mailbox, certificate, port):
        text = failure_of(settings, services=services)
        assert "ben@example.org refused for now: 450 4.2.1 busy" in text
        assert "ana@example.org" not in text
        mailbox.refused.clear()
        send(settings, services=services)
        send(settings, notice(key="another"), services=services)

    alone, both = ("ana@example.org",), ("ana@example.org", "ben@example.org")
    assert [to for to, _raw in mailbox.mails] == [alone, ("ben@example.org",), both]
    assert not list((services.state_dir / "email").iterdir())


def test_a_recipient_who_does_not_exist_is_told_and_not_tried_again(settings, certificate, port):
    mailbox = Mailbox(refused={"ben@example.org": "550 5.1.1 no such user"})

    with smtp_server(mailbox, certificate, port):
        text = failure_of(settings, NoticeRefused)

    assert text.endswith("ben@example.org permanently refused: 550 5.1.1 no such user; the other recipients have it")
    assert [to for to, _raw in mailbox.mails] == [("ana@example.org",)]


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (("550 5.1.1 no such user", "550 5.1.1 no such user"), NoticeRefused),
        (("550 5.1.1 no such user", "450 4.2.1 mailbox busy"), NotifyError),
        (("450 4.2.1 mailbox busy", "450 4.2.1 mailbox busy"), NotifyError),
    ],
)
def test_when_all_recipients_are_refused_the_reason_is_told(settings, certificate, port, answers, kind):
    mailbox = Mailbox(refused=dict(zip(("ana@example.org", "ben@example.org"), answers, strict=True)))

    with smtp_server(mailbox, certificate, port):
        text = failure_of(settings, kind)

    for who, answer in mailbox.refused.items():
        assert who in text
        assert answer in text
    assert "have it" not in text


def test_a_server_that_hangs_up_at_the_first_recipient_has_given_nobody_the_mail(settings, certificate, port):
    mailbox, services = Mailbox(refused={"ana@example.org": "421 4.3.2 going down"}), fake_services()

    with smtp_server(mailbox, certificate, port):
        assert "ben@example.org refused for now: 421" in failure_of(settings, services=services)
        assert mailbox.asked == ["ana@example.org"]
        mailbox.refused.clear()
        send(settings, services=services)

    assert [to for to, _raw in mailbox.mails] == [("ana@example.org", "ben@example.org")]


def test_a_picture_that_the_server_has_no_room_for_is_left_out_and_the_mail_says_so(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port, most_bytes=12_000):
        send(settings, picture=JPEG)

    (mail,) = mailbox.parsed()
    assert "The picture is larger than the mail server takes." in mail.get_body(("plain",)).get_content()
    assert all(part.get_content_type() != "image/jpeg" for part in mail.walk())


def test_a_server_that_says_so_only_after_the_mail_gets_it_without_the_picture(settings, certificate, port):
    mailbox = Mailbox(answers=["552 5.3.4 message too big"])

    with smtp_server(mailbox, certificate, port):
        send(settings, picture=JPEG)

    (mail,) = mailbox.parsed()
    assert "The picture is larger than the mail server takes." in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize("picture", [b"", JPEG])
def test_a_mail_that_is_too_large_without_a_picture_too_is_refused_for_good(settings, certificate, port, picture):
    with (
        smtp_server(Mailbox(), certificate, port, most_bytes=500),
        pytest.raises(NoticeRefused, match="too large for it, also without a picture"),
    ):
        send(settings, picture=picture)


def test_a_server_that_is_rude_at_the_end_has_the_mail_all_the_same(settings, certificate, port):
    mailbox = Mailbox(goodbye="554 go away")

    with smtp_server(mailbox, certificate, port):
        send(settings)

    assert len(mailbox.mails) == 1


def test_a_server_that_is_slow_at_the_end_does_not_keep_the_mail_from_being_marked(settings, certificate, port):
    mailbox = Mailbox(goodbye_s=5)

    with smtp_server(mailbox, certificate, port):
        started = time.monotonic()
        send(settings)
        spent_s = time.monotonic() - started

    assert len(mailbox.mails) == 1
    assert spent_s < 4


@pytest.mark.parametrize("password", ["hunter2", "qué-va"])
def test_a_wrong_password_is_told_by_the_server_s_words_without_the_password(
    settings, certificate, port, monkeypatch, password
):
    monkeypatch.setenv("MAIL_PASSWORD", password)
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port):
        text = failure_of(settings)
        with pytest.raises(NoticeRefused, match="refused the login permanently: 535"):
            check(settings)

    assert "refused the login permanently: 535" in text
    assert "check `username` and `password`" in text
    assert password not in text
    assert mailbox.mails == []


def test_a_check_logs_in_and_sends_nothing(settings, certificate, port):
    mailbox = Mailbox()

    with pytest.raises(NotifyError):
        check(settings)
    with smtp_server(mailbox, certificate, port):
        assert check(settings) == f"mail server localhost:{port} takes mails"

    assert mailbox.logins == [PASSWORD.encode()]
    assert mailbox.asked == []


@pytest.mark.parametrize("change", [{"ca_file": None}, {"host": "127.0.0.1"}])
def test_a_certificate_that_is_not_trusted_gets_no_password(settings, certificate, port, change):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port):
        assert "certificate is not trusted" in failure_of(settings | change)

    assert mailbox.logins == []
    assert mailbox.mails == []


def test_a_server_without_starttls_gets_neither_password_nor_mail(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port, security="none"):
        assert "offers no STARTTLS" in failure_of(settings)

    assert mailbox.logins == []
    assert mailbox.mails == []


def test_a_mailbox_on_this_machine_needs_no_tls(settings, certificate, port):
    plain = settings | {"security": "none", "username": "", "password": None, "ca_file": None, "host": "127.0.0.1"}
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port, security="none"):
        send(plain)

    assert len(mailbox.mails) == 1


def test_a_server_that_says_nothing_is_left_after_timeout_s(settings, port):
    said = []
    with socket.create_server(("127.0.0.1", port)):
        sending = threading.Thread(target=lambda: said.append(failure_of(settings | {"timeout_s": 0.3})))
        sending.start()
        sending.join(10)

        assert not sending.is_alive()
    assert "timed out" in said[0] or "in time" in said[0]


def test_it_keeps_the_contract_of_notifiers(settings, certificate, port):
    mailbox = Mailbox()

    with smtp_server(mailbox, certificate, port):
        check_notifier_contract(
            SPEC, EmailConfig.model_validate(settings), notice(), fake_services(), picture=b"\xff\xd8jpeg"
        )

    assert len(mailbox.mails) == 3
