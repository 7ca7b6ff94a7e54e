"""A mail that somebody wrote to us → who it is from, what it says and what it answers; or why it is not heard.

Nothing here believes more than it must: a sender is one plain address, what machines write is not heard (RFC 3834, 2),
and where the site wants it the receiving server must have checked that the sender's domain sent it (RFC 8601).
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from html import unescape

from edge.api import one_line

from .email_names import BARE, about, digest

SENDER = re.compile(rf'(?:(?:"(?:[^"\\]|\\.)*"|[^"<>,;:()@\\])*<({BARE})>|({BARE})(?:\s*\([^()]*\))?)')
ID = re.compile(r"<[!-;=?-~]{3,250}>")  # visible ASCII between < and >
NOT_PEOPLE = frozenset({"bulk", "junk", "list", "auto_reply"})  # of Precedence; old mail programs say it so
STOP = frozenset({"STOP", "BAJA"})  # as a subject, from the List-Unsubscribe address
# What follows is not the person's: a signature (RFC 3676, 4.3), "-----Original Message-----", "From: …" of Outlook
OWN_ENDS = re.compile(
    r"-{2,}\s*(?:[\w ]+-{2,})?$|_{5,}$|\*{0,2}(?:From|De):|(?:Sent from|Enviado desde|Get Outlook|Obtener Outlook)\s"
)
ATTRIBUTION = re.compile(r"(?:On|El)\s")  # "On Monday, x wrote:", which mail programs break in two
LONGEST_SENDER = 1000  # characters of a From
PIECE = re.compile(r"<[^<>]*>?|[^<]+")  # of HTML: a mark, or text
TAG = re.compile(r"(/?)([A-Za-z0-9]*)")
BLOCKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3"})
HIDDEN = frozenset({"blockquote", "style", "script", "head", "title"})
MOST_PARTS = 100  # the parser goes into each of those within each other
MOST_IDS = 50  # of References, the last ones


class NotHeard(Exception):
    """This mail is no answer of a person; the text says why, and nothing else of it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """sender: bare, in small letters. text: one line. id: unique. message_id: "" when it has no sound one."""

    sender: str
    text: str
    id: str
    message_id: str
    subject: str
    about: str


def read_letter(raw: bytes, *, at_domain: str, ours: frozenset[str], trusted: str = "") -> Letter:
    """Read a mail, whole or cut off somewhere. Raises NotHeard.

    at_domain: of our Message-IDs. ours: addresses that are ours, so that we never answer ourselves. trusted: the name
    of the server (authserv-id) that must have found the sender's domain to be the true one; "" asks for nothing.
    """
    if raw.lower().count(b"content-type:") > MOST_PARTS:
        raise NotHeard(f"it has more than {MOST_PARTS} parts")
    mail = message_from_bytes(raw, policy=policy.compat32)  # keeps any header as it came, and never fails on one
    _refuse_machines(mail)
    sender = _sender(mail)
    if sender in ours:
        raise NotHeard("we wrote it ourselves")
    if trusted and not is_authentic(mail.get_all("Authentication-Results", []), sender, trusted):
        raise NotHeard(f"{trusted} did not find that it is from {sender.rpartition('@')[2]}")
    refers = _ids(mail, "In-Reply-To") + _ids(mail, "References")[::-1]
    subject = _subject(mail)
    text = _text(mail, subject, is_reply=bool(refers))
    if not text:
        raise NotHeard("it says nothing")
    message_id = next(iter(_ids(mail, "Message-ID")), "")
    return Letter(
        sender, text, message_id or digest(raw.decode("latin-1")), message_id, subject, about(refers, at_domain)
    )


def _refuse_machines(mail: Message) -> None:
    if _plain(mail, "Auto-Submitted").lower() not in ("", "no"):
        raise NotHeard("a machine wrote it (Auto-Submitted)")
    if _plain(mail, "Precedence").lower() in NOT_PEOPLE or "List-Id" in mail:
        raise NotHeard("it is for many (Precedence, List-Id)")
    if _plain(mail, "Return-Path") == "<>" or mail.get_content_type() == "multipart/report":
        raise NotHeard("it is a report of a mail server")
    if "X-Autoreply" in mail or "X-Autorespond" in mail:
        raise NotHeard("a machine wrote it (X-Autoreply)")


def _plain(mail: Message, name: str) -> str:
    """A header's first words before any parameter, "" when it is not there."""
    return str(mail.get(name, "")).partition(";")[0].strip()


def _sender(mail: Message) -> str:
    """The one address it is from. More than one, or one that programs read differently, is nobody's."""
    found = [SENDER.fullmatch(" ".join(str(each)[:LONGEST_SENDER].split())) for each in mail.get_all("From", [])]
    if len(found) != 1 or found[0] is None:
        raise NotHeard("it is not from one plain address")
    return str(found[0][1] or found[0][2]).lower()


def _ids(mail: Message, name: str) -> list[str]:
    return ID.findall(str(mail.get(name, "")))[-MOST_IDS:]


def _subject(mail: Message) -> str:
    text = str(mail.get("Subject", ""))
    with suppress(HeaderParseError, LookupError, ValueError):  # in a broken encoding it is as good as it came
        text = str(make_header(decode_header(text)))
    return one_line(text)


def _text(mail: Message, subject: str, *, is_reply: bool) -> str:
    """The first line that the person wrote; the subject when it is STOP, or all that a new mail says."""
    if subject.upper() in STOP:
        return subject
    line = first_own_line(_body(mail))
    return line or ("" if is_reply else subject)


def _body(mail: Message) -> str:
    """The first text part, or the first HTML part without its marks."""
    parts = [each for each in mail.walk() if each.get_content_disposition() != "attachment"]
    for kind in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == kind:
                text = _decoded(part)
                return text if kind == "text/plain" else _without_marks(text)
    return ""


def _decoded(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    try:
        return raw.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


def _without_marks(html: str) -> str:
    """Text of HTML: a line each block, without what is quoted or not shown.

    Not html.parser, whose time grows with the square of what is not closed.
    """
    text: list[str] = []
    hidden = 0
    for piece in PIECE.findall(html):
        if not piece.startswith("<"):
            text.append("" if hidden else unescape(piece.replace("\n", " ")))
            continue
        closing, name = TAG.match(piece, 1).groups()  # type: ignore[union-attr]  # because it fits any text
        if name.lower() in HIDDEN:
            hidden = max(0, hidden + (-1 if closing else 1))
        elif name.lower() in BLOCKS:
            text.append("\n")
    return "".join(text)


def first_own_line(body: str) -> str:
    """The first line that is neither quoted, nor says who is quoted, nor is a signature; "" when there is none."""
    lines = [one_line(line) for line in body.splitlines()]
    for number, line in enumerate(lines):
        if OWN_ENDS.match(line):
            return ""
        if line and not line.startswith(">") and not _says_who_is_quoted(lines, number):
            return line
    return ""


def _says_who_is_quoted(lines: list[str], number: int) -> bool:
    """Whether this line, or it and the next, ends with a colon right before a quotation: "On Monday, x wrote:"."""
    rest = [line for line in lines[number : number + 5] if line]
    for count in (1, 2) if ATTRIBUTION.match(rest[0]) else (1,):
        if len(rest) > count and rest[count - 1].endswith(":") and rest[count].startswith(">"):
            return True
    return False


def is_authentic(results: list[str], sender: str, trusted: str) -> bool:
    """Whether the server `trusted` found that the sender's domain sent the mail: dmarc, dkim or spf passed for it.

    results: the Authentication-Results headers, topmost first. Only the topmost one that names the server counts:
    those below came with the mail, unless the server took them out as RFC 8601, section 5, asks.
    """
    for each in results:
        server, *parts = without_comments(str(each)).split(";")
        if (server.split() or [""])[0].lower() == trusted.lower():
            return any(_passed(part, sender.rpartition("@")[2]) for part in parts)
    return False


DOMAIN_OF = {"dmarc": ("header.from",), "dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom",)}


def _passed(part: str, domain: str) -> bool:
    """One method's result: it passed, and for this domain."""
    said = dict(re.findall(r"([\w.-]+)\s*=\s*([^\s=]+)", part.lower()))
    method = next(iter(said), "")
    named = [said[name].rpartition("@")[2] for name in DOMAIN_OF.get(method, ()) if name in said]
    return said.get(method) == "pass" and any(_same_house(each, domain) for each in named)


def _same_house(one: str, other: str) -> bool:
    """Aligned, relaxed (RFC 7489, 3.1): the same domain, or one below the other and that not a top level."""
    shorter, longer = sorted((one.strip("."), other), key=len)
    return shorter == longer or ("." in shorter and longer.endswith("." + shorter))


def without_comments(text: str) -> str:
    """A structured header without comments in (), which nest, and with each quoted text as a single `_`."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for each in text:
        if escaped:
            escaped = False
        elif each == "\\" and (quoted or depth):
            escaped = True
        elif each == '"' and not depth:
            quoted = not quoted
            kept.append("_" if quoted else "")
        elif quoted:
            continue
        elif each == "(":
            depth += 1
        elif each == ")" and depth:
            depth -= 1
        elif not depth:
            kept.append(each)
    return "".join(kept)
