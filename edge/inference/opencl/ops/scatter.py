"""ScatterElements, ScatterND and MaxUnpool: updates written, added … into a copy of a tensor.

No atomics: updates that might meet are applied by one work-item, in order, so that every run gives the same. That costs
a serial loop over all updates of a lane; ScatterND whose indices are constants without repeats runs fully in parallel.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES, Array, Tensor
from ..plan import Planner, lowers
from .elementwise import Expr, map_step
from .index import pick, picks_nd
from .indexing import Loop
from .places import coordinates, emit_each, names_of, place
from .shape import reshaped

FOLDS = {
    "none": "(b)",
    "add": "((a) + (b))",
    "mul": "((a) * (b))",
    "max": "((a) > (b) ? (a) : (b))",
    "min": "((a) < (b) ? (a) : (b))",
}


def scatter(
    planner: Planner,
    node: Node,
    index: Tensor,
    updates: Tensor,
    y: Tensor,
    *,
    serial: Sequence[int],
    still: str,
    picks: str,
) -> None:
    """Apply updates to y. serial: axes of `updates` that one work-item runs over; the others are its lanes."""
    reduction = node.attrs.get("reduction", "none")
    if reduction not in FOLDS:
        raise unsupported(node, _("reduction {reduction}").format(reduction=reduction))
    if not updates.size:
        return
    names = names_of(len(updates.shape))
    lanes = [axis for axis in range(len(names)) if axis not in serial]
    outer, inner = (_along(updates, axes, index=label) for axes, label in ((lanes, "i"), (serial, "u")))
    defines = {
        "DECODE": outer.decode,
        "DECODE_U": inner.decode,
        "SERIAL": inner.size,
        "Y_STILL": still,
        "PICKS": picks,
        "UPDATE_AT": place(updates, names),
        "FOLD(a, b)": FOLDS[reduction],
        "TYPE": C_TYPES[y.dtype],
    }
    inputs = {"index": index, "updates": updates}
    emit_each(planner, node, ("scatter.cl", "scatter"), inputs, y, size=outer.size, defines=defines)


def _along(tensor: Tensor, axes: Sequence[int], *, index: str) -> Loop:
    """The loop over some axes; c0, c1 … are coordinates of the whole tensor."""
    loop = coordinates(_pick(tensor.shape, axes), _pick(tensor.strides, axes), index=index, name=f"{index}_c")
    declared = "".join(f" const int c{axis} = {index}_c{k};" for k, axis in enumerate(axes))
    return replace(loop, decode=loop.decode + declared)


def _pick(values: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(values[axis] for axis in axes)


@lowers("ScatterElements", "Scatter")
def lower_scatter_elements(planner: Planner, node: Node) -> None:
    """y[index[i, j], j] = updates[i, j], the axis being any; lanes along that axis are serial."""
    x, index, updates = (planner.value(name) for name in node.inputs[:3])
    y = planner.result(node.outputs[0])
    planner.copy(x, y, node=f"{node.name} (data)")
    axis, names = node.attrs.get("axis", 0) % len(x.shape), names_of(len(x.shape))
    still = place(y, ["0" if k == axis else name for k, name in enumerate(names)])
    picks = pick(index, names, x.shape[axis], y.strides[axis])
    scatter(planner, node, index, updates, y, serial=[axis], still=still, picks=picks)


@lowers("ScatterND")
def lower_scatter_nd(planner: Planner, node: Node) -> None:
    """Slices of y, at the places that the index tensor's last axis spells out, take the updates."""
    x, index, updates = (planner.value(name) for name in node.inputs[:3])
    y = planner.result(node.outputs[0])
    planner.copy(x, y, node=f"{node.name} (data)")
    leading, depth = len(index.shape) - 1, index.shape[-1]
    names = names_of(len(updates.shape))
    still = place(y, [*["0"] * depth, *names[leading:]])
    picks = picks_nd(y, index, names[:leading], first_axis=0)
    known = planner.const(node.inputs[1])
    apart = known is not None and _distinct(known, x.shape)
    scatter(planner, node, index, updates, y, serial=() if apart else range(leading), still=still, picks=picks)


def _distinct(indices: Array, shape: tuple[int, ...]) -> bool:
    """Whether no two index rows name the same place."""
    rows = indices.reshape(-1, indices.shape[-1])
    rows = np.where(rows < 0, rows + np.array(shape[: rows.shape[1]]), rows)
    return len(np.unique(rows, axis=0)) == len(rows)


@lowers("MaxUnpool")
def lower_max_unpool(planner: Planner, node: Node) -> None:
    """Zeros but for each pooled value at the flat place where MaxPool found it."""
    x, index, y = planner.value(node.inputs[0]), planner.value(node.inputs[1]), planner.result(node.outputs[0])
    shape = _pooled_shape(node, x.shape)
    flat = planner.new((int(np.prod(shape)),), x.dtype)
    zero = planner.constant(np.zeros(1, np.dtype(x.dtype)))
    planner.copy(replace(zero, shape=flat.shape, strides=(0,)), flat, node=f"{node.name} (zeros)")
    picks = pick(index, names_of(len(x.shape)), flat.size, 1)
    scatter(planner, replace(node, attrs={}), index, x, flat, serial=(), still="0", picks=picks)
    whole = reshaped(planner, flat, shape, node=node.name)
    if any(a < b for a, b in zip(shape, y.shape, strict=True)):
        planner.copy(replace(zero, shape=y.shape, strides=(0,) * len(y.shape)), y, node=f"{node.name} (zeros)")
    sides = tuple(min(a, b) for a, b in zip(shape, y.shape, strict=True))
    part = replace(y, shape=sides)
    step = map_step((Expr(C_TYPES[y.dtype], "{0}", (0,)),), [replace(whole, shape=sides)], part)
    planner.emit(node.name, [step], x0=whole, y=y)


def _pooled_shape(node: Node, x: tuple[int, ...]) -> tuple[int, ...]:
    kernel = node.attrs["kernel_shape"]
    strides, pads = node.attrs.get("strides") or [1] * len(kernel), node.attrs.get("pads") or [0] * 2 * len(kernel)
    ends = zip(x[2:], kernel, strides, pads[: len(kernel)], pads[len(kernel) :], strict=True)
    return (*x[:2], *((side - 1) * step - before - after + size for side, size, step, before, after in ends))
