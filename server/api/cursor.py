"""Where the next part of a list begins: opaque, signed, bound to its list. Keyset paging, so no OFFSET and no COUNT.

A cursor is base64url of HMAC-SHA256 (16 bytes) and the JSON of the last row's key. It gives no rights: the query that
reads it applies those of whoever asks. Signing keeps what others make up from reaching SQL at all.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.exceptions import HTTPException

from edge.i18n import mark

from ..web import Web
from .keys import mac

Value = str | int | float | bool | datetime | None
MAC_BYTES = 16
LONGEST = 2000  # characters; a list's key is a few values
TIME = "t"  # how JSON says that a value is a time: {"t": "2026-11-22T05:00:00+00:00"}


def encode(web: Web, kind: str, values: Sequence[Value]) -> str:
    """The cursor after a row with this key. kind: the list's name, such as "sequences"."""
    known = [{TIME: each.astimezone(UTC).isoformat()} if isinstance(each, datetime) else each for each in values]
    body = json.dumps(known, separators=(",", ":"), allow_nan=False).encode()
    return base64.urlsafe_b64encode(_mac(web, kind, body) + body).rstrip(b"=").decode()


def decode(web: Web, kind: str, text: str) -> list[Value]:
    """The key that a cursor of this list was made of; times are aware. Raises HTTPException 400 for any other text."""
    if not text.isascii() or len(text) > LONGEST:
        raise _refused()
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise _refused() from exc
    body = whole[MAC_BYTES:]
    if not hmac.compare_digest(whole[:MAC_BYTES], _mac(web, kind, body)):
        raise _refused()
    return [datetime.fromisoformat(each[TIME]) if isinstance(each, dict) else each for each in json.loads(body)]


def _mac(web: Web, kind: str, body: bytes) -> bytes:
    return mac(web, b"cursor " + kind.encode(), body)[:MAC_BYTES]


def _refused() -> HTTPException:
    return HTTPException(400, mark("this cursor is none that this list gave: begin without one"))
