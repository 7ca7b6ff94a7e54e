"""Bytes that were refused, kept for a person to look at, up to a bound, so that a flood fills no disk."""

import hashlib
import os
from pathlib import Path

from ..paths import write_atomically

ID_DIGITS = 24  # of the SHA-256, as file name: the same bytes are kept once
MOST_FILES = 1_000
MOST_BYTES = 1_000_000_000


class KeptRefusals:
    """A folder of refused bodies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.part"):  # of a kill -9
            leftover.unlink()

    def keep(self, body: bytes) -> str:
        """Keep the bytes and return their path; "" when there are none, when there is no room, or when it fails."""
        if not body:
            return ""
        path = self._folder / f"{hashlib.sha256(body).hexdigest()[:ID_DIGITS]}.bin"
        try:
            sizes = [entry.stat().st_size for entry in os.scandir(self._folder)]
            if len(sizes) >= MOST_FILES or sum(sizes) + len(body) > MOST_BYTES:
                return ""
            write_atomically(path, body)
        except OSError:
            return ""  # a full disk keeps frames out already; the reason is worth more than the bytes
        return str(path)
