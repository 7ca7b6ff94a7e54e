"""Outbox: a message in the store reaches its channel once, or is given up with a reason; on a real SQLite file."""

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from edge.alerts.desk import AlertSettings
from edge.alerts.rules import Rule
from edge.errors import NoticeRefused, NotifyError, StoreBusy
from edge.fakes import ArrayPicture
from edge.notices import Receipt
from edge.pipeline.lanes import Outlet, retry_pause_s
from edge.store import reviews
from edge.store.reviews import New, Said
from edge.testing import FakeClip, grey_picture
from tests.alert_rig import SOON_S, Inbox, Rig, animal


@dataclass
class Stuck:
    """A channel that hangs until it is let go."""

    let_go: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def send(self, notice, *, picture):
        self.entered.set()
        self.let_go.wait(SOON_S * 3)


class Events(list):
    """What was emitted, and a way to wait for it."""

    def __init__(self):
        self.changed = threading.Condition()

    def append(self, event):
        with self.changed:
            super().append(event)
            self.changed.notify_all()

    def wait_for(self, wanted):
        with self.changed:
            return self.changed.wait_for(lambda: any(map(wanted, self)), timeout=SOON_S)


@pytest.fixture
def rig(tmp_path):
    """Any animal at any station is told, each frame by itself, on the channels that a test queues for."""
    rules = [Rule(name=name, category="animal", stations=(name,), channels=(name,)) for name in CHANNELS]
    made = Rig(tmp_path, rules, channels=CHANNELS, settings=AlertSettings(gap=timedelta(0)), events=Events())
    yield made
    made.store.close()


CHANNELS = ("mail", "stuck", "buggy", "telegram")


def queue(rig, *channels, **options):
    """Record a frame for each of these channels; a second apart, so that each is an encounter of its own."""
    for channel in channels:
        rig.see(animal(side=0.5), station=channel, **options)
        rig.clock.step(1)


def rows(rig):
    """channel → (state, attempts, error)."""
    return {row.channel: (row.state, row.attempts, row.error) for row in rig.rows()}


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


def test_a_message_is_sent_once(rig):
    queue(rig, "mail", frame_id="frame-1")

    assert rig.send() == 1
    rig.clock.step(86_400)
    assert rig.send() == 0

    assert [notice.alert.frame_id for notice in rig.inboxes["mail"].got] == ["frame-1"]
    assert rows(rig) == {"mail": ("sent", 1, "")}
    assert [(each.verb, each.ok, each.frame_id, each.fields["channel"]) for each in rig.events] == [
        ("notify", True, "frame-1", "mail")
    ]


def test_a_channel_that_fails_is_tried_again_later_and_then_delivers_once(rig):
    mail = rig.inboxes["mail"]
    mail.failures = [NotifyError("server down"), NotifyError("server still down")]
    queue(rig, "mail")

    assert rig.send() == 0
    assert rows(rig) == {"mail": ("pending", 1, "server down")}
    rig.clock.step(9.9)
    assert rig.send() == 0
    assert rows(rig)["mail"][1] == 1, "tried before the pause was over"
    rig.clock.step(0.1)
    assert rig.send() == 0
    assert rows(rig) == {"mail": ("pending", 2, "server still down")}
    rig.clock.step(20)

    assert rig.send() == 1
    assert rows(rig) == {"mail": ("sent", 3, "")}
    assert len(mail.got) == 1
    assert [each.fields.get("again_in_s") for each in rig.events] == [10.0, 20.0, None]


def test_after_a_day_a_message_is_given_up_with_the_reason(rig):
    rig.inboxes["mail"].failures = [NotifyError("no route to host")] * 100
    queue(rig, "mail")
    for _ in range(60):
        rig.send()
        rig.clock.step(1800)

    state, attempts, error = rows(rig)["mail"]

    assert state == "failed"
    assert 40 < attempts < 60
    assert error == f"given up after {attempts} attempts in 24 h: no route to host"
    assert [each.fields.get("given_up") for each in rig.events][-2:] == [None, True]
    assert rig.rows()[0].reason == "expired"


def test_what_a_channel_will_never_take_is_given_up_at_once_and_pauses_nothing(rig):
    mail = rig.inboxes["mail"]
    mail.failures = [NoticeRefused("no such number")]
    queue(rig, "mail", "mail")

    assert rig.send() == 1

    assert [(row.state, row.reason, row.error) for row in rig.rows()] == [
        ("failed", "refused", "no such number"), ("sent", "", ""),
    ]  # fmt: skip


def test_a_channel_that_names_a_time_is_left_alone_until_then(rig):
    mail = rig.inboxes["mail"]
    mail.failures = [NotifyError("too many requests", again_in_s=90)]
    queue(rig, "mail", "mail")

    assert rig.send() == 0
    rig.clock.step(85)
    assert rig.send() == 0
    rig.clock.step(6)
    assert rig.send() == 2


def test_a_channel_that_fails_again_and_again_is_tried_with_one_message_at_a_time(rig):
    mail = rig.inboxes["mail"]
    mail.failures = [NotifyError("down")] * 1000
    for _ in range(20):
        queue(rig, "mail")
    for _ in range(60):
        rig.send()
        rig.clock.step(60)
    tried = 1000 - len(mail.failures)
    state = rig.box.snapshot()["mail"]

    mail.failures = []
    rig.clock.step(1800)
    sent = rig.send()

    # three before the pauses begin, then 10, 20, … 1280 s and 30 min apart, not 20 messages' worth of attempts
    assert tried <= 12
    assert (state["state"], state["error"]) == ("paused", "down")
    assert sent == 20, "once it works again everything that waited goes out"
    assert rig.box.snapshot()["mail"]["state"] == "works"


def test_a_rate_limit_holds_back_and_drops_nothing(rig):
    inbox = Inbox()
    box = rig.outbox(mail=Outlet(inbox, per_minute=3))
    for _ in range(7):
        queue(rig, "mail")

    sent = []
    for _ in range(4):
        sent.append(box.dispatch_due())
        rig.clock.step(61)

    assert sent == [3, 3, 1, 0]


@pytest.mark.parametrize(
    ("attempts", "shortest", "longest"),
    [(1, 10, 10), (2, 10, 20), (3, 20, 40), (8, 640, 1280), (9, 900, 1800), (50, 900, 1800), (5000, 900, 1800)],
)
def test_pauses_double_from_10_s_to_30_min_and_jitter_shortens_them_by_half_at_most(attempts, shortest, longest):
    assert retry_pause_s(attempts, jitter=0.0) == longest
    assert retry_pause_s(attempts, jitter=1.0) == shortest


def test_a_channel_that_hangs_stops_no_other_even_with_many_messages_waiting_for_it(rig):
    mail, stuck = Inbox(), Stuck()
    for _ in range(30):
        queue(rig, "stuck")
    queue(rig, "mail")

    with running(rig.outbox(stuck=stuck, mail=mail)):
        assert stuck.entered.wait(SOON_S)
        assert mail.arrived.wait(SOON_S)
        assert rig.events.wait_for(lambda event: event.ok and event.fields["channel"] == "mail")
        stuck.let_go.set()

    assert rows(rig)["mail"][0] == "sent"


def test_the_outbox_ends_though_a_channel_hangs_and_its_message_goes_out_after_the_next_start(rig):
    stuck, mail = Stuck(), Inbox()
    queue(rig, "stuck")

    with running(rig.outbox(stuck=stuck)):
        assert stuck.entered.wait(SOON_S)

    (left,) = [each for each in threading.enumerate() if each.name == "notify-stuck"]
    assert left.daemon, "the process could not end while this thread lives"
    assert rows(rig) == {"stuck": ("sending", 0, "")}
    assert rig.outbox(stuck=mail).dispatch_due() == 1
    stuck.let_go.set()
    left.join(SOON_S)


def test_a_channel_that_hangs_is_reported(rig):
    stuck = Stuck()
    queue(rig, "stuck")

    with running(rig.outbox(stuck=stuck)):
        assert stuck.entered.wait(SOON_S)
        rig.clock.step(301)
        assert rig.events.wait_for(lambda event: not event.ok and "the channel hangs" in event.fields["reason"])
        stuck.let_go.set()


def test_a_message_that_comes_while_it_runs_is_sent_without_a_restart(rig):
    mail = Inbox()

    with running(rig.outbox(mail=mail)):
        queue(rig, "mail")
        assert mail.arrived.wait(SOON_S)


def test_a_running_outbox_that_is_woken_looks_at_once_and_not_after_its_pause(rig):
    mail = Inbox()
    box = rig.outbox(mail=mail)
    box.poll_s = SOON_S * 10
    queue(rig, "mail")

    with running(box):
        assert mail.arrived.wait(SOON_S)
        assert rig.events.wait_for(lambda event: event.verb == "notify")
        mail.arrived.clear()
        queue(rig, "mail")
        for _ in range(3):
            box.wake()

        assert mail.arrived.wait(SOON_S)
        box.poll_s = 0.05  # so that it sees that it is to end
        box.wake()


def test_an_outbox_that_is_woken_at_its_end_still_writes_down_what_is_under_way(rig):
    stuck = Stuck()
    queue(rig, "stuck")
    box = rig.outbox(stuck=stuck)
    box.grace_s = SOON_S

    with running(box):
        assert stuck.entered.wait(SOON_S)
        threading.Timer(0.3, box.wake).start()
        threading.Timer(0.4, stuck.let_go.set).start()

    assert rows(rig)["stuck"] == ("sent", 1, "")


def test_a_bug_in_a_notifier_is_told_and_the_message_tried_again(rig):
    queue(rig, "buggy", "mail")
    buggy, mail = Inbox(failures=[KeyError("token")]), Inbox()
    box = rig.outbox(buggy=buggy, mail=mail)

    assert box.dispatch_due() == 1
    state, attempts, error = rows(rig)["buggy"]
    assert (state, attempts) == ("pending", 1)
    assert error.startswith("KeyError: 'token' (alert_rig.py:")
    rig.clock.step(10)
    assert box.dispatch_due() == 1
    assert len(buggy.got) == len(mail.got) == 1


def test_a_message_for_a_channel_that_left_the_site_is_no_silent_loss(rig):
    queue(rig, "telegram")

    rig.outbox(mail=Inbox()).dispatch_due()

    state, _attempts, error = rows(rig)["telegram"]
    assert state == "pending"
    assert "'@telegram'" in error
    assert [each.ok for each in rig.events] == [False]


def test_the_picture_is_that_of_the_best_detection_with_its_box_drawn(rig):
    pictures = [grey_picture(width=320, height=240, level=level) for level in (20, 120, 220)]
    rig.media.clips["clip"] = FakeClip(pictures, 10.0)
    queue(rig, "mail", frame_id="clip", kind="clip", number=1)

    rig.send()

    drawn = np.asarray(Image.open(io.BytesIO(rig.inboxes["mail"].pictures[0])).convert("RGB")).astype(int)
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
def test_a_message_goes_without_its_picture_when_that_can_not_be_read_any_more(rig, number):
    if number:
        rig.media.clips["frame-1"] = FakeClip([grey_picture()])
    queue(rig, "mail", frame_id="frame-1", number=number)

    assert rig.send() == 1

    assert rig.inboxes["mail"].pictures == [b""]
    assert "frame-1" in rig.events[0].fields["no_picture"]


@pytest.mark.parametrize(("boxed", "goes"), [(True, True), (False, False)])
def test_whom_somebody_has_seen_on_a_picture_since_is_not_on_the_one_that_is_sent(rig, boxed, goes):
    stripes = np.tile(np.repeat(np.array([20, 230], np.uint8), 16), 10)  # which blurring makes even
    rig.media.clips["frame-1"] = FakeClip([ArrayPicture(np.repeat(stripes[None, :, None], 240, 0).repeat(3, 2))])
    queue(rig, "mail", frame_id="frame-1")
    said = New(1, Said("human"), 1) if boxed else New(1, Said("human"))
    with rig.store.transaction() as connection:
        reviews.add(connection, [said], action="a-review", by="ana", at=rig.clock.now())

    assert rig.send() == 1

    [sent] = rig.inboxes["mail"].pictures
    assert bool(sent) == goes
    if goes:
        grey = np.asarray(Image.open(io.BytesIO(sent)).convert("L")).astype(int)
        height, width = grey.shape
        inside = grey[int(height * 0.4) : int(height * 0.6), int(width * 0.4) : int(width * 0.6)]
        assert np.ptp(inside) < 60 < np.ptp(grey[int(height * 0.05), : width // 5])


class BusyAfterwards:
    """A store that is locked the first time (or the first times) a message is to be marked as sent."""

    def __init__(self, notices, times=1):
        self.notices, self.times = notices, times

    def __getattr__(self, name):
        return getattr(self.notices, name)

    def sent(self, pk, at, *, receipt):
        if self.times:
            self.times -= 1
            raise StoreBusy("database: database is locked")
        self.notices.sent(pk, at, receipt=receipt)


def busy_outbox(rig, mail, times):
    box = rig.outbox(mail=mail)
    box.notices = BusyAfterwards(box.notices, times)
    return box


def test_a_store_that_is_busy_after_the_send_causes_no_second_send(rig):
    mail = Inbox()
    queue(rig, "mail")
    box = busy_outbox(rig, mail, 2)

    with pytest.raises(StoreBusy):
        box.dispatch_due()
    rig.clock.step(3600)

    assert box.dispatch_due() == 1
    assert len(mail.got) == 1
    assert rows(rig) == {"mail": ("sent", 1, "")}


def test_a_running_outbox_survives_a_busy_store(rig):
    mail = Inbox()
    queue(rig, "mail")

    with running(busy_outbox(rig, mail, 2)):
        assert rig.events.wait_for(lambda event: event.ok)

    assert len(mail.got) == 1
    assert rows(rig) == {"mail": ("sent", 1, "")}


def test_the_outbox_ends_though_the_store_stays_busy_and_the_message_stays(rig):
    mail = Inbox()
    queue(rig, "mail")

    with running(busy_outbox(rig, mail, 1000)):
        assert mail.arrived.wait(SOON_S)

    assert rows(rig) == {"mail": ("sending", 0, "")}


def test_a_crash_between_sending_and_marking_sends_again_under_the_same_key(rig):
    mail = Inbox()
    queue(rig, "mail")
    with pytest.raises(StoreBusy):
        busy_outbox(rig, mail, 2).dispatch_due()

    assert rig.outbox(mail=mail).dispatch_due() == 1

    assert len({notice.key for notice in mail.got}) == 1
    assert [notice.attempt for notice in mail.got] == [0, 1], "so that a mail's Message-ID is not used twice"


def test_messages_of_a_channel_go_out_oldest_first(rig):
    for number in range(5):
        queue(rig, "mail", frame_id=f"frame-{number}")

    assert rig.send() == 5

    sent = [notice.alert.frame_id for notice in rig.inboxes["mail"].got]
    assert sent == [f"frame-{number}" for number in range(5)]


def test_a_receipt_that_says_failed_is_kept_and_told(rig):
    class Telephone(Inbox):
        asked = 0

        def send(self, notice, *, picture):
            super().send(notice, picture=picture)
            return f"SM{len(self.got)}"

        def receipts(self, ids):
            self.asked += 1
            return {"SM1": Receipt("failed", "out of reach"), "SM2": Receipt("delivered")}

    telephone = Telephone()
    box = rig.outbox(mail=telephone)
    for _ in range(3):
        queue(rig, "mail")
    box.dispatch_due()
    rig.clock.step(61)
    box.dispatch_due()

    assert [(row.state, row.receipt_state, row.error) for row in rig.rows()] == [
        ("sent", "failed", "out of reach"), ("sent", "delivered", ""), ("sent", "waiting", ""),
    ]  # fmt: skip
    assert [each.fields["reason"] for each in rig.events if not each.ok] == ["out of reach"]
