"""JSON payloads: what is ours comes back unchanged, anything else is a WireError and never something worse."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages import (
    Command,
    Health,
    Hello,
    Offer,
    Progress,
    Result,
    ServerTime,
    Status,
    decode_acks,
    decode_refusal,
    encode_acks,
    encode_refusal,
)
from edge.wire import FrameHeader, WireError

NOW = datetime(2026, 5, 1, 8, 30, 5, 250_000, tzinfo=UTC)
HEADER = FrameHeader("b-1", "ab" * 32, NOW, "b", 1, "clip", "Año 1/a.mp4", uptime_s=1.5, trigger="motion")
MESSAGES = [
    Offer(HEADER, 5_000_000),
    Progress("b-1", 3_000_000),
    Progress("b-1", -1),
    Hello("1.4", "b", NOW, clock_ok=False),
    ServerTime(NOW, NOW),
    Status(online=True, boot="b"),
    Health(
        NOW, "b", "1.4", "guessed", 12.5, {"spool": {"frames": 3, "oldest_s": None}, "last_error": "ñ", "lamp": True}
    ),
    Command("c-1", "want", NOW, {"frame": "b-1"}),
    Result("c-1", ok=False, text="expired"),
]
DECODERS = [decode_acks, decode_refusal, *{type(each): type(each).decode for each in MESSAGES}.values()]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_comes_back_as_it_was_sent(message):
    assert type(message).decode(message.encode()) == message


def test_acks_and_refusals_come_back_as_they_were_sent():
    assert decode_acks(encode_acks(["a-1", "a-2"])) == ["a-1", "a-2"]
    assert decode_refusal(encode_refusal("a-1", "kind 'x' is unknown")) == ("a-1", "kind 'x' is unknown")


@pytest.mark.parametrize(
    "payload",
    [b"[" * 60_000, b'{"id": "x"}', b'["../x"]', b"[1]", b"\xff", b"", json.dumps(["a"] * 65).encode(), b" " * 70_000],
)
def test_a_payload_that_is_no_ack_is_refused(payload):
    with pytest.raises(WireError):
        decode_acks(payload)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_field_that_is_missing_or_of_another_type_is_refused(message):
    fields = json.loads(message.encode())
    optional = {"args", "text", "clock", *(getattr(message, "values", None) or {})} - (
        {"clock"} if isinstance(message, Hello) else set()
    )
    if isinstance(message, Offer):
        optional = {"clock", "boot_count", "uptime_s", "trigger"}

    for key in fields.keys() - optional:
        with pytest.raises(WireError):
            type(message).decode(json.dumps({name: fields[name] for name in fields if name != key}).encode())
    for key in fields.keys() - {"args", *(getattr(message, "values", None) or {})}:
        for wrong in ([], {}, None, 10**30, "\ud800"):
            with pytest.raises(WireError):
                type(message).decode(json.dumps(fields | {key: wrong}).encode())


@pytest.mark.parametrize(
    "values",
    [
        '{"deep": {"a": {"b": 1}}}',
        '{"deep": [[1]]}',
        '{"nan": NaN}',
        '{"huge": 1e999}',
        '{"text": "\\ud800"}',
        json.dumps({str(number): 0 for number in range(101)}),
        json.dumps({"list": [0] * 101}),
    ],
)
def test_health_and_arguments_are_flat_and_bounded(values):
    health = json.loads(MESSAGES[6].encode()) | {"spool": 1}
    text = json.dumps(health)[:-1] + ", " + values[1:]

    with pytest.raises(WireError):
        Health.decode(text.encode())
    with pytest.raises(WireError):
        Command.decode(f'{{"id": "c", "name": "want", "expires_at": "{NOW.isoformat()}", "args": {values}}}'.encode())


def test_an_unknown_command_is_refused_by_its_name():
    with pytest.raises(WireError, match="explode"):
        Command.decode(Command("c-1", "explode", NOW).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_a_wire_error(payload):
    for decode in DECODERS:
        try:
            decode(payload)
        except WireError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(MESSAGES), st.data())
def test_any_change_to_a_message_is_read_back_the_same_or_a_wire_error(message, data):
    fields = json.loads(message.encode())
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(fields)) | st.text(max_size=8), JSON, max_size=3))
    try:
        changed = type(message).decode(json.dumps(fields | changes).encode())
    except WireError:
        return
    assert type(message).decode(changed.encode()) == changed
