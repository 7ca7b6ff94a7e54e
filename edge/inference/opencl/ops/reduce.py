"""Reductions over axes: one value for all elements along them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .elementwise import Expr, map_step
from .indexing import Loop, global_for, loop_over, parameters


@dataclass(frozen=True, slots=True)
class Fold:
    """A reduction in C. start: first total. each: what is done to an element v. join: total a, element b. done: last.

    LOWEST and HIGHEST in `start` stand for the least and greatest value of the type, R in `done` for the count.
    """

    start: str
    each: str
    join: str
    done: str


PLUS: Final = "((a) + (b))"
FOLDS: Final = {
    "ReduceSum": Fold("0", "(v)", PLUS, "(a)"),
    "ReduceMean": Fold("0", "(v)", PLUS, "((a) / R)"),
    "GlobalAveragePool": Fold("0", "(v)", PLUS, "((a) / R)"),
    # a total that is NaN stays, and no comparison with a new NaN keeps the total
    "ReduceMax": Fold("LOWEST", "(v)", "((a) > (b) || (a) != (a) ? (a) : (b))", "(a)"),
    "ReduceMin": Fold("HIGHEST", "(v)", "((a) < (b) || (a) != (a) ? (a) : (b))", "(a)"),
    "ReduceProd": Fold("1", "(v)", "((a) * (b))", "(a)"),
    "ReduceL1": Fold("0", "((v) < 0 ? -(v) : (v))", PLUS, "(a)"),
    "ReduceL2": Fold("0", "((v) * (v))", PLUS, "sqrt((float)(a))"),
    "ReduceSumSquare": Fold("0", "((v) * (v))", PLUS, "(a)"),
    "ReduceLogSum": Fold("0", "(v)", PLUS, "log((float)(a))"),
}
EXTREMES: Final = {
    "float": ("(-INFINITY)", "INFINITY"),
    "char": ("CHAR_MIN", "CHAR_MAX"),
    "uchar": ("0", "UCHAR_MAX"),
    "short": ("SHRT_MIN", "SHRT_MAX"),
    "ushort": ("0", "USHRT_MAX"),
    "int": ("INT_MIN", "INT_MAX"),
    "uint": ("0", "UINT_MAX"),
    "long": ("LONG_MIN", "LONG_MAX"),
    "ulong": ("0", "ULONG_MAX"),
}
WIDE_FROM: Final = 64  # elements reduced from which a work-group shares one result, on a GPU
WIDE_GROUP: Final = 64


def axes_of(planner: Planner, node: Node, rank: int) -> tuple[int, ...]:
    """Axes from the second input, or all of them; empty when nothing is reduced."""
    if node.op == "GlobalAveragePool":
        return tuple(range(2, rank))
    given = planner.const(node.input(1)) if node.input(1) else None
    if node.input(1) and given is None:
        raise unsupported(node, _("its axes depend on the data"))
    if given is None or not given.size:
        return () if node.attrs.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(int(axis) % rank for axis in given.reshape(-1)))


def with_axes(y: Tensor, rank: int, axes: Sequence[int]) -> Tensor:
    """Give y with the reduced axes put back as axes of one element, whether or not they were kept."""
    if len(y.shape) == rank:
        return y
    shape, strides = list(y.shape), list(y.strides)
    for axis in axes:
        shape.insert(axis, 1)
        strides.insert(axis, 0)
    return replace(y, shape=tuple(shape), strides=tuple(strides))


def loops_of(
    x: Tensor, y: Tensor, axes: Sequence[int], along: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[Loop, Loop]:
    """The loop over what is kept (index g) and over what is reduced (index r), each with the operands X and Y.

    along: label → strides over the reduced axes of further operands of the second loop.
    """
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]

    def pick(values: Sequence[int], which: Sequence[int]) -> tuple[int, ...]:
        return tuple(values[axis] for axis in which)

    outer = {"X": pick(x.strides, kept), "Y": pick(y.strides, kept)}
    inner = {"X": pick(x.strides, axes), "Y": pick(y.strides, axes), **(along or {})}
    return (
        loop_over(pick(x.shape, kept), outer, order="Y", index="g"),
        loop_over(pick(x.shape, axes), inner, order="X", index="r"),
    )


@lowers(*FOLDS)
def lower_reduce(planner: Planner, node: Node) -> None:
    """One value for all elements along the axes; without axes each element by itself."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axes = axes_of(planner, node, len(x.shape))
    reduce_into(planner, FOLDS[node.op], x, with_axes(y, len(x.shape), axes), axes, node=node.name)


def reduce_into(planner: Planner, fold: Fold, x: Tensor, y: Tensor, axes: Sequence[int], *, node: str) -> None:
    """Launch a reduction of x over `axes` into y, which has one element along each of them."""
    outer, inner = loops_of(x, y, axes)
    count = inner.size if x.size else 0
    if not outer.size or not y.size:
        return
    wide = planner.device.family == "gpu" and count >= WIDE_FROM
    defines = _defines(fold, x, y, outer, inner, count)
    kernel = (
        Kernel("reduce.cl", "reduce_wide", (*defines, ("GROUP", str(WIDE_GROUP))))
        if wide
        else Kernel("reduce.cl", "reduce_plain", defines)
    )
    sizes = ((outer.size * WIDE_GROUP,), (WIDE_GROUP,)) if wide else global_for(outer.size)
    step = Step(kernel, *sizes, ("x", "y", np.int32(outer.size)), flops=x.size, bytes=x.nbytes + y.nbytes)
    planner.emit(node, [step], x=x, y=y)


def _defines(fold: Fold, x: Tensor, y: Tensor, outer: Loop, inner: Loop, count: int) -> tuple[tuple[str, str], ...]:
    ctype = C_TYPES[x.dtype]
    lowest, highest = EXTREMES[ctype]
    plain = defines_of(
        PARAMS=parameters({"x": x}, {"y": y}),
        DECODE=outer.decode,
        DECODE_R=inner.decode,
        X_KEPT=outer.at["X"],
        X_RED=inner.at["X"],
        Y_AT=outer.at["Y"],
        R=count,
        ACC=ctype,
        INIT=fold.start.replace("LOWEST", lowest).replace("HIGHEST", highest),
    )
    return (*plain, ("MAP(v)", fold.each), ("FOLD(a, b)", fold.join), ("DONE(a)", fold.done))


@lowers("ReduceLogSumExp")
def lower_log_sum_exp(planner: Planner, node: Node) -> None:
    """The maximum + log Σ exp(x − maximum), so that nothing overflows."""
    x, target = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    if x.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    axes = axes_of(planner, node, len(x.shape))
    y = with_axes(target, len(x.shape), axes)
    top, moved, total = (planner.new(shape, x.dtype) for shape in (y.shape, x.shape, y.shape))
    reduce_into(planner, FOLDS["ReduceMax"], x, top, axes, node=node.name)
    # an infinite maximum is not subtracted: inf − inf would be NaN
    step = map_step((Expr("float", "exp({0} - (isfinite({1}) ? {1} : 0.0f))", (0, 1)),), [x, top], moved)
    planner.emit(node.name, [step] if x.size else [], x0=x, x1=top, y=moved)
    reduce_into(planner, FOLDS["ReduceSum"], moved, total, axes, node=node.name)
    step = map_step((Expr("float", "(log({0}) + (isfinite({1}) ? {1} : 0.0f))", (0, 1)),), [total, top], y)
    planner.emit(node.name, [step], x0=total, x1=top, y=y)
