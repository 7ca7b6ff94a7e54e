"""How the `twilio` package reaches Twilio here: one fresh connection a request, bounded in time and size.

Fresh, because a kept connection that died meanwhile leaves open whether a message was taken. What happened is told by
three errors: `NotSent` (surely not taken), `TooBusy` (surely not taken, come back later), `FateUnknown`.
"""

import http.client
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from edge.api import NotifyError

if TYPE_CHECKING:
    from twilio.http.response import Response

TWILIO = "https://api.twilio.com"
MOST_BYTES = 4_000_000  # of an answer; a page of 200 messages takes about 300 kB
LONGEST_PAUSE_S = 3600.0  # however long a Retry-After asks for, an alert is worth another look within the hour
TOO_MANY, ERROR = 429, 500  # RFC 6585, RFC 9110


class NotSent(NotifyError):
    """Twilio could not be reached; it has not taken the message."""


class TooBusy(NotifyError):
    """Twilio asks for patience (429); such a request is never processed (twilio.com/docs/api/errors/20429)."""


class FateUnknown(NotifyError):
    """The request went out and no clear answer came back: the message may be on its way, or not."""


@dataclass(slots=True)
class BoundedHttp:
    """The `http_client` of a twilio Client. base: where Twilio is, another region or a test's own server.

    is_async: read by the package. May be used from several threads.
    """

    base: str
    timeout_s: float
    is_async: bool = False
    _tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,  # noqa: ARG002  # because the package passes it; none is followed here
    ) -> "Response":
        """The answer, whatever its status but 429 and 5xx. Raises NotSent, TooBusy, FateUnknown."""
        from twilio.http.response import Response  # noqa: PLC0415  # because it takes 19 MB that most sites don't need

        deadline = time.monotonic() + (timeout or self.timeout_s)
        url = urlsplit(self.base + uri.removeprefix(TWILIO))
        query = urlencode(params or {}, doseq=True)
        target = (url.path or "/") + (f"?{query}" if query else f"?{url.query}" if url.query else "")
        body = urlencode(data, doseq=True).encode() if data else None
        connection = self._connect(url.scheme, url.netloc, timeout or self.timeout_s)
        try:
            connection.request(method.upper(), target, body, {**(headers or {}), **_login(auth)})
            _hurry(connection, deadline)
            answer = connection.getresponse()
            text = _read(connection, answer, deadline).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as exc:
            raise FateUnknown(f"Twilio: {_explain(exc)}") from exc
        finally:
            connection.close()
        if answer.status == TOO_MANY:
            raise TooBusy("Twilio: too many requests (429)", again_in_s=_retry_after(answer.headers))
        if answer.status >= ERROR:
            raise FateUnknown(f"Twilio: error {answer.status} on its side", again_in_s=_retry_after(answer.headers))
        return Response(answer.status, text, dict(answer.headers))

    def _connect(self, scheme: str, host: str, timeout_s: float) -> http.client.HTTPConnection:
        if scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, timeout=timeout_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(host, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as exc:
            connection.close()
            raise NotSent(f"Twilio at {host}: {_explain(exc)}") from exc
        return connection


def _login(auth: tuple[str, str] | None) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(":".join(auth).encode()).decode()} if auth else {}


def _hurry(connection: http.client.HTTPConnection, deadline: float) -> None:
    """Wait for the next bytes until the deadline and no longer. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if connection.sock is not None:  # None once the answer is all there
        connection.sock.settimeout(left)


def _read(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, deadline: float) -> bytes:
    pieces, size = [], 0
    while piece := answer.read1(65536):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise http.client.HTTPException("its answer is too long")
        _hurry(connection, deadline)
    return b"".join(pieces)


def _retry_after(headers: http.client.HTTPMessage) -> float | None:
    """Seconds that the answer asks for, as number or date (RFC 9110, 10.2.3); None when it says nothing usable."""
    told = str(headers.get("Retry-After", "")).strip()
    if told.isascii() and told.isdigit():
        return min(float(told), LONGEST_PAUSE_S)
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    left = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return min(max(left, 0.0), LONGEST_PAUSE_S)


def _explain(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({exc.verify_message})"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return str(exc) or type(exc).__name__
