"""Pictures → a clip, each at its own time: what drawn parts of clips and the page's small ones are written with."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from ..model import U8

TICK = Fraction(1, 1000)
Encoder = Callable[[OutputContainer, U8], VideoStream]


@contextmanager
def clip_writer(
    target: Path, encoder: Encoder, *, container: str = "mp4", options: Mapping[str, str] | None = None
) -> Iterator[Callable[[U8, float], None]]:
    """A function that adds a picture, uint8 (height, width, 3), blue first, at a time in seconds.

    encoder: makes the stream for the first picture, by `new_stream`; all others get its size. container, options: of
    FFmpeg. Raises FFmpegError.
    """
    with av.open(f"file:{target}", "w", format=container, options=dict(options or {})) as out:
        streams: list[VideoStream] = []
        last = -1

        def write(bgr: U8, time_s: float) -> None:
            nonlocal last
            if not streams:
                streams.append(encoder(out, bgr))
            stream = streams[0]
            frame = av.VideoFrame.from_ndarray(_sized(bgr, stream.width, stream.height), "bgr24")
            last = max(last + 1, round(time_s / TICK))
            frame.pts, frame.time_base = last, TICK
            out.mux(stream.encode(frame))

        yield write
        for stream in streams:
            out.mux(stream.encode())


def new_stream(out: OutputContainer, bgr: U8, codec: str) -> VideoStream:
    """A stream for pictures like this one, their sides made even: colours have half the size."""
    stream = out.add_stream(codec, rate=30)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = max(2, bgr.shape[1] // 2 * 2), max(2, bgr.shape[0] // 2 * 2)
    stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TICK
    return stream


def _sized(bgr: U8, width: int, height: int) -> U8:
    """The picture, a column or row cut off, or scaled where the clip changed its size on the way."""
    part = bgr[:height, :width] if bgr.shape[0] - height in {0, 1} and bgr.shape[1] - width in {0, 1} else bgr
    if part.shape[:2] != (height, width):
        part = np.asarray(cv2.resize(part, (width, height)), np.uint8)
    return np.ascontiguousarray(part)
