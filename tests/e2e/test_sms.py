"""SMS and WhatsApp through the real `twilio` package, over HTTP, to a server that checks against Twilio's document."""

import http.client
import json
import socket
import threading
import time
from base64 import b64encode
from contextlib import contextmanager
from urllib.parse import urlencode, urlsplit

import pytest
from twilio.request_validator import RequestValidator

from edge.clock import SystemClock
from edge.errors import NoticeRefused, NotifyError
from edge.notices import Receipt, Wording
from edge.testing import fake_services, notice
from plugins.notifiers.sms import SPEC as SMS
from plugins.notifiers.twilio_http import FateUnknown, NotSent, TooBusy
from plugins.notifiers.whatsapp import SPEC as WHATSAPP
from tests.e2e.twilio_server import ACCOUNT, KEY, RANGER, SECRET, SENDER, TOKEN, Twilio, twilio_server
from tests.e2e.waiting import free_port, listens, wait_until

OTHER = "+573007654321"
TEXT = "Jaguar (93%), cam-03, 12:00. Reply ACK 7F2K"


@pytest.fixture
def twilio(monkeypatch):
    monkeypatch.setenv("TWILIO_TOKEN", TOKEN)
    monkeypatch.setenv("TWILIO_SECRET", SECRET)
    monkeypatch.setenv("TWILIO_EDGE", "ashburn")  # somebody's shell; it must not send us elsewhere
    with twilio_server() as server:
        yield server


@pytest.fixture
def services(tmp_path):
    return fake_services(state_dir=tmp_path, clock=SystemClock())


def settings(twilio, **changes):
    needed = {
        "account_sid": ACCOUNT,
        "auth_token": {"env": "TWILIO_TOKEN"},
        "sender": SENDER,
        "api_base": twilio.base,
        "timeout_s": 5,
    }
    return needed | changes


@pytest.fixture
def channel(twilio, services):
    with SMS.build(SMS.config(**settings(twilio)), services) as built:
        yield built


def to_ranger(**changes):
    return notice(to=RANGER, **changes)


# ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_alert_arrives_as_one_segment_from_our_number(twilio, channel):
    sid = channel.send(to_ranger(), picture=b"")

    (message,) = twilio.messages
    assert (message["sid"], message["to"], message["from"], message["body"]) == (sid, RANGER, SENDER, TEXT)


def test_own_recipients_get_it_each_and_a_number_that_is_none_stops_no_other(twilio, services):
    config = SMS.config(**settings(twilio, recipients=[RANGER, OTHER, "+573001111111"]))
    twilio.faults = ["", "21211", ""]

    with SMS.build(config, services) as channel:
        ids = channel.send(notice(), picture=b"")

    assert [each["to"] for each in twilio.messages] == [RANGER, "+573001111111"]
    assert len(ids.split(",")) == 2
    assert [fields["reason"] for _level, event, fields in services.log.entries if event == "notify.refused"] == [
        f"Twilio: {OTHER} is no valid number (21211)"
    ]


def test_a_messaging_service_and_an_api_key_are_taken(twilio, services):
    changes = {"auth_token": None, "api_key": KEY, "api_secret": {"env": "TWILIO_SECRET"}, "sender": "MG" + "0c" * 16}

    with SMS.build(SMS.config(**settings(twilio, **changes)), services) as channel:
        channel.send(to_ranger(), picture=b"")
        assert KEY in channel.check()

    assert twilio.requests[0][2]["MessagingServiceSid"] == "MG" + "0c" * 16


def test_names_with_control_characters_go_out_as_one_clean_field(twilio, channel):
    base = notice()
    fields = {**base.words.fields, "station": "cam\r\nTo: +1999&From=+1\x00\x1b[31m\u202e"}

    channel.send(to_ranger(words=Wording("x", (), fields)), picture=b"")

    (body,) = twilio.bodies
    assert body.isprintable()
    assert body.startswith("Jaguar (93%), cam To: +1999&From=+1")
    assert set(twilio.requests[0][2]) == {"To", "From", "Body"}


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_too_many_requests_come_back_when_twilio_says(twilio, channel):
    twilio.faults = ["retry 7"]

    with pytest.raises(TooBusy) as busy:
        channel.send(to_ranger(), picture=b"")

    assert busy.value.again_in_s == 7
    channel.send(to_ranger(), picture=b"")
    assert twilio.bodies == [TEXT]
    assert [path for _method, path, _fields in twilio.requests if "Messages" in path] == [twilio.requests[0][1]] * 2


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("21211", NoticeRefused, "is no valid number (21211)"),
        ("21610", NoticeRefused, "has opted out by STOP"),
        ("21614", NoticeRefused, "is no mobile number"),
        ("21408", NotifyError, "Geo permissions"),
    ],
)
def test_what_twilio_refuses_is_told_in_plain_words(twilio, channel, fault, kind, says):
    twilio.faults = [fault]

    with pytest.raises(kind) as error:
        channel.send(to_ranger(), picture=b"")

    assert says in str(error.value)
    assert RANGER in str(error.value)


def test_wrong_credentials_keep_the_alert_and_are_found_by_the_check(twilio, services, monkeypatch):
    monkeypatch.setenv("TWILIO_TOKEN", "wrong-token-here")

    with SMS.build(SMS.config(**settings(twilio)), services) as channel:
        with pytest.raises(NotifyError, match="check account_sid and auth_token"):
            channel.send(to_ranger(), picture=b"")
        with pytest.raises(NoticeRefused, match="check account_sid and auth_token") as error:
            channel.check()

    assert "wrong-token-here" not in str(error.value)
    assert twilio.bodies == []


def test_the_check_names_the_account_and_finds_a_suspended_one(twilio, channel):
    assert "Trampas" in channel.check()

    twilio.status = "suspended"
    with pytest.raises(NoticeRefused, match="suspended"):
        channel.check()


@pytest.mark.parametrize("fault", ["500", "html"])
def test_a_message_whose_fate_is_unknown_is_found_and_not_sent_again(twilio, channel, fault):
    twilio.faults = [fault]
    with pytest.raises(NotifyError):
        channel.send(to_ranger(), picture=b"")

    sid = channel.send(to_ranger(), picture=b"")

    assert [each["sid"] for each in twilio.messages] == [sid]


def test_a_time_out_is_bounded_and_its_message_is_found_after_a_restart(twilio, services):
    twilio.faults, twilio.trial = ["hang"], True  # a trial account changes the text
    config = SMS.config(**settings(twilio, timeout_s=0.4))
    began = time.monotonic()
    with SMS.build(config, services) as channel, pytest.raises(FateUnknown, match="no answer in time"):
        channel.send(to_ranger(), picture=b"")
    assert time.monotonic() - began < 3
    twilio.hanging.set()

    with SMS.build(config, services) as channel:
        sid = channel.send(to_ranger(), picture=b"")
        other = channel.send(to_ranger(key="another"), picture=b"")

    assert [each["sid"] for each in twilio.messages] == [sid, other]


def test_an_older_message_of_the_same_text_is_not_taken_for_this_one(twilio, channel):
    twilio.add(body=TEXT, to=RANGER, from_=SENDER, direction="outbound-api", age_s=3600)
    twilio.faults = ["retry 1"]
    with pytest.raises(TooBusy):
        channel.send(to_ranger(), picture=b"")
    channel.memory.begin(to_ranger().key, RANGER, TEXT)  # as if the power had failed before the request went out

    channel.send(to_ranger(), picture=b"")

    assert twilio.bodies == [TEXT, TEXT]


def test_the_same_notice_again_after_a_crash_is_no_second_message(twilio, services):
    config = SMS.config(**settings(twilio, recipients=[RANGER, OTHER]))
    with SMS.build(config, services) as channel:
        first = channel.send(notice(), picture=b"")

    with SMS.build(config, services) as channel:
        assert channel.send(notice(), picture=b"") == first

    assert len(twilio.messages) == 2


def test_a_twilio_that_is_not_there_is_not_reached_and_nothing_is_looked_for(twilio, services):
    for base in (f"http://127.0.0.1:{free_port()}", "https://no-such-host.invalid"):
        with SMS.build(SMS.config(**settings(twilio, api_base=base)), services) as channel:
            with pytest.raises(NotSent):
                channel.send(to_ranger(), picture=b"")
            assert channel.memory.find(to_ranger().key, RANGER) is None


def test_an_answer_that_drips_ends_with_the_time_out(services, twilio):
    with socket.create_server(("127.0.0.1", 0)) as dripping:

        def drip():
            peer, _ = dripping.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    try:
                        peer.sendall(b" ")
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        base = f"http://127.0.0.1:{dripping.getsockname()[1]}"
        began = time.monotonic()
        config = SMS.config(**settings(twilio, api_base=base, timeout_s=0.5))
        with SMS.build(config, services) as channel, pytest.raises(FateUnknown):
            channel.send(to_ranger(), picture=b"")
        assert time.monotonic() - began < 2
        thread.join(5)


# ── receipts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_receipts_tell_what_became_of_messages(twilio, services):
    config = SMS.config(**settings(twilio, recipients=[RANGER, OTHER]))
    with SMS.build(config, services) as channel:
        ids = [channel.send(to_ranger(key=f"k{number}"), picture=b"") for number in range(4)]
        both = channel.send(notice(key="both"), picture=b"")
        twilio.change(ids[1], status="delivered")
        twilio.change(ids[2], status="undelivered", error_code=30003)
        twilio.change(ids[3], status="read")
        twilio.change(both.split(",")[0], status="delivered")

        found = channel.receipts([*ids, both, "SM" + "f" * 32])

    assert found == {
        ids[0]: Receipt("waiting"),
        ids[1]: Receipt("delivered"),
        ids[2]: Receipt("failed", "the phone is off or out of reach (30003)"),
        ids[3]: Receipt("delivered"),
        both: Receipt("waiting"),
    }


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def listening(channel, hear):
    stop = threading.Event()
    thread = threading.Thread(target=channel.listen, args=(hear, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_answers_are_fetched_heard_once_across_restarts_and_answered(twilio, services):
    config, heard = SMS.config(**settings(twilio, answers=0.05)), []

    def hear(reply):
        heard.append(reply)
        return "Recibido: sí, cámara" if reply.text.startswith("ACK") else ""

    twilio.hear("STOP", age_s=60)  # before we began
    for texts in (["ACK 7F2K", "¿qué?"], ["MUTE 2h"]):
        with SMS.build(config, services) as channel, listening(channel, hear):
            channel.memory.mark()
            for text in texts:
                twilio.hear(text)
            wait_until(lambda texts=texts: heard and heard[-1].text == texts[-1])
            time.sleep(0.2)  # more looks

    assert [reply.text for reply in heard] == ["ACK 7F2K", "¿qué?", "MUTE 2h"]
    assert {(reply.sender, reply.channel) for reply in heard} == {(RANGER, "sms")}
    assert len({reply.id for reply in heard}) == 3
    assert twilio.bodies == ["Recibido: si, camara"]


def test_looking_for_answers_survives_a_twilio_that_is_away(twilio, services, monkeypatch):
    monkeypatch.setattr("plugins.notifiers.twilio_answers.PAUSE_S", 0.05)
    heard = []
    port = urlsplit(twilio.base).port
    config = SMS.config(**settings(twilio, answers=0.05, api_base=f"http://127.0.0.1:{free_port()}"))
    with SMS.build(config, services) as channel, listening(channel, lambda reply: heard.append(reply) or ""):
        wait_until(lambda: "answers.deferred" in str(services.log.entries))
        twilio.hear("ACK")
        made = channel.account._client()
        made.http_client.base = f"http://127.0.0.1:{port}"
        wait_until(lambda: heard)

    assert heard[0].text == "ACK"


# ── call-backs ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def called_back(twilio, services):
    """A channel with a call-back: (channel, port, heard)."""
    port, heard = free_port(), []
    callback = {"url": "https://trampas.example.org/twilio", "port": port}
    config = SMS.config(**settings(twilio, callback=callback, pictures=True))

    def hear(reply):
        heard.append(reply)
        return "Anotado"

    with SMS.build(config, services) as channel, listening(channel, hear):
        wait_until(lambda: listens(port))
        wait_until(channel._serves.is_set)
        yield channel, port, heard


def call(port, name, form, *, token=TOKEN, method="POST"):
    """What Twilio does: a signed form, by the address that it was told."""
    signature = RequestValidator(token).compute_signature(f"https://trampas.example.org/twilio/{name}", form)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    try:
        connection.request(method, f"/{name}", urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_signed_answer_is_heard_and_a_forged_one_is_not(called_back):
    _channel, port, heard = called_back
    form = {"MessageSid": "SM9", "From": RANGER, "To": SENDER, "Body": "ACK 7F2K"}

    forged = call(port, "answers", form, token="another")
    status, headers, body = call(port, "answers", form)

    assert forged[0] == 403
    assert (status, headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert b"<Response><Message>Anotado</Message></Response>" in body
    assert [reply.text for reply in heard] == ["ACK 7F2K"]


def test_a_status_that_twilio_told_needs_no_question(twilio, called_back):
    channel, port, _heard = called_back
    sid = channel.send(to_ranger(), picture=b"")
    assert twilio.requests[0][2]["StatusCallback"] == "https://trampas.example.org/twilio/status"
    asked = len(twilio.requests)

    call(port, "status", {"MessageSid": sid, "MessageStatus": "delivered"})
    call(port, "status", {"MessageSid": sid, "MessageStatus": "sent"})  # overtaken

    assert channel.receipts([sid]) == {sid: Receipt("delivered")}
    assert len(twilio.requests) == asked


def test_a_picture_goes_as_an_address_that_gives_it_to_twilio(twilio, called_back):
    channel, port, _heard = called_back

    channel.send(to_ranger(), picture=b"\xff\xd8 a picture")
    channel.send(to_ranger(key="without"), picture=b"")

    media = urlsplit(twilio.requests[0][2]["MediaUrl"])
    name = media.path.removeprefix("/twilio/")
    status, headers, body = call(port, name, {}, method="GET")
    assert (status, headers["Content-Type"], body) == (200, "image/jpeg", b"\xff\xd8 a picture")
    assert call(port, name, {}, method="HEAD")[::2] == (200, b"")
    assert call(port, "pictures/other.jpg", {}, method="GET")[0] == 404
    assert [each["num_media"] for each in twilio.messages] == ["1", "0"]


def test_calls_that_are_too_large_or_hang_do_not_keep_others_out(called_back):
    _channel, port, heard = called_back
    idle = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(5)]
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.putrequest("POST", "/answers")
        connection.putheader("Content-Length", "10000000")
        connection.endheaders()
        too_large = connection.getresponse().status
        connection.close()
        call(port, "answers", {"MessageSid": "SM9", "From": RANGER, "Body": "ACK"})
    finally:
        for each in idle:
            each.close()

    assert too_large == 413
    assert len(heard) == 1


def test_a_picture_of_the_sites_own_page_is_named_by_its_link(twilio, services):
    config = SMS.config(**settings(twilio, pictures=True, media_url="{link}/picture.jpg"))
    with SMS.build(config, services) as channel:
        channel.send(to_ranger(link="https://example.org/a/x"), picture=b"jpeg")
        channel.send(to_ranger(key="no-link"), picture=b"jpeg")

    assert [fields.get("MediaUrl") for _m, _p, fields in twilio.requests] == [
        "https://example.org/a/x/picture.jpg",
        None,
    ]


# ── WhatsApp ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TEMPLATES = {"en": "HX" + "0e" * 16, "es": "HX" + "0f" * 16}
WHATSAPP_RANGER = f"whatsapp:{RANGER}"


def test_whatsapp_writes_freely_within_24_hours_of_an_answer_and_by_template_else(twilio, services):
    config = WHATSAPP.config(**settings(twilio, template_sid=TEMPLATES))
    with WHATSAPP.build(config, services) as channel:
        channel.send(to_ranger(language="es"), picture=b"")
        twilio.hear("hola", from_=WHATSAPP_RANGER, to=f"whatsapp:{SENDER}", age_s=3600)
        channel.send(to_ranger(key="k2", language="es"), picture=b"")
        channel.send(to_ranger(key="k3", language="es"), picture=b"")

    created = [fields for method, _path, fields in twilio.requests if method == "POST"]
    assert {(each["To"], each["From"]) for each in created} == {(WHATSAPP_RANGER, f"whatsapp:{SENDER}")}
    assert created[0]["ContentSid"] == TEMPLATES["es"]
    assert json.loads(created[0]["ContentVariables"]) == {"1": "Yaguareté (93 %), cam-03, 12:00. Responda ACK 7F2K"}
    assert "Body" not in created[0]
    assert [each["Body"].split("\n")[0] for each in created[1:]] == ["*Yaguareté · cam-03 · 12:00*"] * 2
    assert sum(method == "GET" for method, _path, _fields in twilio.requests) == 2  # an open window is remembered


def test_a_template_of_ones_own_has_no_empty_variable_and_is_found_again(twilio, services):
    variables = {"1": "{headline}", "2": "{station}", "3": "{link}"}
    config = WHATSAPP.config(**settings(twilio, template_sid=TEMPLATES["en"], template_variables=variables))
    health = to_ranger(kind="health", words=Wording("All is well", ()), alert=None, code="")
    twilio.faults = ["500"]

    with WHATSAPP.build(config, services) as channel:
        with pytest.raises(NotifyError):
            channel.send(health, picture=b"")
        channel.send(health, picture=b"")

    assert twilio.bodies == ["Tigrillo: All is well / - / -"]


def test_answers_by_whatsapp_come_from_the_number_alone(twilio, services):
    heard = []
    config = WHATSAPP.config(**settings(twilio, answers=0.05))

    def hear(reply):
        heard.append(reply)
        return "Anotado ✓"

    with WHATSAPP.build(config, services) as channel, listening(channel, hear):
        wait_until(lambda: twilio.requests)
        twilio.hear("ACK", from_=WHATSAPP_RANGER, to=f"whatsapp:{SENDER}")
        wait_until(lambda: twilio.bodies)

    assert (heard[0].sender, heard[0].channel) == (RANGER, "whatsapp")
    assert twilio.bodies == ["Anotado ✓"]
    assert twilio.messages[-1]["to"] == WHATSAPP_RANGER


def test_the_server_of_these_tests_refuses_what_the_document_does_not_allow():
    """Otherwise all above would prove little."""
    wrong = ({}, {"To": RANGER, "Colour": "red"}, {"To": RANGER, "ContentSid": "HX1"})

    with twilio_server() as server:
        statuses = [post(server, form) for form in wrong]
        complaints, server.wrong = server.wrong, []

    assert statuses == [400] * 3
    assert list(dict.fromkeys(each.split(" ")[0].rstrip(":") for each in complaints)) == ["To", "Colour", "ContentSid"]


def post(server: Twilio, form):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    login = b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", urlencode(form), headers)
        return connection.getresponse().status
    finally:
        connection.close()
