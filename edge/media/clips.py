"""Clips: a video file as pictures, one after the other, none of them converted before somebody asks.

Decoding is cheap beside converting to BGR (about 1 : 3 at 1080p), so a picture keeps the decoder's frame and gives its
luma plane as a view; colours are made on first use. Only containers that trap cameras write are opened, and only local
files: a playlist renamed to .mp4 must not make us fetch its entries. Of long clips only what is needed is decoded, see
edge/media/survey.py.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import DecodeError
from ..model import U8, Matrix, Picture, Yuv420
from .survey import Route, next_due_s, route, survey

CONTAINERS = "avi,asf,mov,mp4,matroska,webm,mpegts,mpeg"
# Pixel formats whose first plane is 8-bit brightness.
LUMA_FIRST: Final = frozenset(
    {"gray", "nv12", "nv21", "nv16", "nv24", "yuva420p", "yuva422p", "yuva444p"}
    | {f"yuv{j}{sampling}p" for j in ("", "j") for sampling in (410, 411, 420, 422, 440, 444)}
)
# Those whose planes a device makes the colours of, and the matrices and ranges that it knows, by FFmpeg's numbers
# (libavutil/pixfmt.h); what says nothing is BT.601 and limited, as swscale has it.
YUV420: Final = frozenset({"yuv420p", "yuvj420p"})
MATRICES: Final[dict[int, Matrix]] = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601"}
FULL_RANGE = 2
# The display matrix turns counter-clockwise by these degrees.
TURNS: Final = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}
# Containers round their duration and cameras miscount by a picture or two; more is missing for a reason.
TOLERATED_PICTURES = 2
TOLERATED_SHARE = 0.02


@dataclass(slots=True, eq=False)
class ClipPicture:
    """One decoded picture of a clip (edge.model.Picture); lives from its decoder's frame, which it keeps."""

    frame: VideoFrame = field(repr=False)
    damage: str = ""
    _bgr: U8 | None = field(default=None, repr=False)

    @property
    def width(self) -> int:
        """Pixels across, upright."""
        return self.frame.height if abs(self.frame.rotation) == 90 else self.frame.width

    @property
    def height(self) -> int:
        """Pixels down, upright."""
        return self.frame.width if abs(self.frame.rotation) == 90 else self.frame.height

    def bgr(self) -> U8:
        """uint8 (height, width, 3), blue first, upright; converted on first use and kept."""
        if self._bgr is None:
            self._bgr = self._upright(np.asarray(self.frame.to_ndarray(format="bgr24"), dtype=np.uint8))
        return self._bgr

    def luma(self) -> U8:
        """uint8 (height, width), read-only: the decoder's Y plane as it is, so 16..235 in limited-range clips.

        A view without a copy, unless the clip is turned; a format without such a plane is converted, to 0..255.
        """
        frame = self.frame if self.frame.format.name in LUMA_FIRST else self.frame.reformat(format="gray")
        return self._upright(_rows(frame, 0)[:, : frame.width])

    def decoded(self) -> Yuv420 | None:
        """The decoder's planes, read-only; None when the clip is turned, or has another sampling or matrix.

        None, too, where swscale makes the colours in another way than a device: with odd sides, or from NV12.
        """
        frame, matrix = self.frame, MATRICES.get(int(self.frame.colorspace))
        if frame.format.name not in YUV420 or matrix is None or frame.rotation or frame.width % 2 or frame.height % 2:
            return None
        full = frame.format.name == "yuvj420p" or int(frame.color_range) == FULL_RANGE
        planes = tuple(_rows(frame, number) for number in range(len(frame.planes)))
        return Yuv420(planes, frame.width, matrix, full)

    def _upright(self, pixels: U8) -> U8:
        turn = TURNS.get(self.frame.rotation)
        return pixels if turn is None else np.asarray(cv2.rotate(pixels, turn), dtype=np.uint8)


def _rows(frame: VideoFrame, number: int) -> U8:
    """A plane as uint8 (rows, bytes to the next row), a view that can't be written to."""
    plane = frame.planes[number]
    rows: U8 = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]
    rows.flags.writeable = False  # the decoder predicts its next pictures from these bytes
    return rows


@dataclass(slots=True, eq=False)
class VideoClip:
    """An opened clip (edge.services.Clip). Its pictures come once, in order. route: of a long one, what is decoded."""

    container: InputContainer
    stream: VideoStream
    sample_fps: float | None
    frame_rate: float | None
    route: Route | None = None
    _rest: Iterator[VideoFrame] = field(default_factory=lambda: iter(()))
    _count: int = 0
    _broken: int = 0
    _end_s: float = 0.0
    _cut: str = ""
    _started: bool = False

    @property
    def damage(self) -> str:
        """What could not be read so far, in words; final once all pictures were taken."""
        broken = f"corrupt data in {self._broken} places" if self._broken else ""
        return "; ".join(filter(None, (self._cut, broken)))

    def __iter__(self) -> Iterator[tuple[int, float, Picture]]:
        """(number, seconds, picture) of the pictures that are to be looked at; number counts all that were decoded."""
        if self._started:
            raise RuntimeError("a clip's pictures can be taken once: open it again")
        self._started = True
        for number, time_s, frame in self._due() if self.route is None else self._routed(self.route):
            yield number, time_s, _picture(frame)
        self._cut = self._shortage()

    def _due(self) -> Iterator[tuple[int, float, VideoFrame]]:
        due_s, half_step_s = 0.0, self._half_step_s()
        for number, time_s, frame in self._timed():
            if self.sample_fps is None:
                yield number, time_s, frame
            elif time_s + half_step_s >= due_s:
                due_s = next_due_s(time_s, sample_fps=self.sample_fps, half_step_s=half_step_s)
                yield number, time_s, frame

    def _routed(self, way: Route) -> Iterator[tuple[int, float, VideoFrame]]:
        for frame in self._rest:
            if frame.pts in way.wanted:
                self._broken += frame.is_corrupt  # others may lean on what was never decoded
                yield *way.wanted[frame.pts], frame
        self._count, self._end_s = way.count, way.end_s + 2 * self._half_step_s()

    def read_first(self) -> bool:
        """Decode up to the first picture; whether there is one."""
        self._rest = self._frames()
        for first in self._rest:
            self._rest = itertools.chain([first], self._rest)
            return True
        return False

    def _half_step_s(self) -> float:
        return 0.5 / self.frame_rate if self.frame_rate else 0.0

    def _timed(self) -> Iterator[tuple[int, float, VideoFrame]]:
        """Number the pictures; their times never run backwards, whatever a damaged file says."""
        step_s = 2 * self._half_step_s()
        time_s, start_s = -step_s, None
        for frame in self._rest:
            stated_s = frame.time
            if start_s is None:
                start_s = stated_s or 0.0
            ahead_s = time_s + step_s if stated_s is None else stated_s - start_s
            time_s = ahead_s if ahead_s > time_s else time_s + step_s
            number, self._count = self._count, self._count + 1
            self._broken += frame.is_corrupt
            self._end_s = time_s + step_s
            yield number, time_s, frame

    def _frames(self) -> Iterator[VideoFrame]:
        needed = iter(self.route.needed) if self.route else itertools.repeat(True)
        is_fresh = True  # the decoder has seen nothing since it began, or began anew
        for packet in self._packets():
            if not (next(needed, False) if packet.size else not is_fresh):
                if not is_fresh:
                    yield from self._decoded(None)
                    self.stream.codec_context.flush_buffers()  # the next group knows nothing of this one
                    is_fresh = True
                continue
            is_fresh = False
            self._broken += packet.is_corrupt
            yield from self._decoded(packet)

    def _decoded(self, packet: "Packet[VideoStream] | None") -> Iterator[VideoFrame]:
        """The pictures that a packet brings out; None: all that the decoder still holds."""
        try:
            yield from self.stream.codec_context.decode(packet)
        except av.error.FFmpegError:  # one packet is lost; the next key picture puts the decoder right
            self._broken += 1

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Packets up to the end, or up to where the file can't be followed any more."""
        try:
            yield from self.container.demux(self.stream)
        except av.error.FFmpegError:
            self._broken += 1

    def _shortage(self) -> str:
        """Whether clearly fewer pictures came than the header promised: "" or a sentence."""
        promised = self.stream.frames
        if promised and promised - self._count > max(TOLERATED_PICTURES, promised * TOLERATED_SHARE):
            return f"truncated: {self._count} of {promised} pictures"
        length_s = (self.container.duration or 0) / av.time_base
        slack_s = max(TOLERATED_PICTURES * 2 * self._half_step_s(), length_s * TOLERATED_SHARE)
        if self.frame_rate and length_s - self._end_s > slack_s:
            return f"truncated: pictures end at {self._end_s:.1f} s of {length_s:.1f} s"
        return ""


def open_container(path: Path) -> InputContainer:
    """Open a video file for reading; to be used in a `with`. Raises FFmpegError or OSError."""
    return av.open(
        f"file:{path}",  # so that a name like "concat:..." stays a name
        options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
        metadata_errors="replace",
    )


def _picture(frame: VideoFrame) -> ClipPicture:
    return ClipPicture(frame, "corrupt data" if frame.is_corrupt else "")


@contextmanager
def open_clip(
    path: Path, *, sample_fps: float | None, max_pixels: int, threads: int, budget: int | None = None
) -> Iterator[VideoClip]:
    """Open a video file and decode its first picture.

    sample_fps: pictures a second to look at, None for every one; a clip with fewer gives all it has. threads: of the
    decoder. budget: pictures of one clip, so that a long one is looked at where the most moves; None: no bound. Raises
    DecodeError when there is no picture in it, or when pictures have more than `max_pixels`.
    """
    try:
        container = open_container(path)
    except (av.error.FFmpegError, OSError) as exc:
        raise DecodeError(_why_not_opened(path, exc)) from exc
    with container:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise DecodeError(f"{path.name}: has no video, only other streams: delete it, or look at it by hand")
        if stream.width * stream.height > max_pixels:
            raise DecodeError(
                f"{path.name}: {stream.width}x{stream.height} pixels, allowed are {max_pixels}: "
                "raise max_pixels, or delete it"
            )
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        stream.codec_context.options = {"max_pixels": str(max_pixels)}  # the size may change on the way
        rate = float(stream.average_rate or stream.guessed_rate or 0) or None
        way = _route(path, container, sample_fps, rate, budget)
        clip = VideoClip(container, stream, sample_fps, rate, way)
        if not clip.read_first():
            raise DecodeError(
                f"{path.name}: no picture in it can be decoded: copy it again from the card, or delete it"
            )
        yield clip


def _route(
    path: Path, container: InputContainer, sample_fps: float | None, rate: float | None, budget: int | None
) -> Route | None:
    """The way through a clip that has more pictures than the budget; None where all of it is decoded."""
    length_s = container.duration / av.time_base if container.duration else float("inf")
    if sample_fps is None or budget is None or length_s * sample_fps <= budget:
        return None
    try:
        with open_container(path) as again:
            stream = again.streams.video[0]
            coded = survey(again, stream)
            step_s = float(stream.time_base) if stream.time_base else None
    except (av.error.FFmpegError, OSError):
        return None  # decoding gets through damaged files further, and says what is wrong
    if coded is None or step_s is None:
        return None
    return route(
        coded, time_base_s=step_s, sample_fps=sample_fps, half_step_s=0.5 / rate if rate else 0.0, budget=budget
    )


def _why_not_opened(path: Path, exc: Exception) -> str:
    """One line for a file that the demuxer refused."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        return f"{path.name}: can't be read: {error.strerror}: check the file and its disk"
    if not head:
        return f"{path.name}: empty file (0 bytes): copy it again from the card, or delete it"
    if head[4:8] == b"ftyp":
        return f"{path.name}: MP4 that was cut before its index was written: repair it with untrunc, or delete it"
    return f"{path.name}: no clip that can be opened (begins with {head!r}; {exc}): copy it again from the card"
