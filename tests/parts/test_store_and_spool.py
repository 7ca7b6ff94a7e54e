"""What reaches the store, and in which order: durable first, known once, never lost."""

import hashlib
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.clock import SteppedClock
from edge.config import plan_from
from edge.errors import RefusedError, SchemaError, SpoolFull
from edge.media.times import FileFacts
from edge.model import Answer, CaptureTime, Classification, Detection, Outcome, PictureResult, Taxon
from edge.pipeline.spool import Spool
from edge.registry import load_registry
from edge.services import Incoming
from edge.store import notices
from edge.store.notices import NewNotice, Notices
from edge.store.sql import Store
from edge.testing import fake_services

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
BODY = b"not really a jpeg, which the spool does not mind"
FELIDAE = Taxon("Felidae", "family", ("Animalia", "Mammalia", "Carnivora", "Felidae"), "cats", "félidos")
CAT = Detection("animal", 0.9, (0.1, 0.2, 0.3, 0.4), "animal", (Classification("jaguar", 0.8),), Answer(FELIDAE, 0.95))


@pytest.fixture
def store(database):
    with Store(database) as opened:
        yield opened


@pytest.fixture
def services(tmp_path):
    return fake_services(state_dir=tmp_path, clock=SteppedClock(NOW))


@pytest.fixture
def spool(store, services):
    return Spool(store, services, limit_bytes=1000)


def incoming(**changes):
    given = Incoming("cam-01", "IMG_0001.JPG", "still", BODY, "test", id="a-1")
    return replace(given, **changes)


def outcome_of(spooled, *detections):
    return Outcome(spooled, (PictureResult(0, 0.0, tuple(detections)),), 640, 480)


def test_a_frame_is_on_disk_and_known_before_receive_returns(store, spool):
    assert spool.receive(incoming()) is True

    claimed = store.claim_next(NOW)
    assert claimed.path.read_bytes() == BODY
    assert claimed.path.suffix == ".jpg"
    assert claimed.sha256 == hashlib.sha256(BODY).hexdigest()
    assert claimed.captured.timezone == "UTC"


def test_the_same_frame_twice_is_one_row(store, spool):
    assert [spool.receive(incoming()), spool.receive(incoming())] == [True, False]

    assert store.counts()["spooled"] == 1


def test_without_an_id_equal_content_is_one_frame_of_a_station(store, spool):
    results = [spool.receive(incoming(id="", name=name, station=station)) for name, station in
               [("a.jpg", "cam-01"), ("b.jpg", "cam-01"), ("a.jpg", "cam-02")]]  # fmt: skip

    assert results == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"station": "../../etc"}, "no name that may become a folder"),
        ({"id": "../x"}, "no name that may become a file"),
        ({"sha256": "0" * 64}, "the sender said"),
        ({"kind": "sound"}, "neither"),
    ],
)
def test_what_may_not_enter_is_refused_and_recorded(store, spool, services, changes, says):
    before = {path for path in services.state_dir.rglob("*") if path.is_file()}

    with pytest.raises(RefusedError, match=says):
        spool.receive(incoming(**changes))

    assert store.counts() == {"observations": 0, "quarantine": 1}
    (kept,) = {path for path in services.state_dir.rglob("*") if path.is_file()} - before
    assert kept.parent == services.state_dir / "quarantine"
    assert kept.read_bytes() == BODY


def test_refused_bodies_are_kept_up_to_a_bound_and_their_reasons_always(store, spool, monkeypatch, tmp_path):
    monkeypatch.setattr("edge.pipeline.kept.MOST_BYTES", 250)

    for number in range(5):
        spool.refuse(source="mqtt", name=f"{number}", reason="unknown topic", body=bytes([number]) * 100)

    assert store.counts()["quarantine"] == 5
    assert sum(path.stat().st_size for path in (tmp_path / "quarantine").iterdir()) == 200


def test_an_id_that_is_taken_by_other_content_is_refused(store, spool):
    spool.receive(incoming())

    with pytest.raises(RefusedError, match="taken by other content"):
        spool.receive(incoming(body=b"other"))


def test_a_full_spool_keeps_the_frame_with_its_sender(store, spool):
    spool.receive(incoming(body=b"x" * 900))

    with pytest.raises(SpoolFull):
        spool.receive(incoming(id="a-2", body=b"y" * 200))
    assert store.counts()["spooled"] == 1

    store.record(outcome_of(store.claim_next(NOW)), now=NOW)
    assert spool.receive(incoming(id="a-2", body=b"y" * 200)) is True


def test_a_file_in_a_watched_folder_is_read_in_place(store, spool, tmp_path):
    original = tmp_path / "card" / "IMG.JPG"
    original.parent.mkdir()
    original.write_bytes(BODY * 100)

    assert spool.receive(incoming(id="", body=original)) is True

    assert store.claim_next(NOW).path == original
    assert store.waiting_bytes() == 0


def test_a_slow_card_holds_up_no_other_source(spool, tmp_path, monkeypatch):
    reading, go_on = threading.Event(), threading.Event()

    def file_facts(_path, _kind, *, timezone):
        reading.set()
        assert go_on.wait(10)
        return FileFacts(CaptureTime(None, timezone=timezone))

    monkeypatch.setattr("edge.pipeline.spool.file_facts", file_facts)
    (tmp_path / "slow.mp4").write_bytes(b"clip")
    on_card = incoming(id="", name="slow.mp4", kind="clip", body=tmp_path / "slow.mp4")
    thread = threading.Thread(target=spool.receive, args=(on_card,))

    thread.start()
    assert reading.wait(10)
    over_mqtt = threading.Thread(target=spool.receive, args=(incoming(captured=CaptureTime(NOW)),))
    over_mqtt.start()
    over_mqtt.join(5)
    waited = over_mqtt.is_alive()
    go_on.set()
    thread.join(10)
    over_mqtt.join(10)

    assert not waited


def test_frames_are_claimed_oldest_first_and_one_at_a_time(store, spool):
    for number in range(3):
        spool.receive(incoming(id=f"a-{number}", body=bytes([number])))

    assert [store.claim_next(NOW).id for _ in range(3)] == ["a-0", "a-1", "a-2"]
    assert store.claim_next(NOW) is None


def arrive(spool, name, *, after_s):
    at = NOW - timedelta(seconds=after_s)
    spool.receive(incoming(id=name, body=name.encode(), captured=CaptureTime(at, at.isoformat(), "UTC", "agent")))


def test_what_an_outage_held_back_gives_way_to_fresh_frames_and_gets_every_fourth_turn(store, spool):
    for number in range(4):
        arrive(spool, f"late-{number}", after_s=86_400 - number)
    for number in range(4):
        arrive(spool, f"new-{number}", after_s=119)

    claimed = [store.claim_next(NOW).id for _ in range(8)]

    assert claimed == ["new-0", "new-1", "new-2", "late-0", "new-3", "late-1", "late-2", "late-3"]


def test_a_frame_whose_clock_is_a_year_behind_or_tells_nothing_does_not_count_as_late(store, spool):
    arrive(spool, "late", after_s=120)
    arrive(spool, "behind", after_s=365 * 86_400)
    spool.receive(incoming(id="unknown", captured=CaptureTime(None, "", "UTC", "agent")))

    assert [store.claim_next(NOW).id for _ in range(3)] == ["behind", "unknown", "late"]


def test_a_claim_reads_no_more_rows_however_many_wait():
    with Store("sqlite:///:memory:") as store, store.transaction() as connection:
        plan = connection.exec_driver_sql(
            "explain query plan select pk from frames where state = 'spooled' and late = 0 order by pk limit 1"
        ).all()

    assert [row[3] for row in plan] == [
        "SEARCH frames USING COVERING INDEX ix_frames_state_late_pk (state=? AND late=?)"
    ]


def test_what_was_in_work_at_a_crash_is_claimed_again_and_counted(store, spool):
    spool.receive(incoming())
    assert store.claim_next(NOW).attempts == 1

    assert store.reclaim_all() == 1

    assert store.claim_next(NOW).attempts == 2


def test_after_a_crash_others_come_first_and_what_was_in_work_comes_back_one_by_one(store, spool):
    for number in range(3):
        spool.receive(incoming(id=f"a-{number}", body=bytes([number])))
    for _lane in range(2):
        store.claim_next(NOW)

    store.reclaim_all(NOW)

    came = {}
    for second in range(10):
        while frame := store.claim_next(NOW + timedelta(seconds=second)):
            came[frame.id] = second
    assert came == {"a-2": 0, "a-0": 2, "a-1": 4}


def test_a_frame_beside_the_one_that_takes_the_process_down_is_not_taken_for_it(store, spool):
    for number in range(20):
        spool.receive(incoming(id=f"a-{number:02}", body=bytes([number])))
    now, attempts = NOW, {}
    for _second in range(60):
        now += timedelta(seconds=1)
        lanes = [frame for _lane in range(2) if (frame := store.claim_next(now))]
        attempts |= {frame.id: frame.attempts for frame in lanes}
        if any(frame.id == "a-00" and frame.attempts <= 3 for frame in lanes):
            store.reclaim_all(now)
            continue
        for frame in lanes:
            store.record(outcome_of(frame), now=now)

    assert attempts.pop("a-00") == 4
    assert len(attempts) == 19
    assert max(attempts.values()) == 2


def test_a_clock_that_is_set_back_makes_no_frame_wait(store, spool):
    spool.receive(incoming())
    claimed = store.claim_next(NOW)
    store.release(claimed.pk, not_before=NOW + timedelta(seconds=30), reason="busy", count_attempt=False)

    soon, a_year_ago = NOW + timedelta(seconds=29), NOW - timedelta(days=365)

    assert store.claim_next(soon) is None
    assert store.claim_next(a_year_ago) is not None


def test_a_released_frame_waits_until_its_time(store, spool):
    spool.receive(incoming())
    claimed = store.claim_next(NOW)

    store.release(claimed.pk, not_before=NOW + timedelta(seconds=5), reason="busy", count_attempt=False)

    assert store.claim_next(NOW) is None
    assert store.claim_next(NOW + timedelta(seconds=6)).attempts == 1


def test_observation_state_and_what_else_is_written_come_in_one_transaction_and_once(store, spool):
    spool.receive(incoming())
    outcome = outcome_of(store.claim_next(NOW), CAT)
    row = NewNotice("k", "alert", "@screen", "@screen", "screen", "warning", frame_pk=outcome.spooled.pk, detection=CAT)

    def fails(connection):
        notices.add(connection, row, NOW)
        raise ValueError("in this test")

    with pytest.raises(ValueError, match="in this test"):
        store.record(outcome, now=NOW, also=fails)
    before = store.counts()
    recorded = [store.record(outcome, now=NOW, also=lambda found: notices.add(found, row, NOW)) for _ in range(2)]

    assert (before, recorded) == ({"claimed": 1, "observations": 0, "quarantine": 0}, [True, False])
    assert store.counts() == {"recorded": 1, "alerts_pending": 1, "observations": 1, "quarantine": 0}
    (kept,) = Notices(store).newest(10)
    assert (kept.detection, kept.frame_id) == (CAT, "a-1")
    assert store.outcome(outcome.spooled.pk).detections() == [CAT]


def test_a_read_only_store_sees_what_the_daemon_wrote(store, spool, database):
    spool.receive(incoming())

    with Store(database, read_only=True) as reader:
        assert [frame.id for frame in reader.find_frames("a-1")] == ["a-1"]


def test_a_database_of_a_newer_program_is_refused(tmp_path):
    path = tmp_path / "new.sqlite"
    with Store(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()

    with pytest.raises(SchemaError, match="newer tigrillo"):
        Store(f"sqlite:///{path}")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "text.sqlite"
    path.write_text("this is not a database, whatever its name says" * 100)

    with pytest.raises(SchemaError, match="no database"):
        Store(f"sqlite:///{path}")


def test_a_file_that_vanished_is_refused_with_a_record(store, spool, tmp_path):
    with pytest.raises(RefusedError, match="can't be read"):
        spool.receive(incoming(id="", body=tmp_path / "gone.jpg"))

    assert store.counts()["quarantine"] == 1


@pytest.mark.parametrize("name", ["trap #3", "100%41", "who?", "a&b"])
def test_a_state_folder_may_have_any_name(tmp_path, name):
    site = tmp_path / name / "site.yaml"
    site.parent.mkdir()
    url = plan_from("state_dir: .", site, load_registry([])).database_url

    with Store(url):
        pass

    with Store(url, read_only=True) as reader:
        assert reader.counts() == {"observations": 0, "quarantine": 0}
    assert [path.name for path in tmp_path.iterdir()] == [name]


DIES_IN_THE_MIGRATION = """
import os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from edge.store.sql import Store

made = []

@event.listens_for(Engine, "after_cursor_execute")
def die_after_the_third_table(connection, cursor, statement, *rest):
    made.append(statement)
    if sum("CREATE TABLE" in each for each in made) == 3:
        os._exit(9)

Store(sys.argv[1])
"""


def test_a_database_whose_making_was_cut_short_is_made_at_the_next_start(tmp_path):
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    ended = subprocess.run([sys.executable, "-c", DIES_IN_THE_MIGRATION, url], check=False)
    assert ended.returncode == 9

    with Store(url) as store:
        assert store.counts() == {"observations": 0, "quarantine": 0}
