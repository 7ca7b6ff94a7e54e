"""Notifier `email`: its settings, and the mail it writes. Delivery and answers are in tests/e2e/test_email_*.py."""

from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.api import Hears, NoticeRefused, Wording
from edge.config import plan_from
from edge.errors import ConfigError
from edge.fakes import NOON
from edge.i18n import translate
from edge.model import Answer, CaptureTime
from edge.registry import load_registry
from edge.testing import fake_services, notice
from edge.wording import word_alert
from plugins.notifiers.email import SPEC, EmailConfig
from plugins.notifiers.email_journal import HalfSent
from plugins.notifiers.email_names import about, message_id, thread_id

SETTINGS = {
    "host": "mail.example.org",
    "security": "none",  # no TLS and no CAs to load: nothing is sent here
    "sender": "Tigrillo <trap@example.org>",
    "recipients": ["ana@example.org"],
}
LOGIN = {"username": "u", "password": {"env": "MAIL_PASSWORD"}}
ANSWERS = {"answers": LOGIN}
DIGEST = {
    "kind": "digest",
    "key": "digest/ana/2026-06-01",
    "alert": None,
    "thread": "",
    "code": "",
    "station": "",
    "words": Wording(
        "3 alerts · 1 June 2026",
        (("02:14 cam-03", "Jaguar"), ("03:30 river-01", "Person <2>"), ("", "and 1 more")),
    ),
}


@pytest.fixture(autouse=True)
def _password(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")


@contextmanager
def notifier(**settings):
    with SPEC.build(EmailConfig.model_validate(SETTINGS | settings), fake_services()) as made:
        yield made


def mail(about=None, *, picture=b"\xff\xd8jpeg", too_large=False, **settings):
    """The mail as it is on the wire, parsed back."""
    with notifier(**settings) as made:
        raw = made.write(about or notice(), picture=picture, too_large=too_large).as_bytes()
    return message_from_bytes(raw, policy=policy.default)


def body(message, kind):
    return message.get_body((kind,)).get_content().replace("\r\n", "\n")


def test_a_mail_has_text_html_and_the_picture_that_the_html_shows():
    message = mail()

    text, related = message.iter_parts()
    html, image = related.iter_parts()
    assert message.get_content_type() == "multipart/alternative"
    assert "Rule: big cats" in text.get_content().splitlines()
    assert f'src="cid:{image["Content-ID"][1:-1]}"' in html.get_content()
    assert image.get_content_type() == "image/jpeg"
    assert image.get_content_disposition() == "inline"
    assert image.get_content() == b"\xff\xd8jpeg"
    assert image.get_filename() == "cam-03-f1.jpg"


def test_the_headers_say_what_where_and_when_and_that_a_machine_wrote_them():
    message = mail()

    assert message["Subject"] == "Jaguar · cam-03 · 12:00"
    assert message["From"] == "Tigrillo <trap@example.org>"
    assert message["To"] == "ana@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "<trap.example.org>"
    assert message["Date"].datetime == fake_services().clock.now()
    for name in ("Precedence", "List-Unsubscribe", "Importance", "X-Priority", "Reply-To"):
        assert message[name] is None


def test_a_mail_to_one_person_names_nobody_else():
    message = mail(notice(to="benjamin@example.org", person="Benjamín Ríos"))

    assert message["To"] == "Benjamín Ríos <benjamin@example.org>"


@pytest.mark.parametrize("to", ["ana", "ana@example.org\r\nBcc: x@y.org", ""])
def test_a_notice_to_nobody_is_refused(to):
    with notifier(recipients=[]) as made, pytest.raises(NoticeRefused):
        made.write(notice(to=to), picture=b"")


def test_the_language_is_the_notice_s():
    message = mail(notice(language="es"))

    assert message["Subject"].startswith("Yaguareté · ")
    assert message["Content-Language"] == "es"
    assert f"{translate('Station', 'es')}: cam-03" in body(message, "plain")
    assert "1 de junio de 2026" in body(message, "plain")


def test_another_attempt_has_a_message_id_of_its_own_and_the_same_alert():
    tried = [mail(notice(attempt=number)) for number in (0, 1, 2, 11)]

    assert len({each["Message-ID"] for each in tried}) == 4
    assert len({each["X-Tigrillo-Notice"] for each in tried}) == 1
    assert {about([each["Message-ID"]], "example.org") for each in tried} == {notice().key}


def test_the_message_id_is_the_notice_s_and_nobody_else_s():
    again, other = notice(words=Wording("later", ())), notice(key="17/ben-mail/0", to="ben@example.org")
    ids = [mail(each)["Message-ID"] for each in (notice(), again, other)]

    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@example.org>")


def test_all_mails_about_one_encounter_refer_to_the_same_thread_and_to_no_other():
    first, update = mail(), mail(notice(key="17/ana-sms/1", kind="update"))
    other = mail(notice(key="18/ana-sms/0", thread="18"))

    assert first["References"] == update["References"] == update["In-Reply-To"] != other["References"]
    assert first["In-Reply-To"] is None
    ids = {each["Message-ID"] for each in (first, update, other)}
    assert len(ids) == 3
    assert first["References"] not in ids
    assert mail(notice(thread=""))["References"] is None


@given(st.text(max_size=80, alphabet=st.characters(codec="utf-8")))
def test_an_answer_s_ids_say_what_it_is_about(key):
    told = about(["<x@y>", message_id(key, "example.org").upper(), thread_id("17", "example.org")], "example.org")

    assert told == (key if 0 < len(key.encode()) <= 60 else "17")
    assert about([message_id(key, "example.net")], "example.org") == ""


@pytest.mark.parametrize("key", ["17/ana-sms/0", "x" * 60])
def test_ids_are_never_encoded_or_broken(key):
    with notifier() as made:
        raw = made.write(notice(key=key, thread=key, kind="update"), picture=b"").as_bytes()

    for name, value in (("Message-ID", message_id), ("References", thread_id), ("In-Reply-To", thread_id)):
        assert f"\r\n{name}: {value(key, 'example.org')}\r\n".encode() in raw


@pytest.mark.parametrize(("language", "word"), [("en", "CRITICAL"), ("es", "CRÍTICO")])
def test_a_critical_mail_says_so_in_its_subject_and_for_mail_programs(language, word):
    message = mail(notice(severity="critical", language=language))

    assert message["Subject"].startswith(f"[{word}] ")
    assert (message["Importance"], message["X-Priority"]) == ("high", "1")
    assert body(message, "plain").startswith(f"[{word}] ")
    assert f"[{word}] " in body(message, "html")


def test_a_digest_is_a_table():
    message = mail(notice(**DIGEST), picture=b"")

    assert body(message, "plain").splitlines() == [
        "3 alerts · 1 June 2026",
        "",
        "02:14 cam-03    Jaguar",
        "03:30 river-01  Person <2>",
        "and 1 more",
    ]
    html = body(message, "html")
    assert html.count("<tr>") == 3
    assert "Person &lt;2&gt;" in html
    assert 'colspan="2"' in html


def test_a_message_about_health_has_no_picture_and_misses_none():
    words = Wording("cam-03 is silent", (("", "Nothing was heard of it since 02:14."), ("Battery", "3.4 V")))
    message = mail(notice(kind="health", words=words, alert=None, thread="", code=""), picture=b"")

    assert body(message, "plain").split("\n\n", 1)[1] == "Nothing was heard of it since 02:14.\nBattery: 3.4 V\n"


def test_a_link_stands_below_the_picture():
    link = "https://traps.example.org/e/17?t=a&b"
    message = mail(notice(link=link))

    html = body(message, "html")
    assert html.index("<img") < html.index('<a href="https://traps.example.org/e/17?t=a&amp;b">') < html.index("<table")
    assert f"See the page: {link}" in body(message, "plain").splitlines()


def test_a_link_that_is_none_is_not_one_in_html():
    assert "javascript" not in body(mail(notice(link="javascript:alert(1)")), "html")


@pytest.mark.parametrize(("language", "help_word"), [("en", "HELP"), ("es", "AYUDA")])
def test_what_to_answer_stands_there_only_when_somebody_reads_the_answers(language, help_word):
    asked, deaf, coded = notice(language=language), notice(), notice(code="")

    for kind in ("plain", "html"):
        text = body(mail(asked, **ANSWERS), kind).replace("&quot;", '"')
        assert '"ACK 7F2K"' in text
        assert f'"{help_word}"' in text
        assert "ACK" not in body(mail(deaf), kind)
        assert "ACK" not in body(mail(coded, **ANSWERS), kind)


def test_the_ways_out_of_the_list_are_in_the_head():
    page = "https://traps.example.org/" + "x" * 200
    mails = [
        mail(**ANSWERS),
        mail(unsubscribe_url=page),
        mail(unsubscribe_url=page, answers=LOGIN | {"address": "A <answers+1@example.org>"}),
    ]

    assert [each["List-Unsubscribe"] for each in mails] == [
        "<mailto:trap@example.org?subject=STOP>",
        f"<{page}>",
        f"<{page}>, <mailto:answers%2B1@example.org?subject=STOP>",
    ]
    assert [each["Reply-To"] for each in mails] == [None, None, "answers+1@example.org"]
    assert all(each["List-Unsubscribe-Post"] is None for each in mails)


def test_only_a_channel_with_a_mailbox_hears():
    with notifier() as deaf, notifier(**ANSWERS) as hearing:
        assert not isinstance(deaf, Hears)
        assert isinstance(hearing, Hears)


def test_without_a_picture_the_mail_says_so():
    for message, text in (
        (mail(picture=b""), "The picture could not be read any more."),
        (mail(picture=b"", too_large=True), "The picture is larger than the mail server takes."),
    ):
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        for kind in ("plain", "html"):
            assert text in body(message, kind)
        assert "cid:" not in body(message, "html")


@pytest.mark.parametrize("evil", ["x\r\nBcc: evil@example.org\r\n\r\n<b>", "x\nBcc: evil@example.org", "x\u2028Bcc: e"])
def test_no_name_can_add_a_header(evil):
    alert = notice().alert
    taxon = replace(alert.detection.answer.taxon, english=evil, scientific_name=evil)
    alert = replace(
        alert,
        station=evil,
        rule=evil,
        frame_id=evil,
        key=evil,
        captured=CaptureTime(None, evil),
        detection=replace(alert.detection, answer=Answer(taxon, 0.9)),
    )
    worded = word_alert(alert, language="en", timezone="UTC", now=NOON)
    raw = Wording(evil, ((evil, evil),))
    settings = ANSWERS | {"unsubscribe_url": "https://x.org"}
    names = {"key": evil, "alert": alert, "thread": evil, "code": evil, "link": evil, "person": evil}

    for words in (worded, raw):
        asked = notice(**names, words=words, station=evil, to="ana@example.org")
        message = mail(asked, **settings)

        assert message["Bcc"] is None
        assert sorted(message.keys()) == sorted(mail(**settings).keys())
        assert "Bcc: e" in message["Subject"]
        assert not message.defects


def test_names_are_escaped_in_html():
    words = Wording("<script>&\"'", (("<b>", "<i>"),))
    html = body(mail(notice(words=words, code="<u>", person="<s>"), **ANSWERS), "html")

    assert "&lt;script&gt;&amp;&quot;" in html
    for mark in ("<script", "<b>", "<i>", "<u>", "<s>"):
        assert mark not in html


def test_every_byte_of_a_mail_is_ascii_and_lines_end_as_smtp_wants():
    recipients = [f"Ñandú <x{each}@example.org>" for each in range(50)]
    with notifier(sender="Guardaparques Ñ. Andú <trap@example.org>", recipients=recipients, **ANSWERS) as made:
        raw = made.write(notice(language="es", severity="critical"), picture=b"\xff" * 500).as_bytes()

    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert message_from_bytes(raw, policy=policy.default)["From"] == '"Guardaparques Ñ. Andú" <trap@example.org>'


def test_a_person_s_address_is_checked_and_written_in_one_way():
    assert SPEC.address(" Ana Ruiz <Ana@Example.ORG> ") == "ana@example.org"
    for wrong in ("ana", "ana@example.org, ben@example.org", "a\nb@example.org", "ana@" + "x" * 250 + ".org"):
        with pytest.raises(ValueError, match="is no mail address"):
            SPEC.address(wrong)


def test_a_rule_may_name_the_channel_only_when_it_has_recipients():
    assert SPEC.has_own(EmailConfig.model_validate(SETTINGS))
    assert not SPEC.has_own(EmailConfig.model_validate(SETTINGS | {"recipients": []}))


def answers(**settings):
    return {"answers": settings}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"password": "hunter2", "username": "u"}, "write `{env: NAME}` or `{file: PATH}`"),
        ({"username": "u"}, "`username` and `password` go together"),
        ({"password": {"env": "X"}}, "`username` and `password` go together"),
        ({"username": "u", "password": {"env": "X"}, "security": "none"}, "would send the password readable"),
        ({"security": "ssl"}, "security"),
        ({"recipients": ["ana"]}, "'ana' is no mail address"),
        ({"recipients": ["ana@example.org, bob@example.org"]}, "is no mail address"),
        ({"sender": "a@b.org\r\nBcc: evil@b.org"}, "is no mail address"),
        ({"sender": "A\r\nB <a@b.org>"}, "is no mail address"),
        ({"sender": "a..b@example.org"}, "is no mail address"),
        ({"sender": "<a@b.org> c@d.org"}, "is no mail address"),
        ({"port": 0}, "port"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"hots": "mail"}, "hots"),
        ({"unsubscribe_url": "http://example.org"}, "unsubscribe_url"),
        ({"unsubscribe_url": "https://example.org/>, <x"}, "unsubscribe_url"),
        ({"unsubscribe_url": "https://example.org\nX: y"}, "unsubscribe_url"),
        ({"answers": {}}, "`answers` needs a login"),
        (answers(username="u"), "`username` and `password` go together"),
        (answers(require_auth=True, **LOGIN), "`require_auth` needs `authserv_id`"),
        (answers(security="none"), "security"),
        (answers(folder='a"b'), "folder"),
        (answers(every_s=0), "every_s"),
        (answers(most_an_hour=0), "most_an_hour"),
        (answers(hots="imap"), "hots"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(ValidationError) as refusal:
        EmailConfig.model_validate(SETTINGS | settings)

    assert complaint in str(refusal.value)


def test_a_site_whose_password_or_ca_is_missing_does_not_start(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    missing = {"env": "TIGRILLO_NOT_SET"}
    for settings, named in (
        ({"username": "u", "password": missing}, "TIGRILLO_NOT_SET"),
        (answers(username="u", password=missing), "TIGRILLO_NOT_SET"),
        ({"ca_file": tmp_path / "ca.pem"}, "ca.pem"),
        ({"ca_file": Path("/nowhere/ca.pem")}, "ca.pem"),
        (answers(ca_file=Path("/nowhere/ca.pem"), **LOGIN), "ca.pem"),
    ):
        with pytest.raises(ConfigError, match=named), notifier(**{"security": "tls"} | settings):
            pass


def test_the_password_is_not_in_the_notifier_s_representation():
    with notifier(**ANSWERS) as made:
        assert "hunter2" not in repr(made)


def test_files_named_in_a_site_lie_beside_it(tmp_path):
    site = """
sources: [{use: watch, folder: in}]
channels:
  - {name: mail, use: email, host: h, sender: a@b.org, recipients: [a@b.org], username: u,
     password: {file: mail-password}, ca_file: ca.pem, answers: {ca_file: imap.pem}}
"""

    _spec, config = plan_from(site, tmp_path / "site.yaml", load_registry()).channels["mail"]

    assert config.password.file == tmp_path / "mail-password"
    assert config.ca_file == tmp_path / "ca.pem"
    assert config.answers.ca_file == tmp_path / "imap.pem"


def test_who_has_a_mail_is_known_after_a_restart_until_all_have_it(tmp_path):
    services = fake_services(state_dir=tmp_path / "state")
    HalfSent(services).keep("k", ["ana@example.org"])

    assert HalfSent(services).have("k") == {"ana@example.org"}
    assert HalfSent(services).have("other") == frozenset()
    HalfSent(services).forget("k")
    assert HalfSent(services).have("k") == frozenset()
    assert not list((tmp_path / "state" / "email").iterdir())


def test_the_journal_is_bounded_and_outlives_damage_and_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("plugins.notifiers.email_journal.KEPT", 3)
    services = fake_services(state_dir=tmp_path)
    journal = HalfSent(services)
    for number in range(10):
        journal.keep(f"k{number}", ["ana@example.org"])

    files = list((tmp_path / "email").iterdir())
    assert len(files) == 3
    for path in files:
        path.write_bytes(b"\xff{")
    assert HalfSent(services).have("k9") == frozenset()
    assert journal.have("k9") == {"ana@example.org"}

    nowhere = HalfSent(fake_services(state_dir=tmp_path / "email" / files[0].name))
    nowhere.keep("k", ["ana@example.org"])
    assert nowhere.have("k") == {"ana@example.org"}
    assert nowhere.services.log.entries[0][1] == "email.journal_unwritable"
