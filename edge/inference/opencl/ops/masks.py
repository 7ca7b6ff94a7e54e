"""Operators that compare coordinates or repeat: Tile, OneHot, Trilu, EyeLike and Hardmax, by Maps over views."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES, Tensor
from ..plan import Planner, lowers
from .elementwise import Expr, map_step
from .select import emit_arg
from .shape import broadcast, constant_of


def along(planner: Planner, count: int, axis: int, rank: int) -> Tensor:
    """0, 1, 2 … along one axis of `rank`, a constant int32 tensor that broadcasts over the others."""
    tensor = planner.constant(np.arange(count, dtype=np.int32))
    shape = tuple(count if k == axis else 1 for k in range(rank))
    return replace(tensor, shape=shape, strides=tuple(int(k == axis) for k in range(rank)))


def emit_map(planner: Planner, node: Node, text: str, inputs: Sequence[Tensor], y: Tensor) -> None:
    """One launch: y = text of the inputs, which broadcast."""
    if not y.size:
        return
    step = map_step((Expr(C_TYPES[y.dtype], text, tuple(range(len(inputs)))),), inputs, y)
    planner.emit(node.name, [step], y=y, **{f"x{k}": each for k, each in enumerate(inputs)})


@lowers("Tile")
def lower_tile(planner: Planner, node: Node) -> None:
    """A copy with each axis of y cut in (repeats, side of x), along the first of which x stands still."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    shape, source, target = [], [], []
    for repeats, side, step, to in zip(constant_of(planner, node, 1), x.shape, x.strides, y.strides, strict=True):
        shape += [repeats, side]
        source += [0, step]
        target += [to * side, to]
    if y.size:
        from_x = replace(x, shape=tuple(shape), strides=tuple(source))
        planner.copy(from_x, replace(y, shape=tuple(shape), strides=tuple(target)), node=node.name)


@lowers("OneHot")
def lower_one_hot(planner: Planner, node: Node) -> None:
    """values[1] where the place along the new axis is the index, else values[0]."""
    index, values, y = planner.value(node.inputs[0]), planner.value(node.inputs[2]), planner.result(node.outputs[0])
    rank = len(y.shape)
    axis = node.attrs.get("axis", -1) % rank
    wide = replace(
        index,
        shape=(*index.shape[:axis], 1, *index.shape[axis:]),
        strides=(*index.strides[:axis], 0, *index.strides[axis:]),
    )
    off, on = (
        replace(values, shape=(1,) * rank, strides=(0,) * rank, offset=values.offset + k * values.strides[0])
        for k in (0, 1)
    )
    depth = y.shape[axis]
    text = f"((long){{0}} + ({{0}} < 0 ? {depth} : 0) == {{1}} ? {{2}} : {{3}})"
    emit_map(planner, node, text, [wide, along(planner, depth, axis, rank), on, off], y)


@lowers("Trilu")
def lower_trilu(planner: Planner, node: Node) -> None:
    """The upper or lower triangle of each matrix, zeros elsewhere."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    k = constant_of(planner, node, 1)[0] if node.input(1) else 0
    rank = len(x.shape)
    row, column = (along(planner, x.shape[axis], axis, rank) for axis in (rank - 2, rank - 1))
    sign = ">=" if node.attrs.get("upper", 1) else "<="
    # an offset may be as large as int64 allows; beyond the matrix it changes nothing
    k = max(-sum(x.shape), min(sum(x.shape), k))
    emit_map(planner, node, f"({{2}} - {{1}} {sign} {k} ? {{0}} : 0)", [x, row, column], y)


@lowers("EyeLike")
def lower_eye(planner: Planner, node: Node) -> None:
    """Ones on a diagonal: a constant, since only the shape of x counts."""
    kind = planner.graph.types[node.outputs[0]]
    eye = np.eye(kind.shape[0], kind.shape[1], k=int(node.attrs.get("k", 0)), dtype=np.dtype(kind.dtype))
    planner.view(node.outputs[0], planner.constant(eye))


@lowers("Hardmax")
def lower_hardmax(planner: Planner, node: Node) -> None:
    """1 at the first largest element along an axis, 0 elsewhere; before opset 13 over all axes from that one on."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axis = node.attrs.get("axis", -1 if node.opset >= 13 else 1) % len(x.shape)
    if node.opset < 13 and axis != len(x.shape) - 1 and np.prod(x.shape[axis + 1 :]) != 1:
        raise unsupported(node, _("over several axes"))
    where = planner.new(tuple(1 if k == axis else side for k, side in enumerate(x.shape)), "int64")
    emit_arg(planner, node, x, where, axis, largest=True, last=False)
    place = along(planner, x.shape[axis], axis, len(x.shape))
    emit_map(planner, node, "({0} == {1} ? 1 : 0)", [broadcast(where, y.shape), place], y)
