"""Gather, GatherElements, GatherND and ReverseSequence: elements of x at places that other tensors name."""

from collections.abc import Sequence
from dataclasses import replace

from ..graph import Node
from ..launch import Tensor
from ..plan import Planner, lowers
from .indexing import sum_of
from .places import coordinates, emit_each, names_of, place


def gather(planner: Planner, node: Node, x: Tensor, index: Tensor, y: Tensor, *, still: str, picks: str) -> None:
    """One launch over y. still: place in x of what is not looked up; picks: PICK and REVERSE calls (see gather.cl)."""
    loop = coordinates(y.shape, y.strides)
    defines = {"DECODE": loop.decode, "X_STILL": still, "PICKS": picks, "Y_AT": loop.at["y"]}
    emit_each(planner, node, ("gather.cl", "gather"), {"x": x, "index": index}, y, size=y.size, defines=defines)


def pick(index: Tensor, names: Sequence[str], side: int, stride: int, *, offset: int = 0) -> str:
    """The macro call that reads one index and steps along one axis of x. offset: elements into the index tensor."""
    return f"PICK({place(index, names)} + {offset}, {side}, {stride}) "


@lowers("Gather")
def lower_gather(planner: Planner, node: Node) -> None:
    """Slices of x along one axis. One constant index is a view."""
    x, name = planner.value(node.inputs[0]), node.outputs[0]
    rank, axis = len(x.shape), node.attrs.get("axis", 0) % len(x.shape)
    known = planner.const(node.inputs[1])
    if known is not None and known.ndim == 0:
        at = int(known) % x.shape[axis]
        shape, strides = (each[:axis] + each[axis + 1 :] for each in (x.shape, x.strides))
        view = replace(x, shape=shape, strides=strides, offset=x.offset + at * x.strides[axis])
        planner.view(name, view)
        return
    index, y = planner.value(node.inputs[1]), planner.result(name)
    names, wide = names_of(len(y.shape)), len(index.shape)
    outer, looked_up, inner = names[:axis], names[axis : axis + wide], names[axis + wide :]
    still = place(x, [*outer, "0", *inner])
    assert len(outer) + len(inner) == rank - 1
    picks = pick(index, looked_up, x.shape[axis], x.strides[axis])
    gather(planner, node, x, index, y, still=still, picks=picks)


@lowers("GatherElements")
def lower_gather_elements(planner: Planner, node: Node) -> None:
    """y[i, j] = x[index[i, j], j], the axis looked up being any."""
    x, index, y = planner.value(node.inputs[0]), planner.value(node.inputs[1]), planner.result(node.outputs[0])
    axis, names = node.attrs.get("axis", 0) % len(x.shape), names_of(len(y.shape))
    still = place(x, ["0" if k == axis else name for k, name in enumerate(names)])
    picks = pick(index, names, x.shape[axis], x.strides[axis])
    gather(planner, node, x, index, y, still=still, picks=picks)


@lowers("GatherND")
def lower_gather_nd(planner: Planner, node: Node) -> None:
    """Slices of x at the places that the index tensor's last axis spells out."""
    x, index, y = planner.value(node.inputs[0]), planner.value(node.inputs[1]), planner.result(node.outputs[0])
    batch, depth = node.attrs.get("batch_dims", 0), index.shape[-1]
    names = names_of(len(y.shape))
    leading = len(index.shape) - 1
    still = place(x, [*names[:batch], *["0"] * depth, *names[leading:]])
    picks = picks_nd(x, index, names[:leading], first_axis=batch)
    gather(planner, node, x, index, y, still=still, picks=picks)


def picks_nd(x: Tensor, index: Tensor, names: Sequence[str], *, first_axis: int) -> str:
    """One PICK for each element of the index tensor's last axis; they step along x's axes from `first_axis` on."""
    last = index.strides[-1]
    axes = range(first_axis, first_axis + index.shape[-1])
    return "".join(
        pick(index, [*names, "0"], x.shape[axis], x.strides[axis], offset=k * last) for k, axis in enumerate(axes)
    )


@lowers("ReverseSequence")
def lower_reverse(planner: Planner, node: Node) -> None:
    """The first `sequence_lens` elements of each sequence backwards."""
    x, lengths, y = planner.value(node.inputs[0]), planner.value(node.inputs[1]), planner.result(node.outputs[0])
    time, batch = node.attrs.get("time_axis", 0), node.attrs.get("batch_axis", 1)
    names = names_of(len(y.shape))
    still = place(x, ["0" if axis == time else name for axis, name in enumerate(names)])
    length = sum_of([(lengths.strides[0], names[batch])])
    picks = f"REVERSE({length}, {names[time]}, {x.strides[time]})"
    gather(planner, node, x, lengths, y, still=still, picks=picks)
