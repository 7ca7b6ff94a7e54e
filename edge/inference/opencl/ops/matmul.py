"""MatMul and Gemm. With constant weights they are 1×1 convolutions over rows; else a kernel for any strides."""

from dataclasses import replace

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ....i18n import _
from ..graph import Node, unsupported
from ..launch import Array, Const, ConvProblem, Step, Tensor
from ..plan import Planner, lowers
from .conv import steps_of
from .indexing import loop_over, round_up, strides_for
from .shape import broadcast

TILE = 16  # rows and columns of y that one work-group computes; also its depth along k


@lowers("Gemm")
def lower_gemm(planner: Planner, node: Node) -> None:
    """Alpha · A · B + beta · C."""
    a, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    if a.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=a.dtype))
    if node.attrs.get("transA", 0):
        a = _transposed(a)
    alpha, beta = float(node.attrs.get("alpha", 1.0)), float(node.attrs.get("beta", 1.0))
    weights, bias = planner.const(node.inputs[1]), planner.const(node.input(2)) if node.input(2) else None
    if weights is not None and (
        not node.input(2) or (bias is not None and bias.size in {1, y.shape[1]} and bias.shape[:-1] in {(), (1,)})
    ):
        matrix = weights if node.attrs.get("transB", 0) else weights.T
        shift = (
            np.zeros(y.shape[1], np.float32) if bias is None else np.broadcast_to(bias.reshape(-1) * beta, y.shape[1:])
        )
        as_rows(planner, node, a, y, np.asarray(matrix * np.float32(alpha)), shift)
        return
    b = planner.value(node.inputs[1])
    if node.attrs.get("transB", 0):
        b = _transposed(b)
    c = broadcast(planner.value(node.inputs[2]), y.shape) if node.input(2) else None
    product(planner, node, a, b, y, c=c, alpha=alpha, beta=beta)


def _transposed(matrix: Tensor) -> Tensor:
    return replace(matrix, shape=matrix.shape[::-1], strides=matrix.strides[::-1])


@lowers("MatMul")
def lower_matmul(planner: Planner, node: Node) -> None:
    """NumPy's matmul: batch axes broadcast, vectors are rows or columns."""
    a, b, y = planner.value(node.inputs[0]), planner.value(node.inputs[1]), planner.result(node.outputs[0])
    if a.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=a.dtype))
    weights = planner.const(node.inputs[1])
    if weights is not None and weights.ndim == 2 and len(a.shape) >= 2:
        rows = planner.row_major(a, node=node.name)
        flat = replace(rows, shape=(rows.size // a.shape[-1], a.shape[-1]), strides=(a.shape[-1], 1))
        if y.is_row_major:
            target = replace(y, shape=(flat.shape[0], y.shape[-1]), strides=(y.shape[-1], 1))
            as_rows(planner, node, flat, target, np.asarray(weights.T), np.zeros(y.shape[-1], np.float32))
            return
    if len(a.shape) == 1:
        a = replace(a, shape=(1, *a.shape), strides=(0, *a.strides))
        y = (
            replace(y, shape=(*y.shape[:-1], 1, *y.shape[-1:]), strides=(*y.strides[:-1], 0, *y.strides[-1:]))
            if len(b.shape) > 1
            else y
        )
    if len(b.shape) == 1:
        b = replace(b, shape=(*b.shape, 1), strides=(*b.strides, 0))
        y = replace(y, shape=(*y.shape, 1), strides=(*y.strides, 0))
    if len(y.shape) == 1:  # vector · vector
        y = replace(y, shape=(1, 1), strides=(0, 0))
    product(planner, node, a, b, y)


def as_rows(planner: Planner, node: Node, a: Tensor, y: Tensor, weights: Array, bias: Array) -> None:
    """Write a · weightsᵀ + bias by the convolution kernels: a row is a pixel. weights: (outputs, inputs)."""
    dense = a if a.strides[1] == 1 and a.strides[0] >= a.shape[1] else planner.row_major(a, node=node.name)
    target = y if y.strides[1] == 1 and y.strides[0] >= y.shape[1] else planner.new(y.shape, y.dtype)
    problem = ConvProblem(
        batch=1,
        hi=1,
        wi=a.shape[0],
        ci=a.shape[1],
        ho=1,
        wo=a.shape[0],
        co=y.shape[1],
        kernel=(1, 1),
        strides=(1, 1),
        pads=(0, 0),
        x_stride=dense.strides[0] if a.shape[0] > 1 else a.shape[1],
        y_stride=target.strides[0] if a.shape[0] > 1 else y.shape[1],
    )
    steps = steps_of(planner, problem, weights[:, :, None, None], bias, planar=False, tensors=(dense, target))
    planner.emit(node.name, steps, x=dense, y=target)
    if target is not y:
        planner.copy(target, y, node=f"{node.name} (rows)")


def product(
    planner: Planner,
    node: Node,
    a: Tensor,
    b: Tensor,
    y: Tensor,
    *,
    c: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> None:
    """The general product: every operand with its own strides, batch axes broadcast."""
    rows, columns, depth = y.shape[-2], y.shape[-1], a.shape[-1]
    batch = y.shape[:-2]
    steps = {
        "A": strides_for(replace(a, shape=a.shape[:-2], strides=a.strides[:-2]), batch),
        "B": strides_for(replace(b, shape=b.shape[:-2], strides=b.strides[:-2]), batch),
        "Y": y.strides[:-2],
        "C": c.strides[:-2] if c else (0,) * len(batch),
    }
    loop = loop_over(batch, steps, order="Y", index="g")
    defines = {"TILE": TILE, "M": rows, "N": columns, "K": depth, "DECODE": loop.decode}
    defines |= {f"{label}_BATCH": loop.at[label] for label in steps}
    for label, tensor in (("A", a), ("B", b), ("Y", y)):
        defines |= {f"{label}_ROW": tensor.strides[-2], f"{label}_COL": tensor.strides[-1]}
    defines |= {"C_ROW": c.strides[-2] if c else 0, "C_COL": c.strides[-1] if c else 0}
    defines |= {"ALPHA": alpha, "BETA": beta, "HAS_C": int(c is not None)}
    group = TILE if planner.device.family == "gpu" else 1
    global_size = (round_up(columns, group), round_up(rows, group), loop.size)
    entry = "matmul_tiled" if planner.device.family == "gpu" else "matmul_plain"
    args = ("a", "b", "c" if c else Const(np.zeros(1, np.float32)), "y")
    step = Step(
        Kernel("matmul.cl", entry, defines_of(**defines)),
        global_size,
        (group, group, 1) if planner.device.family == "gpu" else None,
        args,
        flops=2 * y.size * depth,
        bytes=a.nbytes + b.nbytes + y.nbytes,
    )
    planner.emit(node.name, [step], a=a, b=b, y=y, **({"c": c} if c else {}))
