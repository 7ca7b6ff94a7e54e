"""An alert from the store to a mailbox: outbox, picture with its box, mail, real SMTP server."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from edge.alerts.rules import Rule
from edge.clock import SteppedClock
from edge.fakes import NOON
from edge.i18n import translate
from edge.media.opener import FileMedia
from edge.model import Answer, CaptureTime, Detection, Outcome, PictureResult, Taxon
from edge.services import Station
from edge.testing import spooled_frame
from plugins.notifiers.email import SPEC, EmailConfig
from tests.alert_rig import Rig
from tests.e2e.mail_servers import PASSWORD, Mailbox, make_certificate, smtp_server
from tests.e2e.waiting import free_port

JAGUAR = Taxon("Panthera onca", "species", ("Animalia", "Felidae", "Panthera onca"), "jaguar", "yaguareté")
GREY = 120


@contextmanager
def a_site(tmp_path, settings):
    """A site with one alert of a jaguar in its store, and the outbox that sends it through `settings`."""
    stations = {"cam-03": Station("cam-03", "America/Bogota")}
    rules = [Rule(name="felinos grandes", taxon="Felidae", channels=("mail",))]
    site = Rig(tmp_path, rules, stations=stations, language="es", media=FileMedia(), clock=SteppedClock(NOON))
    path = tmp_path / "frame.jpg"
    path.write_bytes(simplejpeg.encode_jpeg(np.full((720, 960, 3), GREY, np.uint8), quality=95))
    captured = CaptureTime(NOON, "2026:06:01 07:00:00", "America/Bogota", "exif")
    site.store.add_frames([(spooled_frame(path, station="cam-03", captured=captured), 0)])
    seen = Detection("animal", 0.9, (0.25, 0.25, 0.5, 0.5), answer=Answer(JAGUAR, 0.93))
    site.record(Outcome(site.store.claim_next(NOON), (PictureResult(0, 0.0, (seen,)),), 960, 720))
    with SPEC.build(EmailConfig.model_validate(settings), site.services) as notifier:
        yield site, site.outbox(mail=notifier)
    site.store.close()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    return {
        "host": "localhost",
        "port": free_port(),
        "ca_file": tmp_path / "cert.pem",
        "username": "station",
        "password": {"env": "MAIL_PASSWORD"},
        "sender": "Cámaras <trap@example.org>",
        "recipients": ["ana@example.org", "Benjamín Ríos <ben@example.org>"],
        "timeout_s": 10,
    }


def test_an_alert_reaches_the_mailbox_in_spanish_with_its_picture(tmp_path, settings):
    mailbox = Mailbox()

    server = smtp_server(mailbox, make_certificate(tmp_path), settings["port"])
    with a_site(tmp_path, settings) as (site, outbox), server:
        assert outbox.dispatch_due() == 1
        assert site.store.counts()["alerts_sent"] == 1

    (mail,) = mailbox.parsed()
    assert mail["Subject"] == "Yaguareté · cam-03 · 07:00"
    text = mail.get_body(("plain",)).get_content().splitlines()
    for label, value in (
        ("Seen", "Yaguareté (Panthera onca), 93\N{NO-BREAK SPACE}%"),
        ("Station", "cam-03"),
        ("Captured", "1 de junio de 2026, 07:00:00 (America/Bogota)"),
        ("Rule", "felinos grandes"),
    ):
        assert f"{translate(label, 'es')}: {value}" in text
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
    assert_box_is_drawn(image.get_content())


def assert_box_is_drawn(jpeg):
    picture = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    assert picture.shape == (720, 960, 3)
    off = abs(picture - GREY).max(axis=2) > 60
    assert off[537:544, 250:710].any(axis=0).all(), "the lower edge of the box is drawn from end to end"
    assert off[200:530, 237:244].any(axis=1).all(), "the left edge of the box is drawn from end to end"
    assert off[200:530, 716:724].any(axis=1).all(), "the right edge of the box is drawn from end to end"
    assert not off[250:500, 300:650].any(), "the inside of the box is as it was"
    assert not off[600:].any(), "outside of the box it is as it was"
