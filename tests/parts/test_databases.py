"""SQLite and PostgreSQL keep the same record: what the store promises, on both (see also test_opening_databases.py)."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import InternalError

from edge.errors import StoreBusy
from edge.messages import Command
from edge.model import Answer, CaptureTime, Detection, Outcome, PictureResult, Taxon
from edge.store import harvest, notices, people, replies, rows, signs, suspects, watched
from edge.store.agents import Agents, say
from edge.store.dialects import highest, took_pks
from edge.store.imports import Finished, add_finished
from edge.store.notices import NewNotice
from edge.store.package_rows import finish_frames, known_frames
from edge.store.readers import Readers
from edge.store.schema import counters, deployments, frames, observations, reviews, station_health
from edge.store.sql import Store
from edge.store.web_schema import stale_days
from edge.testing import spooled_frame

NOW = datetime(2026, 11, 22, 23, 59, 30, tzinfo=UTC)
CATS = ("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae")
PUMA = Taxon("Puma concolor", "species", (*CATS, "Puma", "Puma concolor"), "puma", "puma")
BOX = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def store(database):
    with Store(database) as opened:
        yield opened


def frame(name, at=NOW, station="cam-01", **changes):
    taken = CaptureTime(at, "", "UTC", "file") if at else CaptureTime(None, "", "UTC", "unknown")
    known = spooled_frame(station=station)
    return replace(known, id=name, name=f"{name}.jpg", captured=taken, received_at=NOW, sha256=name * 8, **changes)


def add(store, *names, at=NOW, station="cam-01", category="animal", taxon=None):
    """Recorded frames, each with one box."""
    store.add_frames([(frame(name, at, station), 100) for name in names])
    for _name in names:
        claimed = store.claim_next(NOW + timedelta(minutes=5))
        box = Detection(category, 0.9, BOX, answer=Answer(taxon, 0.95) if taxon else None)
        assert store.record(Outcome(claimed, (PictureResult(0, 0.0, (box,)),), 640, 480), now=NOW)


def pks(store):
    with store.reading() as connection:
        return dict(connection.execute(select(frames.c.id, frames.c.pk)).all())


def stale(store):
    with store.reading() as connection:
        return set(connection.execute(select(stale_days.c.station, stale_days.c.day)).all())


# several processes


def test_what_reads_does_not_wait_for_who_writes_nor_see_half_of_it(store, database):
    with Readers(database) as readers, store.transaction() as connection:
        connection.execute(insert(frames).values(rows.frame_values(frame("a"), spool_bytes=0)))
        with readers.read() as one, readers.read() as other:
            assert [each.execute(select(frames.c.pk)).all() for each in (one, other)] == [[], []]


def test_a_reader_sees_one_state_as_long_as_it_reads(store, database):
    with Readers(database) as readers:
        with readers.read() as connection:
            before = connection.execute(select(frames.c.pk)).all()
            store.add_frames([(frame("a"), 0)])
            assert connection.execute(select(frames.c.pk)).all() == before
        with readers.read() as connection:
            assert len(connection.execute(select(frames.c.pk)).all()) == 1


def test_a_reader_can_change_nothing(store, database):
    with Readers(database) as readers, pytest.raises((StoreBusy, InternalError)), readers.read() as connection:
        connection.execute(insert(counters).values(name="x", value=1))


def test_who_first_reads_and_then_writes_waits_for_another_writer_instead_of_failing(store, database):
    """A deferred transaction of SQLite would break off at its first change: another one wrote since it had read."""
    wrote, began = threading.Event(), threading.Event()

    def other_process():
        with Store(database, beside=True) as beside:
            began.wait(5)
            beside.add_frames([(frame("other"), 0)])
            wrote.set()

    other = threading.Thread(target=other_process)
    other.start()
    with store.transaction() as connection:
        assert connection.execute(select(frames.c.pk)).all() == []
        began.set()
        wrote.wait(0.3)
        connection.execute(insert(frames).values(rows.frame_values(frame("mine"), spool_bytes=0)))
    other.join()

    assert set(pks(store)) == {"other", "mine"}


def test_two_processes_never_claim_one_frame(store, database):
    store.add_frames([(frame(f"f{number:02}"), 0) for number in range(20)])
    claimed = []

    def work():
        with Store(database, beside=True) as beside:
            while (found := beside.claim_next(NOW + timedelta(minutes=1))) is not None:
                claimed.append(found.id)

    threads = [threading.Thread(target=work) for _each in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(claimed) == [f"f{number:02}" for number in range(20)]


def test_only_one_process_makes_checkpoints_of_sqlites_log(tmp_path):
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    with Store(url) as daemon, Store(url, beside=True) as page:
        asked = []
        for each in (daemon, page):
            with each.reading() as connection:
                asked.append(connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar())

    assert asked == [1000, 0]


# what triggers keep


def test_the_bytes_that_wait_are_counted_by_the_database(store):
    store.add_frames([(frame("a"), 3_000_000_000), (frame("b"), 20)])
    assert store.waiting_bytes() == 3_000_000_020

    store.claim_next(NOW + timedelta(minutes=1))
    assert store.waiting_bytes() == 3_000_000_020
    with store.transaction() as connection:
        connection.execute(text("UPDATE frames SET state = 'recorded' WHERE id = 'a'"))
    assert store.waiting_bytes() == 20
    with store.transaction() as connection:
        connection.execute(text("DELETE FROM frames WHERE id = 'b'"))
    assert store.waiting_bytes() == 0


def test_a_day_is_stale_as_soon_as_something_of_it_changes(store):
    add(store, "a")
    add(store, "untimed", at=None, station="cam-02")
    assert stale(store) == {("cam-01", "2026-11-22"), ("cam-02", "2026-11-22")}

    def forget():
        with store.transaction() as connection:
            connection.execute(text("DELETE FROM stale_days"))

    forget()
    store.add_frames([(frame("waits", NOW - timedelta(days=3)), 0)])
    assert stale(store) == set()

    with store.transaction() as connection:
        connection.execute(text("UPDATE frames SET captured_utc = '2026-11-20 10:00:00.000000' WHERE id = 'a'"))
    assert stale(store) == {("cam-01", "2026-11-20"), ("cam-01", "2026-11-22")}

    forget()
    values = {"kind": "animal", "by": "ana", "at": NOW}
    with store.transaction() as connection:
        connection.execute(insert(reviews).values(frame_pk=pks_in(connection)["a"], **values))
    assert stale(store) == {("cam-01", "2026-11-20")}

    forget()
    with store.transaction() as connection:
        connection.execute(text("UPDATE reviews SET undone_by = 'eva'"))
    assert stale(store) == {("cam-01", "2026-11-20")}

    forget()
    with store.transaction() as connection:
        connection.execute(text("UPDATE observations SET taxon = 'Puma' WHERE frame_pk = (SELECT min(pk) FROM frames)"))
    assert stale(store) == {("cam-01", "2026-11-20")}


def pks_in(connection):
    return dict(connection.execute(select(frames.c.id, frames.c.pk)).all())


def test_every_box_of_a_repeat_makes_its_day_stale(store):
    add(store, "a")
    add(store, "b", at=NOW - timedelta(days=1))
    with store.transaction() as connection:
        pk = add_suspect(connection)
        connection.execute(text(f"UPDATE observations SET suspect_pk = {pk}"))
        connection.execute(text("DELETE FROM stale_days"))
        connection.execute(text("UPDATE suspects SET state = 'suppressed'"))

    assert stale(store) == {("cam-01", "2026-11-22"), ("cam-01", "2026-11-21")}


def add_suspect(connection):
    x, y, w, h = BOX
    box = {"x": x, "y": y, "w": w, "h": h, "category": "animal"}
    seen = {"frames": 2, "days": 1, "first_at": NOW - timedelta(days=5), "last_at": NOW - timedelta(days=1)}
    return suspects.add(connection, {"station": "cam-01", "deployment": "", **box, **seen, "found_at": NOW})


# rows that are there already


def test_what_is_there_is_kept_or_changed_as_each_row_wants_it(store):
    new = NewNotice("k", "alert", "mail", "eva", "mail", "info")
    with store.transaction() as connection:
        assert isinstance(notices.add(connection, new, NOW), int)
        assert notices.add(connection, new, NOW) is None

        assert say(connection, "cam-01", now=NOW, online=True) is None
        assert say(connection, "cam-01", now=NOW + timedelta(seconds=9), online=False).online is True

        watched.keep(connection, [("disk", NOW, None), ("silent/cam-01", NOW, None)])
        watched.keep(connection, [("disk", NOW, NOW)])
        assert watched.rows(connection) == {"disk": (NOW, NOW), "silent/cam-01": (NOW, None)}

        for answer in ("first", "second"):
            said = {"sender": "57300", "who": "eva", "text": "OK", "answer": answer, "now": NOW}
            replies.keep_reply(connection, channel="sms", id="1", **said)
        assert replies.answer_of(connection, "sms", "1") == "first"

    agents, command = Agents(store), Command("c-1", "capture", NOW + timedelta(hours=1), {"count": 1})
    agents.add_commands([("cam-01", command)], now=NOW)
    agents.add_commands([("cam-01", command), ("cam-01", replace(command, id="c-2"))], now=NOW)
    assert [row.id for row in agents.commands("cam-01")] == ["c-2", "c-1"]


def test_imported_rows_with_numbers_of_their_own_leave_room_for_the_next(store):
    add(store, "a")
    imported = Finished(Outcome(frame("old"), (PictureResult(0, 0.0, (Detection("animal", 0.5, BOX),)),), 4, 3), {})
    assert add_finished(store, [imported], now=NOW) == ["new"]
    assert add_finished(store, [imported], now=NOW) == ["known"]
    add(store, "b")

    numbers = pks(store)
    assert sorted(numbers, key=numbers.get) == ["a", "old", "b"]
    with store.transaction() as connection:
        assert highest(connection, frames) == numbers["b"]
        took_pks(connection, frames, observations)
    add(store, "c")


def test_texts_longer_than_their_columns_and_large_numbers_are_kept(store):
    store.add_frames([(frame("a", camera="x" * 300, size_bytes=5_000_000_000, burst_number=2**40), 0)])

    (kept,) = store.find_frames("a")
    assert (len(kept.camera), kept.size_bytes, kept.burst_number) == (300, 5_000_000_000, 2**40)


def test_what_a_sender_says_may_hold_anything(store):
    odd = "a\0b \\u0000 \x07\x1b[2J \u202e ñ 🐆"
    store.add_frames([(frame("a", camera=odd), 0)])
    with store.transaction() as connection:
        connection.execute(frames.update().values(details={"other": odd, "camtrap": {"media": {"mediaID": "m"}}}))
        assert known_frames(connection, {("cam-01", "a")}) == {("cam-01", "a"): "m"}
        details = connection.scalar(select(frames.c.details))

    for kept in (store.find_frames("a")[0].camera, details["other"]):
        assert kept.replace("\0", "\ufffd") == odd.replace("\0", "\ufffd")


def test_texts_come_in_the_order_of_their_letters_numbers_whatever_the_servers_language(store):
    for name in ("b", "A", "a", "_", "B"):
        add(store, f"of-{name}", station=name)

    assert harvest.stations_known(store) == ["A", "B", "_", "a", "b"]


# what exports and searches read


def test_an_export_reads_the_record_back(store):
    add(store, "a", "b", taxon=PUMA)
    add(store, "c", at=None)

    for raw in (True, False):
        found = list(harvest.outcomes(store, harvest.Span(), ["cam-01"], raw_classes=raw))
        assert [each.spooled.id for each in found] == ["c", "a", "b"]
        assert found[1].detections()[0].answer == Answer(PUMA, 0.95)
        assert found[1].spooled.captured.utc == NOW
    assert harvest.is_current(store)
    assert [(each.station, each.frames) for each in harvest.periods(store, harvest.Span())] == [("cam-01", 3)]


def test_both_ends_of_a_deployment_belong_to_it_to_the_second(store):
    add(store, "in", at=NOW + timedelta(seconds=0.9))
    add(store, "after", at=NOW + timedelta(seconds=1))
    values = {"id": "d1", "station": "cam-01", "started_at": NOW - timedelta(days=1), "ended_at": NOW}
    with store.transaction() as connection:
        connection.execute(insert(deployments).values(**values, created_at=NOW))
        assert signs.frames_of_no_deployment(connection) == [("cam-01", 1)]

    (loose,) = harvest.loose_periods(store, harvest.Span())
    assert loose.first == NOW + timedelta(seconds=1)


def test_pauses_are_seconds_between_frames(store):
    add(store, "a")
    add(store, "b", at=NOW + timedelta(seconds=90.5))
    with store.reading() as connection:
        taken = signs.frames_taken(connection, "cam-01", NOW - timedelta(seconds=10), NOW + timedelta(days=1))
        long = signs.pauses(connection, "cam-01", NOW, NOW + timedelta(days=1), longer_than_s=90)

    assert (taken.count, taken.first, taken.last) == (2, NOW, NOW + timedelta(seconds=90.5))
    assert taken.longest_s == pytest.approx(90.5, abs=1e-3)  # julianday() has a tenth of a millisecond
    assert long == [(NOW, NOW + timedelta(seconds=90.5))]


def test_numbers_within_health_are_read(store):
    said = [{"uptime_s": 12.5, "dropped": {"camera": 3}}, {"uptime_s": "long"}, {}]
    with store.transaction() as connection:
        for number, health in enumerate(said):
            at = NOW + timedelta(minutes=number)
            row = {"station": "cam-01", "at": at, "received_at": at, "health": health}
            connection.execute(insert(station_health).values(**row))
        found = signs.health_said(connection, "cam-01", NOW, NOW + timedelta(hours=1))

    assert [(each.uptime_s, each.camera_failed) for each in found] == [(12.5, 3), (0.0, 0), (0.0, 0)]


def test_repeats_are_counted_by_hour_and_day(store):
    add(store, "a", "b")
    add(store, "c", at=NOW - timedelta(days=2))
    with store.transaction() as connection:
        pk = add_suspect(connection)
        connection.execute(text(f"UPDATE observations SET suspect_pk = {pk}"))
        assert suspects.hours_of(connection, pk) == [0] * 23 + [3]
        assert suspects.days_between(connection, "cam-01", NOW - timedelta(days=9), NOW + timedelta(days=1)) == 2
        assert len(suspects.pictures_of(connection, pk, most=2)) == 2
        (known,) = suspects.find(connection, [pk])
        suspects.add_box(connection, known, pks_in(connection)["a"], 0, 0, NOW)
        (known,) = suspects.find(connection, [pk])
        assert (known.frames, known.days, known.last_at) == (3, 2, NOW)

    assert suspects.times_of(store, "cam-01", suspects.Stay("", None, None)) == [NOW - timedelta(days=2), NOW]
    assert len(list(suspects.boxes_of(store, "cam-01", suspects.Stay("", None, None)))) == 3


def test_frames_with_people_are_found_while_they_lie_open(store):
    add(store, "a", "b", category="person")
    with store.transaction() as connection:
        people.mark_people(connection, pks_in(connection)["a"])

    later = NOW + timedelta(days=1)
    assert [each.id for each in people.to_withhold(store, recorded_before=later, after=0, limit=9)] == ["a"]
    (shown,) = people.with_people(store)
    with store.transaction() as connection:
        people.change(connection, shown, original="withheld", who="eva", now=NOW, details={"from": "/x"})
        assert str(people.came_from(connection, shown)) == "/x"
    assert [each.id for each in people.to_delete(store, recorded_before=later, after=0, limit=9)] == ["a"]
    assert people.counts(store)["withheld"] == 1


def test_what_an_imported_media_said_is_found_and_completed(store):
    add(store, "a")
    said = {"camtrap": {"media": {"mediaID": "m/1"}, "deployment": "d1"}}
    with store.transaction() as connection:
        connection.execute(frames.update().values(details=said))
        finish_frames(connection, [{"pk": pks_in(connection)["a"], "pictures": [], "damage": "", "others": [{"x": 1}]}])
        assert known_frames(connection, {("cam-01", "a")}) == {("cam-01", "a"): "m/1"}
        details = connection.scalar(select(frames.c.details))

    assert details == {"camtrap": {**said["camtrap"], "rows": [{"x": 1}]}}


def test_the_heartbeat_finds_what_came_when(store):
    add(store, "a", "b")
    add(store, "x", station="cam-02")
    with store.reading() as connection:
        assert watched.frames_heard(connection) == {"cam-01": NOW, "cam-02": NOW}
        assert watched.frames_since(connection, NOW - timedelta(seconds=1)) == 3
        assert watched.blank_share(connection, 100) == 0.0
