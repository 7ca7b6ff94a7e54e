"""Frames that arrive together: durable and known all at once, each with an answer of its own."""

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from edge.clock import SteppedClock
from edge.errors import RefusedError, RetryableError, SpoolFull, StoreBusy
from edge.model import AgentFacts, CaptureTime, Outcome, PictureResult
from edge.pipeline.spool import Spool
from edge.services import Incoming
from edge.store.sql import Store
from edge.testing import fake_services

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
FACTS = AgentFacts("b", 3, 17, 12.5, "ok", "pir")


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'site.sqlite'}") as opened:
        yield opened


@pytest.fixture
def services(tmp_path):
    return fake_services(state_dir=tmp_path, clock=SteppedClock(NOW))


@pytest.fixture
def spool(store, services):
    return Spool(store, services, limit_bytes=1000)


def incoming(number=1, **changes):
    body = changes.get("body", b"frame %d" % number)
    given = Incoming("cam-01", f"{number}.jpg", "still", body, "test", id=f"a-{number}", captured=CaptureTime(NOW))
    return replace(given, **{"agent": FACTS} | changes)


def finish(store, frame):
    store.record(Outcome(frame, (PictureResult(0, 0.0, ()),), 1, 1), now=NOW)


def summed_bytes(store):
    with store.transaction() as connection:
        query = "select coalesce(sum(spool_bytes), 0) from frames where state in ('spooled', 'claimed')"
        return connection.scalar(text(query))


def test_a_batch_costs_one_transaction_and_each_frame_has_its_own_answer(store, spool, monkeypatch):
    spool.receive(incoming(1))
    writes = []
    add_frames = store.add_frames
    monkeypatch.setattr(store, "add_frames", lambda new: writes.append(len(new)) or add_frames(new))

    answers = spool.receive_many(
        [incoming(1), incoming(2), incoming(3), incoming(3), incoming(4, sha256="0" * 64), incoming(1, body=b"other")]
    )

    assert answers[:4] == [False, True, True, False]
    assert [type(each) for each in answers[4:]] == [RefusedError, RefusedError]
    assert writes == [2]
    assert store.counts()["spooled"] == 3
    claimed = [store.claim_next(NOW) for _ in range(3)]
    assert [each.path.read_bytes() for each in claimed] == [b"frame 1", b"frame 2", b"frame 3"]
    assert claimed[0].agent == FACTS


def test_what_fits_of_a_batch_is_taken_and_the_rest_stays_with_its_sender(store, spool):
    answers = spool.receive_many([incoming(number, body=bytes([number]) * 400) for number in (1, 2, 3)])

    assert answers[:2] == [True, True]
    assert isinstance(answers[2], SpoolFull)


def test_a_busy_store_defers_the_whole_batch(store, spool, monkeypatch):
    def busy(_new):
        raise StoreBusy("locked, in this test")

    monkeypatch.setattr(store, "add_frames", busy)

    assert [type(each) for each in spool.receive_many([incoming(1), incoming(2)])] == [StoreBusy, StoreBusy]


def test_an_error_nobody_foresaw_costs_its_own_frame_three_attempts_and_no_other_one(
    store, services, spool, monkeypatch
):
    timezone_of = type(services).timezone_of

    def fails_for_one(self, station):
        if station == "cursed":
            raise ZeroDivisionError("a bug, in this test")
        return timezone_of(self, station)

    monkeypatch.setattr(type(services), "timezone_of", fails_for_one)
    answers = [spool.receive_many([incoming(n), incoming(n + 100, station="cursed", id="x-1")]) for n in (1, 2, 3)]

    assert [each[0] for each in answers] == [True, True, True]
    assert [type(each[1]) for each in answers] == [RetryableError, RetryableError, RefusedError]
    assert "ZeroDivisionError" in store.quarantined()[0][1]
    assert [event for _level, event, _fields in services.log.entries] == ["spool.unforeseen"] * 3


def test_what_kill_9_left_half_written_is_removed_at_the_next_start(store, services, tmp_path):
    for folder in (tmp_path / "media" / ".new", tmp_path / "quarantine"):
        folder.mkdir(parents=True)
        (folder / ".half.jpg.123.part").write_bytes(b"half")

    Spool(store, services, limit_bytes=1000)

    assert list(tmp_path.rglob("*.part")) == []


def test_the_sum_of_waiting_bytes_is_kept_through_every_change_of_state(store, services):
    chance, spool = random.Random(3), Spool(store, services, limit_bytes=10**6)
    for number in range(60):
        step = chance.randrange(5)
        if step < 2:
            spool.receive(incoming(number, body=chance.randbytes(chance.randrange(1, 500))))
        elif frame := store.claim_next(NOW):
            if step == 2:
                finish(store, frame)
            elif step == 3:
                store.quarantine_frame(frame, reason="x", now=NOW)
            else:
                store.release(frame.pk, not_before=NOW, reason="", count_attempt=False)
        assert store.waiting_bytes() == summed_bytes(store)
    store.reclaim_all()
    with store.transaction() as connection:
        connection.execute(text("delete from frames where state = 'spooled'"))
    assert store.waiting_bytes() == summed_bytes(store) == 0


def test_no_query_of_a_receive_or_of_a_search_by_id_reads_the_whole_table(store, spool):
    asked = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, parameters, _context, executemany):
        if statement.startswith(("SELECT", "UPDATE")):
            asked.append((statement, parameters[0] if executemany else parameters))

    thumb = replace(FACTS, stands_for="a-2")
    spool.receive_many([incoming(1, agent=thumb), incoming(2), incoming(3, station="cam-02", agent=thumb)])
    spool.receive_many([incoming(4, agent=thumb)])
    store.find_frames("a-1")
    store.thumbnails_of(2)
    store.knows("cam-01", "0" * 64)
    store.waiting_bytes()
    with store.transaction() as connection:
        plans = [
            (statement, [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)])
            for statement, parameters in list(asked)
        ]

    assert len(plans) >= 8
    for statement, plan in plans:
        for step in plan:
            assert not step.startswith("SCAN"), (statement, plan)
            if "clock_corrections" in step:
                continue  # a station has a handful of them
            # a station alone, or an index on what is null in nearly every row, is as good as the whole table
            assert not step.endswith(("(station=?)", "(full_pk=?)")) or "full_pk = ?" in statement, (statement, plan)


def test_unfinished_frames_of_a_source_count_towards_the_limit(store, spool):
    spool.hold("mqtt", 700)

    with pytest.raises(SpoolFull):
        spool.receive(incoming(1, body=b"x" * 400))
    with pytest.raises(SpoolFull):
        spool.hold("mqtt", 1001)
    spool.hold("mqtt", 0)
    assert spool.receive(incoming(1, body=b"x" * 400)) is True


def test_a_file_that_the_source_put_together_is_taken_over_without_a_copy(store, spool, tmp_path):
    part = tmp_path / "incoming" / "a.part"
    part.parent.mkdir()
    part.write_bytes(b"y" * 900)
    spool.hold("mqtt", 900)

    assert spool.receive(incoming(1, body=part, ours=True, sha256=hashlib.sha256(b"y" * 900).hexdigest())) is True

    frame = store.claim_next(NOW)
    assert frame.path.samefile(part)
    assert frame.path.is_relative_to(tmp_path / "media" / "cam-01")
    assert store.waiting_bytes() == 900


@pytest.mark.parametrize("order", [("small", "full"), ("full", "small"), ("both",)])
def test_a_thumbnail_and_its_full_frame_are_linked_whichever_comes_first(store, spool, order):
    small = incoming(1, agent=replace(FACTS, stands_for="a-2"))
    stranger = incoming(3, station="cam-02", agent=replace(FACTS, stands_for="a-2"))
    batches = {"small": [small, stranger], "full": [incoming(2)], "both": [small, stranger, incoming(2)]}

    for name in order:
        assert spool.receive_many(batches[name]) == [True] * len(batches[name])

    frames = {frame.id: frame for frame in iter(lambda: store.claim_next(NOW), None)}
    assert frames["a-1"].agent.stands_for == "a-2"
    assert [each.id for each in store.thumbnails_of(frames["a-2"].pk)] == ["a-1"]
    assert store.full_frame_of(frames["a-1"].pk).id == "a-2"
    assert store.full_frame_of(frames["a-3"].pk) is None


def test_frames_wait_no_longer_because_of_a_clock_that_is_a_year_off(store, services):
    spool = Spool(store, services, limit_bytes=10**6)
    for number, years in enumerate((1, -1, 0)):
        at = NOW + timedelta(days=365 * years)
        spool.receive(incoming(number, captured=CaptureTime(at, at.isoformat(), "UTC", "agent")))

    claimed = [store.claim_next(NOW) for _ in range(3)]

    assert [frame.received_at for frame in claimed] == [NOW] * 3
    assert [frame.id for frame in claimed] == ["a-0", "a-1", "a-2"]
