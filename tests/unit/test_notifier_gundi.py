"""Channel `gundi` against a local Gundi: events, changes and pictures, one request a minute, and after a restart."""

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from pydantic import ValidationError

from edge.clock import SteppedClock
from edge.errors import ConfigError, NoticeRefused, NotifyError
from edge.fakes import NOON
from edge.model import CaptureTime
from edge.notices import Wording
from edge.services import Station
from edge.testing import fake_services, notice
from plugins.notifiers.gundi import SPEC, GundiConfig
from plugins.notifiers.gundi_events import KEPT, Events, Known
from tests.e2e.local_http import serving

KEY = "gundi-key-0123456789"
JPEG, BETTER = b"\xff\xd8picture\xff\xd9", b"\xff\xd8better\r\n--boundary--\xff\xd9"
STATIONS = {
    "cam-03": Station("cam-03", "UTC", 4.6, -74.1),
    "cam-04": Station("cam-04"),
    "cam-05": Station("cam-05", "UTC", 4.6),
}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("GUNDI_KEY", KEY)


@pytest.fixture
def server():
    with serving() as local:
        yield local


@pytest.fixture
def services():
    return fake_services(clock=SteppedClock(NOON), stations=STATIONS, site_name="Chingaza")


@contextmanager
def a_gundi(server, services, **settings):
    usual = {
        "api_key": {"env": "GUNDI_KEY"},
        "event_type": "tigrillo_alert",
        "url": server.url(""),
        "allow_http": True,
        "allow": ["127.0.0.1"],
        "timeout_s": 5,
        "request_every_s": 0,
    }
    with SPEC.build(GundiConfig.model_validate(usual | settings), services) as notifier:
        yield notifier


def made(object_id="e-1"):
    return 200, {}, json.dumps({"object_id": object_id, "created_at": "2026-06-01T12:00:01Z"}).encode()


def update(minutes=5, **fields):
    """A later notice of the same encounter, with other words."""
    at = NOON + timedelta(minutes=minutes)
    words = Wording(f"Jaguar · cam-03 · 12:{minutes:02}", notice().words.rows)
    return notice(key=f"17/ana/{minutes}", kind="update", at=at, words=words, **fields)


def asked(server):
    return [(request.method, request.path) for request in server.requests]


def test_an_alert_becomes_an_event_and_its_picture_an_attachment(server, services):
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        assert gundi.send(notice(link="https://trap.example/a/1"), picture=JPEG) == "e-1"

    event, attachment = server.requests
    assert asked(server) == [("POST", "/v2/events/"), ("POST", "/v2/events/e-1/attachments/")]
    assert event.headers["apikey"] == attachment.headers["apikey"] == KEY
    assert json.loads(event.body) == {
        "source": "cam-03",
        "title": "Jaguar · cam-03 · 12:00",
        "event_type": "tigrillo_alert",
        "recorded_at": "2026-06-01T12:00:00Z",
        "location": {"lat": 4.6, "lon": -74.1},
        "event_details": {
            "kind": "alert",
            "severity": "warning",
            "station": "cam-03",
            "code": "7F2K",
            "link": "https://trap.example/a/1",
            "rule": "big cats",
            "category": "animal",
            "species": "jaguar",
            "scientific_name": "Panthera onca",
            "score": 0.93,
            "count": 1,
            "frame_id": "f1",
            "time_known": True,
        },
    }


def test_the_attachment_is_a_form_that_others_can_read(server, services):
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(), picture=BETTER)

    request = server.requests[1]
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    [part] = message_from_bytes(head + request.body, policy=policy.HTTP).iter_parts()
    assert part.get_param("name", header="content-disposition") == "file1"
    assert part.get_filename() == "picture.jpg"
    assert part.get_content_type() == "image/jpeg"
    assert request.body.count(BETTER) == 1


def test_names_in_spanish_for_readers_of_spanish(server, services):
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(language="es"), picture=b"")

    assert json.loads(server.requests[0].body)["event_details"]["species"] == "yaguareté"


def test_a_time_that_nobody_knows_is_that_of_arrival_and_said_to_be(server, services):
    alert = replace(notice().alert, captured=CaptureTime(None), received_at=NOON + timedelta(hours=1))
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(alert=alert), picture=b"")

    event = json.loads(server.requests[0].body)
    assert event["recorded_at"] == "2026-06-01T13:00:00Z"
    assert event["event_details"]["time_known"] is False


def test_control_characters_stay_out(server, services):
    evil = "cam\r\n\x1b[31m"
    alert = replace(notice().alert, rule=evil, frame_id=evil)
    services = replace(services, stations={evil: replace(STATIONS["cam-03"], name=evil)})
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(alert=alert, station=evil), picture=b"")

    event = json.loads(server.requests[0].body)
    assert event["source"] == event["event_details"]["station"] == event["event_details"]["rule"] == "cam [31m"


# ── one event a thread ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_update_changes_the_event_and_adds_its_picture(server, services):
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(), picture=JPEG)
        assert gundi.send(update(), picture=BETTER) == "e-1"

    assert asked(server)[2:] == [("PATCH", "/v2/events/e-1/"), ("POST", "/v2/events/e-1/attachments/")]
    changes = json.loads(server.requests[2].body)
    assert changes.keys() == {"title", "event_details"}  # where and when it began stays
    assert changes["title"] == "Jaguar · cam-03 · 12:05"


def test_what_gundi_has_already_is_not_sent_again(server, services):
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        for _each in range(3):
            assert gundi.send(notice(), picture=JPEG) == "e-1"
        gundi.send(notice(key="17/ana/again", at=NOON + timedelta(minutes=1)), picture=JPEG)  # same words, same picture

    assert len(server.requests) == 2


def test_threads_and_channels_have_events_of_their_own(server, services):
    server.answers.extend([made("e-1"), made("e-2"), made("e-3"), made("e-4")])
    with a_gundi(server, services) as gundi:
        ids = [
            gundi.send(notice(thread=thread, key=key, channel=channel), picture=b"")
            for thread, key, channel in [
                ("1", "a", "x"),
                ("2", "b", "x"),
                ("1", "c", "y"),
                ("", "d", "x"),
                ("1", "e", "x"),
            ]
        ]

    assert ids == ["e-1", "e-2", "e-3", "e-4", "e-1"]


def test_a_restart_finds_the_event(server, services):
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(), picture=JPEG)
    with a_gundi(server, services) as gundi:
        assert gundi.send(notice(), picture=JPEG) == "e-1"
        gundi.send(update(), picture=b"")

    assert [method for method, _path in asked(server)] == ["POST", "POST", "PATCH"]


def test_a_picture_that_failed_is_tried_again_without_a_second_event(server, services):
    server.answers.extend([made(), (503, {"Retry-After": "7"}, b"")])
    with a_gundi(server, services) as gundi, pytest.raises(NotifyError) as failure:
        gundi.send(notice(), picture=JPEG)
    assert failure.value.again_in_s == 7
    with a_gundi(server, services) as gundi:
        assert gundi.send(notice(), picture=JPEG) == "e-1"

    events, attachments = ("POST", "/v2/events/"), ("POST", "/v2/events/e-1/attachments/")
    assert asked(server) == [events, attachments, attachments]


@pytest.mark.parametrize("status", [400, 404, 413])
def test_a_picture_that_gundi_never_takes_does_not_cost_the_alert(server, services, status):
    server.answers.extend([made(), (status, {}, b"too large")])
    with a_gundi(server, services) as gundi:
        assert gundi.send(notice(), picture=JPEG) == "e-1"
        assert gundi.send(notice(), picture=JPEG) == "e-1"

    assert len(server.requests) == 2
    assert [entry[1] for entry in services.log.entries] == ["notify.picture_refused"]


def test_an_event_that_gundi_has_forgotten_is_made_anew(server, services):
    server.answers.extend([made("e-1"), (404, {}, b""), made("e-2")])
    with a_gundi(server, services) as gundi:
        gundi.send(notice(), picture=b"")
        assert gundi.send(update(), picture=b"") == "e-2"

    assert [method for method, _path in asked(server)] == ["POST", "PATCH", "POST"]


@pytest.mark.parametrize(
    "kept",
    [
        b"{",
        b"[]",
        b'{"17": {"id": "e-1"}}',
        b'{"17": {"id": "e", "at": "2026-06-01T00:00:00", "body": "", "pictures": []}}',
    ],
)
def test_a_file_that_can_t_be_read_is_started_anew_and_said(server, services, kept):
    (services.state_dir / "gundi").mkdir()
    (services.state_dir / "gundi" / "channel.json").write_bytes(kept)
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        gundi.send(notice(), picture=b"")

    assert [entry[1] for entry in services.log.entries] == ["notify.state_lost"]
    assert Events(services, "channel").get("17").object_id == "e-1"


def test_a_disk_that_can_t_be_written_costs_no_alert(server, services):
    (services.state_dir / "gundi").write_text("a file where the folder belongs")
    server.answers.append(made())
    with a_gundi(server, services) as gundi:
        assert gundi.send(notice(), picture=JPEG) == "e-1"
        assert gundi.send(notice(), picture=JPEG) == "e-1"

    assert len(server.requests) == 2


def test_only_so_many_threads_are_remembered_the_oldest_goes_first(services, monkeypatch):
    monkeypatch.setattr("plugins.notifiers.gundi_events.KEPT", 3)
    events = Events(services, "a/../b")
    for number in (1, 2, 3, 1, 4):
        events.put(str(number), Known(f"e-{number}", NOON, ""))

    again = Events(services, "a/../b")
    assert [again.get(str(number)) is not None for number in (1, 2, 3, 4)] == [True, False, True, True]
    assert [path.name for path in (services.state_dir / "gundi").iterdir()] == ["a%2F..%2Fb.json"]
    assert KEPT == 500


# ── one request a minute ──────────────────────────────────────────────────────────────────────────────────────────────


def patiently(gundi, services, notices):
    """What the outbox does: try all, wait until the first may be tried again; ids by key, and the seconds it took."""
    done, began_s = {}, services.clock.monotonic_s()
    while len(done) < len(notices):
        waits = []
        for each, picture in notices:
            if each.key in done:
                continue
            try:
                done[each.key] = gundi.send(each, picture=picture)
            except NotifyError as exc:
                waits.append(exc.again_in_s)
        assert all(0 < wait_s <= 60 for wait_s in waits)
        services.clock.step(min(waits, default=0))
        assert services.clock.monotonic_s() - began_s < 3600
    return done, services.clock.monotonic_s() - began_s


def test_requests_are_a_minute_apart(server, services):
    server.answers.append(made())
    with a_gundi(server, services, request_every_s=60) as gundi:
        with pytest.raises(NotifyError, match="the picture waits for its turn") as wait:
            gundi.send(notice(), picture=JPEG)
        assert wait.value.again_in_s == 60
        services.clock.step(59)
        with pytest.raises(NotifyError) as wait:
            gundi.send(notice(), picture=JPEG)
        assert wait.value.again_in_s == pytest.approx(1)
        assert len(server.requests) == 1
        services.clock.step(1)
        assert gundi.send(notice(), picture=JPEG) == "e-1"


def test_notices_of_one_thread_that_wait_become_one_request(server, services):
    server.answers.extend([made("other"), made("e-1")])
    with a_gundi(server, services, request_every_s=60) as gundi:
        gundi.send(notice(thread="other", key="other"), picture=b"")
        waiting = [(notice(), JPEG), (update(1), b"1"), (update(2), b"2"), (update(3), BETTER)]
        done, took_s = patiently(gundi, services, waiting)

    assert set(done.values()) == {"e-1"}
    assert took_s == 120  # one event, one picture: the newest
    assert asked(server)[1:] == [("POST", "/v2/events/"), ("POST", "/v2/events/e-1/attachments/")]
    event = json.loads(server.requests[1].body)
    assert (event["title"], event["recorded_at"]) == ("Jaguar · cam-03 · 12:03", "2026-06-01T12:00:00Z")
    assert BETTER in server.requests[2].body


def test_updates_that_wait_become_one_change(server, services):
    server.answers.append(made("e-1"))
    with a_gundi(server, services, request_every_s=60) as gundi:
        gundi.send(notice(), picture=b"")
        patiently(gundi, services, [(update(minute), b"") for minute in range(1, 10)])

    assert [method for method, _path in asked(server)] == ["POST", "PATCH"]
    assert json.loads(server.requests[1].body)["title"] == "Jaguar · cam-03 · 12:09"


def test_an_update_that_never_comes_again_holds_no_picture_back_for_ever(server, services):
    server.answers.append(made("e-1"))
    with a_gundi(server, services, request_every_s=60) as gundi:
        gundi.send(notice(thread="other", key="other"), picture=b"")
        with pytest.raises(NotifyError):
            gundi.send(update(), picture=BETTER)  # the outbox gives it up
        services.clock.step(3601)
        server.answers.append(made("e-2"))
        patiently(gundi, services, [(notice(), JPEG)])

    assert JPEG in server.requests[-1].body


def test_the_time_that_gundi_asks_for_holds_for_all(server, services):
    server.answers.append((429, {"Retry-After": "300"}, b""))
    with a_gundi(server, services, request_every_s=60) as gundi:
        for key in ("a", "b"):
            with pytest.raises(NotifyError) as wait:
                gundi.send(notice(key=key, thread=key), picture=b"")
            assert wait.value.again_in_s == 300

    assert len(server.requests) == 1


# ── what can't be ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("station", ["cam-04", "cam-05", "nobody-knows"])
def test_a_station_without_coordinates_is_refused_with_what_to_do(server, services, station):
    with (
        a_gundi(server, services, place={"latitude": 1, "longitude": 2}) as gundi,
        pytest.raises(NoticeRefused, match=f"station {station} has no coordinates.*give its latitude and longitude"),
    ):
        gundi.send(notice(station=station), picture=JPEG)

    assert server.requests == []


def test_messages_about_no_station_need_a_place_and_state_a_type(server, services):
    health = notice(
        kind="health", alert=None, station="", thread="", words=Wording("All is well", (("", "7 stations."),))
    )
    with a_gundi(server, services) as gundi:
        for kind in ("health", "digest", "answer"):
            with pytest.raises(NoticeRefused, match=f"no event is made of a message of the kind '{kind}'"):
                gundi.send(replace(health, kind=kind), picture=b"")
        with pytest.raises(NoticeRefused, match="set `place` of the channel"):
            gundi.send(replace(health, kind="test"), picture=b"")

    server.answers.append(made())
    settings = {"place": {"latitude": 1, "longitude": 2}, "health_event_type": "tigrillo_state"}
    with a_gundi(server, services, **settings) as gundi:
        gundi.send(health, picture=b"")
    event = json.loads(server.requests[0].body)
    assert (event["source"], event["event_type"], event["location"]) == (
        "Chingaza",
        "tigrillo_state",
        {"lat": 1, "lon": 2},
    )
    assert event["event_details"] == {"kind": "health", "severity": "warning", "code": "7F2K", "text": "7 stations."}


@pytest.mark.parametrize(
    ("status", "error"), [(400, NoticeRefused), (422, NoticeRefused), (401, NotifyError), (500, NotifyError)]
)
def test_what_gundi_says_is_told_without_the_key(server, services, status, error):
    server.answers.append((status, {}, f"bad {KEY} event_type".encode()))
    with a_gundi(server, services) as gundi:
        with pytest.raises(error, match=f"answered {status}: bad … event_type") as failure:
            gundi.send(notice(), picture=b"")
        assert KEY not in f"{gundi!r} {failure.value}"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b'"e"', b'{"object_id": ""}', b'{"object_id": "../x\\r\\n"}']
)
def test_an_answer_without_an_id_is_no_success(server, services, body):
    server.answers.append((200, {}, body))
    with a_gundi(server, services) as gundi, pytest.raises(NotifyError, match="object_id"):
        gundi.send(notice(), picture=b"")


def test_an_answer_in_a_list_is_taken_too(server, services):
    server.answers.append((200, {}, b'[{"object_id": "8f3c-1"}]'))
    with a_gundi(server, services) as gundi:
        assert gundi.send(notice(), picture=b"") == "8f3c-1"


def test_the_check_shows_the_key_and_makes_nothing(server, services):
    server.answers.extend([(200, {}, b"[]"), (405, {}, b""), (401, {}, b"no"), (500, {}, b"")])
    with a_gundi(server, services, request_every_s=60) as gundi:
        assert gundi.check() == gundi.check() == f"Gundi at 127.0.0.1:{server.port}"
        with pytest.raises(NoticeRefused, match="knows no such key"):
            gundi.check()
        with pytest.raises(NotifyError):
            gundi.check()
        server.answers.append(made())
        assert gundi.send(notice(), picture=b"") == "e-1"  # an alert does not wait for the check's turn

    assert {request.method for request in server.requests[:4]} == {"GET"}
    assert server.requests[0].headers["apikey"] == KEY


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"event_type": ""}, "at least 1 character"),
        ({"api_key": "in clear"}, "a secret does not stand in this file"),
        ({"url": "http://gundi.example"}, "can be read on its way"),
        ({"url": "https://10.0.0.1"}, "is a private address"),
        ({"place": {"latitude": 91, "longitude": 0}}, "less than or equal to 90"),
        ({"request_every_s": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_can_t_be_are_refused(change, complaint):
    settings = {"api_key": {"env": "GUNDI_KEY"}, "event_type": "x"} | change

    with pytest.raises(ValidationError) as refusal:
        GundiConfig.model_validate(settings)

    assert complaint in str(refusal.value)


def test_a_key_of_two_lines_is_told_at_the_start(server, services, monkeypatch):
    monkeypatch.setenv("GUNDI_KEY", "one\r\nX-Evil: 1")
    with pytest.raises(ConfigError, match="one line of ASCII"), a_gundi(server, services):
        pass
