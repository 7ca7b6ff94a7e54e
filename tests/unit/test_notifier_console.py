"""Notifier `console`: one line an alert."""

import io
import sys
from pathlib import Path

import pytest

from edge.errors import NotifyError
from edge.fakes import NOON
from edge.i18n import translate
from edge.model import Alert, Answer, CaptureTime, Detection, Taxon
from edge.notices import Wording
from edge.testing import check_notifier_contract, fake_services, notice, spooled_frame
from edge.wording import word_alert
from plugins.notifiers.console import SPEC, ConsoleConfig

FRAME = spooled_frame(station="cam-03")  # taken 2026-06-01 12:00 UTC
JAGUAR = Taxon("Panthera onca", "species", ("Animalia", "Panthera onca"), "jaguar", "yaguareté")
ALERT = Alert(
    key="k",
    rule="big cats",
    channel="screen",
    station="cam-03",
    frame_id="f1",
    captured=FRAME.captured,
    detection=Detection("animal", 0.88, (0.1, 0.1, 0.5, 0.5), answer=Answer(JAGUAR, 0.93)),
    picture_path=FRAME.path,
    received_at=FRAME.received_at,
)


def print_one(alert=ALERT, *, language="en", picture=b"jpeg"):
    words = word_alert(alert, language=language, timezone="America/Bogota", now=NOON)
    with SPEC.build(ConsoleConfig(), fake_services()) as notifier:
        notifier.send(notice(alert=alert, words=words, language=language), picture=picture)


def test_an_alert_is_one_line_with_what_where_when_and_why(capsys):
    print_one()

    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert printed.startswith("ALERT Jaguar · cam-03 · 07:00 | Jaguar (Panthera onca), 93% | ")
    assert "Rule: big cats" in printed


def test_the_line_is_in_the_language_of_the_notice(capsys):
    print_one(language="es")

    line = capsys.readouterr().out
    assert line.startswith(f"{translate('ALERT', 'es')} Yaguareté · cam-03")
    assert "1 de junio de 2026" in line


def test_what_is_about_no_animal_is_said_as_it_is(capsys):
    words = Wording("cam-03 is silent", (("Last heard", "yesterday"), ("", "Battery 11.2 V")))
    with SPEC.build(ConsoleConfig(), fake_services()) as notifier:
        notifier.send(notice(kind="health", words=words, alert=None), picture=b"")

    assert capsys.readouterr().out == "STATE cam-03 is silent | Last heard: yesterday | Battery 11.2 V\n"


def test_a_name_can_not_steer_the_terminal(capsys):
    evil = Alert(
        key="k",
        rule="r\x1b[31m",
        channel="screen",
        station="cam\x1b]0;owned\x07\nALERT",
        frame_id="f\r1",
        captured=CaptureTime(None, "\x1b[2J"),
        detection=ALERT.detection,
        picture_path=FRAME.path,
    )

    print_one(evil)

    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert not set("\x1b\x07\r") & set(printed)


def test_a_terminal_without_the_letters_still_gets_the_alert(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))

    print_one(language="es")

    assert b"Yaguaret? ? cam-03" in raw.getvalue()


def test_an_output_that_is_gone_is_tried_again_later(monkeypatch):
    with Path("/dev/full").open("w", encoding="utf-8", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(NotifyError, match="standard output"):
            print_one()
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space"):
            full.close()


def test_it_keeps_the_contract_of_notifiers(capsys):
    check_notifier_contract(SPEC, ConsoleConfig(), notice(), fake_services(), picture=b"jpeg")

    with_picture, without, _health = capsys.readouterr().out.splitlines()
    assert "picture could not be read" not in with_picture
    assert "The picture could not be read any more." in without
