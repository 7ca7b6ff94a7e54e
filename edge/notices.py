"""What goes out to people and comes back from them: one `Notice` a message, one `Reply` an answer.

The runtime decides who is told what and when, and puts it into words; a notifier only carries it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from .model import Alert, Severity

NoticeKind = Literal["alert", "update", "digest", "health", "answer", "test"]
ReceiptState = Literal["waiting", "delivered", "failed"]

# What a channel's template may use; each is a text in the notice's language, "" where there is none. docs/alerts.md.
TEMPLATE_FIELDS = (
    "headline", "what", "scientific", "score", "station", "time", "date", "place", "count", "rule", "severity",
    "link", "code",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wording:
    """headline: what, where and when in one short line. rows: (label, value), one line each, most telling first.

    fields: TEMPLATE_FIELDS → text, for channels with a template of their own; empty for a notice about no animal.
    """

    headline: str
    rows: tuple[tuple[str, str], ...]
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one addressee through one channel.

    key: unique, and the same whenever this message is sent again, so that a channel that can tell duplicates does.
    channel: the channel's name in the site. words: in `language` ("en" or "es"); no text has line breaks or control
    characters. at: when it was queued, aware. to: the addressee as the channel writes it (telephone number, mail
    address, …), "" for the channel's own addressees. person: the recipient's name in the site, "" for those.
    thread: the same for all messages about one encounter, "" when it is about none. alert: the facts, when it is about
    animals, people or vehicles. station: "" when it is about none. code: what an answer such as `ACK 7F2K` names it by,
    "" when it can't be answered. link: a page about it, "" when there is none. attempt: how often it was tried before,
    also when nobody knows what came of that.
    """

    key: str
    kind: NoticeKind
    channel: str
    words: Wording
    language: str
    severity: Severity
    at: datetime
    to: str = ""
    person: str = ""
    thread: str = ""
    station: str = ""
    alert: Alert | None = None
    code: str = ""
    link: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What somebody wrote to a channel. sender: as `Notice.to`. id: of the message at the channel; read once.

    about: the key or thread of the notice it answers, where the channel knows that (a mail's In-Reply-To), else "".
    """

    channel: str
    sender: str
    text: str
    id: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message after the channel took it. reason: of a failure, one line."""

    state: ReceiptState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a channel takes: a JPEG of at most so many bytes, its longer side at most so many pixels."""

    max_bytes: int = 2_000_000
    max_side_px: int = 1280
