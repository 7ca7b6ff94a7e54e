"""What Resize reads along one axis: for each output place a few input places and their weights.

Coordinates are computed in float32, as ONNX Runtime does it, so that ties of "nearest" fall the same way.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ....i18n import _
from ..graph import Node, unsupported

Numbers = npt.NDArray[np.float64]
MODES = ("nearest", "linear", "cubic")
TIE = 1e-5  # of a pixel


@dataclass(frozen=True, slots=True)
class Sampling:
    """Resize's attributes. a: coefficient of the cubic. extrapolation: value outside with tf_crop_and_resize."""

    mode: str
    transform: str
    rounding: str
    antialias: bool
    exclude_outside: bool
    a: float
    extrapolation: float

    @classmethod
    def of(cls, node: Node) -> Self:
        """From a node. Raises UnsupportedOpError for a mode it does not know."""
        found = cls(
            mode=node.attrs.get("mode", "nearest"),
            transform=node.attrs.get("coordinate_transformation_mode", "half_pixel"),
            rounding=node.attrs.get("nearest_mode", "round_prefer_floor"),
            antialias=bool(node.attrs.get("antialias", 0)),
            exclude_outside=bool(node.attrs.get("exclude_outside", 0)),
            a=float(node.attrs.get("cubic_coeff_a", -0.75)),
            extrapolation=float(node.attrs.get("extrapolation_value", 0.0)),
        )
        if found.mode not in MODES:
            raise unsupported(node, _("mode {mode}").format(mode=found.mode))
        return found


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: x elements become y, `scale` times as many before rounding. roi: start and end to crop to."""

    x: int
    y: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)

    def is_same(self, sampling: Sampling) -> bool:
        """Whether it is copied as it is."""
        cropped = sampling.transform == "tf_crop_and_resize" and self.roi != (0.0, 1.0)
        return self.x == self.y and self.scale == 1 and not cropped


def axes_of(
    node: Node,
    x: tuple[int, ...],
    y: tuple[int, ...],
    *,
    roi: Numbers | None,
    scales: Numbers | None,
    sizes: Numbers | None,
) -> list[Axis]:
    """Every axis of a Resize. Scales come from the inputs, or from sizes under keep_aspect_ratio_policy."""
    rank = len(x)
    named = [int(axis) % rank for axis in node.attrs.get("axes") or range(rank)]
    factors, windows = [1.0] * rank, [(0.0, 1.0)] * rank
    policy = node.attrs.get("keep_aspect_ratio_policy", "stretch")
    if sizes is not None:
        wanted = [float(np.float32(side) / np.float32(x[axis])) for axis, side in zip(named, sizes, strict=True)]
        if policy != "stretch":
            wanted = [min(wanted) if policy == "not_larger" else max(wanted)] * len(wanted)
    elif scales is not None:
        wanted = [float(each) for each in scales]
    else:
        raise unsupported(node, _("neither scales nor sizes"))
    for position, axis in enumerate(named):
        factors[axis] = wanted[position]
        if roi is not None:
            windows[axis] = (float(roi[position]), float(roi[position + len(named)]))
    return [Axis(*each) for each in zip(x, y, factors, windows, strict=True)]


def sources(axis: Axis, transform: str) -> npt.NDArray[np.float32]:
    """For each output place the input coordinate that it samples, a float."""
    one, half = np.float32(1), np.float32(0.5)
    out, scale, length = np.arange(axis.y, dtype=np.float32), np.float32(axis.scale), np.float32(axis.x)
    # ONNX lets the resized length be a fraction where scales are given
    resized = np.float32(axis.scale * axis.x)
    resized = np.float32(axis.y) if abs(resized - axis.y) < 1e-3 else resized
    found: Any
    if transform == "asymmetric":
        found = out / scale
    elif transform == "align_corners":
        found = out * (length - one) / (resized - one) if resized != one else out * 0
    elif transform == "tf_half_pixel_for_nn":
        found = (out + half) / scale
    elif transform == "tf_crop_and_resize":
        start, end = (np.float32(each) for each in axis.roi)
        span = (end - start) * (length - one)
        found = start * (length - one) + (out * span / (resized - one) if resized > one else half * span)
    elif transform == "pytorch_half_pixel" and resized <= one:
        found = out * 0
    else:
        found = (out + half) / scale - half
        if transform == "half_pixel_symmetric":
            found = length / 2 * (one - np.float32(axis.y) / np.float32(axis.scale * axis.x)) + found
    return np.asarray(found, np.float32)


def taps_of(axis: Axis, sampling: Sampling) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Places and weights, both (y, taps). A place of -1 in the first tap: this output takes the extrapolation value."""
    at = sources(axis, sampling.transform)
    if sampling.mode == "nearest":
        places = rounded(at, sampling.rounding)[:, None]
        weights = np.ones(places.shape)
    else:
        places, weights = _filtered(at.astype(np.float64), axis, sampling)
    if sampling.exclude_outside:
        weights = weights * ((places >= 0) & (places < axis.x))
        weights = weights / weights.sum(1, keepdims=True)
    places = np.clip(places, 0, axis.x - 1)
    if sampling.transform == "tf_crop_and_resize":
        places[(at < 0) | (at > axis.x - 1)] = -1
    return places.astype(np.int32), weights.astype(np.float32)


def rounded(at: npt.NDArray[np.float32], rounding: str) -> npt.NDArray[np.int64]:
    """The nearest whole place; halves by `rounding`."""
    below = np.floor(at)
    beyond = at - below
    tie = np.abs(beyond - 0.5) < TIE  # ONNX Runtime, too, does not let float32's last bits decide
    found = {
        "floor": below,
        "ceil": np.ceil(at),
        "round_prefer_floor": below + ((beyond > 0.5) & ~tie),
        "round_prefer_ceil": below + ((beyond > 0.5) | tie),
    }
    return np.asarray(found[rounding], np.int64)


def _filtered(at: Numbers, axis: Axis, sampling: Sampling) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Taps of the linear or cubic filter, stretched when it shrinks and `antialias` is set."""
    reach = 1 if sampling.mode == "linear" else 2
    scale = min(axis.scale, 1.0) if sampling.antialias else 1.0
    start = math.floor(-reach / scale) + 1
    # a coordinate that is whole counts as the right end of its cell, as in ONNX's reference
    cell = np.ceil(at) - 1
    offsets = np.arange(start, 2 - start)
    distance = np.abs(offsets[None, :] - (at - cell)[:, None]) * scale
    weights = np.clip(1 - distance, 0, 1) if sampling.mode == "linear" else _cubic(distance, sampling.a)
    if scale < 1:
        weights = weights / weights.sum(1, keepdims=True)
    return (cell[:, None] + offsets[None, :]).astype(np.int64), weights


def _cubic(distance: Numbers, a: float) -> Numbers:
    """Keys' cubic convolution."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
