"""A frame on the device: uploaded once, read by every kernel that looks at it.

In: blue-green-red pixels, or the planes that a video decoder gives (NV12, I420). Out: one buffer and where in it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from ..model import NV12_PLANES, U8, Matrix, Yuv420
from .kernel import Defines, defines_of

# Shares of red and blue in brightness. ITU-R BT.601-7 and BT.709-6, section 3.
SHARES: Final[dict[Matrix, tuple[float, float]]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


@dataclass(frozen=True, slots=True, eq=False)
class DeviceFrame:
    """A frame in a device's memory.

    layout: what kernels/frame.cl is told of it, after the buffer: pitch, u_at, v_at, c_pitch, c_step. defines: YUV and
    its colours.
    """

    buffer: Any
    hw: tuple[int, int]
    layout: tuple[np.int32, ...]
    defines: Defines

    @property
    def args(self) -> tuple[Any, ...]:
        """The first arguments of every kernel that reads a frame."""
        return (self.buffer, *self.layout)


def arrange(picture: U8 | Yuv420) -> tuple[tuple[U8, ...], tuple[int, int], tuple[int, ...], Defines]:
    """What is copied one behind the other, height and width, layout and defines of a picture.

    picture: uint8 (height, width, 3), blue first, or Yuv420; uint8 (height, width) is brightness alone, whose colours
    nobody may ask for. Raises ValueError on anything else.
    """
    if isinstance(picture, Yuv420):
        planes = tuple(np.ascontiguousarray(plane) for plane in picture.planes)
        luma, colour = planes[0], planes[1]
        u_at = luma.size
        v_at, step = (u_at + 1, 2) if len(planes) == NV12_PLANES else (u_at + colour.size, 1)
        layout = (luma.shape[1], u_at, v_at, colour.shape[1], step)
        if len(planes) != NV12_PLANES and planes[2].shape != colour.shape:
            raise ValueError(f"the planes of u and v must be alike, got {colour.shape} and {planes[2].shape}")
        return planes, (picture.height, picture.width), layout, colours_of(picture.matrix, full=picture.full_range)
    if picture.ndim == 2 and picture.dtype == np.uint8:
        dense = np.ascontiguousarray(picture)
        return (dense,), (dense.shape[0], dense.shape[1]), (dense.shape[1], 0, 0, 0, 1), colours_of("bt601", full=False)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"a picture must be uint8 (height, width, 3), got {picture.dtype} {picture.shape}")
    dense = np.ascontiguousarray(picture)
    height, width = picture.shape[:2]
    return (dense,), (height, width), (3 * width, 0, 0, 0, 0), defines_of(YUV=False)


@cache
def colours_of(matrix: Matrix, *, full: bool) -> Defines:
    """How kernels/frame.cl turns brightness and two differences into colours.

    Source: ITU-R BT.601-7, section 2.5, and BT.709-6, section 3.
    """
    red, blue = SHARES[matrix]
    green = 1 - red - blue
    gain, chroma = (1.0, 1.0) if full else (255 / 219, 255 / 224)
    return defines_of(
        YUV=True,
        Y_BIAS=0.0 if full else 16.0,
        Y_GAIN=gain,
        R_V=2 * (1 - red) * chroma,
        G_U=2 * blue * (1 - blue) / green * chroma,
        G_V=2 * red * (1 - red) / green * chroma,
        B_U=2 * (1 - blue) * chroma,
    )


def to_bgr(picture: Yuv420) -> U8:
    """uint8 (height, width, 3), blue first: what kernels/frame.cl makes of the planes, each colour sample on 2 × 2."""
    names = {name: float(text.strip("(f)")) for name, text in colours_of(picture.matrix, full=picture.full_range)}
    if len(picture.planes) == NV12_PLANES:
        colour = picture.planes[1][:, : 2 * -(-picture.width // 2)]
        halves = colour[:, 0::2], colour[:, 1::2]
    else:
        halves = picture.planes[1], picture.planes[2]
    shape = (picture.height, picture.width)
    u, v = (_doubled(half)[: shape[0], : shape[1]].astype(np.float32) - 128 for half in halves)
    light = names["Y_GAIN"] * (picture.planes[0][:, : picture.width].astype(np.float32) - names["Y_BIAS"])
    green = light - names["G_U"] * u - names["G_V"] * v
    colours = np.stack([light + names["B_U"] * u, green, light + names["R_V"] * v], axis=2)
    return np.asarray(np.clip(np.rint(colours), 0, 255), dtype=np.uint8)


def _doubled(plane: U8) -> U8:
    return plane.repeat(2, axis=0).repeat(2, axis=1)
