"""A frame on the device: uploaded once, read by every kernel that looks at it.

In: blue-green-red pixels, or the planes that a video decoder gives (NV12, I420). Out: one buffer and where in it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from ..model import NV12_PLANES, U8, Matrix, Yuv420
from .kernel import Defines, defines_of

# Red by V, blue by U, green by U and by V, in 2^16ths of limited range; FFmpeg's for BT.601 and BT.709.
COEFFICIENTS: Final[dict[Matrix, tuple[int, int, int, int]]] = {
    "bt601": (104597, 132201, 25675, 53279),
    "bt709": (117489, 138438, 13975, 34925),
}


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
    """How kernels/frame.cl turns brightness and two differences into colours, to the bit as PyAV gives them.

    Source: FFmpeg, libswscale/yuv2rgb.c, ff_yuv2rgb_coeffs and ff_yuv2rgb_c_init_tables; x86/yuv_2_rgb.asm, which takes
    them as 2^13ths and cuts each product off. Frames of odd sides go another way there.
    """
    red, blue, green_u, green_v = COEFFICIENTS[matrix]
    light, bias = (1 << 16, 0) if full else ((1 << 16) * 255 // 219, 16)
    if full:
        red, blue, green_u, green_v = (each * 224 // 255 for each in (red, blue, green_u, green_v))
    return defines_of(
        YUV=True,
        Y_BIAS=8 * bias,
        Y_GAIN=_in_8192ths(light),
        R_V=_in_8192ths(red),
        G_U=_in_8192ths(-green_u),
        G_V=_in_8192ths(-green_v),
        B_U=_in_8192ths(blue),
    )


def _in_8192ths(value: int) -> int:
    """2^16ths as 2^13ths, rounded."""
    return (value * (1 << 13) + (1 << 15)) >> 16


def to_bgr(picture: Yuv420) -> U8:
    """uint8 (height, width, 3), blue first: what kernels/frame.cl makes of the planes, each colour sample on 2 × 2."""
    names = {name: int(text.strip("()")) for name, text in colours_of(picture.matrix, full=picture.full_range)}
    if len(picture.planes) == NV12_PLANES:
        colour = picture.planes[1][:, : 2 * -(-picture.width // 2)]
        halves = colour[:, 0::2], colour[:, 1::2]
    else:
        halves = picture.planes[1], picture.planes[2]
    shape = (picture.height, picture.width)
    u, v = (8 * _doubled(half)[: shape[0], : shape[1]].astype(np.int32) - 1024 for half in halves)
    light = (8 * picture.planes[0][:, : picture.width].astype(np.int32) - names["Y_BIAS"]) * names["Y_GAIN"] >> 16
    green = light + (names["G_U"] * u >> 16) + (names["G_V"] * v >> 16)
    colours = np.stack([light + (names["B_U"] * u >> 16), green, light + (names["R_V"] * v >> 16)], axis=2)
    return np.asarray(np.clip(colours, 0, 255), dtype=np.uint8)


def _doubled(plane: U8) -> U8:
    return plane.repeat(2, axis=0).repeat(2, axis=1)
