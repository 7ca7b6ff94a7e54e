"""The settings of `sms` and `whatsapp`, Twilio's signature, what is remembered, and what refusals mean."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError
from twilio.request_validator import RequestValidator

from edge.clock import SystemClock
from edge.config import load_plan
from edge.daemon import open_site
from edge.errors import ConfigError, NoticeRefused, NotifyError, StoreBusy
from edge.fakes import MemoryLog
from edge.i18n import translate
from edge.redaction import SecretText
from edge.registry import load_registry
from edge.testing import fake_services, notice
from plugins.notifiers.sms import SPEC as SMS
from plugins.notifiers.sms_memory import Memory
from plugins.notifiers.twilio_account import Callback
from plugins.notifiers.twilio_answers import Inbox
from plugins.notifiers.twilio_callback import Desk
from plugins.notifiers.twilio_errors import AboutOne, WrongLogin, told, undelivered
from plugins.notifiers.twilio_pictures import KEPT, Shelf
from plugins.notifiers.whatsapp import SPEC as WHATSAPP
from plugins.notifiers.whatsapp import check_address, write_body

ACCOUNT, KEY, SERVICE, CONTENT = ("AC" + "0a" * 16, "SK" + "0a" * 16, "MG" + "0a" * 16, "HX" + "0a" * 16)
NEEDED = {"account_sid": ACCOUNT, "auth_token": {"env": "TWILIO_AUTH_TOKEN"}, "sender": "+57 300 0000001"}
CALLBACK = {"url": "https://trampas.example.org/twilio/", "port": 8090}
URL = "https://trampas.example.org/twilio"
RANGER = "+573001234567"


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_site_with_only_an_account_and_a_sender_is_enough():
    config = SMS.config(**NEEDED)

    assert config.sender == "+573000000001"
    assert config.poll_s == 30
    assert not SMS.has_own(config)
    assert SMS.has_own(SMS.config(**NEEDED, recipients=["+57 300 1234567"]))
    assert SMS.picture is not None
    assert SMS.picture.max_bytes == 600_000
    assert not SMS.shows(config), "no picture is made that nobody sees"
    assert SMS.shows(SMS.config(**NEEDED, pictures=True, media_url="{link}/picture.jpg"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"account_sid": "AC12"}, "AC and 32 digits"),
        ({"account_sid": KEY}, "AC and 32 digits"),
        ({"auth_token": None}, "a login is missing"),
        ({"api_key": KEY}, "`api_key` and `api_secret` go together"),
        ({"auth_token": "0123456789abcdef"}, "a secret does not stand in this file"),
        ({"sender": "3001234567x9012"}, "no telephone number"),
        ({"recipients": ["300 1234567"]}, "no telephone number"),
        ({"sender": SERVICE, "answers": 30}, "`answers` needs a telephone number"),
        ({"pictures": True}, "`pictures` needs `callback` or `media_url`"),
        ({"media_url": "https://example.org/picture.jpg"}, "with {link} in it"),
        ({"media_url": "{link}/{code}"}, "with {link} in it"),
        ({"api_base": "http://api.example.org"}, "no https:// address"),
        ({"callback": {"url": "http://example.org/x", "port": 80}}, "no https:// address"),
        ({"callback": {"url": "https://example.org/x?a=b", "port": 80}}, "no https:// address"),
        ({"template": "{animal} at {station}"}, "no field is called 'animal'"),
        ({"template": {"es": "{station.__class__}"}}, "no template"),
        ({"template": {"fr": "{what}"}}, "en"),
        ({"template": "{headline}" * 9}, "`max_segments` is 2"),
        ({"max_segments": 11}, "less than or equal to 10"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_right(change, says):
    with pytest.raises(ValidationError) as refused:
        SMS.config(**(NEEDED | change))

    assert says in str(refused.value)


def test_a_token_written_into_the_site_is_not_repeated_in_the_refusal():
    with pytest.raises(ValidationError) as refused:
        SMS.config(**(NEEDED | {"auth_token": "0123456789abcdef"}))

    assert "0123456789abcdef" not in str(refused.value.errors(include_input=False))


def test_a_callback_needs_the_token_that_twilio_signs_with(monkeypatch):
    monkeypatch.setenv("KEY_SECRET", "key-secret")
    key = {"account_sid": ACCOUNT, "api_key": KEY, "api_secret": {"env": "KEY_SECRET"}, "sender": "+573000000001"}

    assert SMS.config(**key).poll_s == 30
    with pytest.raises(ValidationError, match="`callback` needs `auth_token`"):
        SMS.config(**key, callback=CALLBACK)


@pytest.mark.parametrize(
    ("change", "poll_s"),
    [
        ({"answers": 0}, 0),
        ({"callback": CALLBACK}, 0),
        ({"callback": CALLBACK, "answers": 300}, 300),
        ({"sender": SERVICE}, 0),
        ({"sender": "Tigrillo"}, 0),
    ],
)
def test_answers_are_looked_for_where_they_can_come_and_nothing_else_brings_them(change, poll_s):
    assert SMS.config(**(NEEDED | change)).poll_s == poll_s


def test_a_missing_secret_is_found_at_the_start_and_the_token_is_shown_nowhere(monkeypatch):
    config = SMS.config(**NEEDED)
    monkeypatch.delenv("TWILIO_AUTH_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="TWILIO_AUTH_TOKEN"), SMS.build(config, fake_services()):
        pass

    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "never-to-be-shown")
    with SMS.build(config, fake_services()) as channel:
        assert "never-to-be-shown" not in repr(channel)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"template_sid": "HX1"}, "HX and 32 digits"),
        ({"template_variables": {"1": "{headline}"}}, "give `template_sid` too"),
        ({"template_sid": CONTENT, "template_variables": {"1": "{what}"}}, "must have {headline}"),
        ({"template_sid": CONTENT, "template_variables": {"one": "{headline}"}}, "'1', '2'"),
        ({"template_sid": CONTENT, "template_variables": {"1": "{headlin}"}}, "did you mean {headline}"),
        ({"max_segments": 2}, "Extra inputs"),
    ],
)
def test_wrong_settings_of_whatsapp_are_refused(change, says):
    with pytest.raises(ValidationError) as refused:
        WHATSAPP.config(**(NEEDED | change))

    assert says in str(refused.value)


def test_a_whatsapp_address_is_a_number_with_or_without_its_prefix():
    assert check_address("whatsapp:+57 300 1234567") == check_address("+573001234567") == RANGER
    assert WHATSAPP.config(**(NEEDED | {"sender": "whatsapp:+57 300 0000001"})).sender == "+573000000001"


def test_a_whatsapp_text_has_rows_as_they_fit():
    base = notice(link="https://trampas.example.org/a/x", language="es")
    rows = tuple((f"Fila {number}", "x" * 100) for number in range(40))
    long = write_body(notice(words=base.words.__class__("Resumen", rows), language="es", link=base.link))

    assert write_body(base).split("\n")[0] == "*Yaguareté · cam-03 · 12:00*"
    assert write_body(base).endswith("https://trampas.example.org/a/x\nResponda ACK 7F2K")
    assert len(long) <= 1600
    assert long.endswith("Responda ACK 7F2K")


# ── Twilio's signature ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def desk(tmp_path):
    heard, notes = [], []
    services = fake_services(state_dir=tmp_path)

    def hear(reply):
        heard.append(reply)
        return "Anotado <7F2K> & sí"

    inbox = Inbox("sms", hear, Memory(tmp_path / "memory.sqlite", services))
    desk = Desk(
        Callback(**CALLBACK), SecretText("the-token"), inbox, lambda *told: notes.append(told), str, Shelf(), services
    )
    yield SimpleNamespace(desk=desk, heard=heard, notes=notes, services=services)
    inbox.memory.close()


ANSWER = {"MessageSid": "SM1", "From": RANGER, "To": "+573000000001", "Body": "ACK 7F2K", "NumMedia": "0"}


def signed(form, *, url=f"{URL}/answers", token="the-token"):
    return RequestValidator(token).compute_signature(url, form)


def test_an_answer_with_twilios_signature_is_heard_and_answered_in_xml(desk):
    status, kind, text = desk.desk.take("/answers", "", signed(ANSWER), urlencode(ANSWER).encode())

    assert (status, kind) == (HTTPStatus.OK, "text/xml; charset=utf-8")
    assert "<Message>Anotado &lt;7F2K&gt; &amp; sí</Message>" in text
    (reply,) = desk.heard
    assert (reply.sender, reply.text, reply.id) == (RANGER, "ACK 7F2K", "SM1")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "abc",
        signed(ANSWER, token="another"),
        signed(ANSWER | {"Body": "MUTE 2h"}),
        signed(ANSWER, url="https://evil.example/answers"),
        signed(ANSWER, url=f"{URL}/status"),
    ],
)
def test_without_the_right_signature_nothing_is_heard(desk, signature):
    status, _kind, text = desk.desk.take("/answers", "", signature, urlencode(ANSWER).encode())

    assert (status, text) == (HTTPStatus.FORBIDDEN, "")
    assert desk.heard == []
    assert desk.desk.forged == 1
    assert "answers.forged" in str(desk.services.log.entries)


def test_a_field_that_stands_there_twice_cannot_hide_behind_the_signature(desk):
    body = urlencode(ANSWER).encode() + b"&Body=STOP"

    assert desk.desk.take("/answers", "", signed(ANSWER), body)[0] == HTTPStatus.FORBIDDEN


def test_thousands_of_forged_calls_make_few_log_lines(desk):
    for _ in range(250):
        desk.desk.take("/status", "", "x", b"a=b")

    assert desk.desk.forged == 250
    assert len(desk.services.log.entries) == 3


def test_an_answer_that_twilio_sends_twice_is_heard_once(desk):
    body = urlencode(ANSWER).encode()
    desk.desk.take("/answers", "", signed(ANSWER), body)
    status, _kind, text = desk.desk.take("/answers", "", signed(ANSWER), body)

    assert (status, len(desk.heard)) == (HTTPStatus.OK, 1)
    assert "<Message>" not in text


def test_an_answer_that_could_not_be_kept_is_not_marked_as_heard(desk):
    def busy(_reply):
        raise StoreBusy("the database is locked")

    body = urlencode(ANSWER).encode()
    desk.desk.inbox.hear, hear = busy, desk.desk.inbox.hear
    assert desk.desk.take("/answers", "", signed(ANSWER), body)[0] == HTTPStatus.SERVICE_UNAVAILABLE

    desk.desk.inbox.hear = hear
    assert desk.desk.take("/answers", "", signed(ANSWER), body)[0] == HTTPStatus.OK
    assert len(desk.heard) == 1


def test_control_characters_of_an_answer_are_blanks(desk):
    form = ANSWER | {"Body": "ACK\r\n7F2K\x00\x1b[31m", "From": RANGER}

    desk.desk.take("/answers", "", signed(form), urlencode(form).encode())

    assert desk.heard[0].text == "ACK 7F2K [31m"


def test_a_status_with_signature_is_noted_behind_a_proxy_that_changes_the_path(desk):
    form = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"}
    signature = signed(form, url=f"{URL}/status?x=1")

    status, *_ = desk.desk.take("/some/other/status", "x=1", signature, urlencode(form).encode())

    assert status == HTTPStatus.NO_CONTENT
    assert desk.notes == [("SM1", "undelivered", 30003)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/nothing", b"", HTTPStatus.NOT_FOUND),
        ("/status", b"\xff\xfe", HTTPStatus.BAD_REQUEST),
        ("/status", b"&".join(b"a=b" for _ in range(500)), HTTPStatus.BAD_REQUEST),
        ("/status", b"", HTTPStatus.FORBIDDEN),
    ],
)
def test_other_calls_are_refused(desk, path, body, status):
    assert desk.desk.take(path, "", "", body)[0] == status


def test_the_shelf_holds_few_pictures_and_gives_those_whose_name_is_known():
    shelf = Shelf()
    names = [shelf.put(bytes([number])) for number in range(KEPT + 1)]

    assert shelf.get(names[0]) is None
    assert shelf.get(names[-1]) == bytes([KEPT])
    assert shelf.get("") is None
    assert min(map(len, names)) > 30


# ── what is remembered ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_sent_and_heard_is_known_after_a_restart(tmp_path):
    services = fake_services(state_dir=tmp_path)
    path = tmp_path / "twilio" / "sms.sqlite"
    first = Memory(path, services)
    first.begin("k1", RANGER, "text one")
    first.settle("k1", RANGER, "SM1")
    first.begin("k2", RANGER, "text two")
    first.begin("k3", RANGER, "text three")
    first.settle("k3", RANGER, "")
    first.hear("SM9", services.clock.now() + timedelta(minutes=3))
    first.close()

    again = Memory(path, services)

    assert again.find("k1", RANGER).sid == "SM1"
    assert (again.find("k2", RANGER).sid, again.find("k2", RANGER).body) == ("", "text two")
    assert again.find("k3", RANGER) is None
    assert again.find("k1", "+573009999999") is None
    assert again.has_heard("SM9")
    assert not again.has_heard("SM8")
    assert again.mark() == services.clock.now() + timedelta(minutes=3)
    assert path.stat().st_mode & 0o077 == 0
    again.close()


def test_the_mark_never_moves_back(tmp_path):
    services = fake_services(state_dir=tmp_path)
    memory = Memory(tmp_path / "m.sqlite", services)
    start = memory.mark()
    memory.hear("SM2", start + timedelta(hours=2))
    memory.hear("SM1", start + timedelta(hours=1))

    assert memory.mark() == start + timedelta(hours=2)
    memory.close()


def test_what_is_old_is_forgotten_but_never_what_may_be_listed_again(tmp_path):
    services = fake_services(state_dir=tmp_path)
    memory = Memory(tmp_path / "m.sqlite", services)
    memory.begin("k", RANGER, "text")
    memory.hear("SM1", services.clock.now())
    memory.close()
    services.clock.step(10 * 86400)

    again = Memory(tmp_path / "m.sqlite", services)

    assert again.find("k", RANGER) is None
    assert again.has_heard("SM1")  # the newest: the mark still stands at it
    again.close()


def test_a_damaged_memory_stops_no_alert(tmp_path):
    path = tmp_path / "m.sqlite"
    path.write_bytes(b"this is no database" * 100)
    services = fake_services(state_dir=tmp_path)
    memory = Memory(path, services)

    memory.begin("k", RANGER, "text")
    memory.hear("SM1", datetime(2026, 6, 1, tzinfo=UTC))

    assert memory.find("k", RANGER) is None
    assert memory.has_heard("SM1")
    assert ("warning", "sms.memory_unusable") in [entry[:2] for entry in services.log.entries]
    memory.close()


# ── what a refusal means ──────────────────────────────────────────────────────────────────────────────────────────────


def refusal(status, code, text="words\nof Twilio"):
    return SimpleNamespace(status=status, code=code, msg=text)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 20003, WrongLogin),
        (400, 21211, NoticeRefused),
        (400, 21610, NoticeRefused),
        (400, 21614, NoticeRefused),
        (400, 21408, AboutOne),
        (400, 21660, AboutOne),
        (404, 20404, AboutOne),
    ],
)
def test_only_what_speaks_of_the_addressee_refuses_for_good(status, code, kind):
    error = told(refusal(status, code), to=RANGER)

    assert type(error) is kind
    assert isinstance(error, NotifyError | NoticeRefused)
    assert str(error).isprintable()


def test_a_wrong_login_says_what_to_check():
    assert "account_sid and auth_token" in str(told(refusal(401, 20003), to=RANGER))


def test_why_a_message_did_not_arrive_is_one_line():
    assert undelivered(30003, None) == "the phone is off or out of reach (30003)"
    assert undelivered(39999, "some\nthing") == "some thing (39999)"
    assert undelivered(None, None) == "no reason given"


def test_words_for_people_are_there_in_spanish():
    for text in ("Update", "Test", "URGENT", "and {count} more", "Reply ACK {code}"):
        assert translate(text, "es") != text


def test_a_daemon_makes_pictures_only_for_a_channel_that_shows_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TWILIO_TOKEN", "secret-token")
    account = f"use: sms, account_sid: {ACCOUNT}, auth_token: {{env: TWILIO_TOKEN}}, sender: '+573000000001'"
    site = tmp_path / "site.yaml"
    site.write_text(
        "sources: [{use: watch, folder: inbox}]\nchannels:\n"
        f"  - {{name: words, {account}}}\n"
        f"  - {{name: pictures, {account}, pictures: true, media_url: 'https://x.example.org/{{link}}'}}\n"
    )
    (tmp_path / "inbox").mkdir()
    registry = load_registry()

    with open_site(load_plan(site, registry), registry, log=MemoryLog(), clock=SystemClock()) as opened:
        limits = {name: outlet.picture for name, outlet in opened.outbox.outlets.items()}

    assert limits == {"words": None, "pictures": SMS.picture}
