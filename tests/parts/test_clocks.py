"""A station whose clock is a year off: frames, alerts and retries go by the server's clock; what it said is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.alerts.desk import AlertSettings
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.errors import NotifyError
from edge.model import Detection, Outcome, PictureResult
from edge.pipeline.outbox import GIVE_UP_AFTER
from edge.pipeline.spool import Spool
from edge.wire import FrameHeader
from plugins.sources.mqtt_incoming import incoming_of
from tests.alert_rig import Rig

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
YEAR, A_MINUTE = timedelta(days=365), timedelta(minutes=1)
BODY = b"a picture"
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal")
RULE = Rule(name="animals", category="animal", channels=("screen",))
HEADER = FrameHeader("b-1", "", NOW, "b", 1, "still", "a.jpg", boot_count=4, uptime_s=7.5)


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path, [RULE], channels=("screen",), clock=SteppedClock(NOW))
    yield made
    made.store.close()


def arrive(rig, *headers):
    spool = Spool(rig.store, rig.services, limit_bytes=10**6)
    for header in headers:
        assert spool.receive(incoming_of(rig.services, "cam-1", header, BODY + header.id.encode())) is True
    frames = list(iter(lambda: rig.store.claim_next(rig.clock.now()), None))
    for frame in frames:
        rig.record(Outcome(frame, (PictureResult(0, 0.0, (CAT,)),), 64, 48))
    return frames


@pytest.mark.parametrize("off", [YEAR, -YEAR, timedelta(0)])
def test_alerts_and_their_retries_go_by_the_servers_clock(rig, off):
    arrive(rig, replace(HEADER, captured_at=NOW + off))
    screen = rig.inboxes["screen"]
    screen.failures = [NotifyError("down, in this test")]

    tries = [rig.send(), rig.send()]
    rig.clock.step(11)

    assert (tries, rig.send()) == ([0, 0], 1)
    assert (screen.got[0].alert.received_at, screen.got[0].alert.attempts) == (NOW, 1)


@pytest.mark.parametrize("off", [YEAR, -YEAR])
def test_an_alert_is_given_up_after_24_h_of_the_servers_clock(rig, off):
    arrive(rig, replace(HEADER, captured_at=NOW + off))
    rig.inboxes["screen"].failures = [NotifyError("down, in this test")] * 9

    rig.clock.step(GIVE_UP_AFTER.total_seconds() - 60)
    rig.send()
    before = rig.store.counts()
    rig.clock.step(3600)
    rig.send()

    assert before["alerts_pending"] == 1
    assert rig.store.counts()["alerts_failed"] == 1


@pytest.mark.parametrize(
    ("changes", "utc"),
    [
        ({}, NOW - YEAR),
        ({"clock": "guessed"}, NOW - YEAR),
        ({"clock": "unknown"}, None),
        ({"clock": "unknown", "corrected_at": NOW}, NOW),
        ({"corrected_at": NOW}, NOW),
    ],
)
def test_what_the_agent_said_is_kept_beside_the_time_that_is_used(rig, changes, utc):
    (frame,) = arrive(rig, replace(HEADER, captured_at=NOW - YEAR, **changes))

    assert frame.captured.utc == utc
    assert frame.captured.original == (NOW - YEAR).isoformat()
    assert (frame.agent.clock, frame.received_at) == (changes.get("clock", "ok"), NOW)


def test_the_order_of_frames_is_known_whatever_the_clock_said(rig):
    shots = [(1, 1, YEAR), (1, 2, -YEAR), (2, 3, timedelta(0)), (2, 4, -YEAR)]
    headers = [
        replace(HEADER, id=f"b-{seq}", boot_count=boot, seq=seq, captured_at=NOW + off) for boot, seq, off in shots
    ]

    frames = arrive(rig, *reversed(headers))

    assert [each.id for each in sorted(frames, key=lambda frame: (frame.agent.boot_count, frame.agent.seq))] == [
        "b-1", "b-2", "b-3", "b-4",
    ]  # fmt: skip


def test_a_thumbnail_and_its_full_frame_raise_one_alert(rig):
    arrive(rig, replace(HEADER, id="b-2", stands_for="b-1"), HEADER)

    assert rig.store.counts()["alerts_pending"] == 1


def test_a_server_clock_that_is_set_back_by_a_year_holds_no_alert_back(rig):
    arrive(rig, HEADER)
    rig.inboxes["screen"].failures = [NotifyError("down, in this test")]
    rig.send()

    rig.clock.at -= YEAR

    assert rig.send() == 1


@pytest.mark.parametrize("jump", [YEAR, -YEAR, timedelta(hours=1), -timedelta(hours=1), timedelta(0)])
@pytest.mark.parametrize("restart", [False, True])
def test_a_cooldown_lasts_as_long_as_it_says_whatever_the_clock_is_set_to(tmp_path, jump, restart):
    rule = Rule(name="animals", category="animal", channels=("screen",), cooldown_min=30)
    rig = Rig(tmp_path, [rule], channels=("screen",), clock=SteppedClock(NOW), settings=AlertSettings(gap=A_MINUTE))
    rig.see(CAT)
    assert rig.send() == 1
    rig.clock.step(10 * 60)

    rig.clock.at += jump
    if restart:
        rig.box = rig.outbox(**rig.inboxes)
    sent = []
    for _ in range(5):
        rig.see(CAT)
        sent.append(rig.send())
        rig.clock.step(10 * 60)
    rig.store.close()

    # over a restart a clock that was set forward has ended it, one that was set back has begun it anew
    from_start = {True: {YEAR: [1, 0, 0, 1, 0], timedelta(hours=1): [1, 0, 0, 1, 0]}, False: {}}[restart]
    back = [0, 0, 0, 1, 0] if restart and jump < timedelta(0) else [0, 0, 1, 0, 0]
    assert sent == from_start.get(jump, back)
