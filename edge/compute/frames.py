"""Pictures on a device: each is uploaded once, and lies there until it has passed all stages.

Who passes the stages is known by `Passing`, which threads share and which outlives a lost device; what lies on one
device by `Frames`. A picture that passes no stages (a test, a bench) is uploaded for one use.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ..errors import DeviceBusy
from ..model import U8, Decoded, Picture, Yuv420
from .frame import DeviceFrame
from .vision import Vision

MOST: Final = 32  # frames kept at once: as many workers seldom are
MOST_BYTES: Final = 256 * 2**20  # of them: 40 at 1080p, and a sixteenth of the smallest card that is spoken of


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture as a device is shown it.

    content: what is uploaded, see Vision.upload_frame. token: equal for one picture on its way, None when nobody else
    will look at it.
    """

    content: U8 | Yuv420
    token: object | None = None


class Passing:
    """The pictures that pass the stages now. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[int, object] = {}  # by the picture's id, which is nobody else's while it passes

    @contextmanager
    def passes(self, picture: Picture) -> Iterator[None]:
        """While this is open, what was uploaded of the picture stays."""
        token = object()
        with self._lock:
            self._tokens[id(picture)] = token
        try:
            yield
        finally:
            with self._lock:
                if self._tokens.get(id(picture)) is token:
                    del self._tokens[id(picture)]

    def show(self, picture: Picture) -> Shown:
        """The picture with its colours. Converts on the host what a device can't, so not for the device's thread."""
        content = picture.decoded() if isinstance(picture, Decoded) else None
        return Shown(picture.bgr() if content is None else content, self._token(picture))

    def show_luma(self, picture: Picture) -> Shown:
        """The picture for who needs its brightness only: as `show` unless colours would have to be made first."""
        content = picture.decoded() if isinstance(picture, Decoded) else None
        return Shown(picture.luma()) if content is None else Shown(content, self._token(picture))

    def tokens(self) -> set[object]:
        """Those of all pictures on their way."""
        with self._lock:
            return set(self._tokens.values())

    def _token(self, picture: Picture) -> object | None:
        with self._lock:
            return self._tokens.get(id(picture))


class Frames:
    """The frames on one device; for the thread that owns it.

    most, most_bytes: bounds of what is kept; the one used longest ago goes first, and is uploaded again when needed.
    """

    def __init__(self, vision: Vision, passing: Passing, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._vision, self._passing = vision, passing
        self._most, self._most_bytes = most, most_bytes
        self._kept: OrderedDict[object, DeviceFrame] = OrderedDict()
        self.uploads = 0  # so far

    @property
    def kept_bytes(self) -> int:
        """Device memory that the kept frames take."""
        return sum(int(frame.buffer.size) for frame in self._kept.values())

    @contextmanager
    def on_device(self, shown: Shown) -> Iterator[DeviceFrame]:
        """The frame, for the launches enqueued while this is open. Raises DeviceBusy, ValueError as upload_frame."""
        self._release_passed()
        frame = self._kept.pop(shown.token, None) or self._upload(shown)
        if shown.token is not None:
            self._kept[shown.token] = frame  # as the one used last
        try:
            yield frame
        finally:
            if shown.token is None:
                self._vision.release(frame)
            self._trim()

    def clear(self) -> None:
        """Give the memory of all frames back."""
        while self._kept:
            self._drop_oldest()

    def _upload(self, shown: Shown) -> DeviceFrame:
        self.uploads += 1
        try:
            return self._vision.upload_frame(shown.content)
        except DeviceBusy:
            if not self._kept:
                raise
            self.clear()
            return self._vision.upload_frame(shown.content)

    def _release_passed(self) -> None:
        under_way = self._passing.tokens()
        for token in [each for each in self._kept if each not in under_way]:
            self._vision.release(self._kept.pop(token))

    def _trim(self) -> None:
        while len(self._kept) > self._most or self.kept_bytes > self._most_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._vision.release(self._kept.popitem(last=False)[1])
