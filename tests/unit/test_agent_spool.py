"""The agent's spool: nothing captured is lost, no number is used twice, counts are found again after kill -9."""

import errno
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raspberry_pi import spool as spool_module
from raspberry_pi.spool import Counts, DamagedFrameError, Spool, SpoolError, SpoolFullError

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)


def open_spool(folder: Path, **options) -> Spool:
    return Spool(folder, **{"max_bytes": 1_000_000, **options})


def put(spool: Spool, body: bytes) -> str:
    return spool.put(body, kind="still", name="a.jpg", captured_at=NOW).id


def waiting(spool: Spool) -> list[str]:
    return [frame_id for frame_id, _ in spool.oldest(1000)]


def test_a_frame_comes_back_with_its_header_also_in_the_next_run(tmp_path):
    with open_spool(tmp_path) as spool:
        header = spool.put(b"pixels\nmore\n\x00", kind="clip", name="Año.mp4", captured_at=NOW)

    with open_spool(tmp_path) as again:
        assert again.read(header.id) == (header, b"pixels\nmore\n\x00")
        assert header.sha256 == hashlib.sha256(b"pixels\nmore\n\x00").hexdigest()
        assert (header.seq, header.boot) == (1, header.id.partition("-")[0])


def test_frames_wait_in_the_order_of_capture_over_all_runs(tmp_path):
    ids = []
    for run in range(4):
        with open_spool(tmp_path) as spool:
            ids += [put(spool, b"%d" % run), put(spool, b"x")]

    with open_spool(tmp_path) as spool:
        assert waiting(spool) == ids
        assert [each.rpartition("-")[2] for each in ids] == [f"{number:08d}" for number in range(1, 9)]
        assert [each[0] for each in spool.oldest(2, but=set(ids[:3]))] == ids[3:5]


def test_a_number_is_never_used_again_even_when_nothing_waits(tmp_path):
    with open_spool(tmp_path) as spool:
        for _ in range(3):
            assert spool.delete(put(spool, b"x"))

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=3, acked=3, spooled=0, dropped=0)
        assert put(spool, b"y").endswith("-00000004")


def test_deleting_what_is_not_there_changes_nothing(tmp_path):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"x")

        assert spool.delete(frame_id)
        assert not spool.delete(frame_id)
        assert not spool.delete("never-1")
        assert spool.counts() == Counts(captured=1, acked=1, spooled=0, dropped=0)


def test_leftovers_of_a_write_that_was_cut_short_are_removed(tmp_path):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"x")
    (tmp_path / ".0badcafe-00000002.frame.99.part").write_bytes(b"half")

    with open_spool(tmp_path) as spool:
        assert waiting(spool) == [frame_id]
    assert list(tmp_path.glob(".*")) == []


def test_a_full_spool_keeps_the_oldest_and_counts_what_it_drops(tmp_path):
    with open_spool(tmp_path, max_bytes=3_000) as spool:
        kept = [put(spool, bytes(1_000)), put(spool, bytes(1_000))]
        for _ in range(2):
            with pytest.raises(SpoolFullError, match="max_bytes"):
                put(spool, bytes(1_000))

        assert waiting(spool) == kept
        assert spool.counts() == Counts(captured=4, acked=0, spooled=2, dropped=2)
        spool.delete(kept[0])
        assert put(spool, bytes(1_000)).endswith("-00000005")

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=5, acked=1, spooled=2, dropped=2)


def test_the_reserve_on_the_disk_is_left_free(tmp_path):
    disk = os.statvfs(tmp_path)
    with open_spool(tmp_path, min_free_bytes=disk.f_blocks * disk.f_frsize) as spool:
        with pytest.raises(SpoolFullError, match="min_free_bytes"):
            put(spool, b"x")

        assert spool.counts() == Counts(captured=1, acked=0, spooled=0, dropped=1)


def test_a_disk_that_fills_up_while_writing_drops_the_frame_and_says_so(tmp_path, monkeypatch):
    def full(path: Path, body: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_spool(tmp_path) as spool:
        put(spool, b"x")
        monkeypatch.setattr(spool_module, "write_atomically", full)
        with pytest.raises(SpoolFullError, match="No space"):
            put(spool, b"y")
        monkeypatch.undo()
        put(spool, b"z")

        assert spool.counts() == Counts(captured=3, acked=0, spooled=2, dropped=1)


def test_a_frame_is_deleted_even_when_the_disk_is_full(tmp_path, monkeypatch):
    real, calls = spool_module.write_atomically, []

    def full_once(path: Path, body: bytes) -> None:
        calls.append(path.name)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, body)

    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"x")
        monkeypatch.setattr(spool_module, "write_atomically", full_once)

        assert spool.delete(frame_id)

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=1, acked=1, spooled=0, dropped=0)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw.replace(b"body", b"bode")])
def test_what_changed_on_the_disk_is_not_handed_out(tmp_path, damage):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"the body")
        path = tmp_path / f"{frame_id}.frame"
        path.write_bytes(damage(path.read_bytes()))

        with pytest.raises(DamagedFrameError, match=frame_id):
            spool.read(frame_id)


def test_a_frame_put_aside_counts_as_dropped_and_still_takes_its_room(tmp_path):
    with open_spool(tmp_path, max_bytes=2_000) as spool:
        frame_id = put(spool, bytes(1_000))
        assert spool.set_aside(frame_id)
        with pytest.raises(SpoolFullError):
            put(spool, bytes(1_000))

    with open_spool(tmp_path, max_bytes=10_000) as spool:
        assert spool.counts() == Counts(captured=2, acked=0, spooled=0, dropped=2)
        assert put(spool, b"x").endswith("-00000003")
    assert [path.stem for path in (tmp_path / "aside").iterdir()] == [frame_id]


def test_a_frame_that_vanished_is_counted_as_dropped(tmp_path):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"x")
        (tmp_path / f"{frame_id}.frame").unlink()

        assert spool.set_aside(frame_id)
        assert spool.counts() == Counts(captured=1, acked=0, spooled=0, dropped=1)


def test_lost_counters_start_again_from_the_frames_that_are_there(tmp_path, caplog):
    with open_spool(tmp_path) as spool:
        spool.delete(put(spool, b"x"))
        put(spool, b"y")
    (tmp_path / "counters.json").write_text("{")

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=2, acked=1, spooled=1, dropped=0)
    assert "counters_damaged" in caplog.text


def test_a_second_agent_on_the_same_folder_is_turned_away(tmp_path):
    with open_spool(tmp_path), pytest.raises(SpoolError, match="another agent"), open_spool(tmp_path):
        pass
    with open_spool(tmp_path) as spool:
        put(spool, b"x")


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SpoolError, match="file"), open_spool(tmp_path / "file" / "spool"):
        pass


STEPS = st.lists(
    st.sampled_from(["put", "ack oldest", "ack newest", "aside", "restart", "cut short"]), min_size=1, max_size=25
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_happens_each_frame_is_in_one_place_and_each_number_used_once(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    alive: list[str] = []
    acked = dropped = 0
    used: set[int] = set()
    spool = open_spool(folder, max_bytes=2_000).__enter__()
    for step in steps:
        if step == "put":
            try:
                alive.append(put(spool, bytes(300)))
            except SpoolFullError:
                dropped += 1
            assert spool.seq not in used
            used.add(spool.seq)
        elif step == "restart":
            spool.__exit__(None, None, None)
            spool = open_spool(folder, max_bytes=2_000).__enter__()
        elif step == "cut short":
            (folder / f".{spool.boot}-99999999.frame.1.part").write_bytes(b"{")
        elif alive:
            frame_id = alive.pop(-1 if step == "ack newest" else 0)
            if step == "aside":
                assert spool.set_aside(frame_id)
                dropped += 1
            else:
                assert spool.delete(frame_id)
                acked += 1
        assert waiting(spool) == alive
        assert spool.counts() == Counts(len(used), acked, len(alive), dropped)
    spool.__exit__(None, None, None)
    assert sorted(path.stem for path in folder.glob("*.frame")) == sorted(alive)
    if (folder / "counters.json").exists():
        assert json.loads((folder / "counters.json").read_text())["seq"] <= max(used, default=0)
