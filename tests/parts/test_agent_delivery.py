"""Spool and delivery against a model of broker and server: whatever comes in between, nothing is lost or doubled."""

import errno
import hashlib
import random
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.messages import Offer
from edge.wire import ChunkHeader, FrameHeader
from raspberry_pi import delivery as delivery_module
from raspberry_pi import frame_file, ledger, transfer
from raspberry_pi.delivery import Delivery
from raspberry_pi.schedule import Budget, Shares
from raspberry_pi.spool import Moment, Spool, SpoolFullError

NOW = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
CHUNK = 400  # instead of a megabyte


@pytest.fixture(autouse=True, scope="module")
def small_and_fast():
    """Chunks of a few bytes, and no waiting for a disk: what is durable is the folder, whatever was synced."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(delivery_module, "CHUNK_BYTES", CHUNK)
        patched.setattr(delivery_module, "SMALLEST_CHUNK", CHUNK // 2)
        patched.setattr(transfer, "AHEAD_BYTES", 3 * CHUNK)
        patched.setattr("os.fsync", lambda _descriptor: None)
        yield


class Server:
    """The server's half as docs/protocol.md has it. durable: id → bytes; rows: how often each id was recorded."""

    def __init__(self) -> None:
        self.durable: dict[str, bytes] = {}
        self.rows: dict[str, int] = {}
        self.parts: dict[str, tuple[Offer, bytearray]] = {}
        self.unwelcome: set[str] = set()
        self.full = False

    def receive(self, out) -> list[tuple]:
        """What it answers, as (what, …)."""
        if out.what == "frame":
            return self._whole(FrameHeader.from_properties(out.properties), out.body)
        if out.what == "offer":
            offer = Offer.decode(out.body)
            if offer.header.id in self.durable:
                return [("ack", [offer.header.id])]
            _offer, part = self.parts.setdefault(offer.header.id, (offer, bytearray()))
            return [("progress", offer.header.id, len(part))]
        header = ChunkHeader.from_properties(out.properties)
        if header.id in self.durable:
            return [("ack", [header.id])]
        if header.id not in self.parts:
            return [("progress", header.id, -1)]
        offer, part = self.parts[header.id]
        if header.offset == len(part) and not self.full:
            part += out.body
        answers: list[tuple] = [("progress", header.id, len(part))]
        if len(part) == offer.size:
            del self.parts[header.id]
            answers += self._whole(offer.header, bytes(part))
        return answers

    def _whole(self, header, body) -> list[tuple]:
        if self.full or hashlib.sha256(body).hexdigest() != header.sha256:
            return []
        if header.id in self.unwelcome:
            return [("refused", header.id)]
        if header.id not in self.durable:
            self.durable[header.id] = body
            self.rows[header.id] = self.rows.get(header.id, 0) + 1
        return [("ack", [header.id])]


class World(RuleBasedStateMachine):
    """An agent, a network that loses, doubles and reorders, and a server."""

    @initialize(policy=st.sampled_from(["keep_oldest", "keep_newest", "thin"]))
    def begin(self, policy):
        self.policy = policy
        self.folder = Path(tempfile.mkdtemp())
        self.server = Server()
        self.taken: dict[str, bytes] = {}  # what the agent promised
        self.now_s = 1000.0
        self.mid = 0
        self.up: list[tuple[int, object]] = []  # published, with its packet id of the connection
        self.down: list[tuple] = []
        self.disk_full = False
        self.random = random.Random(7)
        self._start()

    def _start(self):
        self.spool = Spool(self.folder, max_bytes=12_000, policy=self.policy).__enter__()
        self.delivery = Delivery(self.spool, shares=Shares())

    def teardown(self):
        if hasattr(self, "spool"):
            try:
                self._come_to_rest()
            finally:
                self.spool._release()
                shutil.rmtree(self.folder)

    @contextmanager
    def _disk(self):
        with pytest.MonkeyPatch.context() as patched:
            if self.disk_full:

                def full(path, *_body):
                    raise OSError(errno.ENOSPC, "No space left on device")

                patched.setattr(frame_file, "open_atomically", full)
                patched.setattr(ledger, "write_atomically", full)
            yield

    @rule(size=st.sampled_from([10, 300, CHUNK + 1, 3 * CHUNK]), kind=st.sampled_from(["still", "clip"]))
    def capture(self, size, kind):
        body = self.random.randbytes(size)
        moment = Moment(NOW, "ok", self.now_s)
        try:
            with self._disk():
                header = self.spool.put(body, kind=kind, name="a.jpg", moment=moment)
        except SpoolFullError:
            return
        self.taken[header.id] = body

    @rule(most=st.integers(1, 6))
    def send(self, most):
        for _ in range(most):
            with self._disk():
                out = self.delivery.next(now_s=self.now_s)
            if out is None:
                return
            self.mid += 1
            self.up.append((self.mid, out))
            self.delivery.went(out, mid=self.mid, now_s=self.now_s)

    @precondition(lambda self: self.up)
    @rule(fate=st.sampled_from(["arrives", "arrives", "arrives", "lost", "doubled"]), puback=st.booleans())
    def network_takes(self, fate, puback):
        mid, out = self.up.pop(0)  # MQTT keeps the order within a connection
        if puback:
            self.delivery.taken(mid, now_s=self.now_s)
        for _ in range({"arrives": 1, "lost": 0, "doubled": 2}[fate]):
            self.down += self.server.receive(out)

    @precondition(lambda self: self.down)
    @rule(where=st.integers(0, 50), again=st.booleans(), lost=st.booleans())
    def answer_comes(self, where, again, lost):
        """Any of those under way, so that they overtake each other; maybe twice, maybe never."""
        answer = self.down[where % len(self.down)]
        if not again:
            self.down.remove(answer)
        if not lost:
            with self._disk():
                self._hear(answer)

    def _hear(self, answer):
        match answer:
            case ("ack", ids):
                self.delivery.acked(ids, now_s=self.now_s)
            case ("progress", frame_id, offset):
                self.delivery.progress(frame_id, offset, now_s=self.now_s)
            case ("refused", frame_id):
                self.delivery.refused(frame_id, "")

    @rule(seconds=st.sampled_from([0.1, 3.0, 40.0, 4000.0]))
    def time_passes(self, seconds):
        self.now_s += seconds

    @rule(late=st.booleans())
    def connection_is_lost(self, late):
        """late: what the broker had still reaches the server, and its answers the next connection."""
        if late:
            for _mid, out in self.up:
                self.down += self.server.receive(out)
        else:
            self.down.clear()
        self.up.clear()
        self.delivery.reset()

    @rule(late=st.booleans())
    def agent_is_killed(self, late):
        self.connection_is_lost(late)
        self.spool._release()
        with self._disk():
            self._start()

    @rule()
    def server_forgets_parts(self):
        self.server.parts.clear()

    @rule(full=st.booleans())
    def server_fills_or_empties(self, full):
        self.server.full = full

    @rule(full=st.booleans())
    def disk_fills_or_empties(self, full):
        self.disk_full = full

    @precondition(lambda self: self.taken)
    @rule(where=st.integers(0, 50))
    def server_will_never_take(self, where):
        self.server.unwelcome.add(list(self.taken)[where % len(self.taken)])

    @invariant()
    def nothing_is_lost_or_doubled(self):
        if not hasattr(self, "spool"):
            return
        files = {path.stem for path in self.folder.glob("*.frame")}
        waiting = set(self.spool._queues.all)
        counts, dropped = self.spool.counts(), self.spool.dropped()
        gone = self.taken.keys() - files
        not_durable = gone - self.server.durable.keys()
        assert waiting == files
        assert counts.captured == counts.acked + counts.spooled + counts.dropped
        assert min(counts.acked, counts.spooled, counts.dropped) >= 0
        assert counts.acked <= len(self.server.durable), "acknowledged is what the server has"
        # What is neither here nor there was dropped, and counted so.
        by_policy = sum(dropped.get(reason, 0) for reason in ("oldest", "thinned", "refused", "damaged"))
        assert len(not_durable) <= by_policy
        assert all(rows == 1 for rows in self.server.rows.values())
        assert all(self.taken[each] == body for each, body in self.server.durable.items())

    def _come_to_rest(self):
        """When the faults end, everything that waits arrives."""
        self.server.full = self.disk_full = False
        self.connection_is_lost(late=True)
        for _ in range(600):
            if not self.spool.waits():
                break
            self.now_s += 5.0
            self.send(8)
            while self.up:
                self.network_takes("arrives", puback=True)
            while self.down:
                self._hear(self.down.pop(0))
        counts = self.spool.counts()
        assert counts.spooled == 0
        assert counts.captured == counts.acked + counts.dropped
        left = self.taken.keys() - self.server.durable.keys()
        assert len(left) <= counts.dropped


World.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None, derandomize=True)
TestWorld = World.TestCase


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path, max_bytes=1_000_000) as spool:
        yield spool


def put(spool: Spool, size: int, *, taken_s: float = 0.0, thumbnail: bytes | None = None) -> str:
    moment = Moment(NOW, "ok", taken_s)
    return spool.put(bytes(size), kind="still", name="a.jpg", moment=moment, thumbnail=thumbnail).id


def send_all(delivery: Delivery, *, now_s: float, most: int = 100) -> list:
    sent = []
    while len(sent) < most and (out := delivery.next(now_s=now_s)) is not None:
        sent.append(out)
        delivery.went(out, mid=len(sent), now_s=now_s)
    return sent


def test_thumbnails_go_first_then_fresh_frames_then_the_backlog(spool):
    backlog = [put(spool, 100, taken_s=0.0) for _ in range(2)]
    fresh = put(spool, 100, taken_s=1_000.0)
    with_thumbnail = put(spool, 100, taken_s=1_000.0, thumbnail=b"small")
    thumbnail = spool.open(with_thumbnail).notes.thumbnail

    sent = send_all(Delivery(spool, shares=Shares(1.0)), now_s=1_010.0)

    assert [each.frame_id for each in sent] == [thumbnail, fresh, with_thumbnail, *backlog]


def test_a_wanted_image_goes_before_the_backlog(spool):
    ids = [put(spool, 100, taken_s=0.0) for _ in range(4)]
    spool.want(ids[2])

    sent = send_all(Delivery(spool), now_s=1_000.0)

    assert [each.frame_id for each in sent] == [ids[2], ids[0], ids[1], ids[3]]


def test_a_backlog_leaves_two_places_of_the_window_to_fresh_frames(spool):
    for _ in range(10):
        put(spool, 100, taken_s=0.0)
    delivery = Delivery(spool)
    assert len(send_all(delivery, now_s=1_000.0)) == 6

    fresh = [put(spool, 100, taken_s=1_000.0) for _ in range(3)]

    assert [each.frame_id for each in send_all(delivery, now_s=1_000.0)] == fresh[:2]


def test_a_large_frame_resumes_where_the_server_says_also_in_a_new_run(spool):
    frame_id = put(spool, 5 * CHUNK)
    server, delivery = Server(), Delivery(spool)
    first = send_all(delivery, now_s=1_000.0)
    assert [each.what for each in first] == ["offer"]
    server.receive(first[0])
    delivery.progress(frame_id, 0, now_s=1_000.0)
    chunks = send_all(delivery, now_s=1_000.0)
    assert {each.what for each in chunks} == {"chunk"}
    durable = server.receive(chunks[0])[0][2]

    again = Delivery(spool)  # nothing was heard: the connection broke, the agent was killed
    offer = send_all(again, now_s=2_000.0)
    assert server.receive(offer[0]) == [("progress", frame_id, durable)]
    again.progress(frame_id, durable, now_s=2_000.0)
    resumed = send_all(again, now_s=2_000.0)

    assert dict(resumed[0].properties)["offset"] == str(durable)


def test_a_large_frame_that_a_fresh_one_overtakes_waits_no_longer_than_a_chunk(spool):
    large = put(spool, 20 * CHUNK, taken_s=0.0)
    delivery = Delivery(spool)
    send_all(delivery, now_s=1_000.0)
    delivery.progress(large, 0, now_s=1_000.0)
    assert delivery.next(now_s=1_000.0).what == "chunk"

    fresh = put(spool, 100, taken_s=1_000.0)

    assert delivery.next(now_s=1_000.0).frame_id == fresh


def test_what_the_budget_does_not_allow_waits(spool, tmp_path):
    for _ in range(3):
        put(spool, 300)
    budget = Budget(tmp_path / "budget.json", per_day=2_000)
    budget.begin(NOW, now_s=0.0)
    delivery = Delivery(spool, budget=budget)

    assert len(send_all(delivery, now_s=1_000.0)) == 2
    assert delivery.out_of_budget
    budget.begin(NOW.replace(day=2), now_s=86_400.0)
    assert len(send_all(delivery, now_s=1_000.1)) == 1


def test_a_damaged_frame_is_set_aside_and_the_next_one_goes(spool, tmp_path):
    ids = [put(spool, 300), put(spool, 5 * CHUNK), put(spool, 300)]
    for frame_id in ids[:2]:
        path = tmp_path / f"{frame_id}.frame"
        path.write_bytes(path.read_bytes()[:-3] + b"abc")

    sent = send_all(Delivery(spool), now_s=1_000.0)

    assert [each.frame_id for each in sent] == [ids[2]]
    assert spool.dropped() == {"damaged": 2}
    assert len(list((tmp_path / "aside").iterdir())) == 2


def test_chunks_shrink_on_a_slow_link(spool):
    delivery = Delivery(spool)
    delivery._bytes_a_second = 1e9
    assert delivery._chunk_bytes() == CHUNK

    frame_id = put(spool, 300)
    for mid in range(30):
        out = delivery._whole(frame_id, spool.open(frame_id), fresh=True)
        delivery.went(out, mid=mid, now_s=float(mid))
        delivery.taken(mid, now_s=mid + 100.0)

    assert delivery._chunk_bytes() == CHUNK // 2
