"""What is heard of a mail that somebody wrote to us: sender, first own line, what it answers; and what is not heard."""

import time
from contextlib import suppress
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.notifiers.email_names import message_id, thread_id
from plugins.notifiers.email_reading import NotHeard, first_own_line, is_authentic, read_letter, without_comments

KEY, THREAD = message_id("17/ana/0", "example.org"), thread_id("17", "example.org")
OURS = frozenset({"trap@example.org"})


def mail(body="ACK", **headers):
    """A mail of Ana's; headers: `In_Reply_To="<x>"`, None takes one away."""
    message = EmailMessage()
    given = {"From": "Ana Ruiz <ana@example.net>", "Subject": "Re: Jaguar", "Message_ID": "<a1@example.net>"} | headers
    for name, value in given.items():
        if value is not None:
            message[name.replace("_", "-")] = value
    message.set_content(body)
    return message.as_bytes()


def read(raw, **options):
    return read_letter(raw, at_domain="example.org", ours=OURS, **options)


def test_a_letter_has_sender_text_id_and_what_it_answers():
    letter = read(mail("ack 7f2k\n\nAna", In_Reply_To=KEY, References=f"{THREAD} {KEY}"))

    assert (letter.sender, letter.text, letter.id) == ("ana@example.net", "ack 7f2k", "<a1@example.net>")
    assert letter.about == "17/ana/0"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"References": f"{THREAD} {KEY}"}, "17/ana/0"),
        ({"In_Reply_To": "<rewritten@relay>", "References": f"{THREAD} <rewritten@relay>"}, "17"),
        ({"In_Reply_To": message_id("17/ana/0", "evil.org")}, ""),
        ({"In_Reply_To": KEY.replace("e", "f", 1)}, ""),
        ({}, ""),
    ],
)
def test_what_it_answers_is_told_by_our_own_ids_only(headers, told):
    assert read(mail(**headers)).about == told


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("\n  MUTE 2h  \n> ACK\n", "MUTE 2h"),
        ("> Jaguar · cam-03\n>\n> Answer ACK\n\nACK\n", "ACK"),
        ("On Mon, 1 Jun 2026 at 12:00, Tigrillo <trap@example.org> wrote:\n\n> Jaguar\n\nACK", "ACK"),
        ("El lun, 1 jun 2026 a las 12:00, Tigrillo\n(<trap@example.org>) escribió:\n> Jaguar\nFOTO", "FOTO"),
        ("ACK\nOn Mon, Tigrillo wrote:\n> x", "ACK"),
        ("On Mon, Tigrillo wrote:\n> x", ""),
        ("-----Mensaje original-----\nDe: Tigrillo\nACK", ""),
        ("________________________________\nFrom: Tigrillo\nACK", ""),
        ("*De:* Tigrillo\nACK", ""),
        ("-- \nAna\nACK", ""),
        ("Enviado desde mi iPhone\n\n> STOP", ""),
        ("ayuda:\n", "ayuda:"),
        ("\u200b\x07ACK\x00\n", "ACK"),
        ("", ""),
    ],
)
def test_the_first_line_that_is_neither_quoted_nor_a_signature_counts(body, line):
    assert first_own_line(body) == line


def test_html_alone_is_read_without_its_marks_and_quotations():
    message = EmailMessage()
    message["From"] = "ana@example.net"
    message.set_content(
        "<html><head><style>p{}</style><title>t</title></head><body><blockquote>ACK 1</blockquote>"
        "<div>MUTE&nbsp;2h</div><div>Ana</div></body></html>",
        subtype="html",
    )

    assert read(message.as_bytes()).text == "MUTE 2h"


@pytest.mark.parametrize(
    ("subject", "body", "text"),
    [
        ("STOP", "Sent from my telephone", "STOP"),
        ("baja", "", "baja"),
        ("=?utf-8?q?AYUDA_?=", "", "AYUDA"),
        ("AYUDA", "ACK", "ACK"),
    ],
)
def test_the_subject_counts_when_it_is_stop_or_all_there_is(subject, body, text):
    assert read(mail(body, Subject=subject)).text == text


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; owner-email=x"},
        {"Precedence": "bulk"},
        {"Precedence": "Auto_Reply"},
        {"List_Id": "<x.example.net>"},
        {"Return_Path": "<>"},
        {"X_Autoreply": "yes"},
        {"From": "trap@example.org"},
        {"From": None},
        {"From": "ana@example.net, evil@example.net"},
        {"From": "a" * 80_000 + "@example.net"},
    ],
)
def test_machines_and_ourselves_are_not_heard(headers):
    with pytest.raises(NotHeard):
        read(mail(**headers))


def test_a_person_s_auto_submitted_is_no():
    assert read(mail(Auto_Submitted="no")).text == "ACK"


@pytest.mark.parametrize(
    "line",
    [
        b"From: ana@example.net <evil@example.com>, x@y.org\r\n",
        b"From: ana@example.net\r\nFrom: evil@example.com\r\n",
        b'From: "ana@example.net"@evil.com\r\n',
        b"From: <ana@example.net> <evil@example.com>\r\n",
        b"From: ana@example.net(\r\n",
        b"From: \xff\xfe <ana>\r\n",
    ],
)
def test_a_sender_that_can_be_read_in_two_ways_is_nobody(line):
    with pytest.raises(NotHeard, match="not from one plain address"):
        read(line + b"\r\nACK\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"From: =?utf-8?q?Benjam=C3=ADn?= <Ana@Example.NET>",
        b'From: "Ruiz, \\"A\\" <x@y>" <ana@example.net>',
        b"From:\r\n ana@example.net (Ana)",
    ],
)
def test_a_sender_is_read_in_the_forms_that_mail_programs_write(line):
    assert read(line + b"\r\n\r\nACK\r\n").sender == "ana@example.net"


def test_a_report_of_a_mail_server_is_not_heard():
    with pytest.raises(NotHeard, match="report"):
        read(b"From: ana@example.net\r\nContent-Type: multipart/report; boundary=x\r\n\r\n--x\r\n\r\nACK\r\n--x--\r\n")


def test_a_letter_without_a_sound_id_gets_one_of_its_own():
    first, again, other = (read(mail(body, Message_ID=None)).id for body in ("ACK", "ACK", "STOP"))

    assert first == again != other


GOOD = "mx.example.org; spf=fail smtp.mailfrom=x@evil.com; dmarc=pass (p=none) header.from=example.net"


@pytest.mark.parametrize(
    ("results", "fine"),
    [
        ([GOOD], True),
        (["MX.example.org 1; dkim=pass header.i=@example.net header.s=s1"], True),
        (["mx.example.org; dkim=pass header.d=mail.example.net"], True),
        (["mx.example.org; spf=pass (mx: 1.2.3.4 may) smtp.mailfrom=ana@example.net"], True),
        (["mx.example.org; spf=pass smtp.mailfrom=x@evil.com; dkim=pass header.d=evil.com"], False),
        (["mx.example.org; dkim=fail header.d=example.net"], False),
        (["mx.example.org; dkim=pass header.d=net"], False),
        (["mx.example.org; dkim=pass header.d=notexample.net"], False),
        (["mx.example.org; none"], False),
        ([], False),
        (["other.example.org; dmarc=pass header.from=example.net"], False),
        (["other.example.org; none", GOOD], True),
        (["mx.example.org; dmarc=fail header.from=example.net", GOOD], False),
        (["mx.example.org; dmarc=fail (; dmarc=pass header.from=example.net) header.from=example.net"], False),
        (['mx.example.org; dkim=fail reason="; dmarc=pass header.from=example.net" header.d=example.net'], False),
        (['mx.example.org; spf=pass smtp.mailfrom="a smtp.mailfrom=x@example.net "@evil.com'], False),
        (['"mx.example.org"; dmarc=pass header.from=example.net'], False),
    ],
)
def test_only_what_the_trusted_server_found_counts(results, fine):
    assert is_authentic(results, "ana@example.net", "mx.example.org") is fine


def test_a_mail_that_the_trusted_server_did_not_vouch_for_is_not_heard():
    with pytest.raises(NotHeard, match=r"mx\.example\.org did not find that it is from example\.net"):
        read(mail(), trusted="mx.example.org")
    assert read(mail(Authentication_Results=GOOD), trusted="mx.example.org").text == "ACK"


def test_comments_nest_and_quoted_texts_are_hidden():
    assert without_comments(r'a (b (c) "d e\) f) g "h (i" j') == "a  g _ j"


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(1400)),
        b"Content-Type: message/rfc822\r\n\r\n" * 2000,
        b"From: a@b.org\r\nContent-Type: text/html\r\n\r\n" + b"<!" * 32_000,
        b"From: a@b.org\r\nContent-Type: text/html\r\n\r\n" + b"<a " * 21_000,
        b"From: a@b.org\r\n\r\n" + b"(" * 65_000,
        b"From: a@b.org\r\nSubject: =?utf-8?b?!?= =?x-none?q?y?=\r\n\r\n" + b"\n>" * 30_000,
        b'From: a@b.org\r\nAuthentication-Results: mx; "' + b"\\(" * 30_000,
    ],
)
def test_a_mail_made_to_hurt_is_dealt_with_at_once(raw):
    began = time.monotonic()
    for trusted in ("mx", ""):
        with suppress(NotHeard):
            read(raw[:65_536], trusted=trusted)

    assert time.monotonic() - began < 1.0


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_mail_can_break_the_reader(head, body):
    for raw in (head, b"From: ana@example.net\r\n" + head + b"\r\n\r\n" + body, mail("ACK")[:150] + body):
        try:
            letter = read(raw)
        except NotHeard:
            continue
        assert letter.text
        assert letter.text.isprintable()
        assert letter.subject.isprintable()
