"""Answers to mails: written to a real IMAP server (dovecot), heard, answered through a real SMTP server (aiosmtpd)."""

import imaplib
import threading
from contextlib import contextmanager
from email.message import EmailMessage

import pytest

from edge.clock import SystemClock
from edge.errors import NoticeRefused, NotifyError, StoreBusy
from edge.notices import Wording
from edge.testing import fake_services, notice
from plugins.notifiers.email import SPEC, EmailConfig
from tests.e2e.mail_servers import PASSWORD, Mailbox, imap_server, make_certificate, smtp_server
from tests.e2e.waiting import free_port, wait_until


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def dovecot(certificate):
    with imap_server(certificate) as server:
        yield server


@pytest.fixture
def imap(dovecot):
    """What a person's mail program would see; the mailbox is empty at first."""
    with imaplib.IMAP4(dovecot.host, dovecot.starttls_port, timeout=5) as client:
        client.starttls(dovecot.client_tls)
        client.authenticate("PLAIN", lambda _challenge: f"\0answers\0{PASSWORD}".encode())
        if client.select("INBOX")[1] != [b"0"]:
            client.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
        client.expunge()
        yield client


@pytest.fixture
def settings(certificate, dovecot, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    return {
        "host": "localhost",
        "port": free_port(),
        "ca_file": certificate[0],
        "username": "station",
        "password": {"env": "MAIL_PASSWORD"},
        "sender": "Cámaras <trap@example.org>",
        "timeout_s": 5,
        "answers": {"username": "answers", "password": {"env": "MAIL_PASSWORD"}, "port": dovecot.tls_port},
    }


def config(settings, **answers):
    return EmailConfig.model_validate(settings | {"answers": settings["answers"] | {"every_s": 1} | answers})


class Ear:
    """What the runtime would do: notes what it hears, and says `says` (an error is raised)."""

    def __init__(self, says="", fails=()):
        self.says, self.fails, self.replies = says, list(fails), []

    def __call__(self, reply):
        self.replies.append(reply)
        if self.fails:
            raise self.fails.pop()
        return self.says


@contextmanager
def listening(config, ear, services=None):
    """A notifier that listens until the block ends; it must stop at once then."""
    stop = threading.Event()
    with SPEC.build(config, services or fake_services(clock=SystemClock())) as notifier:
        thread = threading.Thread(target=notifier.listen, args=(ear, stop))
        thread.start()
        try:
            yield notifier
        finally:
            stop.set()
            thread.join(5)
            assert not thread.is_alive()


def letter(text="ACK 7F2K", **headers):
    message = EmailMessage()
    given = {"From": "Ana <Ana@example.net>", "Subject": "Re: Jaguar", "Message_ID": "<a1@example.net>"} | headers
    for name, value in given.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes()


def flags(imap):
    """How many mails of the folder were read, and how many were not."""
    imap.noop()
    _ok, seen = imap.search(None, "SEEN")
    _ok, unseen = imap.search(None, "UNSEEN")
    return len(seen[0].split()), len(unseen[0].split())


def test_an_answer_is_heard_once_marked_as_read_and_answered(settings, certificate, dovecot, imap):
    mailbox, ear = Mailbox(), Ear("Gracias: visto")
    with smtp_server(mailbox, certificate, settings["port"]), listening(config(settings), ear) as notifier:
        sent = notifier.write(notice(to="ana@example.net", kind="update"), picture=b"")
        quoted = "\n".join(f"> {line}" for line in sent.get_body(("plain",)).get_content().splitlines())
        refers = {"In_Reply_To": sent["Message-ID"], "References": f"{sent['References']} {sent['Message-ID']}"}
        dovecot.deliver(letter(f"ACK 7F2K\n\nOn Monday, Cámaras wrote:\n{quoted}\n", **refers))
        wait_until(lambda: mailbox.mails)
        wait_until(lambda: flags(imap) == (1, 0))
        threading.Event().wait(1.2)  # one more look

    (reply,) = ear.replies
    assert (reply.sender, reply.text, reply.id) == ("ana@example.net", "ACK 7F2K", "<a1@example.net>")
    assert reply.about == notice().key
    ((to, _raw),) = mailbox.mails
    (mail,) = mailbox.parsed()
    assert to == ("ana@example.net",)
    assert mail.get_content().strip() == "Gracias: visto"
    assert mail["Subject"] == "Re: Jaguar"
    assert mail["In-Reply-To"] == mail["References"] == "<a1@example.net>"
    assert mail["Auto-Submitted"] == "auto-replied"


def test_what_hear_has_no_words_for_is_read_and_not_answered(settings, certificate, dovecot, imap):
    mailbox, ear = Mailbox(), Ear("")
    with smtp_server(mailbox, certificate, settings["port"]), listening(config(settings), ear):
        dovecot.deliver(letter(From="stranger@example.com"))
        wait_until(lambda: flags(imap) == (1, 0))

    assert len(ear.replies) == 1
    assert mailbox.mails == []


def test_an_answer_that_could_not_be_dealt_with_stays_unread_and_is_heard_again(settings, dovecot, imap):
    ear = Ear(fails=[StoreBusy("the database is locked")])
    services = fake_services(clock=SystemClock())
    with listening(config(settings), ear, services):
        dovecot.deliver(letter())
        wait_until(lambda: services.log.entries)
        assert flags(imap) == (0, 1)
        wait_until(lambda: flags(imap) == (1, 0))

    assert [each.id for each in ear.replies] == ["<a1@example.net>"] * 2
    assert services.log.entries[0][1:] == ("email.unheard", {"reason": "the database is locked", "again_in_s": 2.0})


def test_machines_are_put_aside_unheard_and_nobody_is_heard_without_end(settings, certificate, dovecot, imap):
    mailbox, ear = Mailbox(), Ear("yes")
    for number in range(4):
        dovecot.deliver(letter(Message_ID=f"<{number}@example.net>"))
    dovecot.deliver(letter(From="ben@example.net", Message_ID="<ben@example.net>"))
    dovecot.deliver(letter(Auto_Submitted="auto-replied", From="carla@example.net"))
    dovecot.deliver(letter(From="trap@example.org"))
    with smtp_server(mailbox, certificate, settings["port"]), listening(config(settings, most_an_hour=2), ear):
        wait_until(lambda: flags(imap) == (7, 0))

    assert [each.sender for each in ear.replies] == ["ana@example.net"] * 2 + ["ben@example.net"]
    assert len(mailbox.mails) == 3


def test_a_server_that_takes_no_answer_costs_only_the_answer(settings, dovecot, imap):
    services, ear = fake_services(clock=SystemClock()), Ear("yes")
    with listening(config(settings), ear, services):
        dovecot.deliver(letter())
        wait_until(lambda: services.log.entries)

    assert flags(imap) == (1, 0)
    assert len(ear.replies) == 1
    assert services.log.entries[0][1] == "email.unanswered"


def test_only_authentic_mails_are_heard_where_the_site_asks_for_it(settings, dovecot, imap):
    ear, good = Ear(), "mx.example.org; dkim=pass header.d=example.net"
    dovecot.deliver(letter(Message_ID="<forged@x>", Authentication_Results="evil; dkim=pass header.d=example.net"))
    dovecot.deliver(letter(Message_ID="<true@x>", Authentication_Results=good))
    with listening(config(settings, require_auth=True, authserv_id="mx.example.org"), ear):
        wait_until(lambda: flags(imap) == (2, 0))

    assert [each.id for each in ear.replies] == ["<true@x>"]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_mails_that_were_dealt_with_go_to_their_folder(settings, dovecot, imap, security):
    port = {"tls": dovecot.tls_port, "starttls": dovecot.starttls_port}[security]
    dovecot.deliver(letter())
    folder = f"Done.{security}"
    with listening(config(settings, done_folder=folder, security=security, port=port), Ear()):
        wait_until(lambda: flags(imap) == (0, 0))

    assert imap.select(f'"{folder}"')[1] == [b"1"]
    assert flags(imap) == (1, 0)


def test_a_flood_and_a_huge_mail_are_read_in_pieces(settings, dovecot, imap):
    ear = Ear()
    dovecot.deliver(letter("ACK\n" + "x\n" * 1_000_000))
    for number in range(60):
        dovecot.deliver(letter(From=f"p{number}@example.net"))
    with listening(config(settings), ear):
        wait_until(lambda: flags(imap) == (61, 0))

    assert len(ear.replies) == 61


def test_a_check_logs_in_at_both_servers_and_changes_nothing(settings, certificate, dovecot, imap, monkeypatch):
    dovecot.deliver(letter())
    with smtp_server(Mailbox(), certificate, settings["port"]):

        def check(**answers):
            with SPEC.build(config(settings, **answers), fake_services()) as notifier:
                return notifier.check()

        places = f"localhost:{settings['port']}", f"localhost:{dovecot.tls_port}"
        assert check() == "mail server {} takes mails; answers are read from {}".format(*places)
        assert flags(imap) == (0, 1)
        with pytest.raises(NoticeRefused, match="folder 'Nowhere' can't be opened"):
            check(folder="Nowhere")
        with pytest.raises(NotifyError, match="refused"):
            check(port=free_port())
        monkeypatch.setenv("OTHER_PASSWORD", "hunter2")
        with pytest.raises(NoticeRefused, match=r"refused the login: .*Authentication failed") as refusal:
            check(password={"env": "OTHER_PASSWORD"})
        assert "hunter2" not in str(refusal.value)
        with pytest.raises(NotifyError, match="certificate is not trusted"):
            check(host="127.0.0.1")


def test_a_mail_program_shows_all_mails_about_one_encounter_as_one_thread(settings, dovecot, imap):
    with SPEC.build(config(settings), fake_services()) as notifier:
        for thread, keys in (("17", ("17/ana/0", "17/ana/1", "17/ana/2")), ("18", ("18/ana/0", "18/ana/1"))):
            for number, key in enumerate(keys):
                kind, words = ("update" if number else "alert"), Wording(f"Seen: {key}", ())
                about = notice(key=key, thread=thread, kind=kind, to="ana@example.net", words=words)
                dovecot.deliver(notifier.write(about, picture=b"").as_bytes())
    wait_until(lambda: flags(imap) == (0, 5))

    _ok, (threads,) = imap.thread("REFERENCES", "UTF-8", "ALL")

    assert threads == b"((1)(2)(3))((4)(5))"


def test_a_server_that_is_away_is_tried_less_and_less_often(settings):
    services = fake_services(clock=SystemClock())
    waited = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waited.append(timeout)
            return len(waited) > 14

    with SPEC.build(config(settings, port=free_port(), every_s=60), services) as notifier:
        notifier.listen(Ear(), Stop())

    assert waited[:6] == [0.0, 120.0, 240.0, 480.0, 960.0, 1800.0]
    assert waited[-1] == 1800.0
    assert all(entry[1] == "email.unheard" for entry in services.log.entries)
