"""A station whose clock is a year off: frames, alerts and retries go by the server's clock; what it said is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.alerts.rules import Rule, matches
from edge.clock import SteppedClock
from edge.errors import NotifyError
from edge.model import Detection, Outcome, PictureResult
from edge.pipeline.outbox import GIVE_UP_AFTER, Outbox
from edge.pipeline.spool import Spool
from edge.store.sql import Store
from edge.testing import FakeMedia, fake_services
from edge.wire import FrameHeader
from plugins.sources.mqtt_incoming import incoming_of

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
YEAR = timedelta(days=365)
BODY = b"a picture"
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal")
RULE = Rule(name="animals", category="animal", channels=("screen",))
HEADER = FrameHeader("b-1", "", NOW, "b", 1, "still", "a.jpg", boot_count=4, uptime_s=7.5)


class Channel:
    """A notifier that fails until it is told not to."""

    def __init__(self):
        self.fails, self.sent = True, []

    def send(self, alert, *, picture):
        if self.fails:
            raise NotifyError("down, in this test")
        self.sent.append(alert)


@pytest.fixture
def clock():
    return SteppedClock(NOW)


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'site.sqlite'}") as opened:
        yield opened


def arrive(store, tmp_path, clock, *headers):
    services = fake_services(state_dir=tmp_path, clock=clock)
    spool = Spool(store, services, limit_bytes=10**6)
    for header in headers:
        assert spool.receive(incoming_of(services, "cam-1", header, BODY + header.id.encode())) is True
    frames = list(iter(lambda: store.claim_next(clock.now()), None))
    for frame in frames:
        outcome = Outcome(frame, (PictureResult(0, 0.0, (CAT,)),), 64, 48)
        assert store.record(outcome, queued=matches(outcome, [RULE]), now=clock.now())
    return frames


@pytest.mark.parametrize("off", [YEAR, -YEAR, timedelta(0)])
def test_alerts_and_their_retries_go_by_the_servers_clock(store, tmp_path, clock, off):
    arrive(store, tmp_path, clock, replace(HEADER, captured_at=NOW + off))
    channel = Channel()
    outbox = Outbox(
        store, {"screen": channel}, media=FakeMedia(), clock=clock, emit=lambda _event: None, jitter=lambda: 0.0
    )

    tries = [outbox.dispatch_due(), outbox.dispatch_due()]
    clock.step(11)
    channel.fails = False
    sent = outbox.dispatch_due()

    assert (tries, sent) == ([0, 0], 1)
    assert (channel.sent[0].received_at, channel.sent[0].attempts) == (NOW, 1)


@pytest.mark.parametrize("off", [YEAR, -YEAR])
def test_an_alert_is_given_up_after_24_h_of_the_servers_clock(store, tmp_path, clock, off):
    arrive(store, tmp_path, clock, replace(HEADER, captured_at=NOW + off))
    outbox = Outbox(store, {"screen": Channel()}, media=FakeMedia(), clock=clock, emit=lambda _event: None)

    clock.step(GIVE_UP_AFTER.total_seconds() - 60)
    outbox.dispatch_due()
    before = store.counts()
    clock.step(3600)
    outbox.dispatch_due()

    assert before["alerts_pending"] == 1
    assert store.counts()["alerts_failed"] == 1


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
def test_what_the_agent_said_is_kept_beside_the_time_that_is_used(store, tmp_path, clock, changes, utc):
    (frame,) = arrive(store, tmp_path, clock, replace(HEADER, captured_at=NOW - YEAR, **changes))

    assert frame.captured.utc == utc
    assert frame.captured.original == (NOW - YEAR).isoformat()
    assert (frame.agent.clock, frame.received_at) == (changes.get("clock", "ok"), NOW)


def test_the_order_of_frames_is_known_whatever_the_clock_said(store, tmp_path, clock):
    shots = [(1, 1, YEAR), (1, 2, -YEAR), (2, 3, timedelta(0)), (2, 4, -YEAR)]
    headers = [
        replace(HEADER, id=f"b-{seq}", boot_count=boot, seq=seq, captured_at=NOW + off) for boot, seq, off in shots
    ]

    frames = arrive(store, tmp_path, clock, *reversed(headers))

    assert [each.id for each in sorted(frames, key=lambda frame: (frame.agent.boot_count, frame.agent.seq))] == [
        "b-1", "b-2", "b-3", "b-4",
    ]  # fmt: skip


def test_a_thumbnail_and_its_full_frame_raise_one_alert(store, tmp_path, clock):
    arrive(store, tmp_path, clock, replace(HEADER, id="b-2", stands_for="b-1"), HEADER)

    assert store.counts()["alerts_pending"] == 1


def test_a_server_clock_that_is_set_back_by_a_year_holds_no_alert_back(store, tmp_path, clock):
    arrive(store, tmp_path, clock, HEADER)
    channel = Channel()
    outbox = Outbox(store, {"screen": channel}, media=FakeMedia(), clock=clock, emit=lambda _event: None)
    outbox.dispatch_due()

    clock.at -= YEAR
    channel.fails = False

    assert outbox.dispatch_due() == 1
