"""What the broker prints → what is counted, what is shown, what is neither. The lines are mosquitto 2.0.11's own."""

import io

import pytest

from edge.clock import SteppedClock
from edge.fakes import MemoryLog
from edge.stations.overheard import Overheard

TLS = "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed"


def heard(*lines: bytes):
    events, log = [], MemoryLog()
    overheard = Overheard(events.append, SteppedClock(), log)
    overheard.listen(io.BytesIO(b"".join(b"1795359750: " + line + b"\n" for line in lines)))
    return [(each.station, each.fields["refusal"]) for each in events], [
        fields["text"] for _level, _event, fields in log.entries
    ]


@pytest.mark.parametrize(
    ("line", "station", "kind"),
    [
        ("Denied PUBLISH from cam-01 (d0, q1, r0, m2, 'wc/1/cam-09/up/health', ... (10 bytes))", "cam-01", "topic"),
        ("Client cam-01 disconnected due to oversize packet.", "cam-01", "packet"),
        ("Client cámara disconnected due to malformed packet.", "cámara", "packet"),
        (TLS, "", "certificate"),
        ("Client connection from 10.0.0.9 failed: error:0A86:SSL routines::certificate expired.", "", "certificate"),
        ("OpenSSL Error[0]: error:0A0000C7:SSL routines::peer did not return a certificate", "", "certificate"),
        ("Client connection from 127.0.0.1 failed: error:0A00009C:SSL routines::http request.", "", "handshake"),
    ],
)  # fmt: skip
def test_a_refusal_is_counted_by_station_and_kind_and_not_shown(line, station, kind):
    assert heard(line.encode()) == ([(station, kind)], [])


@pytest.mark.parametrize(
    "line",
    [
        "New client connected from 127.0.0.1:43789 as cam-01 (p5, c1, k60, u'cam-01').",
        "Client cam-01 disconnected.",
        "Error: Address already in use",
        "mosquitto version 2.0.11 starting",
    ],
)
def test_what_people_want_to_know_is_shown(line):
    assert heard(line.encode()) == ([], [line])


@pytest.mark.parametrize(
    "line",
    [
        "New connection from 127.0.0.1:41819 on port 57325.",
        "Client <unknown> disconnected: Protocol error.",
        "Received PUBLISH from cam-01 (d0, q1, r0, m2, 'wc/1/cam-01/up/frame', ... (200000 bytes))",
        "Sending PUBACK to cam-01 (m2, rc0)",
        "\twc/1/cam-01/down/+ (QoS 1)",
    ],
)
def test_a_line_for_each_message_or_each_stranger_fills_no_log(line):
    assert heard(line.encode()) == ([], [])


def test_a_line_of_64_kb_and_bytes_that_are_no_utf8_are_survived():
    events, shown = heard(
        b"Received PUBLISH from cam-01 (" + b"x" * 65_000, b"Denied PUBLISH from \xff (m, '\xfe'", TLS.encode()
    )

    assert [kind for _station, kind in events] == ["topic", "certificate"]
    assert shown == []
