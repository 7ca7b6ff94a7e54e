"""USB (V4L2) and network (RTSP) cameras, read by the ffmpeg program.

Why a program and not OpenCV: it hands on the JPEG that a USB camera made, byte for byte, where OpenCV decodes and
compresses again; one tool serves both kinds; it needs no NumPy and no wheel of 50 MB; and a driver that hangs hangs in
a process of its own, which is ended. Its output is multipart JPEG, each picture with its length in front.
"""

import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from .. import needs
from ..hardware_config import Burst, Clip, RtspSettings, V4l2Settings
from .base import CameraError, Luma, Shot
from .preroll import Packet, PreRoll, fragmented_mp4

log = logging.getLogger(__name__)
ANSWER_S = 10.0
LUMA = (64, 36)
LUMA_PER_S = 4
LONGEST_JPEG = 32_000_000
LAST_WORDS = 400  # characters of ffmpeg's own complaint in ours


def v4l2_input(settings: V4l2Settings) -> list[str]:
    """Options of ffmpeg that open a USB camera."""
    size = "x".join(map(str, settings.size))
    asked = ["-input_format", settings.format, "-video_size", size, "-framerate", f"{settings.per_s:g}"]
    return ["-f", "v4l2", *asked, "-i", str(settings.device)]


def rtsp_input(settings: RtspSettings) -> list[str]:
    """Options of ffmpeg that open a network camera, over TCP: a lost UDP packet spoils pictures. Raises CameraError."""
    url = settings.url
    if settings.url_file is not None:
        try:
            url = settings.url_file.read_text("utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise CameraError(f"camera.url_file: {settings.url_file}: can't be read: {exc}") from exc
    return ["-rtsp_transport", "tcp", "-i", url]


class FfmpegCamera:
    """See Camera. input_options: what stands before ffmpeg's outputs. copy: the camera's pictures are JPEG already."""

    def __init__(
        self,
        input_options: list[str],
        *,
        name: str,
        copy: bool,
        per_s: float,
        standby: str,
        warm_up_s: float,
        burst: Burst,
        clip: Clip | None,
        with_luma: bool,
    ) -> None:
        self.name = name
        self._program = needs.program("ffmpeg", wanted_by="camera")
        if clip:
            needs.load("av", wanted_by="camera.clip")
        self._input = input_options
        self._encode = ["-c:v", "copy"] if copy else ["-c:v", "mjpeg", "-q:v", "3", "-r", f"{per_s:g}"]
        self._standby = standby
        self._warm_up_s = warm_up_s
        self._burst = burst
        self._clip = clip
        self._with_luma = with_luma
        self._preroll = PreRoll(before_s=clip.before_s) if clip else None
        self._stream: _Stream | None = None

    def start(self) -> None:
        """Open the camera and wait for its first picture. Raises CameraError."""
        if self._standby == "running":
            self._run()

    def capture(self, index: int, *, night: bool = False) -> Iterator[Shot] | None:
        """The pictures of one trigger, then its clip; see Camera."""
        del night
        return self._shots(index)

    def luma(self) -> Luma | None:
        """The newest small picture, a quarter of a second old; None while the camera is off. Raises CameraError."""
        if self._stream is None:
            return None
        if self._stream.ended:
            raise CameraError(f"{self.name}: {self._stream.last_words}")
        return self._stream.luma

    def close(self) -> None:
        """End ffmpeg."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _run(self) -> "_Stream":
        if self._stream is None:
            outputs = ["-map", "0:v:0", *self._encode, "-f", "mpjpeg", "pipe:1"]
            command = [self._program, "-nostdin", "-loglevel", "error", *self._input, *outputs]
            self._stream = _Stream(command, with_luma=self._with_luma, preroll=self._preroll)
            try:
                self._stream.next_picture(after=time.monotonic(), name=self.name)
            except CameraError:
                self.close()
                raise
            time.sleep(self._warm_up_s)
        return self._stream

    def _shots(self, index: int) -> Iterator[Shot]:
        try:
            stream, start = self._run(), time.monotonic()
            if self._preroll:
                self._preroll.begin()
            for number in range(self._burst.count):
                moment = start + number / self._burst.per_s
                body = stream.next_picture(after=moment, name=self.name)
                yield Shot(body, "still", f"{index:08d}-{number}.jpg")
            if self._preroll and self._clip:
                time.sleep(max(0.0, start + self._clip.after_s - time.monotonic()))
                packets = self._preroll.take()
                if packets:
                    size = jpeg_size(packets[0].body)
                    yield Shot(fragmented_mp4(packets, codec="mjpeg", size=size), "clip", f"{index:08d}.mp4")
        except CameraError:
            self.close()  # opened again for the next picture
            raise
        finally:
            if self._preroll:
                self._preroll.end()
            if self._standby == "stopped":
                self.close()


class _Stream:
    """One running ffmpeg and the threads that read it. Keeps the newest picture only, and the ring of the clip."""

    def __init__(self, command: list[str], *, with_luma: bool, preroll: PreRoll | None) -> None:
        self.luma: Luma | None = None
        self._preroll = preroll
        self._changed = threading.Condition()
        self._newest: tuple[float, bytes] | None = None
        self.ended = False
        self._luma_end, luma_in = os.pipe()
        if with_luma:
            width, height = LUMA
            small = f"fps={LUMA_PER_S},scale={width}:{height}:flags=area,format=gray"
            command = [*command, "-map", "0:v:0", "-vf", small, "-f", "rawvideo", f"pipe:{luma_in}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[luma_in]
        )
        os.close(luma_in)
        self._words = b""
        readers = (self._read_pictures, self._read_luma, self._read_words)
        self._threads = [threading.Thread(target=each, name="ffmpeg", daemon=True) for each in readers]
        for thread in self._threads:
            thread.start()

    def next_picture(self, *, after: float, name: str) -> bytes:
        """The first picture that arrives later than `after` (monotonic seconds). Raises CameraError."""
        with self._changed:
            limit = max(after, time.monotonic()) + ANSWER_S
            while self._newest is None or self._newest[0] <= after:
                left = limit - time.monotonic()
                if self.ended or left <= 0:
                    reason = self.last_words if self.ended else f"no picture within {ANSWER_S:g} s"
                    raise CameraError(f"{name}: {reason}")
                self._changed.wait(left)
            return self._newest[1]

    @property
    def last_words(self) -> str:
        """What ffmpeg complained of last."""
        return without_password(self._words.decode("utf-8", "replace").strip()) or "ffmpeg ended"

    def close(self) -> None:
        """End the process: asked once, then killed."""
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(5)
        os.close(self._luma_end)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read_pictures(self) -> None:
        assert self._process.stdout is not None
        for body in pictures_of(self._process.stdout):
            now = time.monotonic()
            if self._preroll:
                self._preroll.add(Packet(body, is_key=True, at_us=round(now * 1e6)))
            with self._changed:
                self._newest = (now, body)
                self._changed.notify_all()
        self._process.wait()
        self._threads[2].join(1)  # its last words first
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _read_luma(self) -> None:
        length = LUMA[0] * LUMA[1]
        pending = b""
        while piece := os.read(self._luma_end, 65_536):
            pending += piece
            while len(pending) >= length:
                self.luma, pending = Luma(*LUMA, pending[:length]), pending[length:]

    def _read_words(self) -> None:
        assert self._process.stderr is not None
        while piece := self._process.stderr.read1(4096):  # type: ignore[attr-defined]
            self._words = (self._words + piece)[-LAST_WORDS:]


def pictures_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The JPEG files of a multipart stream, until it ends or is none."""
    length = 0
    while line := stream.readline(1000):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            with suppress(ValueError):
                length = int(value)
        elif not line.strip() and length:
            if length > LONGEST_JPEG:
                return
            body = stream.read(length)
            if len(body) < length:
                return
            yield body
            length = 0


def jpeg_size(body: bytes) -> tuple[int, int]:
    """Width and height out of a JPEG's frame header. Raises CameraError when it has none."""
    at = 2
    while at + 9 < len(body) and body[at] == 0xFF:
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(body[at + 7 : at + 9], "big"), int.from_bytes(body[at + 5 : at + 7], "big")
        at += 2 + length
    raise CameraError("what the camera gave is no JPEG")


def without_password(text: str) -> str:
    """The text with name and password of every address left out: it goes into logs and to the server."""
    words = (f"{scheme}://…@{rest}" if at else word for word in text.split(" ") for scheme, at, rest in [_split(word)])
    return " ".join(words)


def _split(word: str) -> tuple[str, str, str]:
    scheme, there, rest = word.partition("://")
    before, at, after = rest.rpartition("@")
    return (scheme, at, after) if there and before else ("", "", word)
