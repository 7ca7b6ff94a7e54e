"""A batch of messages: what becomes of each, in which order it is answered, and what is refused."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from edge.clock import SteppedClock
from edge.errors import RefusedError, SpoolFull, StoreBusy
from edge.link import Message
from edge.messages import Health, Hello, Offer, Status, decode_acks, decode_refusal
from edge.services import NoRoster
from edge.testing import MemorySink, fake_services
from edge.wire import FrameHeader, up_topic
from plugins.sources.mqtt_receiver import Receiver

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)


@dataclass
class FakeLink:
    """A link that notes, in one list, what was published and what the broker was told to forget."""

    busy: bool = False
    ready: bool = True
    done: list = field(default_factory=list)

    def publish(self, topic, body, *, properties=()):
        self.done.append((topic.removeprefix("wc/1/"), body))
        return 1

    def ack(self, message):
        self.done.append(("puback", message.mid))

    def told(self, what):
        return [body for topic, body in self.done if topic.endswith(f"/down/{what}")]


@dataclass
class BusyRoster(NoRoster):
    """A roster whose database is busy until it is told otherwise."""

    busy: bool = True
    said: list = field(default_factory=list)

    def heard(self, said, *, live):
        if self.busy:
            raise StoreBusy("locked, in this test")
        self.said += [(station, type(each).__name__, live) for station, each in said]


class Sink(MemorySink):
    """Notes the order of what it was asked, beside what the link did."""

    def refuse(self, *, source, name, reason, body=b"", station="", kind=""):
        self.refused.append((kind, station, len(body)))


def frame(number, station="cam-1", body=None, **changes):
    body = b"frame %d" % number if body is None else body
    header = FrameHeader(f"b-{number}", hashlib.sha256(body).hexdigest(), NOW, "b", number, "still", "a.jpg")
    properties = replace(header, **changes).to_properties()
    return Message(up_topic(station, "frame"), body, tuple(properties), number, 1)


def message(what, body, station="cam-1", mid=99):
    return Message(up_topic(station, what), body, (), mid, 1)


def receiver(sink=None, **services):
    events = []
    made = Receiver(fake_services(clock=SteppedClock(NOW), emit=events.append, **services), sink := sink or Sink())
    return made, sink, events


def test_durable_first_then_one_ack_a_station_then_the_pubacks():
    made, sink, _events = receiver()
    link = FakeLink()

    made.deal_with([frame(1), frame(2, "cam-2"), frame(3)], link)

    assert len(sink.received) == 3
    assert [decode_acks(body) for body in link.told("ack")] == [["b-1", "b-3"], ["b-2"]]
    assert [what for what, _ in link.done[2:]] == ["puback"] * 3


def test_answers_wait_while_the_broker_is_busy_and_go_out_together():
    made, sink, _events = receiver()
    link = FakeLink(busy=True)

    for number in range(70):
        made.deal_with([frame(number)], link)
    waiting = link.told("ack")
    link.busy = False
    made.deal_with([], link)

    assert (len(sink.received), waiting) == (70, [])
    assert [len(decode_acks(body)) for body in link.told("ack")] == [64, 6]
    assert link.done.count(("puback", 5)) == 1


def test_one_frame_that_fails_costs_its_own_ack_only():
    made, _sink, _events = receiver(Sink(refusals=[SpoolFull("full"), RefusedError("taken")]))
    link = FakeLink()

    made.deal_with([frame(1), frame(2), frame(3)], link)

    assert [decode_acks(body) for body in link.told("ack")] == [["b-3"]]
    assert [decode_refusal(body) for body in link.told("refused")] == [("b-2", "taken")]
    assert len([each for each in link.done if each[0] == "puback"]) == 3


def test_a_damaged_frame_is_not_refused_to_its_agent():
    made, _sink, _events = receiver(Sink(refusals=[RefusedError("wrong hash")]))
    link = FakeLink()

    made.deal_with([frame(1, sha256="0" * 64)], link)

    assert [what for what, _ in link.done] == ["puback"]


@pytest.mark.parametrize(
    ("bad", "kind", "kept"),
    [
        (frame(1, station="revoked"), "station", 0),
        (message("hello", Hello("1", "b", NOW, clock_ok=True).encode(), "revoked"), "station", 0),
        (frame(1, body=bytes(1_000_001)), "size", 0),
        (message("health", b" " * 70_000), "size", 0),
        (message("health", b"\xff"), "payload", 1),
        (message("status", b""), "payload", 0),
        (Message(up_topic("cam-1", "frame"), b"x", (("id", "../x"),), 1, 1), "header", 1),
        (Message("wc/1/cam-1/down/ack", b"[]", (), 1, 1), "topic", 2),
        (Message("x" * 65_000, b"", (), 1, 1), "topic", 0),
        (Message("(a topic that is not UTF-8)", b"", (), 1, 1), "topic", 0),
    ],
)
def test_what_is_not_welcome_is_counted_each_time_and_recorded_once(bad, kind, kept):
    made, sink, events = receiver(is_allowed=lambda station: station != "revoked")
    link = FakeLink()

    for _ in range(5):
        made.deal_with([bad, frame(2)], link)

    assert [(each[0], each[2]) for each in sink.refused] == [(kind, kept)]
    assert [event.fields["refusal"] for event in events] == [kind] * 4
    assert all(len(str(event.fields)) < 600 for event in events)
    assert link.told("time") == []
    assert [each.id for each in sink.received] == ["b-2"]


def test_stations_that_can_not_be_looked_up_now_are_deferred_not_refused():
    def busy(_station):
        raise StoreBusy("locked, in this test")

    made, sink, events = receiver(is_allowed=busy)
    link = FakeLink()

    made.deal_with([frame(1)], link)

    assert (sink.received, sink.refused) == ([], [])
    assert [each.fields["deferred"] for each in events] == ["locked, in this test"]
    assert link.done == [("puback", 1)]


def test_what_agents_said_while_the_database_was_busy_is_told_later_and_the_time_at_once():
    roster = BusyRoster()
    made, _sink, _events = receiver(roster=roster)
    link = FakeLink()

    made.deal_with([message("hello", Hello("1", "b", NOW, clock_ok=True).encode())], link)
    answered = len(link.told("time"))
    roster.busy = False
    made.deal_with([message("status", Status(online=True, boot="b").encode())], link)

    assert answered == 1
    assert [each[:2] for each in roster.said] == [("cam-1", "Hello"), ("cam-1", "Status")]


def test_only_what_comes_after_a_silence_tells_of_clocks():
    roster = BusyRoster(busy=False)
    made, _sink, _events = receiver(roster=roster)
    link, health = FakeLink(), message("health", Health(NOW, "b", "1").encode())

    made.connected()
    made.deal_with([health], link)
    made.deal_with([], link)
    made.deal_with([health], link)
    made.connected()
    made.deal_with([health], link)

    assert [live for _station, _what, live in roster.said] == [False, True, False]


def test_an_offer_and_its_pieces_are_answered_with_the_last_offset_of_the_batch(tmp_path):
    body = bytes(2_500)
    header = FrameHeader("b-1", hashlib.sha256(body).hexdigest(), NOW, "b", 1, "clip", "a.mp4")
    chunks = [
        Message(up_topic("cam-1", "chunk"), body[at : at + 1_000], (("id", "b-1"), ("offset", str(at))), at, 1)
        for at in (0, 1_000)
    ]
    made, _sink, _events = receiver(state_dir=tmp_path)
    link = FakeLink()

    made.deal_with([message("offer", Offer(header, len(body)).encode()), *chunks], link)

    assert link.told("progress") == [b'{"id": "b-1", "offset": 2000}']
