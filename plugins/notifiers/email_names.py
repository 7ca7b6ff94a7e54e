"""Mail addresses and Message-IDs: what stands between < and > in a mail's head.

A Message-ID is made of the notice's key and of the attempt, so no two mails share one (RFC 5322, 3.6.4): after a crash
nobody knows whether the mail before was taken. X-Tigrillo-Notice is the same for every attempt.

All mails about one encounter refer to its thread: an id that no mail has, so that neither the first mail nor the
addressee matters; RFC 5256 (REFERENCES) and mail programs put mails that refer to the same id into one thread even when
no mail has it. Both ids hold what they are made of, so that an answer can be told by what it refers to, also after a
restart.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from email.headerregistry import Address

from edge.api import _, one_line

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
BARE = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*"  # what every mail server takes, RFC 5321 without quotes
ADDRESS = re.compile(rf"(?:(?P<name>[^<>@,;:\"\\()\[\]]*)<(?P<boxed>{BARE})>|(?P<plain>{BARE}))")
LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3: a path is 256 with its < and >
LONGEST_HELD = 60  # bytes of a key or thread that an id holds; of a longer one only the digest
NOTICE_HEADER = "X-Tigrillo-Notice"
THREAD = "thread\n"  # in front of what a thread's digest is made of; no key has a line end
_OURS = r"<([0-9a-f]{{40}})\.([a-z2-7]+)(?:\.([0-9]+))?@{domain}>"


def checked(text: str) -> str:
    """The text, when it is `name@example.org` or `Name <name@example.org>`. Raises ValueError that says so."""
    found = ADDRESS.fullmatch(text) if text.isprintable() else None
    if found is None or len(found["boxed"] or found["plain"]) > LONGEST_ADDRESS:
        raise ValueError(
            _("{text!r} is no mail address: write name@example.org or 'Name <name@example.org>'").format(text=text[:80])
        )
    return text


def tidied(text: str) -> str:
    """A person's address as messages and answers name it: without a name, in small letters. Raises ValueError.

    Small letters in front of the @ too: a server may tell Ana@ from ana@ (RFC 5321, 2.4), but none in use does, and
    telephones write the first letter of an answer's address large.
    """
    return bare(checked(text.strip())).lower()


def parsed(text: str, *, name: str = "") -> Address:
    """A checked address for a header. name: shown when the text has none."""
    found = ADDRESS.fullmatch(text)
    assert found is not None, f"{text!r} was not checked"
    return Address((found["name"] or "").strip() or one_line(name), addr_spec=found["boxed"] or found["plain"])


def bare(address: str) -> str:
    """`Name <name@example.org>` → `name@example.org`."""
    return parsed(address).addr_spec


def domain(address: str) -> str:
    """`Name <name@example.org>` → `example.org`."""
    return bare(address).rpartition("@")[2]


def digest(text: str) -> str:
    """40 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def message_id(key: str, at_domain: str, attempt: int = 0) -> str:
    """The Message-ID of the mail with this notice's key. attempt: how often it was tried before."""
    again = f".{attempt}" if attempt else ""
    return f"<{digest(key + again)}{_held(key)}{again}@{at_domain}>"


def thread_id(thread: str, at_domain: str) -> str:
    """The id that all mails of a thread refer to."""
    return f"<{digest(THREAD + thread)}{_held(thread)}@{at_domain}>"


def about(ids: Iterable[str], at_domain: str) -> str:
    """The key or thread of the first id that is one of ours and holds it, "" when none does."""
    pattern = re.compile(_OURS.format(domain=re.escape(at_domain)), re.IGNORECASE)
    for each in ids:
        found = pattern.fullmatch(each)
        text = _let_go(found[2]) if found else ""
        again = f".{found[3]}" if found and found[3] else ""
        if found and text and found[1].lower() in (digest(text + again), digest(THREAD + text)):
            return text
    return ""


def _held(text: str) -> str:
    raw = text.encode()
    return "." + base64.b32encode(raw).decode().rstrip("=").lower() if 0 < len(raw) <= LONGEST_HELD else ""


def _let_go(held: str) -> str:
    padded = held.upper() + "=" * (-len(held) % 8)
    try:
        return base64.b32decode(padded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
