"""Fetch a file from a web server over a bad line: it goes on where it stopped, and is whole and right or not there.

In: a URL and what is known of the file. Out: the file, and its SHA-256. Until it is complete and checked, the bytes lie
in `<target>.part`, with the server's version tag in `<target>.tag`; both survive an interruption and nothing else.
"""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..foreign import foreign
from ..i18n import _
from .installed import sha256_of

TIMEOUT_S = 30  # without a byte; a line that is silent for longer is broken
ATTEMPTS = 4  # in one call, each going on where the last one stopped; the next call has four more
CHUNK_BYTES = 1 << 16
MAX_BYTES = 4 << 30  # when neither catalogue nor server says how large the file is
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
TRANSIENT = frozenset((408, 416, 425, 429, 500, 502, 503, 504))  # answers that may be others a moment later

Received = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Download:
    """What is fetched and what is known of it. sha256 "" and size_bytes 0: not known."""

    url: str
    target: Path
    sha256: str = ""
    size_bytes: int = 0

    @property
    def part(self) -> Path:
        """The bytes that are there so far."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def tag(self) -> Path:
        """The server's version of those bytes, so that two versions are never mixed."""
        return self.target.with_name(f"{self.target.name}.tag")

    def forget(self) -> None:
        """Remove what is there so far."""
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


class _Interrupted(Exception):
    """The line broke; what came is in the .part file."""


class _HttpsStays(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to something weaker."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.HTTPError(newurl, code, "redirect from https to an unsafe address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(wanted: Download, *, received: Received) -> str:
    """Bring the file to `wanted.target` and return its SHA-256.

    received: told (bytes so far, bytes in all or 0). Raises ModelError when the server refuses, when size or hash are
    wrong (nothing is left behind) or when the line stays broken (the .part file is left, the next call goes on there).
    """
    reason = ""
    for _attempt in range(ATTEMPTS):
        try:
            _receive(wanted, received)
            break
        except _Interrupted as exc:
            reason = str(exc)
    else:
        have = wanted.part.stat().st_size if wanted.part.exists() else 0
        if not have:
            raise ModelError(
                _("{url}: can't be reached ({reason}); is there a network?").format(url=wanted.url, reason=reason)
            )
        raise ModelError(
            _("{url}: broke off after {have} bytes ({reason}); the same command goes on from there").format(
                url=wanted.url, have=have, reason=reason
            )
        )
    return _accept(wanted)


def _accept(wanted: Download) -> str:
    """Check the complete .part file and give it its name."""
    found = sha256_of(wanted.part)
    if wanted.sha256 and found != wanted.sha256:
        wanted.forget()
        raise ModelError(
            _("{url}: sha256 is {found}, expected {expected}: refused, nothing was kept").format(
                url=wanted.url, found=found, expected=wanted.sha256
            )
        )
    wanted.part.replace(wanted.target)
    wanted.forget()
    return found


def _receive(wanted: Download, received: Received) -> None:
    """One request: append to the .part file until the file is complete. Raises _Interrupted when it is not."""
    have = _resumable_bytes(wanted)
    with _open(wanted, have) as response:
        start, total = _place(response, have)
        if wanted.size_bytes and total and total != wanted.size_bytes:
            wanted.forget()
            raise ModelError(
                _("{url}: the server has {total} bytes, expected {expected}: refused").format(
                    url=wanted.url, total=total, expected=wanted.size_bytes
                )
            )
        if tag := response.headers.get("ETag", ""):
            wanted.tag.write_text(tag, encoding="utf-8")
        _append(wanted, response, start=start, total=total or wanted.size_bytes, received=received)


def _resumable_bytes(wanted: Download) -> int:
    """How many bytes can be kept: all, when a hash or a version tag would show a mixture; else none."""
    if not wanted.part.exists():
        wanted.forget()
        return 0
    size = wanted.part.stat().st_size
    too_many = size >= (wanted.size_bytes or MAX_BYTES)
    if too_many or not (wanted.sha256 or wanted.tag.exists()):
        wanted.forget()
        return 0
    return size


def _open(wanted: Download, have: int) -> Any:
    headers = {"User-Agent": "tigrillo", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if wanted.tag.exists() and not (tag := wanted.tag.read_text(encoding="utf-8")).startswith("W/"):
            headers["If-Range"] = tag
    try:
        request = urllib.request.Request(wanted.url, headers=headers)  # noqa: S310  # because the opener knows http(s) only
        return _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == 416:  # the .part file is no beginning of what the server has now
            wanted.forget()
        if exc.code in TRANSIENT:
            raise _Interrupted(_("the server answers {code}").format(code=exc.code)) from exc
        raise ModelError(
            _("{url}: the server answers {code} {reason}; nothing was downloaded").format(
                url=wanted.url, code=exc.code, reason=exc.reason
            )
        ) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise _Interrupted(_reason(exc)) from exc


def _opener() -> urllib.request.OpenerDirector:
    """Like the default one, without file:, ftp: and data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        _HttpsStays,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _place(response: Any, have: int) -> tuple[int, int]:
    """Where the body starts in the file, and the file's size (0: not said)."""
    if response.status == 206:
        match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise _Interrupted(_("the server sent another range than asked for"))
        return have, int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else 0  # a server without Range support: from the start again


def _append(wanted: Download, response: Any, *, start: int, total: int, received: Received) -> None:
    have = start
    with wanted.part.open("r+b" if start else "wb") as sink:
        sink.seek(start)
        while chunk := _read(response):
            have += len(chunk)
            if have > (total or MAX_BYTES):
                break
            sink.write(chunk)
            received(have, total)
    if have > (total or MAX_BYTES):
        wanted.forget()
        raise ModelError(
            _("{url}: the server sends more than {most} bytes: refused").format(url=wanted.url, most=total or MAX_BYTES)
        )
    if have < total:
        raise _Interrupted(_("the connection was closed too early"))


def _read(response: Any) -> bytes:
    try:
        return bytes(response.read1(CHUNK_BYTES))
    except (OSError, http.client.HTTPException) as exc:
        raise _Interrupted(_reason(exc)) from exc


def _reason(exc: BaseException) -> str:
    return foreign(getattr(exc, "reason", "") or exc or type(exc).__name__)
