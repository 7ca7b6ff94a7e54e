"""What an HTTP service's answer means for a notice: accepted, not now, never."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from edge.api import NoticeRefused, NotifyError, one_line

from .outbound import Answer

LONGEST_WAIT_S = 3600.0  # of a Retry-After: an alert lives for a day, and a service may name any number
# Not the message is wrong but our key, the address or the moment: somebody can put that right before the alert expires.
NOT_NOW = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})


def demand_success(answer: Answer, place: str, *, now: datetime, hide: Sequence[str] = ()) -> None:
    """Return when the service took the message (2xx). Raises NotifyError or NoticeRefused, with what it said.

    hide: secrets that we sent; a service that repeats one does not bring it into our logs. now: aware.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    text = f"{place} answered {status}" + _said(answer, hide)
    if status < 400:
        raise NotifyError(f"{place} answered {status}: redirects are not followed, give the address that it leads to")
    if status < 500 and status not in NOT_NOW:
        raise NoticeRefused(text)
    raise NotifyError(text, again_in_s=retry_after_s(answer.headers.get("retry-after", ""), now))


def retry_after_s(header: str, now: datetime) -> float | None:
    """Seconds of a Retry-After (RFC 9110: a number, or a date), 1 to LONGEST_WAIT_S; None where there is none."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 1.0), LONGEST_WAIT_S)


def _said(answer: Answer, hide: Sequence[str]) -> str:
    text = answer.body[:4096].decode("utf-8", "replace")
    for secret in filter(None, hide):
        text = text.replace(secret, "…")
    line = one_line(text)
    return f": {line}" if line else ""
