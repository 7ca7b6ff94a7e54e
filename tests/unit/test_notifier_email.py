"""Notifier `email`: its settings, and the mail it writes. Delivery is in tests/e2e/test_email_delivery.py."""

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.config import plan_from
from edge.errors import ConfigError
from edge.i18n import translate
from edge.model import Alert, Answer, CaptureTime, Detection, Taxon
from edge.registry import load_registry
from edge.testing import fake_services, spooled_frame
from plugins.notifiers.email import SPEC, EmailConfig

FRAME = spooled_frame(station="cam-03")  # taken 2026-06-01 12:00 UTC
JAGUAR = Taxon("Panthera onca", "species", ("Animalia", "Panthera onca"), "jaguar", "yaguareté")
ALERT = Alert(
    key="big%20cats/mail/cam-03/f1",
    rule="big cats",
    channel="mail",
    station="cam-03",
    frame_id="f1",
    captured=FRAME.captured,
    detection=Detection("animal", 0.88, (0.1, 0.1, 0.5, 0.5), answer=Answer(JAGUAR, 0.93)),
    picture_path=FRAME.path,
    received_at=FRAME.received_at,
)
SETTINGS = {"host": "mail.example.org", "sender": "Tigrillo <trap@example.org>", "recipients": ["ana@example.org"]}


def mail(alert=ALERT, *, picture=b"\xff\xd8jpeg", site="en", language=None):
    """The mail as it is on the wire, parsed back. site, language: languages of the site and of the channel."""
    config = EmailConfig.model_validate(SETTINGS | {"language": language})
    with SPEC.build(config, fake_services(language=site)) as notifier:
        return message_from_bytes(notifier.write(alert, picture=picture).as_bytes(), policy=policy.default)


def test_a_mail_has_text_html_and_the_picture_that_the_html_shows():
    message = mail()

    text, related = message.iter_parts()
    html, image = related.iter_parts()
    assert message.get_content_type() == "multipart/alternative"
    assert "Rule: big cats" in text.get_content().splitlines()
    assert f'src="cid:{image["Content-ID"][1:-1]}"' in html.get_content()
    assert image.get_content_type() == "image/jpeg"
    assert image.get_content_disposition() == "inline"
    assert image.get_content() == b"\xff\xd8jpeg"
    assert image.get_filename() == "cam-03-f1.jpg"


def test_the_headers_say_what_where_and_when_and_that_a_machine_wrote_them():
    message = mail()

    assert message["Subject"] == "Jaguar · cam-03 · 2026-06-01 12:00"
    assert message["From"] == "Tigrillo <trap@example.org>"
    assert message["To"] == "ana@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == fake_services().clock.now()


def test_the_language_is_the_channel_s_or_else_the_site_s():
    for message in (mail(site="es"), mail(site="en", language="es")):
        assert message["Subject"].startswith("Yaguareté · ")
        assert message["Content-Language"] == "es"
        body = message.get_body(("plain",)).get_content()
        assert f"{translate('Station', 'es')}: cam-03" in body
        assert "1 de junio de 2026" in body


def test_the_message_id_is_the_alert_s_and_nobody_else_s():
    ids = [mail(each)["Message-ID"] for each in (ALERT, replace(ALERT, pk=7, attempts=3), replace(ALERT, key="other"))]

    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@example.org>")


def test_without_a_picture_the_mail_says_so():
    message = mail(picture=b"")

    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        assert "The picture could not be read any more." in message.get_body((kind,)).get_content()
    assert "cid:" not in message.get_body(("html",)).get_content()


@pytest.mark.parametrize("evil", ["x\r\nBcc: evil@example.org\r\n\r\n<b>", "x\nBcc: evil@example.org", "x\u2028Bcc: e"])
def test_no_name_can_add_a_header(evil):
    taxon = replace(JAGUAR, english=evil, scientific_name=evil)
    message = mail(
        replace(
            ALERT,
            station=evil,
            rule=evil,
            frame_id=evil,
            key=evil,
            captured=CaptureTime(None, evil),
            detection=replace(ALERT.detection, answer=Answer(taxon, 0.9)),
        )
    )

    assert message["Bcc"] is None
    assert sorted(message.keys()) == sorted(mail().keys())
    assert "Bcc: e" in message["Subject"]
    assert not message.defects


def test_names_are_escaped_in_html():
    html = mail(replace(ALERT, station="<script>&\"'")).get_body(("html",)).get_content()

    assert "<script" not in html
    assert "&lt;script&gt;&amp;&quot;" in html


def test_every_byte_of_a_mail_is_ascii_and_lines_end_as_smtp_wants():
    config = EmailConfig.model_validate(SETTINGS | {"sender": "Guardaparques Ñ. Andú <trap@example.org>"})
    with SPEC.build(config, fake_services(language="es")) as notifier:
        raw = notifier.write(ALERT, picture=b"\xff" * 500).as_bytes()

    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert message_from_bytes(raw, policy=policy.default)["From"] == '"Guardaparques Ñ. Andú" <trap@example.org>'


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"password": "hunter2", "username": "u"}, "write `{env: NAME}` or `{file: PATH}`"),
        ({"username": "u"}, "`username` and `password` go together"),
        ({"password": {"env": "X"}}, "`username` and `password` go together"),
        ({"username": "u", "password": {"env": "X"}, "security": "none"}, "would send the password readable"),
        ({"security": "ssl"}, "security"),
        ({"recipients": []}, "recipients"),
        ({"recipients": ["ana"]}, "'ana' is no mail address"),
        ({"recipients": ["ana@example.org, bob@example.org"]}, "is no mail address"),
        ({"sender": "a@b.org\r\nBcc: evil@b.org"}, "is no mail address"),
        ({"sender": "A\r\nB <a@b.org>"}, "is no mail address"),
        ({"sender": "a..b@example.org"}, "is no mail address"),
        ({"sender": "<a@b.org> c@d.org"}, "is no mail address"),
        ({"port": 0}, "port"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"hots": "mail"}, "hots"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, complaint):
    with pytest.raises(ValidationError) as refusal:
        EmailConfig.model_validate(SETTINGS | settings)

    assert complaint in str(refusal.value)


def test_a_site_whose_password_or_ca_is_missing_does_not_start(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    password = {"username": "u", "password": {"env": "TIGRILLO_NOT_SET"}}
    for settings, named in (
        (password, "TIGRILLO_NOT_SET"),
        ({"ca_file": tmp_path / "ca.pem"}, "ca.pem"),
        ({"ca_file": Path("/nowhere/ca.pem")}, "ca.pem"),
    ):
        config = EmailConfig.model_validate(SETTINGS | settings)
        with pytest.raises(ConfigError, match=named), SPEC.build(config, fake_services()):
            pass


def test_the_password_is_not_in_the_notifier_s_representation(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    config = EmailConfig.model_validate(SETTINGS | {"username": "u", "password": {"env": "MAIL_PASSWORD"}})

    with SPEC.build(config, fake_services()) as notifier:
        assert "hunter2" not in repr(notifier)


def test_files_named_in_a_site_lie_beside_it(tmp_path):
    site = """
sources: [{use: watch, folder: in}]
channels:
  - {name: mail, use: email, host: h, sender: a@b.org, recipients: [a@b.org], username: u,
     password: {file: mail-password}, ca_file: ca.pem}
"""

    _spec, config = plan_from(site, tmp_path / "site.yaml", load_registry()).channels["mail"]

    assert config.password.file == tmp_path / "mail-password"
    assert config.ca_file == tmp_path / "ca.pem"
