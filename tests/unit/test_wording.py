"""An alert in words: what a ranger reads on every channel."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.i18n import translate
from edge.model import Alert, Answer, CaptureTime, Detection, Taxon
from edge.wording import one_line, word_alert

CAPTURED = datetime(2026, 11, 3, 7, 14, 7, tzinfo=UTC)  # 02:14 in Bogotá
JAGUAR = Taxon("Panthera onca", "species", ("Animalia", "Panthera onca"), "jaguar", "yaguareté")
ALERT = Alert(
    key="cats/mail/cam-03/f1",
    rule="big cats",
    channel="mail",
    station="cam-03",
    frame_id="f1",
    captured=CaptureTime(CAPTURED, "2026:11:03 02:14:07", "America/Bogota", "exif"),
    detection=Detection("animal", 0.88, (0.1, 0.1, 0.5, 0.5), answer=Answer(JAGUAR, 0.934)),
    picture_path=Path("/spool/f1"),
    received_at=CAPTURED + timedelta(seconds=20),
)


def words(alert=ALERT, *, language="en", now=CAPTURED, timezone="America/Bogota"):
    return word_alert(alert, language=language, timezone=timezone, now=now)


def row(label, alert=ALERT, *, language="en"):
    return dict(words(alert, language=language).rows).get(translate(label, language))


def test_the_headline_says_what_where_and_when_at_the_station():
    assert words().headline == "Jaguar · cam-03 · 02:14"
    assert words(language="es").headline == "Yaguareté · cam-03 · 02:14"


def test_the_headline_of_another_day_has_the_date():
    next_day_at_the_station = CAPTURED + timedelta(hours=22)

    assert words(now=next_day_at_the_station).headline == "Jaguar · cam-03 · 2026-11-03 02:14"


def test_times_are_those_of_the_station_and_the_language():
    assert row("Captured") == "November 3, 2026, 02:14:07 (America/Bogota)"
    assert row("Captured", language="es") == "3 de noviembre de 2026, 02:14:07 (America/Bogota)"


def test_scores_and_names_are_those_of_answer_and_detector():
    assert row("Seen") == "Jaguar (Panthera onca), 93%"
    assert row("Seen", language="es") == "Yaguareté (Panthera onca), 93\N{NO-BREAK SPACE}%"
    assert row("Detector") == "animal, 88%"
    assert row("Rule") == "big cats"


def test_several_of_a_kind_are_counted():
    assert row("Seen", replace(ALERT, count=4)) == "4 × Jaguar (Panthera onca), 93%"


def test_without_an_answer_the_category_is_named():
    person = replace(ALERT, detection=Detection("person", 0.7, (0.1, 0.1, 0.5, 0.5)))

    assert words(person).headline == "Person · cam-03 · 02:14"
    assert row("Seen", person) == "Person, 70%"
    assert row("Detector", person) is None


@pytest.mark.parametrize(
    ("delay", "told"),
    [
        (timedelta(minutes=10), None),
        (timedelta(minutes=11), "November 3, 2026, 02:25:07 (America/Bogota) – 11 min later"),
        (timedelta(hours=6, minutes=16), "November 3, 2026, 08:30:07 (America/Bogota) – 6 h 16 min later"),
        (timedelta(days=21, hours=5), "November 24, 2026, 07:14:07 (America/Bogota) – 21 d 5 h later"),
        (timedelta(minutes=-30), "November 3, 2026, 01:44:07 (America/Bogota) – the camera's clock is ahead"),
    ],
)
def test_when_it_was_received_is_told_if_that_is_another_time(delay, told):
    assert row("Received", replace(ALERT, received_at=CAPTURED + delay)) == told


def test_an_unknown_capture_time_is_said_and_the_camera_s_own_text_shown():
    unknown = replace(ALERT, captured=CaptureTime(None, "0000:00:00 00:00:00"))

    assert words(unknown).headline == "Jaguar · cam-03"
    assert row("Captured", unknown) == "unknown (0000:00:00 00:00:00)"
    assert row("Received", unknown) == "November 3, 2026, 02:14:27 (America/Bogota)"


def test_a_clip_s_picture_is_named():
    assert row("Frame") == "f1"
    assert row("Frame", replace(ALERT, kind="clip", picture_number=12)) == "f1, picture 12"


@pytest.mark.parametrize("evil", ["a\r\nBcc: x@y.z", "a\0b", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a\ud800b", "\t\n"])
def test_no_value_has_line_breaks_or_invisible_characters(evil):
    taxon = replace(JAGUAR, english=evil)
    detection = replace(ALERT.detection, answer=Answer(taxon, 0.9))
    unknown = CaptureTime(None, evil)

    said = words(replace(ALERT, station=evil, rule=evil, frame_id=evil, detection=detection, captured=unknown))

    for text in (said.headline, *(each for pair in said.rows for each in pair)):
        assert text.replace("\N{NO-BREAK SPACE}", " ").isprintable()


def test_a_long_name_is_cut():
    assert one_line("x" * 5000) == "x" * 199 + "…"
