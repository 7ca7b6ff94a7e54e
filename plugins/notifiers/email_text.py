"""What the channel `email` writes: a notice as a mail with its picture, and the short mail to somebody who answered.

The head says by which rules it goes: References and In-Reply-To make threads (RFC 5322, 3.6.4), Auto-Submitted says
that a machine wrote it, so that no holiday notice comes back (RFC 3834), List-Id names the list (RFC 2919),
List-Unsubscribe the way out of it (RFC 2369), Importance how urgent it is (RFC 4021, 2.1.54), X-Priority the same for
programs that know only that. Not written: Precedence, which no standard has and which lets a server hold a mail back;
List-Unsubscribe-Post, which promises that one POST to a page of this one reader ends it (RFC 8058).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from urllib.parse import quote

from edge.api import Notice, Wording, mark, one_line, translate

from .email_names import NOTICE_HEADER, bare, digest, domain, message_id, parsed, thread_id

LOST = mark("The picture could not be read any more.")
TOO_LARGE = mark("The picture is larger than the mail server takes.")
WIDEST_LABEL = 32  # of a digest's first column, in characters; a mail's line is read at about 78
LONGEST_TEXT = 2000  # of an answer to somebody, in characters


class _Unfolded(UnstructuredHeader, BaseHeader):
    """A header of ids and addresses in < >: the folder of the standard library would encode what is longer than 78."""

    def fold(self, *, policy: policy.Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("message-id", "references", "in-reply-to", "list-unsubscribe", "list-id"):
    _HEADERS.map_to_type(_name, _Unfolded)
# 7bit: also a server without 8BITMIME gets every letter through. Lines end as SMTP wants them.
POLICY = policy.SMTP.clone(cte_type="7bit", header_factory=_HEADERS)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails of a channel share.

    sender: as in the site. answers_to: the bare address where people's answers are read, "" when nobody reads any.
    unsubscribe_url: a page, or "".
    """

    sender: str
    answers_to: str = ""
    unsubscribe_url: str = ""

    @property
    def domain(self) -> str:
        """Of the ids of our mails."""
        return domain(self.sender)


def write_notice(
    head: Letterhead, notice: Notice, to: Sequence[Address], *, at: datetime, picture: bytes, too_large: bool = False
) -> EmailMessage:
    """A notice as a mail: text, and HTML with the picture inside it; without a picture it says why there is none.

    at: when the mail is written. too_large: the server did not take it with the picture.
    """
    language = notice.language
    message = _begin(head, to, at)
    message["Subject"] = _headline(notice)
    message["Message-ID"] = message_id(notice.key, head.domain, notice.attempt)
    message[NOTICE_HEADER] = digest(notice.key)
    if notice.thread:
        root = thread_id(notice.thread, head.domain)
        message["References"] = root
        if notice.kind in ("update", "answer"):
            message["In-Reply-To"] = root
    message["Auto-Submitted"] = "auto-replied" if notice.kind == "answer" else "auto-generated"
    if notice.severity == "critical":
        message["Importance"] = "high"
        message["X-Priority"] = "1"
    _add_list(message, head)
    missing = notice.alert is not None and not picture
    lost = translate(TOO_LARGE if too_large else LOST, language) if missing or too_large else ""
    cid = digest(notice.key) if picture else ""
    message.set_content(_text(head, notice, lost))
    message.add_alternative(_html(head, notice, lost, cid=cid), subtype="html")
    message["Content-Language"] = language  # last: content headers that are there go to the first part
    if picture:
        _put_in(message, picture, cid, notice)
    return message


def write_answer(
    head: Letterhead, to: str, text: str, *, subject: str, answered: str, key: str, at: datetime
) -> EmailMessage:
    """The short mail to somebody who answered.

    to: a bare address. subject, answered: subject and Message-ID of what they wrote ("" when it had no sound one).
    key: of this mail's own Message-ID; the same answer to the same mail is the same mail.
    """
    message = _begin(head, [parsed(to)], at)
    message["Subject"] = subject if re.match(r"re:", subject, re.IGNORECASE) else f"Re: {subject}".strip()
    message["Message-ID"] = message_id(key, head.domain)
    if answered:
        message["In-Reply-To"] = answered
        message["References"] = answered
    message["Auto-Submitted"] = "auto-replied"
    message.set_content("\n".join(one_line(line) for line in text[:LONGEST_TEXT].splitlines()) + "\n")
    return message


def _begin(head: Letterhead, to: Sequence[Address], at: datetime) -> EmailMessage:
    message = EmailMessage(POLICY)
    message["From"] = parsed(head.sender)
    message["To"] = list(to)
    if head.answers_to and head.answers_to != bare(head.sender):
        message["Reply-To"] = parsed(head.answers_to)
    message["Date"] = format_datetime(at)
    return message


def _add_list(message: EmailMessage, head: Letterhead) -> None:
    message["List-Id"] = f"<{bare(head.sender).replace('@', '.')}>"
    ways = [f"<{head.unsubscribe_url}>"] if head.unsubscribe_url else []
    if head.answers_to:
        ways.append(f"<mailto:{quote(head.answers_to, safe='@')}?subject=STOP>")  # RFC 6068
    if ways:
        message["List-Unsubscribe"] = ", ".join(ways)


def _put_in(message: EmailMessage, picture: bytes, cid: str, notice: Notice) -> None:
    parts = message.get_payload()
    assert isinstance(parts, list)
    html = parts[1]
    assert isinstance(html, EmailMessage)
    frame_id = notice.alert.frame_id if notice.alert else "picture"
    name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', f'{notice.station}-{frame_id}')[:120]}.jpg"
    html.add_related(picture, "image", "jpeg", cid=f"<{cid}>", filename=name, disposition="inline")


def _headline(notice: Notice) -> str:
    headline = one_line(notice.words.headline)
    return f"[{translate('CRITICAL', notice.language)}] {headline}" if notice.severity == "critical" else headline


def _what_to_answer(head: Letterhead, notice: Notice) -> str:
    if not head.answers_to or not notice.code:
        return ""
    text = translate(
        'Answer "ACK {code}" when you have seen this, "MUTE 2h" for two quiet hours, "STOP" for no more messages, '
        '"HELP" for all words.',
        notice.language,
    )
    return text.format(code=one_line(notice.code))


def _rows(words: Wording) -> list[tuple[str, str]]:
    """One line each, whatever they hold; the blank in "93 %" stays one that no line breaks at."""
    return [(_visible(label), _visible(value)) for label, value in words.rows]


def _visible(text: str) -> str:
    return "".join(each if each.isprintable() or each == "\N{NO-BREAK SPACE}" else " " for each in text)


def _text(head: Letterhead, notice: Notice, lost: str) -> str:
    """Headline, rows (a digest's in two columns), what is missing, the page, what to answer."""
    rows, language = _rows(notice.words), notice.language
    if notice.kind == "digest":
        width = min(max((len(label) for label, _value in rows), default=0), WIDEST_LABEL)
        lines = [f"{label:<{width}}  {value}" if label else value for label, value in rows]
    else:
        lines = [f"{label}: {value}" if label else value for label, value in rows]
    page = translate("See the page: {link}", language).format(link=one_line(notice.link)) if notice.link else ""
    blocks = [_headline(notice), "\n".join(lines), lost, page, _what_to_answer(head, notice)]
    return "\n\n".join(each for each in blocks if each) + "\n"


CELL = 'style="padding:4px 12px 4px 0;border-bottom:1px solid #ddd;text-align:left;vertical-align:top"'


def _html(head: Letterhead, notice: Notice, lost: str, *, cid: str) -> str:
    """Plain enough for any mail reader; every value is escaped."""
    headline, language = escape(_headline(notice)), notice.language
    colour = ' style="color:#b00020"' if notice.severity == "critical" else ""
    blocks = [f"<h2{colour}>{headline}</h2>"]
    if cid:
        blocks.append(f'<p><img src="cid:{cid}" alt="{headline}" style="max-width:100%"></p>')
    if lost:
        blocks.append(f"<p><em>{escape(lost)}</em></p>")
    if re.match(r"https?://", notice.link):
        blocks.append(
            f'<p><a href="{escape(one_line(notice.link))}">{escape(translate("See the page", language))}</a></p>'
        )
    if rows := "\n".join(map(_html_row, _rows(notice.words))):
        blocks.append(f'<table style="border-collapse:collapse">\n{rows}\n</table>')
    if answer := _what_to_answer(head, notice):
        blocks.append(f"<p>{escape(answer)}</p>")
    body = "\n".join(blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{headline}</title></head>\n'
        f'<body style="font-family:sans-serif">\n{body}\n</body></html>\n'
    )


def _html_row(row: tuple[str, str]) -> str:
    label, value = map(escape, row)
    if not label:
        return f'<tr><td colspan="2" {CELL}>{value}</td></tr>'
    return f"<tr><th {CELL}>{label}</th><td {CELL}>{value}</td></tr>"
