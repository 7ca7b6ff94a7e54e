"""A part of a clip as a file of its own: copied as it is, or drawn and encoded anew.

Copying is quick and loses nothing, but begins at a key picture, and can't hide anybody.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from ..errors import DecodeError
from ..model import U8
from .clips import open_clip, open_container
from .writing import clip_writer, new_stream

LONGEST_LEAD_S = 10.0  # from the key picture to what was asked for; cameras write one a second, some one a clip
MAX_PIXELS = 120_000_000
Draw = Callable[[U8, float], U8]


class CannotCopy(Exception):
    """The part can't be copied; the text says why."""


def copy_part(source: Path, target: Path, *, start_s: float, end_s: float) -> float:
    """Copy the pictures from `start_s` to `end_s`, and the sound, without decoding; returns when the part begins.

    It begins at the key picture at or before `start_s`. target: of the same container, by its suffix. Raises CannotCopy
    with the reason; target is not there then.
    """
    try:
        begins_s, key_pts = _key_before(source, start_s)
        _copy_from(source, target, key_pts, end_s - begins_s)
        _look_at(target)
    except (av.error.FFmpegError, OSError, ValueError) as exc:
        target.unlink(missing_ok=True)
        raise CannotCopy(f"{type(exc).__name__}: {getattr(exc, 'strerror', None) or exc}") from exc
    except CannotCopy:
        target.unlink(missing_ok=True)
        raise
    return begins_s


def _look_at(copy: Path) -> None:
    """Raises CannotCopy or FFmpegError when there is no picture to be had from it."""
    with open_container(copy) as container:
        if next(container.decode(video=0), None) is None:
            raise CannotCopy("the copy has no picture")


def encode_part(source: Path, target: Path, *, start_s: float, end_s: float, draw: Draw) -> int:
    """Write the pictures from `start_s` to `end_s` as H.264 in MP4, each as `draw` returns it; how many they are.

    draw: (bgr, seconds into the source) → bgr. No sound. Every picture has the size of the first. Raises DecodeError.
    """
    count = 0
    with (
        open_clip(source, sample_fps=None, max_pixels=MAX_PIXELS, threads=2) as clip,
        clip_writer(target, _encoder) as write,
    ):
        for _number, time_s, picture in clip:
            if time_s > end_s:
                break
            if time_s >= start_s:
                write(draw(picture.bgr(), time_s), time_s - start_s)
                count += 1
    if not count:
        target.unlink(missing_ok=True)
        raise DecodeError(f"{source.name}: has no picture from {start_s:.1f} s to {end_s:.1f} s")
    return count


def _key_before(source: Path, start_s: float) -> tuple[float, int]:
    """(seconds, pts) of the last key picture at or before a time. Raises CannotCopy."""
    with open_container(source) as container:
        stream = container.streams.video[0]
        if stream.time_base is None:
            raise CannotCopy("its packets say no times")
        with open_container(source) as upright:
            if any(frame.rotation for frame in islice(upright.decode(video=0), 1)):
                raise CannotCopy("it lies on its side")
        first, found = None, None
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None:
                raise CannotCopy("its packets say no times")
            first = packet.pts if first is None else min(first, packet.pts)
            if packet.is_keyframe and (found is None or (packet.pts - first) * stream.time_base <= start_s):
                found = packet.pts
            elif packet.is_keyframe:
                break
    if first is None or found is None:
        raise CannotCopy("it has no key picture")
    begins_s = float((found - first) * stream.time_base)
    if start_s - begins_s > LONGEST_LEAD_S:
        raise CannotCopy(f"no key picture within {LONGEST_LEAD_S:g} s before")
    return begins_s, found


def _copy_from(source: Path, target: Path, key_pts: int, length_s: float) -> None:
    with open_container(source) as container, av.open(f"file:{target}", "w") as out:
        video = container.streams.video[0]
        ways: dict[int, Stream] = {video.index: _like(out, video)}
        for audio in container.streams.audio:
            if audio.codec_context is not None and audio.codec_context.name in out.supported_codecs:
                ways[audio.index] = _like(out, audio)
        _mux(container, out, video, ways, key_pts, length_s)


def _like(out: OutputContainer, stream: Stream) -> Stream:
    return out.add_stream_from_template(stream)


def _mux(
    container: InputContainer,
    out: OutputContainer,
    video: VideoStream,
    ways: dict[int, Stream],
    key_pts: int,
    length_s: float,
) -> None:
    assert video.time_base is not None
    zero: float | None = None  # seconds, of the key picture's dts
    last_s = float(key_pts * video.time_base) + length_s
    streams = [container.streams[index] for index in ways]
    for packet in _with_dts(container.demux(streams), video.index):
        if packet.dts is None or packet.pts is None or packet.time_base is None:
            continue
        if packet.stream.index == video.index:
            if zero is None and packet.pts == key_pts and packet.is_keyframe:
                zero = float(packet.dts * packet.time_base)
            if packet.pts < key_pts:  # they lean on the group before
                continue
            if float(packet.dts * packet.time_base) > last_s:
                break
        if zero is None or float(packet.pts * packet.time_base) < zero or packet.pts * packet.time_base > last_s:
            continue
        shift = round(zero / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = ways[packet.stream.index]
        out.mux(packet)
    if zero is None:
        raise CannotCopy("its key pictures can't be found again")


def _with_dts(packets: "Iterator[Packet[Any]]", video: int) -> "Iterator[Packet[Any]]":
    """The packets, those of the video that come first and do not say when they are decoded with a time before others.

    Matroska keeps no such times, and FFmpeg can only guess them once it has seen enough pictures.
    """
    waiting: list[Packet[Any]] = []
    for packet in packets:
        if not packet.size:
            continue
        if packet.stream.index == video and packet.dts is None:
            waiting.append(packet)
            continue
        if packet.stream.index == video and waiting and packet.dts is not None:
            step = max(1, packet.duration or 1)
            for place, each in enumerate(waiting):
                each.dts = packet.dts - (len(waiting) - place) * step
                yield each
            waiting.clear()
        yield packet
    for place, each in enumerate(waiting):  # none of them said anything
        each.dts = place if each.pts is None else min(each.pts, place)
        yield each


def _encoder(out: OutputContainer, bgr: U8) -> VideoStream:
    free = "libx264" in av.codecs_available
    stream = new_stream(out, bgr, "libx264" if free else "mpeg4")
    if free:
        stream.codec_context.options = {"crf": "21", "preset": "veryfast"}
    else:
        stream.codec_context.bit_rate = 8_000_000
    return stream
