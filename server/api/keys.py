"""The page's own key, `web/key` in the state folder: 32 random bytes, made by whoever needs it first.

What is signed with it names its purpose, so that a signature for one thing is none for another: `mac(web, b"…", text)`.
Another key than that of links in messages (edge/links.py): either can be thrown away without the other. Without its key
old cursors are refused, nothing else happens.
"""

import hmac
import os
import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path

from edge.errors import FatalError
from edge.foreign import foreign
from edge.i18n import _
from edge.paths import sync_dir

from ..web import Web

KEY_FILE = "key"
KEY_BYTES = 32  # as many as SHA-256 gives, RFC 2104


def mac(web: Web, purpose: bytes, text: bytes) -> bytes:
    """HMAC-SHA256 of the text for this purpose, 32 bytes. Raises FatalError when the key can't be read or made."""
    return hmac.new(_key(web.own_dir), purpose + b"\0" + text, sha256).digest()


@cache
def _key(folder: Path) -> bytes:
    path = folder / KEY_FILE
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as exc:
        raise FatalError(_("{path}: can't be read: {reason}").format(path=path, reason=foreign(exc))) from exc
    if len(key) < KEY_BYTES:
        raise FatalError(_("{path}: is no key of the web page: delete it, and a new one is made").format(path=path))
    return key


def _make(path: Path) -> None:
    """Whole or not at all, and of two processes the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(fresh)
    except FileExistsError:
        pass  # somebody was quicker; theirs is the key
    finally:
        fresh.unlink(missing_ok=True)
    sync_dir(path.parent)
