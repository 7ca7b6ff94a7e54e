"""A small picture of a still, for cameras that give none. Needs Pillow; without it there is no thumbnail."""

import importlib
import io
import logging

log = logging.getLogger(__name__)
SIZE_PX = (480, 480)  # the longer side; 10 to 30 KB of JPEG
QUALITY = 70
MOST_PIXELS = 100_000_000  # of the still; more is no camera's picture


def make_thumbnail(body: bytes) -> bytes:
    """A JPEG of at most 480 × 480 pixels; empty when Pillow is missing or the still can't be read."""
    try:
        image_module = importlib.import_module("PIL.Image")
    except ImportError:
        return b""
    try:
        with image_module.open(io.BytesIO(body)) as image:
            if image.width * image.height > MOST_PIXELS:
                return b""
            image.draft("RGB", SIZE_PX)  # a JPEG is decoded at an eighth of its size where that is enough
            image.thumbnail(SIZE_PX)
            out = io.BytesIO()
            image.convert("RGB").save(out, "JPEG", quality=QUALITY)
            return out.getvalue()
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as exc:
        log.debug("thumbnail.not_made reason=%r", str(exc))
        return b""
