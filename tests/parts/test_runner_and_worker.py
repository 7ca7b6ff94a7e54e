"""The way through the stages, the one error ladder, and what a worker does with each reaction."""

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from edge.alerts.desk import AlertDesk, AlertSettings
from edge.alerts.people import OwnAddressees, directory
from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.errors import ConfigError, DecodeError, DeviceBusy, StageError
from edge.model import Classification, Detection
from edge.pipeline.pulse import Pulse
from edge.pipeline.runner import KEPT_CLASSES, Done, Failed, Halted, Runner, attempt
from edge.pipeline.spool import Spool
from edge.pipeline.worker import MAX_ATTEMPTS, Worker
from edge.services import Incoming
from edge.store.sql import Store
from edge.testing import array_picture, fake_services, spooled_frame

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
FOX = Detection("animal", 0.8, (0.1, 0.1, 0.2, 0.2))


class Pictures:
    """Media that gives as many grey pictures as it is told to."""

    frame_rate = 1.0
    damage = ""

    def __init__(self, count=1, error=None):
        self.count, self.error = count, error

    @contextmanager
    def open(self, _path, _kind):
        yield self

    def __iter__(self):
        if self.error:
            raise self.error
        for number in range(self.count):
            yield number, float(number), array_picture(np.full((48, 64, 3), 90, np.uint8))


def finds_a_fox(frame):
    return replace(frame, detections=(FOX,))


def rejects_odd_pictures(frame):
    return frame.reject("odd") if frame.number % 2 else frame


def test_every_picture_passes_the_stages_in_order_and_a_rejected_one_ends_early():
    runner = Runner(Pictures(3), [("odd", rejects_odd_pictures), ("fox", finds_a_fox)])

    outcome = runner.look_at(spooled_frame(kind="clip"))

    assert [(each.number, each.rejected, len(each.detections)) for each in outcome.pictures] == [
        (0, "", 1),
        (1, "odd", 0),
        (2, "", 1),
    ]
    assert set(outcome.stage_ms) == {"decode", "odd", "fox"}
    assert (outcome.width, outcome.height, outcome.frame_rate) == (64, 48, 1.0)


def test_a_picture_is_looked_at_for_as_long_as_it_passes_the_stages():
    told = []

    @contextmanager
    def looking_at(picture):
        told.append(picture)
        yield
        told.append("done")

    stage = lambda frame: (told.append(frame.picture), frame)[1]  # noqa: E731  # because it is one line
    Runner(Pictures(2), [("spy", stage)], looking_at).look_at(spooled_frame(kind="clip"))

    first, second = told[0], told[3]
    assert first is not second
    assert told == [first, first, "done", second, second, "done"]


def test_only_the_most_likely_classes_of_a_box_are_kept():
    many = tuple(Classification(f"class {number}", 0.5**number) for number in range(1, 200))
    stage = lambda frame: replace(frame, detections=(replace(FOX, classifications=many),))  # noqa: E731  # because it is one line

    outcome = Runner(Pictures(), [("fox", stage)]).look_at(spooled_frame())

    assert outcome.detections()[0].classifications == many[:KEPT_CLASSES]


def test_a_file_without_pictures_is_no_blank():
    with pytest.raises(DecodeError, match="no picture"):
        Runner(Pictures(0), []).look_at(spooled_frame())


@pytest.mark.parametrize(
    ("error", "reaction"),
    [(StageError("x"), "quarantine"), (DeviceBusy("x"), "wait"), (ZeroDivisionError("x"), "bug")],
)
def test_the_class_of_an_error_is_the_reaction(error, reaction):
    def work():
        raise error

    failed = attempt(work)

    assert isinstance(failed, Failed)
    assert failed.reaction == reaction
    assert failed.reason.startswith("x" if reaction != "bug" else "ZeroDivisionError: x (test_runner_and_worker.py:")


def test_a_fatal_error_passes_the_ladder():
    def work():
        raise ConfigError("site.yaml:1:1")

    with pytest.raises(ConfigError):
        attempt(work)
    assert attempt(lambda: 7) == Done(7)


NO_RULES = AlertDesk([], directory([], [], language="en", timezone="UTC", digest=None), {}, AlertSettings())


class Bench:
    """A worker with a real store and one waiting frame."""

    def __init__(self, folder, media, stages=()):
        self.clock = SteppedClock(NOW)
        self.store = Store(f"sqlite:///{folder / 'site.sqlite'}")
        self.stop, self.halt = threading.Event(), threading.Event()
        self.events = []
        services = fake_services(state_dir=folder, clock=self.clock, emit=self.events.append)
        Spool(self.store, services, limit_bytes=10**6).receive(
            Incoming("cam-01", "a.jpg", "still", b"x", "test", id="a-1")
        )
        self.pulse = Pulse(["worker-1"])
        runner = Runner(media, stages)
        self.worker = Worker("worker-1", self.store, services, runner, NO_RULES, self.pulse, self.stop, self.halt)


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(*arguments):
        made.append(Bench(tmp_path, *arguments))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def test_a_good_frame_is_recorded(bench):
    on = bench(Pictures(), [("fox", finds_a_fox)])

    assert on.worker.work_once() is True
    assert on.worker.work_once() is False

    assert on.store.counts() == {"recorded": 1, "observations": 1, "quarantine": 0}
    assert [event.verb for event in on.events] == ["receive", "spool", "claim", "stage", "record"]


@pytest.mark.parametrize("rules", [[], [Rule(name="any", category="animal", channels=("mail",))]])
def test_the_outbox_is_woken_after_a_message_is_stored_and_only_then(bench, rules):
    on = bench(Pictures(), [("fox", finds_a_fox)])
    people = directory([], [OwnAddressees("mail")], language="en", timezone="UTC", digest=None)
    desk = AlertDesk(rules, people, {}, AlertSettings())
    waiting = []
    worker = replace(on.worker, desk=desk, queued=lambda: waiting.append(on.store.counts()["alerts_digest"]))

    worker.work_once()

    assert waiting == [1] * len(rules)


def test_a_frame_at_fault_goes_to_quarantine_with_its_reason_and_keeps_its_file(bench):
    on = bench(Pictures(error=DecodeError("a.jpg: empty file")))

    on.worker.work_once()

    assert on.store.counts() == {"quarantined": 1, "observations": 0, "quarantine": 1}
    assert on.store.quarantined() == [("a.jpg", "a.jpg: empty file")]
    assert on.store.find_frames("a-1")[0].path.read_bytes() == b"x"


def test_a_busy_device_costs_no_attempt(bench):
    on = bench(Pictures(error=DeviceBusy("out of memory")))

    for _ in range(MAX_ATTEMPTS + 3):
        assert on.worker.work_once() is True
        on.clock.step(120)

    assert on.store.counts()["spooled"] == 1


def test_a_bug_is_tried_three_times_and_then_put_aside(bench):
    on = bench(Pictures(error=ZeroDivisionError("x")))

    for _ in range(MAX_ATTEMPTS):
        assert on.store.counts().get("quarantined") is None
        assert on.worker.work_once() is True
        on.clock.step(120)

    ((name, reason),) = on.store.quarantined()
    assert name == "a.jpg"
    assert reason.startswith("ZeroDivisionError: x (test_runner_and_worker.py:")


def test_a_frame_that_took_the_process_down_three_times_is_put_aside(bench):
    on = bench(Pictures(), [("fox", finds_a_fox)])
    for _ in range(MAX_ATTEMPTS):
        on.store.claim_next(NOW)
        on.store.reclaim_all()

    on.worker.work_once()

    ((name, reason),) = on.store.quarantined()
    assert name == "a.jpg"
    assert "given up after 3 attempts" in reason


def test_at_the_end_the_frame_in_hand_is_given_back_and_claimed_again_at_once(bench):
    on = bench(Pictures(5))
    on.halt.set()

    on.worker.work_once()

    assert on.store.counts()["spooled"] == 1
    assert on.store.claim_next(NOW).attempts == 1


def test_a_store_that_answers_nothing_does_not_fill_the_log(bench):
    on = bench(Pictures())
    log = on.worker.services.log
    with on.store.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE frames RENAME TO away")
    thread = threading.Thread(target=on.worker.run)

    thread.start()
    on.stop.wait(1)
    on.stop.set()
    thread.join(10)

    assert not thread.is_alive()
    assert [event for _, event, _ in log.entries] == ["claim.failed"]


def test_a_stuck_worker_stops_the_heartbeat():
    pulse = Pulse(["a", "b"])
    assert pulse.ping() is True

    pulse.beat("a")
    assert pulse.ping() is False
    assert pulse.silent() == ["b"]

    pulse.beat("b")
    assert pulse.ping() is True


def test_halting_is_no_fault_of_the_frame():
    def work():
        raise Halted("ending")

    assert attempt(work) == Failed("wait", "ending")
