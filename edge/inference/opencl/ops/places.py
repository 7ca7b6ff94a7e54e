"""One work-item an element of the result, its coordinates at hand: what gathers, pads and resizes share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ..graph import Node
from ..launch import Step, Tensor
from ..plan import Planner
from .indexing import Loop, global_for, loop_over, parameters, sum_of


def coordinates(
    shape: tuple[int, ...],
    order: tuple[int, ...],
    strides: Mapping[str, tuple[int, ...]] | None = None,
    *,
    index: str = "i",
    name: str = "c",
) -> Loop:
    """The loop over all elements of `shape`, fastest along the smallest of the strides `order`, which is label "y".

    Its `decode` also declares c0, c1 … (or another `name`), the coordinates of the element.
    """
    rank = len(shape)
    units = {f"{name}{axis}": tuple(int(i == axis) for i in range(rank)) for axis in range(rank)}
    loop = loop_over(shape, {"y": order, **(strides or {}), **units}, order="y", index=index)
    declared = "".join(f" const int {each} = {loop.at[each]};" for each in units)
    return replace(loop, decode=loop.decode + declared)


def place(tensor: Tensor, names: Sequence[str]) -> str:
    """C expression of an element's place in a tensor, one coordinate's text an axis."""
    terms = zip(tensor.strides, names, strict=True)
    return sum_of((step, each) for step, each in terms if each != "0")


def names_of(rank: int, *, name: str = "c") -> list[str]:
    """The names that `coordinates` declares: c0, c1 and so on."""
    return [f"{name}{axis}" for axis in range(rank)]


def emit_each(
    planner: Planner,
    node: Node,
    kernel: tuple[str, str],
    inputs: Mapping[str, Tensor],
    y: Tensor,
    *,
    size: int,
    defines: Mapping[str, object],
    flops: int = 0,
) -> None:
    """One launch of `size` work-items of a kernel (file, entry) with PARAMS, the arguments and the size."""
    if not size:
        return
    macros = defines_of(PARAMS=parameters(inputs, {"y": y}), **defines)
    moved = sum(min(each.nbytes, y.size * 8) for each in inputs.values()) + y.nbytes
    step = Step(Kernel(*kernel, macros), *global_for(size), (*inputs, "y", np.int32(size)), flops=flops, bytes=moved)
    planner.emit(node.name, [step], y=y, **inputs)
