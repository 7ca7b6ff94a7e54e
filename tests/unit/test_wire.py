"""Topics and headers: what is ours is read back unchanged, anything else is a WireError and never something worse."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wire import (
    UP,
    ChunkHeader,
    FrameHeader,
    WireError,
    checked_station,
    down_topic,
    kind_of,
    read_topic,
    up_topic,
)

HEADER = FrameHeader(
    id="0badcafe-00000012",
    sha256="ab" * 32,
    captured_at=datetime(2026, 5, 1, 8, 30, 5, 250_000, tzinfo=UTC),
    boot="0badcafe",
    seq=12,
    kind="still",
    name="DCIM/Año 1/IMG_0012.JPG",
)
FULL = replace(
    HEADER,
    clock="guessed",
    boot_count=7,
    uptime_s=3600.125,
    corrected_at=datetime(2026, 5, 1, 9, 30, tzinfo=UTC),
    stands_for="0badcafe-00000011",
    trigger="pir",
)


def test_a_header_comes_back_as_it_was_sent():
    for header in (HEADER, FULL):
        assert FrameHeader.from_properties(header.to_properties()) == header


def test_the_time_is_kept_in_utc():
    lima = datetime(2026, 5, 1, 3, 30, 5, tzinfo=timezone(timedelta(hours=-5)))
    pairs = dict(HEADER.to_properties()) | {"captured_at": lima.isoformat()}

    header = FrameHeader.from_properties(pairs.items())

    assert header.captured_at == lima
    assert header.captured_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("key", ["id", "sha256", "captured_at", "boot", "seq", "kind", "name"])
def test_a_missing_property_is_named(key):
    pairs = [pair for pair in HEADER.to_properties() if pair[0] != key]

    with pytest.raises(WireError, match=key):
        FrameHeader.from_properties(pairs)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "../../etc/passwd"),
        ("id", ""),
        ("id", "a" * 65),
        ("sha256", "AB" * 32),
        ("sha256", "ab" * 31),
        ("captured_at", "yesterday"),
        ("captured_at", "2026-05-01T08:30:05"),
        ("captured_at", "0001-01-01T00:00:00+14:00"),
        ("seq", "twelve"),
        ("seq", "-1"),
        ("seq", str(2**63)),
        ("seq", "9" * 5000),
        ("seq", "1_0"),
        ("seq", "٣"),
        ("boot", "two words"),
        ("name", "x" * 501),
        ("name", "\ud800.jpg"),
        ("kind", "virus"),
        ("clock", "perhaps"),
        ("boot_count", "-1"),
        ("uptime_s", "inf"),
        ("uptime_s", "-1"),
        ("corrected_at", "2026-05-01T08:30:05"),
        ("stands_for", "../x"),
        ("stands_for", "0badcafe-00000012"),
        ("trigger", "whim"),
    ],
)
def test_a_wrong_property_is_refused(key, value):
    pairs = dict(HEADER.to_properties()) | {key: value}

    with pytest.raises(WireError):
        FrameHeader.from_properties(pairs.items())


def test_a_property_that_is_there_twice_is_refused():
    with pytest.raises(WireError, match="twice"):
        FrameHeader.from_properties([*HEADER.to_properties(), ("seq", "13")])


def test_a_chunks_header_comes_back_or_is_refused():
    assert ChunkHeader.from_properties(ChunkHeader("a-1", 3_000_000).to_properties()) == ChunkHeader("a-1", 3_000_000)
    for wrong in ({"id": "a-1"}, {"offset": "0"}, {"id": "a/1", "offset": "0"}, {"id": "a-1", "offset": "999999999"}):
        with pytest.raises(WireError):
            ChunkHeader.from_properties(wrong.items())


@given(
    st.dictionaries(st.sampled_from([key for key, _ in FULL.to_properties()]), st.text(max_size=40)),
)
def test_any_text_in_a_header_is_read_or_a_wire_error(changes):
    pairs = dict(FULL.to_properties()) | changes
    try:
        header = FrameHeader.from_properties(pairs.items())
    except WireError:
        return
    assert FrameHeader.from_properties(header.to_properties()) == header


@pytest.mark.parametrize("station", ["cam-03", "Peñón_2", "a.b", "_"])
def test_a_station_survives_its_topic(station):
    for what in UP:
        address = read_topic(up_topic(station, what))
        assert (address.station, address.way, address.what) == (station, "up", what)
    assert read_topic(down_topic(station, "ack")).way == "down"


@pytest.mark.parametrize("station", ["../../etc", "", ".hidden", "a/b", "a+b", "#", "a b", "a" * 65, "a\n", "\ud800"])
def test_a_forbidden_station_has_no_topic(station):
    for topic_of in (lambda name: up_topic(name, "frame"), lambda name: down_topic(name, "+"), checked_station):
        with pytest.raises(WireError):
            topic_of(station)
    with pytest.raises(WireError):
        read_topic(f"wc/1/{station}/up/frame")


@pytest.mark.parametrize(
    "topic",
    [
        "wc/1/a/up/frame/x",
        "wc/1/a/up/log",
        "wc/1/a/down/frame",
        "wc/1/a/side/ack",
        "wc/2/a/up/frame",
        "wc/a/up/frame",
        "xx/1/a/up/frame",
        "wc/1//up/frame",
        "wc/1/../up/frame",
        "",
        "wc/1/a/up/" + "frame/" * 10_000,
    ],
)
def test_a_foreign_topic_is_refused_in_a_short_text(topic):
    with pytest.raises(WireError) as caught:
        read_topic(topic)

    assert len(str(caught.value)) < 300


@given(st.text(max_size=80))
def test_any_topic_is_read_or_a_wire_error(text):
    for topic in (text, f"wc/1/{text}", f"wc/1/a/{text}"):
        try:
            address = read_topic(topic)
        except WireError:
            continue
        assert topic == f"wc/1/{address.station}/{address.way}/{address.what}"


def test_the_kind_follows_the_ending_in_any_case():
    assert kind_of("A.JPG") == kind_of("b.jpeg") == kind_of("c.webp") == "still"
    assert kind_of("A.AVI") == kind_of("x.mp4") == "clip"
    assert kind_of("notes.txt") is None
    assert kind_of("jpg") is None
