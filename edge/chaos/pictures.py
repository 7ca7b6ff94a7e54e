"""Stills of which no two are alike, small to decode and of any size: a tiny JPEG with random bytes in its comments."""

import hashlib
import random
from pathlib import Path

import numpy as np
import simplejpeg

COMMENT_BYTES = 65_533  # the most that one comment of a JPEG holds
SMALL_BYTES, LARGE_BYTES = 8_000, 1_150_000  # a message, and a frame that has to go in two chunks


def make_pictures(folder: Path, *, count: int, large_every: int, seed: str) -> dict[str, str]:
    """Write `count` stills of about 8 KB, every so many-th of 1.15 MB, into `folder`; name → SHA-256."""
    chance = random.Random(seed)  # noqa: S311  # because the same seed gives the same pictures
    grey = np.full((24, 32, 3), 96, np.uint8)
    tiny = simplejpeg.encode_jpeg(grey, quality=80, colorspace="BGR")
    folder.mkdir(parents=True)
    made = {}
    for number in range(1, count + 1):
        body = padded(tiny, LARGE_BYTES if number % large_every == 0 else SMALL_BYTES, chance)
        path = folder / f"{number:06}.jpg"
        path.write_bytes(body)
        made[path.name] = hashlib.sha256(body).hexdigest()
    return made


def padded(jpeg: bytes, size_bytes: int, chance: random.Random) -> bytes:
    """The same picture, with comments of random bytes after its first two until it has about `size_bytes`."""
    parts, left = [jpeg[:2]], max(1, size_bytes - len(jpeg))
    while left > 0:
        comment = chance.randbytes(min(left, COMMENT_BYTES))
        parts += [b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment]
        left -= len(comment) + 4
    return b"".join([*parts, jpeg[2:]])
