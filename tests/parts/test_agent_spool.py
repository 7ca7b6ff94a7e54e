"""The agent's spool: nothing captured is lost, no number is used twice, counts are found again after kill -9."""

import errno
import hashlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raspberry_pi import frame_file, ledger
from raspberry_pi.frame_file import DamagedFrameError
from raspberry_pi.spool import Counts, Moment, Spool, SpoolError, SpoolFullError

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
LONG_AGO_S = time.monotonic() - 7200


def open_spool(folder: Path, **options) -> Spool:
    return Spool(folder, **{"max_bytes": 1_000_000, **options})


def put(spool: Spool, body: bytes, *, kind="still", taken_s=0.0, clock="ok", at=NOW, thumbnail=None) -> str:
    moment = Moment(at, clock, taken_s or time.monotonic())
    return spool.put(body, kind=kind, name="a.jpg", moment=moment, thumbnail=thumbnail).id


def waiting(spool: Spool) -> list[str]:
    return list(spool._queues.all)


def names(spool: Spool, ids: list[str]) -> list[int]:
    """The place of each waiting frame among `ids`."""
    return [ids.index(each) for each in waiting(spool)]


def test_a_frame_comes_back_with_its_header_also_in_the_next_run(tmp_path):
    with open_spool(tmp_path) as spool:
        moment = Moment(NOW, "guessed", time.monotonic())
        header = spool.put(b"pixels\nmore\n\x00", kind="clip", name="Año.mp4", moment=moment, trigger="pir")

    with open_spool(tmp_path) as again:
        found = again.open(header.id)
        assert (found.header, found.read()) == (header, b"pixels\nmore\n\x00")
        assert (header.clock, header.trigger, header.captured_at, header.boot_count) == ("guessed", "pir", NOW, 1)
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
        assert spool.first().id == ids[0]


def test_a_number_is_never_used_again_even_when_nothing_waits(tmp_path):
    with open_spool(tmp_path) as spool:
        for _ in range(3):
            assert spool.delete([put(spool, b"x")]) == []

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=3, acked=3, spooled=0, dropped=0)
        assert put(spool, b"y").endswith("-00000004")


def test_deleting_what_is_not_there_changes_nothing(tmp_path):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"x")

        for ids in ([frame_id, frame_id], [frame_id], ["never-1"], []):
            assert spool.delete(ids) == []
            assert waiting(spool) == []
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
        spool.delete([kept[0]])
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
    with open_spool(tmp_path) as spool:
        put(spool, b"x")
        monkeypatch.setattr(frame_file, "open_atomically", full)
        with pytest.raises(SpoolFullError, match="No space"):
            put(spool, b"y")
        monkeypatch.undo()
        put(spool, b"z")

        assert spool.counts() == Counts(captured=3, acked=0, spooled=2, dropped=1)
        assert spool.dropped() == {"disk_full": 1}


def full(path: Path, *_body: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def full_disk(monkeypatch, *, bytes_left: int = 0) -> None:
    """From now on only so many bytes can be written; what is removed does not come back, as others take it."""
    left = [bytes_left]
    real = ledger.write_atomically

    def write(path: Path, body: bytes) -> None:
        if path.name == "reserve" or (len(body) > left[0] and (path.parent / "reserve").exists()):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, body)

    monkeypatch.setattr(frame_file, "open_atomically", full)
    monkeypatch.setattr(ledger, "write_atomically", write)


def test_on_a_full_disk_the_reserve_holds_what_has_to_be_written_down(tmp_path, monkeypatch):
    with open_spool(tmp_path) as spool:
        ids = [put(spool, b"x"), put(spool, b"y"), put(spool, b"z")]
        full_disk(monkeypatch)

        assert spool.delete(ids[:1]) == []
        assert spool.set_aside(ids[1], "refused")
        assert not (tmp_path / "reserve").exists()
        monkeypatch.undo()
        put(spool, b"w")
        assert (tmp_path / "reserve").stat().st_size == 65_536

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=4, acked=1, spooled=2, dropped=1)


def test_on_a_disk_with_no_room_at_all_only_the_newest_acknowledged_frame_has_to_stay(tmp_path, monkeypatch):
    with open_spool(tmp_path) as spool:
        ids = [put(spool, b"x"), put(spool, b"y")]
        (tmp_path / "reserve").unlink()
        monkeypatch.setattr(ledger, "write_atomically", full)

        assert spool.delete(ids) == ids[1:]
        assert waiting(spool) == ids[1:]
        monkeypatch.undo()
        assert spool.delete(ids) == []

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=2, acked=2, spooled=0, dropped=0)


def test_a_drop_that_could_not_be_noted_is_noted_before_the_next_frame(tmp_path, monkeypatch):
    with open_spool(tmp_path) as spool:
        (tmp_path / "reserve").unlink()
        monkeypatch.setattr(ledger, "write_atomically", full)
        spool.drop("camera")
        monkeypatch.undo()
        put(spool, b"x")

    with open_spool(tmp_path) as spool:
        assert spool.counts() == Counts(captured=2, acked=0, spooled=1, dropped=1)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw.replace(b"body", b"bode")])
def test_what_changed_on_the_disk_is_not_handed_out(tmp_path, damage):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"the body")
        path = tmp_path / f"{frame_id}.frame"
        path.write_bytes(damage(path.read_bytes()))

        with pytest.raises(DamagedFrameError, match=frame_id):
            spool.open(frame_id).read()


def test_a_frame_put_aside_counts_as_dropped_and_leaves_its_room_to_others(tmp_path):
    with open_spool(tmp_path, max_bytes=20_000) as spool:
        frame_id = put(spool, bytes(1_000))
        assert spool.set_aside(frame_id, "refused")
        assert not spool.set_aside(frame_id, "refused")
        assert spool.used_bytes == 0

    with open_spool(tmp_path, max_bytes=20_000) as spool:
        assert spool.counts() == Counts(captured=1, acked=0, spooled=0, dropped=1)
        assert spool.dropped() == {"refused": 1}
        assert put(spool, b"x").endswith("-00000002")
    assert [path.stem for path in (tmp_path / "aside").iterdir()] == [frame_id]


def test_aside_keeps_to_a_tenth_and_the_oldest_go_without_changing_the_counts(tmp_path, caplog):
    with open_spool(tmp_path, max_bytes=40_000) as spool:
        ids = [put(spool, bytes(1_000)) for _ in range(5)]
        for frame_id in ids:
            spool.set_aside(frame_id, "refused")

        assert sorted(path.stem for path in (tmp_path / "aside").iterdir()) == ids[-2:]
        assert spool.counts() == Counts(captured=5, acked=0, spooled=0, dropped=5)
    assert "aside_full" in caplog.text


def test_a_frame_that_vanished_is_counted_as_dropped(tmp_path):
    with open_spool(tmp_path) as spool:
        frame_id = put(spool, b"x")
        (tmp_path / f"{frame_id}.frame").unlink()

        assert spool.set_aside(frame_id, "damaged")
        assert spool.counts() == Counts(captured=1, acked=0, spooled=0, dropped=1)


def test_keep_newest_lets_the_oldest_go_and_counts_them(tmp_path):
    with open_spool(tmp_path, max_bytes=5_000, policy="keep_newest") as spool:
        ids = [put(spool, bytes(1_000)) for _ in range(6)]

        assert names(spool, ids) == [3, 4, 5]
        assert spool.dropped() == {"oldest": 3}
    with open_spool(tmp_path, max_bytes=5_000, policy="keep_newest") as spool:
        assert spool.counts() == Counts(captured=6, acked=0, spooled=3, dropped=3)


def test_what_is_under_way_is_not_given_up(tmp_path):
    with open_spool(tmp_path, max_bytes=5_000, policy="keep_newest") as spool:
        ids = [put(spool, bytes(1_000)) for _ in range(3)]
        spool.spare(ids[:1])
        ids += [put(spool, bytes(1_000)), put(spool, bytes(1_000))]

        assert names(spool, ids) == [0, 3, 4]


def test_thin_takes_every_second_of_the_old_stills_again_and_again_then_clips_then_the_last_hour(tmp_path):
    with open_spool(tmp_path, max_bytes=12_000, policy="thin") as spool:
        ids = [put(spool, bytes(1_000), taken_s=LONG_AGO_S) for _ in range(4)]
        ids += [put(spool, bytes(1_000), kind="clip", taken_s=LONG_AGO_S) for _ in range(2)]
        ids += [put(spool, bytes(1_000)) for _ in range(2)]
        seen = []
        for _ in range(8):
            ids.append(put(spool, bytes(1_000)))
            seen.append([each for each in range(8) if ids[each] in waiting(spool)])

    assert seen == [
        [0, 2, 3, 4, 5, 6, 7],  # 1: every second still of four
        [0, 2, 4, 5, 6, 7],  # 3
        [0, 4, 5, 6, 7],  # of two that are left, again the second
        [4, 5, 6, 7],  # the last still
        [4, 6, 7],  # then every second clip
        [6, 7],
        [6],  # then of the last hour
        [6],
    ]


def test_counts_by_policy_add_up(tmp_path):
    with open_spool(tmp_path, max_bytes=6_000, policy="thin") as spool:
        for number in range(40):
            put(spool, bytes(1_000), taken_s=LONG_AGO_S + number)
        counts = spool.counts()

    assert counts.captured == 40
    assert counts.acked == 0
    assert counts.spooled + counts.dropped == 40
    assert counts.spooled == len(list(tmp_path.glob("*.frame")))


def test_a_thumbnail_is_a_frame_of_its_own_that_names_the_full_one(tmp_path):
    with open_spool(tmp_path) as spool:
        full_id = put(spool, bytes(1_000), thumbnail=b"small")
        small_id = waiting(spool)[0]

        small = spool.open(small_id)
        assert (small.header.stands_for, small.read(), small.header.name) == (full_id, b"small", "a-thumbnail.jpg")
        assert spool.open(full_id).notes.thumbnail == small_id
        assert spool.counts().captured == 2


def test_a_shot_is_counted_once_whatever_it_leaves_also_after_a_restart(tmp_path):
    with open_spool(tmp_path) as spool:
        spool.begin_shot()
        put(spool, b"x", thumbnail=b"small")
        put(spool, b"y")
        spool.begin_shot()
        spool.drop("camera")
        assert spool.shots == 2

    with open_spool(tmp_path) as spool:
        assert (spool.shots, spool.seq) == (2, 4)
        spool.begin_shot()
        put(spool, b"z")
    with open_spool(tmp_path) as spool:
        assert spool.shots == 3


def test_full_images_wait_until_they_are_wanted_and_go_first_when_room_is_short(tmp_path):
    with open_spool(tmp_path, max_bytes=5_000, only_wanted=True) as spool:
        first = put(spool, bytes(1_000), thumbnail=b"small")
        second = put(spool, bytes(1_000), thumbnail=b"small")
        thumbnails = [each for each in waiting(spool) if each not in {first, second}]
        now_s = time.monotonic() + 1000
        assert spool.next_fresh(now_s=now_s).id == thumbnails[0]
        assert spool.next_rest(now_s=now_s) is None

        spool.want(second)
        assert spool.next_rest(now_s=now_s).id == second
        spool.delete(thumbnails)  # they have arrived
        third = put(spool, bytes(1_900), thumbnail=b"small")

        assert first not in waiting(spool)
        assert third in waiting(spool)
        assert spool.dropped() == {"not_wanted": 1}
        assert spool.waits()


def test_every_start_has_a_number_that_is_never_used_again(tmp_path):
    counts = []
    for _ in range(3):
        with open_spool(tmp_path) as spool:
            counts.append(spool.boot_count)
            frame_id = put(spool, b"x")
            assert spool.open(frame_id).header.boot_count == counts[-1]
    (tmp_path / "counters.json").unlink()

    with open_spool(tmp_path) as spool:
        assert [*counts, spool.boot_count] == [1, 2, 3, 4]


def test_a_start_that_could_not_be_written_down_takes_no_frames_until_it_can(tmp_path, monkeypatch):
    with open_spool(tmp_path):
        pass
    (tmp_path / "reserve").unlink()
    monkeypatch.setattr(ledger, "write_atomically", full)

    with open_spool(tmp_path) as spool:
        with pytest.raises(SpoolFullError):
            put(spool, b"x")
        monkeypatch.undo()
        frame_id = put(spool, b"y")
        assert spool.open(frame_id).header.boot_count == 2

    with open_spool(tmp_path) as spool:
        assert spool.boot_count == 3


def test_the_newest_believable_time_is_known_after_the_frames_are_gone(tmp_path):
    with open_spool(tmp_path) as spool:
        put(spool, b"x", at=NOW)
        put(spool, b"y", at=NOW.replace(year=2037), clock="unknown")
        spool.delete(waiting(spool))

    with open_spool(tmp_path) as spool:
        assert spool.newest == NOW


def test_lost_counters_start_again_from_the_frames_that_are_there(tmp_path, caplog):
    with open_spool(tmp_path) as spool:
        spool.delete([put(spool, b"x")])
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
    spool = open_spool(folder, max_bytes=3_000).__enter__()
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
            spool = open_spool(folder, max_bytes=3_000).__enter__()
        elif step == "cut short":
            (folder / f".{spool.boot}-99999999.frame.1.part").write_bytes(b"{")
        elif alive:
            frame_id = alive.pop(-1 if step == "ack newest" else 0)
            if step == "aside":
                assert spool.set_aside(frame_id, "refused")
                dropped += 1
            else:
                assert spool.delete([frame_id]) == []
                acked += 1
        assert waiting(spool) == alive
        assert spool.counts() == Counts(len(used), acked, len(alive), dropped)
    spool.__exit__(None, None, None)
    assert sorted(path.stem for path in folder.glob("*.frame")) == sorted(alive)
    if (folder / "counters.json").exists():
        assert json.loads((folder / "counters.json").read_text())["seq"] <= max(used, default=0)


class PowerCut(BaseException):
    """The machine stops here; nothing after it happens."""


class Cutter:
    """Stops everything at the n-th step on the disk, before or after it is done."""

    def __init__(self, monkeypatch, at: int, *, before: bool) -> None:
        self.left, self.before, self.dead = at, before, False
        for name in ("fsync", "replace", "unlink", "rename"):
            monkeypatch.setattr(os, name, self._cut(getattr(os, name)))

    def _cut(self, real):
        def step(*arguments, **named):
            if self.dead:
                raise PowerCut
            self.left -= 1
            if self.left == 0:
                self.dead = True
                if not self.before:
                    real(*arguments, **named)
                raise PowerCut
            return real(*arguments, **named)

        return step


def live_a_day(spool: Spool, put_ids: list[str], acked: set[str]) -> None:
    """Everything that can happen to frames, noting what was promised: put_ids are safe, acked may be gone."""
    for number in range(3):  # one by one: what is put is promised, whenever the rest is cut short
        put_ids += [put(spool, bytes(900 + number), taken_s=LONG_AGO_S)]
    acked.add(put_ids[0])
    spool.delete([put_ids[0]])
    put_ids.append(put(spool, bytes(900), thumbnail=b"small", taken_s=LONG_AGO_S))
    spool.set_aside(put_ids[1], "refused")
    for _ in range(3):
        put_ids += [put(spool, bytes(900), taken_s=LONG_AGO_S)]  # room is short: the policy takes some away
    acked.update(waiting(spool)[:2])
    spool.delete(waiting(spool)[:2])
    spool.drop("camera")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("policy", ["keep_newest", "thin"])
def test_a_stop_at_any_step_on_the_disk_loses_nothing_and_the_counts_add_up(tmp_path, monkeypatch, before, policy):
    finished = False
    for at in range(1, 200):
        folder, put_ids, acked = tmp_path / str(at), [], set()
        folder.mkdir()
        spool = open_spool(folder, max_bytes=6_500, policy=policy).__enter__()
        with monkeypatch.context() as patched:
            cutter = Cutter(patched, at, before=before)
            try:
                live_a_day(spool, put_ids, acked)
                finished = True
            except PowerCut:
                assert cutter.dead
        spool._release()

        with open_spool(folder, max_bytes=6_500, policy=policy) as again:
            counts, there = again.counts(), set(waiting(again))
            for frame_id in there:
                again.open(frame_id).read()
            missing = set(put_ids) - there - acked
            assert counts.captured == counts.acked + counts.spooled + counts.dropped
            assert counts.spooled == len(there) == len(list(folder.glob("*.frame")))
            assert counts.acked == len(acked - there), at
            assert counts.dropped >= len(missing)
            assert not again._ledger.leaving.keys() & there
            seq = again.seq
            assert (
                int(put(again, b"x").rpartition("-")[2])
                == seq + 1
                > max((int(each.rpartition("-")[2]) for each in put_ids), default=0)
            )
        if finished:
            assert at > 40
            return
    pytest.fail("the day has more than 200 steps")
