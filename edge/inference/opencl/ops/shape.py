"""Operators that move elements and compute nothing: views where strides can say it, one copy where they can't."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import Tensor, reshape_view
from ..plan import Planner, lowers


@lowers("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
def lower_reshape(planner: Planner, node: Node) -> None:
    """The same elements in row-major order under another shape; free unless the layout is in the way."""
    x, name = planner.value(node.inputs[0]), node.outputs[0]
    shape = planner.graph.types[name].shape
    planner.view(name, reshaped(planner, x, shape, node=node.name))


def reshaped(planner: Planner, x: Tensor, shape: tuple[int, ...], *, node: str) -> Tensor:
    """Give x under another shape: a view, or a row-major copy."""
    view = reshape_view(x, shape)
    if view is None:
        view = reshape_view(planner.row_major(x, node=node), shape)
    assert view is not None
    return view


@lowers("Transpose")
def lower_transpose(planner: Planner, node: Node) -> None:
    """A view with the axes in another order."""
    x = planner.value(node.inputs[0])
    order = node.attrs.get("perm") or list(range(len(x.shape)))[::-1]
    view = replace(x, shape=tuple(x.shape[i] for i in order), strides=tuple(x.strides[i] for i in order))
    planner.view(node.outputs[0], view)


@lowers("Slice")
def lower_slice(planner: Planner, node: Node) -> None:
    """A view from, to and with a step, backwards too."""
    x = planner.value(node.inputs[0])
    starts, ends = (constant_of(planner, node, i) for i in (1, 2))
    axes = constant_of(planner, node, 3) if node.input(3) else range(len(starts))
    steps = constant_of(planner, node, 4) if node.input(4) else [1] * len(starts)
    shape, strides, offset = list(x.shape), list(x.strides), x.offset
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= len(shape)  # noqa: PLW2901  # because negative axes count from the end
        wanted = slice(int(start), _open_end(int(end), int(step)), int(step))
        places = range(*wanted.indices(x.shape[axis]))
        offset += places.start * x.strides[axis] if places else 0
        shape[axis], strides[axis] = len(places), x.strides[axis] * int(step)
    planner.view(node.outputs[0], replace(x, shape=tuple(shape), strides=tuple(strides), offset=offset))


def _open_end(end: int, step: int) -> int | None:
    """ONNX writes "to the very first" as a hugely negative end."""
    return None if step < 0 and end < -(2**31) + 2 else end


def constant_of(planner: Planner, node: Node, index: int) -> Sequence[int]:
    """An input that must be known when planning, as whole numbers."""
    array = planner.const(node.inputs[index])
    if array is None:
        raise unsupported(node, _("input {index} depends on the data").format(index=index))
    return [int(each) for each in np.atleast_1d(array)]


@lowers("Split")
def lower_split(planner: Planner, node: Node) -> None:
    """Views one after the other along an axis."""
    x = planner.value(node.inputs[0])
    axis, offset = node.attrs.get("axis", 0) % len(x.shape), x.offset
    for name in node.outputs:
        shape = planner.graph.types[name].shape
        planner.view(name, replace(x, shape=shape, offset=offset))
        offset += shape[axis] * x.strides[axis]


@lowers("Concat")
def lower_concat(planner: Planner, node: Node) -> None:
    """Copies of those parts that their producers could not write in place."""
    whole = planner.result(node.outputs[0])
    axis, offset = node.attrs["axis"] % len(whole.shape), whole.offset
    for name in node.inputs:
        shape = planner.graph.types[name].shape
        part = replace(whole, shape=shape, offset=offset)
        offset += shape[axis] * whole.strides[axis]
        if part.size:
            planner.copy(planner.value(name), part, node=f"{node.name} ({name})")


@lowers("Expand")
def lower_expand(planner: Planner, node: Node) -> None:
    """Axes of one element repeated: a stride of zero."""
    x, name = planner.value(node.inputs[0]), node.outputs[0]
    planner.view(name, broadcast(x, planner.graph.types[name].shape))


def broadcast(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Give x as NumPy broadcasts it to `shape`."""
    missing = len(shape) - len(x.shape)
    own = (0 if side == 1 else step for side, step in zip(x.shape, x.strides, strict=True))
    return replace(x, shape=shape, strides=(0,) * missing + tuple(own))


@lowers("DepthToSpace", "SpaceToDepth")
def lower_blocks(planner: Planner, node: Node) -> None:
    """Blocks of pixels to channels and back: reshape, transpose, reshape."""
    x, name, block = planner.value(node.inputs[0]), node.outputs[0], node.attrs["blocksize"]
    count, channels, height, width = x.shape
    if node.op == "SpaceToDepth":
        first = (count, channels, height // block, block, width // block, block)
        order = (0, 1, 3, 5, 2, 4) if node.attrs.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    elif node.attrs.get("mode", "DCR") == "DCR":
        first = (count, block, block, channels // block**2, height, width)
        order = (0, 3, 4, 1, 5, 2)
    else:
        first = (count, channels // block**2, block, block, height, width)
        order = (0, 1, 4, 2, 5, 3)
    view = reshaped(planner, x, first, node=node.name)
    view = replace(view, shape=tuple(view.shape[i] for i in order), strides=tuple(view.strides[i] for i in order))
    planner.view(name, reshaped(planner, view, planner.graph.types[name].shape, node=node.name))
