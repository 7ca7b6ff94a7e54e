"""A recorded clip → one that every browser plays: small, silent, people hidden in each of its pictures.

Boxes of people are known for the pictures that were looked at; between two of them everybody of both is hidden, with a
box around both places (edge/tracking/between.py). H.264 in MP4 where FFmpeg has an encoder for it, else VP8 in WebM.
"""

import asyncio
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from edge.errors import DecodeError
from edge.media.blurred import hide_people
from edge.media.clips import open_clip
from edge.media.writing import clip_writer, new_stream
from edge.model import U8
from edge.tracking.between import Between

from .decode import fitted
from .derive import nothing_of
from .kept import Kept
from .known import Known

VERSION = 1
WIDTH_PX = 640
LONGEST_S = 600.0  # of a clip; what comes after is left out
MOST_FPS = 31.0  # pictures of cameras that take 60 a second are left out in between
THREADS = 1  # of decoder and encoder each: the daemon needs the others
MOST_WAITING = 50
H264: Final = ("libx264", "libopenh264")


def has_h264() -> bool:
    """Whether clips become MP4; else WebM."""
    return any(each in av.codecs_available for each in H264)


def clip_key(known: Known) -> str:
    """What names the derived clip: another one whenever its file, or what is hidden in it, is another."""
    boxes = [(number, [each.xywh_norm for each in found]) for number, found in sorted(known.hidden.items())]
    facts = (VERSION, has_h264(), known.sha256, known.path.name, known.everything, boxes)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:20]


def make_clip(known: Known, target: Path, *, max_pixels: int, stop: threading.Event) -> None:
    """Write the derived clip. Raises DecodeError (also when `stop` is set), OSError; target is as it was then."""
    between, count = Between(known.results), 0
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        with (
            open_clip(known.path, sample_fps=None, max_pixels=max_pixels, threads=THREADS) as clip,
            _writer(temporary) as write,
        ):
            last_s = -1.0
            for _number, time_s, picture in clip:
                if stop.is_set():
                    raise DecodeError(f"{known.path.name}: the page ends")
                if time_s > LONGEST_S:
                    break
                if time_s - last_s < 1 / MOST_FPS:
                    continue
                last_s = time_s
                small = fitted(picture.bgr(), WIDTH_PX)
                write(nothing_of(small) if known.everything else hide_people(small, between.people(time_s)), time_s)
                count += 1
        if not count:
            raise DecodeError(f"{known.path.name}: no picture in it can be decoded")
        temporary.replace(target)
    except av.error.FFmpegError as exc:
        raise DecodeError(f"{known.path.name}: can't be encoded: {exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)


def _writer(target: Path) -> AbstractContextManager[Callable[[U8, float], None]]:
    if not has_h264():
        return clip_writer(target, _encoder, container="webm")
    # the index in front, so that playing begins before all of it is there
    return clip_writer(target, _encoder, options={"movflags": "faststart"})


def _encoder(out: OutputContainer, bgr: U8) -> VideoStream:
    codec = next((each for each in H264 if each in av.codecs_available), "libvpx")
    stream = new_stream(out, bgr, codec)
    stream.codec_context.thread_count = THREADS
    if codec == "libx264":
        key_each = "60"  # pictures: one to jump to each 2 s
        stream.codec_context.options = {"crf": "28", "preset": "veryfast", "g": key_each}
    else:
        stream.codec_context.bit_rate = 600_000
        stream.codec_context.options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx" else {}
    return stream


class Projector:
    """Makes clips in the background, one at a time, each once; keeps them beside the pictures."""

    def __init__(self, kept: Kept, max_pixels: int) -> None:
        self.kept = kept
        self._max_pixels = max_pixels
        self._thread = ThreadPoolExecutor(1, "clips")
        self._lock = threading.Lock()
        self._making: dict[Path, Future[None]] = {}
        self._stop = threading.Event()

    def path_of(self, known: Known) -> Path:
        """Where the derived clip lies, or will."""
        suffix = ".mp4" if has_h264() else ".webm"
        return self.kept.path_of(known.pk, "clip", clip_key(known), suffix)

    async def within(self, known: Known, wait_s: float) -> bool:
        """Whether the clip is there, at the latest after `wait_s`; it goes on being made. Raises DecodeError."""
        path = self.path_of(known)
        with self._lock:
            future = self._making.get(path)
            if future is None:
                if len(self._making) >= MOST_WAITING or self._stop.is_set():
                    return False
                future = self._making[path] = self._thread.submit(self._make, known, path)
                future.add_done_callback(lambda _done: self._making.pop(path, None))
        done, _open = await asyncio.wait([asyncio.wrap_future(future)], timeout=wait_s)
        for each in done:
            each.result()
        return bool(done)

    def close(self) -> None:
        """Give up the one in hand, begin no other."""
        self._stop.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _make(self, known: Known, path: Path) -> None:
        if path.exists():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.kept.forget(path)
            make_clip(known, path, max_pixels=self._max_pixels, stop=self._stop)
        except OSError as exc:
            raise DecodeError(f"{known.path.name}: {exc.strerror or exc}") from exc
        self.kept.wrote(path.stat().st_size)
