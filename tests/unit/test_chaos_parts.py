"""The parts of `tigrillo chaos`: who counts what as a kill, a stop or a fault; pictures; the record of captures."""

import hashlib
import logging
import random
import sys
import time
from collections import deque
from pathlib import Path

import pytest
import simplejpeg

from edge.chaos.member import Member
from edge.chaos.pictures import LARGE_BYTES, SMALL_BYTES, make_pictures
from edge.chaos.witness import EVENT, Record, captured
from edge.wire import CHUNK_BYTES

STOP_AT_ONCE = "from edge.crash import reached; reached('spool.removed'); import time; time.sleep(60)"


def member(tmp_path, code, *, role="agent", points=()):
    return Member("one", role, [sys.executable, "-c", code], tmp_path / "log", deque(points))


def wait_for_end(found):
    until = time.monotonic() + 10
    while found.look(again_in_s=0) and time.monotonic() < until:
        time.sleep(0.01)


@pytest.fixture
def chance():
    return random.Random(1)


def test_a_kill_from_outside_counts_as_a_kill_and_keeps_the_points_turn(tmp_path, chance):
    found = member(tmp_path, "import time; time.sleep(60)", points=("spool.removed", "uplink.ack"))
    found.start(chance, arm=True)

    found.kill(again_in_s=5)

    assert (found.kills, found.stops.total(), found.faults, found.done) == (1, 0, [], False)
    assert list(found.points) == ["spool.removed", "uplink.ack"]
    assert found.due_at_s > time.monotonic() + 4


def test_a_stop_at_a_point_counts_for_it_and_the_next_point_has_its_turn(tmp_path, chance):
    found = member(tmp_path, STOP_AT_ONCE, points=("spool.removed", "uplink.ack"))
    found.most_count = 1
    found.start(chance, arm=True)

    wait_for_end(found)

    assert (found.kills, dict(found.stops), found.faults) == (0, {"spool.removed": 1}, [])
    assert list(found.points) == ["uplink.ack", "spool.removed"]


def test_without_arming_nothing_stops(tmp_path, chance):
    found = member(tmp_path, STOP_AT_ONCE.replace("time.sleep(60)", "time.sleep(0)"), points=("spool.removed",))
    found.start(chance, arm=False)

    wait_for_end(found)

    assert found.done
    assert (found.kills, found.stops.total(), found.faults) == (0, 0, [])


@pytest.mark.parametrize(("code", "role"), [("raise SystemExit(3)", "agent"), ("pass", "server")])
def test_an_end_that_nobody_caused_is_a_fault(tmp_path, chance, code, role):
    found = member(tmp_path, code, role=role)
    found.start(chance, arm=False)

    wait_for_end(found)

    assert len(found.faults) == 1
    assert "ended by itself" in found.faults[0]


def test_pictures_can_be_decoded_are_all_different_and_some_need_chunks(tmp_path):
    made = make_pictures(tmp_path / "a", count=6, large_every=3, seed="1")
    again = make_pictures(tmp_path / "b", count=6, large_every=3, seed="1")
    other = make_pictures(tmp_path / "c", count=6, large_every=3, seed="2")

    bodies = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()} == made
    assert made == again
    assert len({*made.values(), *other.values()}) == 12
    assert {simplejpeg.decode_jpeg(body).shape for body in bodies.values()} == {(24, 32, 3)}
    assert [len(bodies[name]) > CHUNK_BYTES for name in sorted(bodies)] == [False, False, True] * 2
    assert all(abs(len(body) - size) < 300 for body, size in zip(
        (bodies["000001.jpg"], bodies["000003.jpg"]), (SMALL_BYTES, LARGE_BYTES), strict=True))  # fmt: skip


def test_the_record_has_captures_and_nothing_else(tmp_path):
    log = logging.Logger("shutter")  # noqa: LOG001  # because no other test must see its handler
    log.addHandler(Record(tmp_path / "record"))

    log.debug(EVENT, "0badcafe-00000001", "a b.jpg")
    log.warning("spool.full reason=%r", "x")
    log.debug(EVENT, "0badcafe-00000002", "c.jpg")

    assert captured(tmp_path / "record") == {"0badcafe-00000001": "a b.jpg", "0badcafe-00000002": "c.jpg"}
    assert captured(tmp_path / "none") == {}


def test_the_record_knows_the_event_that_the_shutter_logs():
    shutter = Path(__file__).resolve().parents[2] / "raspberry_pi" / "shutter.py"

    assert EVENT in shutter.read_text("utf-8")
