"""Element by element: every unary, binary and n-ary operator becomes a Map, and neighbouring Maps one kernel.

A Map holds a small program of C expressions (ops.expressions); fusion joins programs (fuse.join_maps), convolutions
take short ones as epilogue.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ..graph import Node
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .expressions import MAP_OPS, Expr, Program, as_expression, literal, program_of
from .indexing import Loop, global_for, loop_over, parameters, strides_for

__all__ = ["MAP_OPS", "Expr", "Program", "as_expression", "copy_step", "literal", "lower_map", "map_step", "program_of"]


MOST_GROUP: Final = 4096  # work-items of a group that PoCL takes
LEAST_ROW: Final = 16  # floats in the widest vector of a CPU


def map_step(program: Program, inputs: Sequence[Tensor], y: Tensor, *, by_rows: bool = False) -> Step:
    """The launch of a Map: roles x0, x1 … and y. by_rows: for a CPU, see indexing.loop_over."""
    labels = {f"x{k}": each for k, each in enumerate(inputs)}
    strides = {name: strides_for(each, y.shape) for name, each in labels.items()} | {"y": y.strides}
    loop = loop_over(y.shape, strides, order="y", least_row=LEAST_ROW if by_rows else 0)
    loads = "".join(
        f"const {C_TYPES[each.dtype]} v{k} = x{k}[x{k}_off + ({loop.at[f'x{k}']})]; " for k, each in enumerate(inputs)
    )
    names = [f"v{k}" for k in range(len(inputs))]
    body = ""
    for number, step in enumerate(program):
        args = (names[arg] if arg >= 0 else f"t{-1 - arg}" for arg in step.args)
        body += f"const {step.ctype} t{number} = {step.text.format(*args)}; "
    kernel = Kernel(
        "map.cl",
        "map",
        defines_of(
            PARAMS=parameters(labels, {"y": y}),
            DECODE=loop.decode,
            LOADS=loads,
            BODY=body,
            RESULT=f"t{len(program) - 1}",
            Y_AT=loop.at["y"],
            **({"ROW": loop.row} if loop.row else {}),
        ),
    )
    global_size, local_size = grid_of(loop)
    moved = sum(min(each.nbytes, y.size * 4) for each in inputs) + y.nbytes
    given: tuple[str | np.int32, ...] = (*labels, "y", np.int32(loop.size))
    return Step(kernel, global_size, local_size, given, flops=len(program) * y.size, bytes=moved)


def grid_of(loop: Loop) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Global and local size of a Map."""
    if not loop.row:
        return global_for(loop.size)
    return (loop.row, loop.size), (loop.row, 1) if loop.row <= MOST_GROUP else None


def copy_step(x: Tensor, y: Tensor, *, by_rows: bool = False) -> list[Step]:
    """The launch that copies x into y, roles "x" and "y"; broadcasts where x has one element."""
    step = map_step((Expr(C_TYPES[x.dtype], "{0}", (0,)),), [x], y, by_rows=by_rows)
    return [Step(step.kernel, step.global_size, step.local_size, ("x", "y", step.args[-1]), bytes=step.bytes)]


@lowers("Map")
def lower_map(planner: Planner, node: Node) -> None:
    """A Map: one launch."""
    y = planner.result(node.outputs[0])
    if not y.size:
        return
    inputs = [planner.value(name) for name in node.inputs]
    step = map_step(node.attrs["program"], inputs, y, by_rows=planner.device.family == "cpu")
    planner.emit(node.name, [step], y=y, **{f"x{k}": each for k, each in enumerate(inputs)})


@lowers(*sorted(MAP_OPS))
def lower_plain(planner: Planner, node: Node) -> None:
    """An operator that fusion has left alone."""
    program, inputs = program_of(node, planner.graph)
    lower_map(planner, Node(node.name, "Map", inputs, node.outputs[:1], {"program": program}, node.opset))
