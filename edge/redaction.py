"""Secrets that can't be shown: a type whose text has to be asked for, and a net for what slips through.

`SecretText` shows ••• wherever it is printed, formatted, logged or dumped. Below it lies the net: each secret that was
read is known to this process, and `redacted` takes it out of any text. Logs, the reasons of failures and all that the
command line prints go through it.
"""

import json
import re
import threading
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

SHOWN = "•••"
SHORTEST = 6  # characters; taking shorter ones out of every text would make logs unreadable and give the secret away

_lock = threading.Lock()
_known: set[str] = set()  # bounded by the site: a secret is a key in its YAML
_pattern: re.Pattern[str] | None = None


class SecretText:
    """A secret in memory. Only `expose()` gives its text; everything else says •••."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        remember(text)
        self._text = text

    def expose(self) -> str:
        """The secret itself, for the call that needs it and for nothing else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return SHOWN

    def __str__(self) -> str:
        return SHOWN

    def __format__(self, spec: str) -> str:
        return SHOWN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((SecretText, self._text))

    def __deepcopy__(self, memo: object) -> "SecretText":  # `dataclasses.asdict` copies what it finds
        return self

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a secret is not pickled")


def remember(secret: str) -> None:
    """Take `secret` out of every text from now on, also as it stands in JSON, in a URL and in a repr.

    Secrets of fewer than 6 characters are left to their type.
    """
    global _pattern  # noqa: PLW0603  # because the net is the process's, as its standard error is
    forms = {each for each in _forms_of(secret) if len(each) >= SHORTEST}
    with _lock:
        if not forms <= _known:
            _known.update(forms)
            # longest first: one secret may begin with another
            _pattern = re.compile("|".join(map(re.escape, sorted(_known, key=len, reverse=True))))


def _forms_of(secret: str) -> set[str]:
    return {
        secret,
        secret.strip(),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }


def redacted(text: str) -> str:
    """`text` with ••• for each secret that this process has read."""
    return text if _pattern is None else _pattern.sub(SHOWN, text)


def redacted_value(value: Any) -> Any:
    """The same for the texts in mappings, lists and tuples, keys too; what is none of these stays as it is."""
    if _pattern is None:
        return value
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted_value(key): redacted_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted_value(each) for each in value]
    if isinstance(value, tuple):
        return tuple(redacted_value(each) for each in value)
    return value


def guard(stream: TextIO) -> None:
    """Let nothing through this stream but what `redacted` leaves, whoever writes to it; tracebacks too."""
    plain = stream.write

    def write(text: str) -> int:
        return plain(redacted(text))

    setattr(stream, "write", write)  # noqa: B010  # because mypy takes a method for a constant
