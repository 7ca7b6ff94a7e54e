"""What a camera promises, and what it gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class CameraError(Exception):
    """The camera gives nothing; the text says why. At the start the agent ends with it, later the shot is dropped."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What a camera gave: the bytes of one file. kind: "still" or "clip". thumbnail: a small JPEG of it, or empty."""

    body: bytes
    kind: str
    name: str
    thumbnail: bytes = b""


@dataclass(frozen=True, slots=True)
class Luma:
    """A small grey picture: width × height bytes, rows from the top, 0 is black."""

    width: int
    height: int
    pixels: bytes

    @property
    def mean(self) -> float:
        """Mean grey level, 0 to 255."""
        return sum(self.pixels) / len(self.pixels)


class Camera(Protocol):
    """Takes pictures. Used by one thread."""

    @property
    def name(self) -> str:
        """What it is, for logs and health."""

    def start(self) -> None:
        """Open the device and let exposure settle. Raises CameraError when it can't work at all."""

    def capture(self, index: int, *, night: bool = False) -> Iterator[Shot] | None:
        """The shots of one trigger, each taken when it is asked for: a burst's pictures, then the clip.

        index: counted from 0 over the whole life of the spool. None: there will be no more. The iterator must be used
        up or closed; taking a shot raises CameraError when this one could not be taken.
        """

    def luma(self) -> Luma | None:
        """What the camera sees now, small and grey; None where it can't say without taking a picture."""

    def close(self) -> None:
        """Give the device back."""
