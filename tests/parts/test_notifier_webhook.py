"""Channel `webhook`, against real servers on the loopback: what it posts, where it does not go, how long it waits."""

import base64
import gc
import hashlib
import hmac
import json
import re
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from edge.clock import SteppedClock
from edge.config import plan_from
from edge.errors import ConfigError, NoticeRefused, NotifyError, StoreBusy
from edge.fakes import NOON
from edge.model import CaptureTime, Detection
from edge.notices import Wording
from edge.registry import load_registry
from edge.services import Station
from edge.testing import fake_services, notice
from plugins.notifiers.addresses import networks, why_not
from plugins.notifiers.webhook import SPEC, WebhookConfig, header_key, sign, signing_key
from tests.e2e.local_http import issue, serving, talking

SECRET = "a secret of some length"
JPEG = b"\xff\xd8picture\xff\xd9"
LOOPBACK = ["127.0.0.0/8"]
STATION = Station("cam-03", "America/Bogota", 4.6, -74.1)


@contextmanager
def a_webhook(url, services=None, **settings):
    services = services or fake_services(clock=SteppedClock(NOON), stations={"cam-03": STATION}, site_name="Chingaza")
    usual = {"url": url, "allow": LOOPBACK, "allow_http": True, "timeout_s": 5}
    with SPEC.build(WebhookConfig.model_validate(usual | settings), services) as notifier:
        yield notifier


@pytest.fixture
def server():
    with serving() as local:
        yield local


@pytest.fixture
def leads_to(monkeypatch):
    """A name server of ours: each call answers with the next addresses; gives the list of names that were asked for."""
    asked = []

    def point(*answers):
        left = list(answers)

        def getaddrinfo(host, port, *_args, **_options):
            asked.append(host)
            found = left.pop(0) if len(left) > 1 else left[0]
            kinds = {True: socket.AF_INET6, False: socket.AF_INET}
            return [(kinds[":" in each], socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return point


# ── what is posted ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_document_is_the_one_that_the_page_promises(server):
    with a_webhook(server.url("/hook?team=a")) as webhook:
        webhook.send(notice(link="https://trap.example/a/1"), picture=JPEG)

    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/hook?team=a")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "version": 1,
        "key": "17/ana-sms/0",
        "kind": "alert",
        "severity": "warning",
        "site": "Chingaza",
        "channel": "channel",
        "to": "",
        "person": "",
        "language": "en",
        "queued_at": "2026-06-01T12:00:00Z",
        "thread": "17",
        "code": "7F2K",
        "link": "https://trap.example/a/1",
        "headline": "Jaguar · cam-03 · 12:00",
        "rows": [
            {"label": "Seen", "value": "Jaguar (Panthera onca), 93%"},
            {"label": "Station", "value": "cam-03"},
            {"label": "Captured", "value": "June 1, 2026, 12:00:00 (UTC)"},
            {"label": "Detector", "value": "animal, 88%"},
            {"label": "Rule", "value": "big cats"},
            {"label": "Frame", "value": "f1"},
        ],
        "station": {
            "name": "cam-03",
            "place": "",
            "latitude": 4.6,
            "longitude": -74.1,
            "timezone": "America/Bogota",
        },
        "alert": {
            "rule": "big cats",
            "frame_id": "f1",
            "media": "still",
            "picture_number": 0,
            "captured_at": "2026-06-01T12:00:00Z",
            "captured_text": "2026:06:01 12:00:00",
            "received_at": "2026-06-01T12:00:00Z",
            "category": "animal",
            "category_score": 0.88,
            "box": {"left": 0.1, "top": 0.1, "width": 0.5, "height": 0.5},
            "count": 1,
            "species": {
                "scientific_name": "Panthera onca",
                "rank": "species",
                "lineage": ["Animalia", "Chordata", "Panthera onca"],
                "english": "jaguar",
                "spanish": "yaguareté",
                "score": 0.93,
            },
        },
        "picture": {"media_type": "image/jpeg", "bytes": len(JPEG), "base64": base64.b64encode(JPEG).decode()},
    }


def test_a_message_about_no_animal_has_the_same_keys(server):
    words = Wording("All is well", (("", "7 stations were heard today."),))
    with a_webhook(server.url()) as webhook:
        webhook.send(notice(), picture=b"")
        webhook.send(notice(kind="health", words=words, alert=None, station="", thread="", code=""), picture=b"")

    alert, health = (json.loads(request.body) for request in server.requests)
    assert alert.keys() == health.keys()
    assert (health["alert"], health["station"], health["picture"]) == (None, None, None)
    assert health["rows"] == [{"label": "", "value": "7 stations were heard today."}]


def test_what_is_not_known_is_null_and_not_left_out(server):
    alert = replace(
        notice().alert, captured=CaptureTime(None), received_at=None, detection=Detection("person", 0.7, (0, 0, 1, 1))
    )
    with a_webhook(server.url()) as webhook:
        webhook.send(notice(alert=alert, station="cam-99"), picture=b"")

    said = json.loads(server.requests[0].body)
    assert (said["alert"]["captured_at"], said["alert"]["received_at"], said["alert"]["species"]) == (None, None, None)
    assert (said["station"]["latitude"], said["station"]["timezone"]) == (None, "UTC")


def test_control_characters_of_a_station_s_name_reach_neither_headers_nor_document(server):
    evil = "cam\r\nX-Evil: 1\x00\x1b[31m\u202e"
    alert = replace(notice().alert, station=evil, frame_id=evil, rule=evil)
    with a_webhook(server.url()) as webhook:
        webhook.send(notice(key=f"1/{evil}/ñ", station=evil, alert=alert), picture=b"")

    [request] = server.requests
    assert "x-evil" not in request.headers
    assert request.headers["idempotency-key"] == "1/cam%0D%0AX-Evil%3A%201%00%1B%5B31m%E2%80%AE/%C3%B1"
    said = json.loads(request.body)
    assert said["station"]["name"] == "cam X-Evil: 1 [31m"
    assert all(text.isprintable() for text in (said["alert"]["frame_id"], said["alert"]["rule"], said["headline"]))
    assert request.body.isascii()


def test_a_long_key_becomes_its_hash():
    assert header_key("x" * 201) == hashlib.sha256(b"x" * 201).hexdigest()
    assert header_key("17/ana-sms/0") == "17/ana-sms/0"
    assert "." not in header_key("a.b")  # dots part what is signed


@pytest.mark.parametrize("picture", ["none", "base64"])
def test_the_picture_goes_along_when_the_site_says_so(server, picture):
    with a_webhook(server.url(), picture=picture) as webhook:
        webhook.send(notice(), picture=JPEG)

    assert (json.loads(server.requests[0].body)["picture"] is None) == (picture == "none")


def test_a_server_for_which_the_picture_is_too_large_gets_the_words(server):
    server.answers.append((413, {}, b"too large"))
    with a_webhook(server.url()) as webhook:
        webhook.send(notice(), picture=JPEG)
        assert [entry[1] for entry in webhook.services.log.entries] == ["notify.picture_refused"]

    first, second = server.requests
    assert json.loads(first.body)["picture"]
    assert json.loads(second.body)["picture"] is None
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_server_that_refuses_a_large_body_before_it_has_read_it_is_understood():
    def hang_up(connection, _over):
        with connection.makefile("rb") as stream:
            head = b"".join(iter(stream.readline, b"\r\n"))
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            if length > 1_000_000:
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                return
            stream.read(length)
            connection.sendall(b"HTTP/1.1 204 Taken\r\n\r\n")

    with talking(hang_up) as port, a_webhook(f"http://127.0.0.1:{port}/") as webhook:
        webhook.send(notice(), picture=bytes(900_000))  # both answers were heard, or this would raise


# ── signature ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_signature_can_be_checked_as_the_page_says(server, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with a_webhook(server.url(), secret={"env": "HOOK_SECRET"}) as webhook:
        webhook.send(notice(), picture=JPEG)

    [request] = server.requests
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    digest = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
    assert request.headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == "17/ana-sms/0"


def test_the_signature_is_that_of_standard_webhooks():
    """The example of the specification's own libraries (github.com/standard-webhooks/standard-webhooks)."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed(server):
    with a_webhook(server.url()) as webhook:
        webhook.send(notice(), picture=b"")

    assert "webhook-signature" not in server.requests[0].headers


def test_a_repetition_has_the_same_key_and_a_time_of_its_own(server):
    server.answers.append((500, {}, b""))
    with a_webhook(server.url()) as webhook:
        with pytest.raises(NotifyError):
            webhook.send(notice(), picture=b"")
        webhook.services.clock.step(60)
        webhook.send(notice(), picture=b"")

    first, second = (request.headers for request in server.requests)
    assert first["idempotency-key"] == second["idempotency-key"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 402, 406, 410, 413, 415, 422, 451])
def test_a_message_that_the_server_will_never_take_is_refused_with_its_words(server, status):
    server.answers.append((status, {}, b'{"error":\n"no such\x1b field"}'))
    with a_webhook(server.url()) as webhook, pytest.raises(NoticeRefused) as refusal:
        webhook.send(notice(), picture=b"")

    assert str(refusal.value) == f'127.0.0.1:{server.port} answered {status}: {{"error": "no such field"}}'


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504])
def test_what_somebody_can_put_right_is_tried_again(server, status):
    server.answers.append((status, {}, b"x" * 5000))
    with a_webhook(server.url()) as webhook, pytest.raises(NotifyError) as failure:
        webhook.send(notice(), picture=b"")

    assert str(status) in str(failure.value)
    assert len(str(failure.value)) < 300
    assert failure.value.again_in_s is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        ("0", 1),
        ("999999999999999999999", 3600),
        ("Mon, 01 Jun 2026 12:02:00 GMT", 120),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 1),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_time_that_a_server_asks_for_is_kept(server, status, header, seconds):
    server.answers.append((status, {"Retry-After": header}, b""))
    with a_webhook(server.url()) as webhook, pytest.raises(NotifyError) as failure:
        webhook.send(notice(), picture=b"")

    assert failure.value.again_in_s == seconds


def test_a_redirect_is_not_followed(server):
    with serving() as other:
        server.answers.append((307, {"Location": other.url()}, b""))
        with a_webhook(server.url()) as webhook, pytest.raises(NotifyError, match="redirects are not followed"):
            webhook.send(notice(), picture=b"")

        assert other.requests == []


def test_what_a_server_repeats_of_our_secrets_is_not_told(server, monkeypatch):
    monkeypatch.setenv("TOKEN", "bearer-token-1")
    server.answers.append((400, {}, b"bad bearer-token-1 at /hook/k3y"))
    with a_webhook(server.url("/hook/k3y"), bearer={"env": "TOKEN"}) as webhook:
        with pytest.raises(NoticeRefused) as refusal:
            webhook.send(notice(), picture=b"")
        shown = f"{webhook!r} {refusal.value}"

    assert server.requests[0].headers["authorization"] == "Bearer bearer-token-1"
    assert "bearer-token-1" not in shown
    assert "k3y" not in shown.replace(repr(webhook.config), "")


# ── time and size ─────────────────────────────────────────────────────────────────────────────────────────────────────


def drip(head, drop, every_s=0.02):
    def talk(connection, over):
        connection.recv(100_000)
        connection.sendall(head)
        while not over.wait(every_s):
            connection.sendall(drop)

    return talk


SLOW = {
    "says nothing": lambda _connection, over: over.wait(10),
    "drips its status": drip(b"", b"H"),
    "drips its headers": drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
    "never stops with 100": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "drips its reason": drip(b"HTTP/1.1 500 Broken\r\nContent-Length: 9999\r\n\r\n", b"a"),
    "drips chunks": drip(b"HTTP/1.1 500 Broken\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


@pytest.mark.parametrize("way", SLOW)
def test_a_server_that_takes_its_time_is_left_when_ours_is_up(way):
    with talking(SLOW[way]) as port, a_webhook(f"http://127.0.0.1:{port}/", timeout_s=0.1) as webhook:
        started = time.monotonic()
        with pytest.raises(NotifyError):
            webhook.send(notice(), picture=b"")
        took_s = time.monotonic() - started

    assert 0.08 < took_s < 1.5


def test_a_server_that_never_reads_is_left_too():
    def ignore(_connection, over):
        over.wait(10)

    with talking(ignore) as port, a_webhook(f"http://127.0.0.1:{port}/", timeout_s=0.1) as webhook:
        started = time.monotonic()
        with pytest.raises(NotifyError, match=r"no answer within 0\.1 s"):
            webhook.send(notice(), picture=bytes(30_000_000))

    assert time.monotonic() - started < 2


def test_what_a_server_says_after_it_has_accepted_is_not_waited_for():
    slow = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b"a")
    with talking(slow) as port, a_webhook(f"http://127.0.0.1:{port}/", timeout_s=5) as webhook:
        started = time.monotonic()
        webhook.send(notice(), picture=b"")

    assert time.monotonic() - started < 2


def test_an_endless_answer_is_not_read_to_its_end():
    sent = []

    def flood(connection, over):
        connection.recv(100_000)
        connection.sendall(b"HTTP/1.1 500 Broken\r\n\r\n")
        while not over.is_set():
            sent.append(connection.send(b"x" * 65536))

    with (
        talking(flood) as port,
        a_webhook(f"http://127.0.0.1:{port}/") as webhook,
        pytest.raises(NotifyError, match="answered 500"),
    ):
        webhook.send(notice(), picture=b"")

    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff\x1b nonsense\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
def test_an_answer_that_is_none_is_tried_again(answer):
    def talk(connection, _over):
        connection.recv(100_000)
        connection.sendall(answer)

    with (
        talking(talk) as port,
        a_webhook(f"http://127.0.0.1:{port}/") as webhook,
        pytest.raises(NotifyError) as failure,
    ):
        webhook.send(notice(), picture=b"")

    assert str(failure.value).isprintable()


def test_a_port_where_nobody_listens_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with a_webhook(f"http://127.0.0.1:{port}/") as webhook, pytest.raises(NotifyError, match="refused"):
        webhook.send(notice(), picture=b"")


# ── where it may go ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.31.0.1", "192.0.0.8",
        "192.168.1.1", "198.18.0.1", "203.0.113.7", "224.0.0.251", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::1",
        "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd12::1", "fe80::1%eth0", "fec0::1",
        "ff02::1", "::127.0.0.1", "4000::1",
    ],
)  # fmt: skip
def test_no_address_inside_is_gone_to(address):
    assert why_not(address, ())


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "100.63.255.255", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are(address):
    assert why_not(address, ()) == ""


def test_allow_opens_what_it_names_and_no_more():
    allow = networks(["10.0.0.0/24", "fd12::/16"])

    assert [why_not(each, allow) for each in ("10.0.0.9", "::ffff:10.0.0.9", "fd12::1")] == ["", "", ""]
    assert why_not("10.0.1.9", allow)
    assert why_not("fd13::1", allow)


def test_a_name_that_leads_inside_is_not_gone_to(server, leads_to):
    leads_to(["127.0.0.1"])
    with a_webhook(server.url(host="hooks.test"), allow=[]) as webhook, pytest.raises(NotifyError) as failure:
        webhook.send(notice(), picture=b"")

    assert "leads to 127.0.0.1, a loopback address: add it to `allow`" in str(failure.value)
    assert server.requests == []


def test_one_address_inside_is_enough_to_go_to_none(server, leads_to):
    leads_to(["127.0.0.1", "10.0.0.1"])
    with a_webhook(server.url(host="hooks.test")) as webhook, pytest.raises(NotifyError, match=r"10\.0\.0\.1"):
        webhook.send(notice(), picture=b"")

    assert server.requests == []


def test_a_name_that_changes_its_address_in_between_is_gone_to_where_it_was_checked(leads_to):
    """DNS rebinding: the first answer is allowed, each later one leads inside."""
    with serving(host="127.0.0.1") as outside:
        asked = leads_to(["127.0.0.1"], ["127.0.0.2"])
        with a_webhook(outside.url(host="hooks.test"), allow=["127.0.0.1"]) as webhook:
            webhook.send(notice(), picture=b"")
            assert asked == ["hooks.test"]  # once a message, and never again by the library below
            assert len(outside.requests) == 1

            with pytest.raises(NotifyError, match=r"leads to 127\.0\.0\.2, a loopback address"):
                webhook.send(notice(), picture=b"")

        assert len(outside.requests) == 1
        assert outside.requests[0].headers["host"] == f"hooks.test:{outside.port}"


def test_a_dead_address_costs_the_living_one_nothing(server, leads_to):
    leads_to(["127.0.0.3", "127.0.0.1"])
    with a_webhook(server.url(host="hooks.test")) as webhook:
        webhook.send(notice(), picture=b"")

    assert len(server.requests) == 1


def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    with a_webhook(server.url()) as webhook:
        webhook.send(notice(), picture=b"")

    assert len(server.requests) == 1


def test_names_that_nobody_knows_and_name_servers_that_hang_are_told(monkeypatch):
    def gone(*_args, **_options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", gone)
    with a_webhook("http://hooks.test/", timeout_s=0.1) as webhook:
        with pytest.raises(NotifyError, match=r"hooks\.test: .*Temporary failure in name resolution"):
            webhook.send(notice(), picture=b"")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: time.sleep(0.2) or [])
        with pytest.raises(NotifyError, match=r"no answer within 0\.1 s"):
            webhook.send(notice(), picture=b"")


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    return issue(tmp_path_factory.mktemp("papers"), "hooks.test")


def test_the_name_is_what_tls_goes_by_and_the_address_what_is_connected_to(papers, leads_to):
    with serving(tls=(papers.certificate, papers.key)) as server:
        leads_to(["127.0.0.1"])
        with a_webhook(server.url(scheme="https", host="hooks.test"), ca_file=papers.ca, allow_http=False) as webhook:
            webhook.send(notice(), picture=JPEG)
            assert webhook.check() == f"hooks.test:{server.port} (127.0.0.1, TLSv1.3)"

        assert server.names == ["hooks.test", "hooks.test"]
        assert [request.headers["host"] for request in server.requests] == [f"hooks.test:{server.port}"]


@pytest.mark.parametrize(("host", "knows_ca"), [("hooks.test", False), ("other.test", True)])
def test_a_certificate_that_is_not_trusted_gets_nothing(papers, leads_to, host, knows_ca):
    with serving(tls=(papers.certificate, papers.key)) as server:
        leads_to(["127.0.0.1"])
        ca_file = papers.ca if knows_ca else None
        with a_webhook(server.url(scheme="https", host=host), ca_file=ca_file) as webhook:
            for ask in (lambda: webhook.send(notice(), picture=b""), webhook.check):
                with pytest.raises(NotifyError, match="its certificate is not trusted"):
                    ask()

        assert server.requests == []


@pytest.mark.parametrize("talk", [SLOW["says nothing"], drip(b"\x16\x03", b"\x03")])
def test_a_handshake_that_does_not_end_is_left(papers, talk):
    with (
        talking(talk) as port,
        a_webhook(f"https://127.0.0.1:{port}/", ca_file=papers.ca, timeout_s=0.1) as webhook,
        pytest.raises(NotifyError),
    ):
        webhook.send(notice(), picture=b"")
    gc.collect()  # a socket left open is a ResourceWarning, and those fail


def test_an_answer_through_tls_that_stops_in_the_middle_is_left_too(papers, leads_to):
    with serving(tls=(papers.certificate, papers.key)) as server:
        server.answers.append((500, {"Content-Length": "99999"}, b"a"))
        leads_to(["127.0.0.1"])
        url = server.url(scheme="https", host="hooks.test")
        waiting = pytest.raises(NotifyError, match="answered 500: a")
        with a_webhook(url, ca_file=papers.ca, timeout_s=0.3) as webhook, waiting:
            webhook.send(notice(), picture=b"")


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "one address"),
        ({"url": "https://a.example/", "secret_url": {"env": "X"}}, "one address"),
        ({"url": "http://a.example/"}, "can be read on its way"),
        ({"url": "ftp://a.example/"}, "write https://host/path"),
        ({"url": "hooks.example/x"}, "write https://host/path"),
        ({"url": "https:///x"}, "write https://host/path"),
        ({"url": "https://a.example:port/x"}, "write https://host/path"),
        ({"url": "https://[::1/x"}, "write https://host/path"),
        ({"url": "https://a.example/\r\nX-Evil: 1"}, "write"),
        ({"url": "https://a..example/"}, "write https://host/path"),
        ({"url": "https://a.example/a b"}, "special characters"),
        ({"url": "https://a.example/ñ"}, "special characters"),
        ({"url": "https://user:hunter2@a.example/"}, "user name"),
        ({"url": "https://127.0.0.1/"}, "127.0.0.1 is a loopback address: add it to `allow`"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "is a private address"),
        ({"url": "https://169.254.169.254/latest"}, "is a link-local address"),
        ({"url": "https://a.example/", "allow": ["10.0.0.1/8"]}, "no range of addresses"),
        ({"url": "https://a.example/", "secret": "in clear"}, "a secret does not stand in this file"),
        ({"url": "https://a.example/", "timeout_s": 0}, "greater than 0"),
    ],
)
def test_settings_that_can_t_be_are_refused_with_what_would_be_right(settings, complaint):
    with pytest.raises(ValidationError) as refusal:
        WebhookConfig.model_validate(settings)

    assert complaint in str(refusal.value)


def test_the_site_s_check_shows_no_key_of_an_address(tmp_path):
    site = "sources: [{use: watch, folder: /srv}]\nchannels: [{name: a, use: webhook, url: 'http://a.example/k3y'}]\n"

    with pytest.raises(ConfigError) as refusal:
        plan_from(site, tmp_path / "site.yaml", load_registry())

    assert "http:// to a.example can be read on its way" in str(refusal.value)
    assert "k3y" not in str(refusal.value)


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [("too short", "at least 16 bytes"), ("whsec_no base64!", "must be base64"), ("", "not set")],
)
def test_a_secret_that_is_none_is_told_at_the_start(monkeypatch, secret, complaint):
    monkeypatch.setenv("HOOK_SECRET", secret)
    with pytest.raises(ConfigError, match=complaint), a_webhook("https://a.example/", secret={"env": "HOOK_SECRET"}):
        pass


def test_an_address_can_be_a_secret(server, monkeypatch):
    monkeypatch.setenv("HOOK_URL", server.url("/k3y"))
    with a_webhook("", secret_url={"env": "HOOK_URL"}) as webhook:
        webhook.send(notice(), picture=b"")
        assert "k3y" not in repr(webhook)
    assert server.requests[0].path == "/k3y"

    monkeypatch.setenv("HOOK_URL", "ftp://a.example/k3y")
    with pytest.raises(ConfigError) as refusal, a_webhook("", secret_url={"env": "HOOK_URL"}):
        pass
    assert "k3y" not in str(refusal.value)


def test_a_ca_that_can_t_be_read_is_told_at_the_start(tmp_path):
    for content in (None, "no certificate"):
        file = tmp_path / "ca.pem"
        if content:
            file.write_text(content)
        with pytest.raises(ConfigError, match="ca_file"), a_webhook("https://a.example/", ca_file=file):
            pass


def test_a_station_that_can_t_be_looked_up_now_is_asked_for_again(server):
    class Busy(dict):
        def get(self, _name, _default=None):
            raise StoreBusy("the database is locked")

    with a_webhook(server.url(), fake_services(stations=Busy())) as webhook, pytest.raises(NotifyError, match="locked"):
        webhook.send(notice(at=NOON + timedelta(minutes=1)), picture=b"")
    assert server.requests == []
