"""Outbox: an alert in the store reaches its channel once, or is given up with a reason; on a real SQLite file."""

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from edge.alerts.rules import Rule, matches
from edge.clock import SteppedClock
from edge.errors import NotifyError, StoreBusy
from edge.model import Detection, Outcome, PictureResult
from edge.pipeline.outbox import Outbox, retry_pause_s
from edge.store.schema import alerts
from edge.store.sql import Store
from edge.testing import FakeClip, FakeMedia, grey_picture, spooled_frame

SOON_S = 10  # a thread that is not done by then hangs


@dataclass
class Mailbox:
    """A channel that takes what it gets after failing as often as it is told to."""

    failures: list[Exception] = field(default_factory=list)
    got: list[tuple[str, bytes]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    def send(self, alert, *, picture):
        if self.failures:
            raise self.failures.pop(0)
        self.got.append((alert.key, picture))
        self.arrived.set()


@dataclass
class Stuck:
    """A channel that hangs until it is let go."""

    let_go: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def send(self, alert, *, picture):
        self.entered.set()
        self.let_go.wait(SOON_S * 3)


class Events(list):
    """What was emitted, and a way to wait for it."""

    def __init__(self):
        self.changed = threading.Condition()

    def __call__(self, event):
        with self.changed:
            self.append(event)
            self.changed.notify_all()

    def wait_for(self, wanted):
        with self.changed:
            return self.changed.wait_for(lambda: any(map(wanted, self)), timeout=SOON_S)


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'site.sqlite'}") as opened:
        yield opened


@pytest.fixture
def events():
    return Events()


def queue(store, clock, *channels, frame_id="frame-1", kind="still", number=0):
    """Record a frame with an animal, so that a rule queues an alert for each channel."""
    spooled = spooled_frame(Path(f"/spool/{frame_id}"), id=frame_id, kind=kind)
    store.add_frames([(spooled, 0)])
    claimed = store.claim_next(clock.now())
    seen = PictureResult(number, 0.0, (Detection("animal", 0.9, (0.25, 0.25, 0.5, 0.5)),))
    outcome = Outcome(claimed, (seen,), width=64, height=48)
    queued = matches(outcome, [Rule(name="any", category="animal", channels=channels)])
    assert store.record(outcome, queued=queued, now=clock.now())


def outbox(store, clock, events, *, media=None, jitter=0.0, **notifiers):
    return Outbox(
        store,
        notifiers,
        media=media or FakeMedia(),
        clock=clock,
        emit=events,
        jitter=lambda: jitter,
        poll_s=0.05,
        grace_s=0.2,
    )


def rows(store):
    """channel → (state, attempts, error)."""
    with store.transaction() as connection:
        found = connection.execute(select(alerts.c.channel, alerts.c.state, alerts.c.attempts, alerts.c.error))
        return {channel: tuple(rest) for channel, *rest in found}


@contextmanager
def running(box):
    """The outbox in its thread, as the daemon runs it."""
    stop = threading.Event()
    thread = threading.Thread(target=box.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(SOON_S)
    assert not thread.is_alive()


def test_an_alert_is_sent_once(store, clock, events):
    mail = Mailbox()
    queue(store, clock, "mail")
    box = outbox(store, clock, events, mail=mail)

    assert box.dispatch_due() == 1
    clock.step(86_400)
    assert box.dispatch_due() == 0

    assert [key for key, _picture in mail.got] == ["any/mail/ridge/frame-1"]
    assert rows(store) == {"mail": ("sent", 1, "")}
    assert [(each.verb, each.ok, each.frame_id, each.fields["channel"]) for each in events] == [
        ("notify", True, "frame-1", "mail")
    ]


def test_a_channel_that_fails_is_tried_again_later_and_then_delivers_once(store, clock, events):
    mail = Mailbox(failures=[NotifyError("server down"), NotifyError("server still down")])
    queue(store, clock, "mail")
    box = outbox(store, clock, events, mail=mail)

    assert box.dispatch_due() == 0
    assert rows(store) == {"mail": ("pending", 1, "server down")}
    clock.step(9.9)
    assert box.dispatch_due() == 0
    assert rows(store)["mail"][1] == 1, "tried before the pause was over"
    clock.step(0.1)
    assert box.dispatch_due() == 0
    assert rows(store) == {"mail": ("pending", 2, "server still down")}
    clock.step(20)

    assert box.dispatch_due() == 1
    assert rows(store) == {"mail": ("sent", 3, "")}
    assert len(mail.got) == 1
    assert [each.fields.get("again_in_s") for each in events] == [10.0, 20.0, None]


def test_after_a_day_an_alert_is_given_up_with_the_reason(store, clock, events):
    class Down:
        def send(self, alert, *, picture):
            raise NotifyError("no route to host")

    queue(store, clock, "mail")
    box = outbox(store, clock, events, mail=Down())
    for _ in range(60):
        box.dispatch_due()
        clock.step(1800)

    state, attempts, error = rows(store)["mail"]

    assert state == "failed"
    assert 40 < attempts < 60
    assert error == f"given up after {attempts} attempts in 24 h: no route to host"
    assert [each.fields.get("given_up") for each in events][-2:] == [None, True]


@pytest.mark.parametrize(
    ("attempts", "shortest", "longest"),
    [(1, 10, 10), (2, 10, 20), (3, 20, 40), (8, 640, 1280), (9, 900, 1800), (50, 900, 1800), (5000, 900, 1800)],
)
def test_pauses_double_from_10_s_to_30_min_and_jitter_shortens_them_by_half_at_most(attempts, shortest, longest):
    assert retry_pause_s(attempts, jitter=0.0) == longest
    assert retry_pause_s(attempts, jitter=1.0) == shortest


def test_a_channel_that_hangs_stops_no_other_even_with_many_alerts_waiting_for_it(store, clock, events):
    mail, stuck = Mailbox(), Stuck()
    for number in range(30):
        queue(store, clock, "stuck", frame_id=f"early-{number}")
    queue(store, clock, "mail", frame_id="late")

    with running(outbox(store, clock, events, stuck=stuck, mail=mail)):
        assert stuck.entered.wait(SOON_S)
        assert mail.arrived.wait(SOON_S)
        assert events.wait_for(lambda event: event.ok and event.fields["channel"] == "mail")
        stuck.let_go.set()

    assert rows(store)["mail"][0] == "sent"


def test_the_outbox_ends_though_a_channel_hangs_and_its_alert_stays(store, clock, events):
    stuck = Stuck()
    queue(store, clock, "stuck")

    with running(outbox(store, clock, events, stuck=stuck)):
        assert stuck.entered.wait(SOON_S)

    (left,) = [each for each in threading.enumerate() if each.name == "notify-stuck"]
    assert left.daemon, "the process could not end while this thread lives"
    assert rows(store) == {"stuck": ("pending", 0, "")}
    stuck.let_go.set()
    left.join(SOON_S)


def test_a_channel_that_hangs_is_reported(store, clock, events):
    stuck = Stuck()
    queue(store, clock, "stuck")

    with running(outbox(store, clock, events, stuck=stuck)):
        assert stuck.entered.wait(SOON_S)
        clock.step(301)
        assert events.wait_for(lambda event: not event.ok and "the channel hangs" in event.fields["reason"])
        stuck.let_go.set()


def test_an_alert_that_comes_while_it_runs_is_sent_without_a_restart(store, clock, events):
    mail = Mailbox()

    with running(outbox(store, clock, events, mail=mail)):
        queue(store, clock, "mail")
        assert mail.arrived.wait(SOON_S)


def test_a_bug_in_a_notifier_is_told_and_the_alert_tried_again(store, clock, events):
    queue(store, clock, "buggy", "mail")
    buggy, mail = Mailbox(failures=[KeyError("token")]), Mailbox()
    box = outbox(store, clock, events, buggy=buggy, mail=mail)

    assert box.dispatch_due() == 1
    state, attempts, error = rows(store)["buggy"]
    assert (state, attempts) == ("pending", 1)
    assert error.startswith("KeyError: 'token' (test_outbox.py:")
    clock.step(10)
    assert box.dispatch_due() == 1
    assert len(buggy.got) == len(mail.got) == 1


def test_an_alert_for_a_channel_that_left_the_site_is_no_silent_loss(store, clock, events):
    queue(store, clock, "telegram")

    outbox(store, clock, events, mail=Mailbox()).dispatch_due()

    state, _attempts, error = rows(store)["telegram"]
    assert state == "pending"
    assert "no channel 'telegram'" in error
    assert [each.ok for each in events] == [False]


def test_the_picture_is_that_of_the_best_detection_with_its_box_drawn(store, clock, events):
    mail = Mailbox()
    pictures = [grey_picture(width=320, height=240, level=level) for level in (20, 120, 220)]
    queue(store, clock, "mail", frame_id="clip", kind="clip", number=1)

    outbox(store, clock, events, media=FakeMedia({"clip": FakeClip(pictures, 10.0)}), mail=mail).dispatch_due()

    drawn = np.asarray(Image.open(io.BytesIO(mail.got[0][1])).convert("RGB")).astype(int)
    height, width = drawn.shape[:2]
    middle, row, column = drawn[height // 2, width // 2], height // 2, width // 2
    edges = [
        drawn[int(height * 0.74) : int(height * 0.77), column],
        drawn[row, int(width * 0.24) : int(width * 0.27)],
        drawn[row, int(width * 0.74) : int(width * 0.77)],
    ]
    assert abs(middle - 120).max() < 8, "the middle of the box is the grey of picture 1"
    assert all(abs(edge - 120).max() > 60 for edge in edges), "below, left and right of the box a line is drawn"


@pytest.mark.parametrize("number", [0, 7])
def test_an_alert_goes_without_its_picture_when_that_can_not_be_read_any_more(store, clock, events, number):
    mail = Mailbox()
    media = FakeMedia({"frame-1": FakeClip([grey_picture()])}) if number else FakeMedia()
    queue(store, clock, "mail", number=number)

    assert outbox(store, clock, events, media=media, mail=mail).dispatch_due() == 1

    assert mail.got == [("any/mail/ridge/frame-1", b"")]
    assert "frame-1" in events[0].fields["no_picture"]


class BusyOnce:
    """A store that is locked the first time (or the first times) an alert is to be marked as sent."""

    def __init__(self, store, times=1):
        self.store, self.times = store, times

    def __getattr__(self, name):
        return getattr(self.store, name)

    def alert_sent(self, pk, at):
        if self.times:
            self.times -= 1
            raise StoreBusy("database: database is locked")
        self.store.alert_sent(pk, at)


def test_a_store_that_is_busy_after_the_send_causes_no_second_send(store, clock, events):
    mail = Mailbox()
    queue(store, clock, "mail")
    box = outbox(BusyOnce(store), clock, events, mail=mail)

    with pytest.raises(StoreBusy):
        box.dispatch_due()
    clock.step(3600)

    assert box.dispatch_due() == 1
    assert len(mail.got) == 1
    assert rows(store) == {"mail": ("sent", 1, "")}


def test_a_running_outbox_survives_a_busy_store(store, clock, events):
    mail = Mailbox()
    queue(store, clock, "mail")

    with running(outbox(BusyOnce(store), clock, events, mail=mail)):
        assert events.wait_for(lambda event: event.ok)

    assert len(mail.got) == 1
    assert rows(store) == {"mail": ("sent", 1, "")}


def test_the_outbox_ends_though_the_store_stays_busy_and_the_alert_stays(store, clock, events):
    mail = Mailbox()
    queue(store, clock, "mail")

    with running(outbox(BusyOnce(store, times=1000), clock, events, mail=mail)):
        assert mail.arrived.wait(SOON_S)

    assert rows(store) == {"mail": ("pending", 0, "")}


def test_a_crash_between_sending_and_marking_sends_again_under_the_same_key(store, clock, events):
    mail = Mailbox()
    queue(store, clock, "mail")
    with pytest.raises(StoreBusy):
        outbox(BusyOnce(store), clock, events, mail=mail).dispatch_due()

    assert outbox(store, clock, events, mail=mail).dispatch_due() == 1

    assert len({key for key, _picture in mail.got}) == 1
    assert len(mail.got) == 2


def test_alerts_of_a_channel_go_out_oldest_first(store, clock, events):
    mail = Mailbox()
    for number in range(5):
        queue(store, clock, "mail", frame_id=f"frame-{number}")
        clock.step(1)

    assert outbox(store, clock, events, mail=mail).dispatch_due() == 5

    assert [key.rpartition("/")[2] for key, _picture in mail.got] == [f"frame-{number}" for number in range(5)]


def test_an_alert_comes_out_of_the_store_as_it_went_in(store, clock):
    spooled = spooled_frame(Path("/spool/clip.mp4"), kind="clip")
    store.add_frames([(spooled, 0)])
    claimed = store.claim_next(clock.now())
    outcome = Outcome(claimed, (PictureResult(3, 0.3, (Detection("person", 0.9, (0.1, 0.1, 0.2, 0.2)),)),), 64, 48)
    queued = matches(outcome, [Rule(name="people", category="person", channels=("mail",))])
    store.record(outcome, queued=queued, now=clock.now())
    clock.step(timedelta(minutes=5).total_seconds())

    due = store.due_alerts(clock.now(), 10)

    assert due == [replace(queued[0], pk=due[0].pk, queued_at=clock.now() - timedelta(minutes=5))]
    assert store.due_alerts(clock.now(), 10, busy=("mail",)) == []
