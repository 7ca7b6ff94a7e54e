"""Frames in pieces: whatever is lost, doubled, reordered or cut off, what becomes a frame is what the agent offered."""

import hashlib
import os
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import SystemClock
from edge.errors import SpoolFull
from edge.messages import UNKNOWN, Offer, Progress
from edge.pipeline.spool import Spool
from edge.store.sql import Store
from edge.testing import fake_services
from edge.wire import ChunkHeader, FrameHeader, WireError
from plugins.sources.mqtt_pieces import Pieces, Refusal

BODY = bytes(range(256)) * 40
PIECE = 1_000
NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
STATION = "cam-01"


def offer_of(body=BODY, *, frame_id="b-1", **changes):
    header = FrameHeader(frame_id, hashlib.sha256(body).hexdigest(), NOW, "b", 1, "clip", "a.mp4", **changes)
    return Offer(header, len(body))


@pytest.fixture
def site(tmp_path):
    events = []
    services = fake_services(state_dir=tmp_path, clock=SystemClock(), emit=events.append)
    with Store(f"sqlite:///{tmp_path / 'site.sqlite'}") as store:
        spool = Spool(store, services, limit_bytes=100_000)
        yield store, spool, services, events


def send(pieces, body=BODY, *, frame_id="b-1", start=0, stop=None):
    answer = None
    for offset in range(start, stop or len(body), PIECE):
        answer = pieces.arrived(STATION, ChunkHeader(frame_id, offset), body[offset : offset + PIECE])
    return answer


def test_a_frame_in_pieces_becomes_a_frame_and_nothing_of_it_stays(site, tmp_path):
    store, spool, services, _events = site
    pieces = Pieces(services, spool)

    first = pieces.offered(STATION, offer_of())
    last = send(pieces)

    assert (first, last) == (Progress("b-1", 0), "b-1")
    frame = store.claim_next(datetime.now(UTC))
    assert frame.path.read_bytes() == BODY
    assert (frame.kind, frame.name, frame.captured.utc) == ("clip", "a.mp4", NOW)
    assert list((tmp_path / "incoming" / STATION).iterdir()) == []
    assert spool.receive_many([]) == []
    spool.hold("mqtt", 0)
    assert pieces.offered(STATION, offer_of()) == "b-1"  # the ack was lost
    assert pieces.arrived(STATION, ChunkHeader("b-1", 0), BODY[:PIECE]) == "b-1"


def test_a_piece_at_another_offset_changes_nothing_and_is_told_the_right_one(site):
    _store, spool, services, _events = site
    pieces = Pieces(services, spool)
    pieces.offered(STATION, offer_of())
    send(pieces, stop=3 * PIECE)

    answers = [
        pieces.arrived(STATION, ChunkHeader("b-1", offset), BODY[offset : offset + PIECE])
        for offset in (0, 5 * PIECE, 2 * PIECE)
    ]

    assert answers == [Progress("b-1", 3 * PIECE)] * 3
    assert send(pieces, start=3 * PIECE) == "b-1"


def test_what_was_never_offered_is_to_be_offered(site):
    _store, spool, services, _events = site

    assert Pieces(services, spool).arrived(STATION, ChunkHeader("b-1", 0), b"x") == Progress("b-1", UNKNOWN)


def test_a_new_start_goes_on_where_the_old_one_was_killed(site, tmp_path):
    store, spool, services, _events = site
    pieces = Pieces(services, spool)
    pieces.offered(STATION, offer_of())
    send(pieces, stop=4 * PIECE)
    (tmp_path / "incoming" / STATION / ".b-9.json.1.part").write_bytes(b"{")

    again = Pieces(services, spool)

    assert again.offered(STATION, offer_of(corrected_at=NOW)) == Progress("b-1", 4 * PIECE)
    assert send(again, start=4 * PIECE) == "b-1"
    assert store.claim_next(datetime.now(UTC)).path.read_bytes() == BODY


def test_a_kill_between_the_last_piece_and_the_row_costs_no_piece(site):
    store, spool, services, _events = site
    pieces = Pieces(services, spool)
    pieces.offered(STATION, offer_of())
    pieces._finish = lambda _station, _offer: Progress("b-1", 0)  # the process ends here
    send(pieces)

    assert Pieces(services, spool).offered(STATION, offer_of()) == "b-1"
    assert store.claim_next(datetime.now(UTC)).path.read_bytes() == BODY


def test_an_id_that_is_offered_with_other_content_begins_anew(site):
    store, spool, services, _events = site
    pieces, other = Pieces(services, spool), BODY[::-1]
    pieces.offered(STATION, offer_of())
    send(pieces, stop=4 * PIECE)

    assert pieces.offered(STATION, offer_of(other)) == Progress("b-1", 0)
    assert send(pieces, other) == "b-1"
    assert isinstance(pieces.offered(STATION, offer_of()), Refusal)
    assert store.claim_next(datetime.now(UTC)).path.read_bytes() == other


def test_damaged_content_is_asked_for_again_and_refused_the_third_time(site):
    _store, spool, services, _events = site
    pieces, damaged = Pieces(services, spool), b"\xff" * len(BODY)
    pieces.offered(STATION, offer_of())

    answers = [send(pieces, damaged) for _ in range(3)]

    assert answers[:2] == [Progress("b-1", 0)] * 2
    assert isinstance(answers[2], Refusal)


def test_a_piece_beyond_the_end_is_refused(site):
    _store, spool, services, _events = site
    pieces = Pieces(services, spool)
    pieces.offered(STATION, offer_of())

    with pytest.raises(WireError):
        pieces.arrived(STATION, ChunkHeader("b-1", len(BODY) - 1), b"xx")


def test_pieces_count_towards_the_spools_limit(site):
    _store, spool, services, _events = site
    pieces, large = Pieces(services, spool), b"z" * 150_000
    pieces.offered(STATION, offer_of(large))

    with pytest.raises(SpoolFull):
        send(pieces, large)

    assert pieces.offered(STATION, offer_of(large)) == Progress("b-1", 100_000)


def test_a_full_disk_takes_no_half_piece_and_goes_on_when_there_is_room(site, monkeypatch):
    store, spool, services, _events = site
    pieces = Pieces(services, spool)
    pieces.offered(STATION, offer_of())
    send(pieces, stop=2 * PIECE)
    fsync = os.fsync

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpoolFull):
        send(pieces, start=2 * PIECE)
    monkeypatch.setattr(os, "fsync", fsync)

    assert pieces.offered(STATION, offer_of()) == Progress("b-1", 2 * PIECE)
    assert send(pieces, start=2 * PIECE) == "b-1"
    assert store.waiting_bytes() == len(BODY)


def test_a_station_may_have_so_many_open_and_no_more(site, monkeypatch):
    _store, spool, services, _events = site
    monkeypatch.setattr("plugins.sources.mqtt_pieces.MOST_OPEN", 2)
    pieces = Pieces(services, spool)
    for number in range(2):
        pieces.offered(STATION, offer_of(frame_id=f"b-{number}"))

    with pytest.raises(SpoolFull, match="open already"):
        pieces.offered(STATION, offer_of(frame_id="b-2"))
    assert pieces.offered("cam-02", offer_of(frame_id="b-2")) == Progress("b-2", 0)


def test_what_has_no_news_for_7_days_is_removed_and_counted(site, tmp_path):
    _store, spool, services, events = site
    pieces = Pieces(services, spool)
    for frame_id in ("b-1", "b-2"):
        pieces.offered(STATION, offer_of(frame_id=frame_id))
        send(pieces, frame_id=frame_id, stop=PIECE)
    long_ago = datetime.now(UTC).timestamp() - 7.1 * 24 * 3600
    for path in (tmp_path / "incoming" / STATION).glob("b-1.*"):
        os.utime(path, (long_ago, long_ago))

    pieces.clean()

    assert sorted(path.name for path in (tmp_path / "incoming" / STATION).iterdir()) == ["b-2.json", "b-2.part"]
    assert [event.fields["refusal"] for event in events] == ["abandoned"]
    assert pieces.arrived(STATION, ChunkHeader("b-1", 0), b"x") == Progress("b-1", UNKNOWN)


def test_an_offer_that_the_disk_damaged_is_asked_for_again(site, tmp_path):
    _store, spool, services, _events = site
    Pieces(services, spool).offered(STATION, offer_of())
    (tmp_path / "incoming" / STATION / "b-1.json").write_bytes(b"\0" * 50)

    pieces = Pieces(services, spool)

    assert pieces.arrived(STATION, ChunkHeader("b-1", 0), b"x") == Progress("b-1", UNKNOWN)
    assert pieces.offered(STATION, replace(offer_of())) == Progress("b-1", 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("piece"), st.integers(0, 10), st.booleans()),
        st.tuples(st.just("offer"), st.just(0), st.booleans()),
        st.tuples(st.just("restart"), st.just(0), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_any_order_of_pieces_losses_copies_and_restarts_ends_with_the_frame_that_was_offered(steps):
    with tempfile.TemporaryDirectory() as folder:
        services = fake_services(state_dir=Path(folder), clock=SystemClock())
        with closing(Store(f"sqlite:///{folder}/site.sqlite")) as store:
            spool = Spool(store, services, limit_bytes=100_000)
            pieces, expected = Pieces(services, spool), 0
            answers = [pieces.offered(STATION, offer_of())]
            for step, number, follow in steps:
                if step == "restart":
                    pieces = Pieces(services, spool)
                elif step == "offer":
                    answers.append(pieces.offered(STATION, offer_of()))
                else:
                    offset = expected if follow else number * PIECE
                    answers.append(pieces.arrived(STATION, ChunkHeader("b-1", offset), BODY[offset : offset + PIECE]))
                if isinstance(answers[-1], Progress):
                    assert answers[-1].offset >= expected  # what was durable stays so
                    expected = answers[-1].offset
                else:
                    expected = len(BODY)
            last = answers[-1] if expected == len(BODY) else send(pieces, start=expected)
            assert last == "b-1"
            assert store.claim_next(datetime.now(UTC)).path.read_bytes() == BODY
