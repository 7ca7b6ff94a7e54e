"""Resize. Whole-number nearest upsampling is a copy over views; else each axis has a table of places and weights."""

from dataclasses import replace

import numpy as np

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES, Tensor
from ..plan import Planner, lowers
from .places import coordinates, emit_each, names_of, place
from .resize_tables import Axis, Sampling, axes_of, taps_of

MOST_AXES = 3  # that one launch of the kernel resizes
LABELS = ("A", "B", "C")


@lowers("Resize")
def lower_resize(planner: Planner, node: Node) -> None:
    """An (n, c, …) tensor with other sides; any three axes at most."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    sampling = Sampling.of(node)
    roi, scales, sizes = (_constant(planner, node, index) for index in (1, 2, 3))
    axes = axes_of(node, x.shape, y.shape, roi=roi, scales=scales, sizes=sizes)
    if _repeats_pixels(sampling, axes):
        repeat_pixels(planner, x, y, node=node.name)
        return
    moved = {axis: each for axis, each in enumerate(axes) if not each.is_same(sampling)}
    if len(moved) > MOST_AXES:
        raise unsupported(node, _("it resizes {count} axes").format(count=len(moved)))
    if sampling.mode != "nearest" and x.dtype not in {"float32", "uint8", "int8", "int32"}:
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    _resize(planner, node, x, y, moved, sampling)


def _constant(planner: Planner, node: Node, index: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None":
    """roi, scales or sizes as numbers, None when it is left out or empty."""
    name = node.input(index)
    array = planner.const(name) if name else None
    if name and array is None:
        raise unsupported(node, _("input {index} depends on the data").format(index=index))
    return None if array is None or not array.size else np.asarray(array, np.float64).reshape(-1)


def _resize(planner: Planner, node: Node, x: Tensor, y: Tensor, moved: dict[int, Axis], sampling: Sampling) -> None:
    """One launch: a loop over the taps of each resized axis, whose places and weights lie in tables."""
    loop = coordinates(y.shape, y.strides)
    names = names_of(len(y.shape))
    still = ["0" if axis in moved else name for axis, name in enumerate(names)]
    nearest = sampling.mode == "nearest"
    inputs, taps = {"x": x}, 1
    defines: dict[str, object] = {
        "DECODE": loop.decode,
        "X_STILL": place(x, still),
        "Y_AT": loop.at["y"],
        "Y_TYPE": C_TYPES[y.dtype],
        "AXES": len(moved),
        "NEAREST": int(nearest),
        "WHOLE": int(y.dtype != "float32"),
    }
    if sampling.transform == "tf_crop_and_resize":
        defines["OUTSIDE"] = float(sampling.extrapolation)
    for label, (axis, each) in zip(LABELS, moved.items(), strict=False):
        places, weights = taps_of(each, sampling)
        inputs[f"place{label}"] = planner.constant(places)
        defines |= {f"TAPS_{label}": places.shape[1], f"C_{label}": names[axis], f"STRIDE_{label}": x.strides[axis]}
        taps *= places.shape[1]
        if not nearest:
            inputs[f"weight{label}"] = planner.constant(weights)
    kernel = ("resize.cl", "resize")
    emit_each(planner, node, kernel, inputs, y, size=y.size, defines=defines, flops=2 * taps * y.size)


def _repeats_pixels(sampling: Sampling, axes: list[Axis]) -> bool:
    """Whether each output element is the input element at floor(place / factor)."""
    whole = all(each.x > 0 and each.y == each.x * each.scale for each in axes)
    exact = all(float(each.scale).is_integer() for each in axes)
    floor = sampling.transform == "asymmetric" and sampling.rounding == "floor"
    centre = sampling.transform == "half_pixel" and "round" in sampling.rounding
    return whole and exact and sampling.mode == "nearest" and (floor or centre)


def repeat_pixels(planner: Planner, x: Tensor, y: Tensor, *, node: str) -> None:
    """Copy with each axis of y cut in (side of x, factor), along which x stands still."""
    shape: list[int] = []
    from_strides: list[int] = []
    to_strides: list[int] = []
    for a, b, source, target in zip(x.shape, y.shape, x.strides, y.strides, strict=True):
        shape += [a, b // a]
        from_strides += [source, 0]
        to_strides += [target * (b // a), target]
    sides = tuple(shape)
    from_x = replace(x, shape=sides, strides=tuple(from_strides))
    planner.copy(from_x, replace(y, shape=sides, strides=tuple(to_strides)), node=node)
