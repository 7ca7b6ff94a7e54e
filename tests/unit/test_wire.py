"""Topics and headers: what is ours is read back unchanged, anything else is a WireError and never something worse."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wire import (
    FrameHeader,
    WireError,
    ack_topic,
    checked_station,
    decode_acks,
    decode_refusal,
    encode_acks,
    encode_refusal,
    frame_topic,
    kind_of,
    refused_topic,
    station_of,
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


def test_a_header_comes_back_as_it_was_sent():
    assert FrameHeader.from_properties(HEADER.to_properties()) == HEADER


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
        ("kind", "virus"),
    ],
)
def test_a_wrong_property_is_refused(key, value):
    pairs = dict(HEADER.to_properties()) | {key: value}

    with pytest.raises(WireError):
        FrameHeader.from_properties(pairs.items())


@given(
    st.dictionaries(st.sampled_from([key for key, _ in HEADER.to_properties()]), st.text(max_size=40)),
)
def test_any_text_in_a_header_is_read_or_a_wire_error(changes):
    pairs = dict(HEADER.to_properties()) | changes
    try:
        header = FrameHeader.from_properties(pairs.items())
    except WireError:
        return
    assert FrameHeader.from_properties(header.to_properties()) == header


@given(st.binary(max_size=200))
def test_any_payload_is_read_or_a_wire_error(payload):
    for decode in (decode_acks, decode_refusal):
        try:
            decode(payload)
        except WireError:
            continue


@pytest.mark.parametrize("payload", [b"[" * 200_000, b'{"id": "x"}', b'["../x"]', b"[1]", b"\xff", b""])
def test_a_payload_that_is_no_ack_is_refused(payload):
    with pytest.raises(WireError):
        decode_acks(payload)


def test_acks_and_refusals_come_back_as_they_were_sent():
    assert decode_acks(encode_acks(["a-1", "a-2"])) == ["a-1", "a-2"]
    assert decode_refusal(encode_refusal("a-1", "kind 'x' is unknown")) == ("a-1", "kind 'x' is unknown")


@pytest.mark.parametrize("station", ["cam-03", "Peñón_2", "a.b", "_"])
def test_a_station_survives_its_topic(station):
    assert station_of(frame_topic(station)) == station


@pytest.mark.parametrize("station", ["../../etc", "", ".hidden", "a/b", "a+b", "#", "a b", "a" * 65, "a\n", "\ud800"])
def test_a_forbidden_station_has_no_topic(station):
    for topic_of in (frame_topic, ack_topic, refused_topic, checked_station):
        with pytest.raises(WireError):
            topic_of(station)


@pytest.mark.parametrize(
    "topic", ["wc/a/up/frame/x", "wc/a/up/log", "xx/a/up/frame", "wc//up/frame", "wc/../up/frame", ""]
)
def test_a_foreign_topic_is_refused(topic):
    with pytest.raises(WireError):
        station_of(topic)


def test_the_kind_follows_the_ending_in_any_case():
    assert kind_of("A.JPG") == kind_of("b.jpeg") == kind_of("c.webp") == "still"
    assert kind_of("A.AVI") == kind_of("x.mp4") == "clip"
    assert kind_of("notes.txt") is None
    assert kind_of("jpg") is None
