"""The last seconds of encoded video in memory, and a fragmented MP4 made of them.

Fragmented, because of a plain MP4 that was cut off nothing can be played, of a fragmented one all whole fragments.
"""

import io
import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .. import needs

MOST_BYTES = 64_000_000  # of video in memory, whatever its bit rate
MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture. at_us: microseconds on the camera's own clock."""

    body: bytes
    is_key: bool
    at_us: int


class PreRoll:
    """A ring of packets: `add` from the encoder's thread, `begin` and `take` from the agent's.

    Holds the packets of the last `before_s`; from `begin` on all of them, until `take`. Bounded by MOST_BYTES.
    """

    def __init__(self, *, before_s: float) -> None:
        self._before_us = round(before_s * 1e6)
        self._lock = threading.Lock()
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._recording = False

    def add(self, packet: Packet) -> None:
        """One more packet; the oldest leave."""
        with self._lock:
            self._packets.append(packet)
            self._bytes += len(packet.body)
            while self._packets and (self._bytes > MOST_BYTES or self._is_old(packet.at_us)):
                self._bytes -= len(self._packets.popleft().body)

    def begin(self) -> None:
        """Keep what there is, and all that comes."""
        with self._lock:
            self._recording = True

    def take(self) -> list[Packet]:
        """What was kept, from its first whole picture on; the ring begins anew."""
        with self._lock:
            packets, self._packets = list(self._packets), deque()
            self._bytes, self._recording = 0, False
        first = next((number for number, each in enumerate(packets) if each.is_key), len(packets))
        return packets[first:]

    def end(self) -> None:
        """Back to the last `before_s`, where nobody takes what was kept."""
        with self._lock:
            self._recording = False

    def _is_old(self, now_us: int) -> bool:
        # a picture can't be shown without the key picture before it: leave only when the next key is old enough, too
        if self._recording:
            return False
        nxt = next((each for number, each in enumerate(self._packets) if number and each.is_key), None)
        return nxt is not None and now_us - nxt.at_us >= self._before_us


def fragmented_mp4(packets: list[Packet], *, codec: str, size: tuple[int, int]) -> bytes:
    """The packets as an MP4 in fragments, one a key picture; nothing is encoded again.

    codec: "h264" (Annex B, each key picture with its parameter sets) or "mjpeg". size: pixels.
    Raises HardwareError without PyAV.
    """
    av: Any = needs.load("av", wanted_by="camera.clip")
    target, start = io.BytesIO(), packets[0].at_us
    # delay_moov: the header needs the parameter sets of the first packet
    flags = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
    # Read back as a raw stream first: PyAV 10 (Debian 12) can't be told which is a key picture, it must find out.
    raw = io.BytesIO(b"".join(each.body for each in packets))
    with av.open(raw, format=codec) as source, av.open(target, "w", format="mp4", options=flags) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if codec == "h264" else "yuvj420p"
        stream.time_base = MICROSECOND
        found = (each for each in source.demux(video=0) if each.size)
        for packet, told in zip(found, packets, strict=False):
            packet.pts = packet.dts = told.at_us - start
            packet.time_base = MICROSECOND
            packet.stream = stream
            container.mux(packet)
    return target.getvalue()
