"""MaxPool, AveragePool, LpPool and the global ones that are a window over the whole map."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ..graph import Node, unsupported
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .indexing import global_for, loop_over, parameters
from .windows import AXES, Window, layout_defines, three, window_of

KINDS: Final = {"MaxPool": 0, "GlobalMaxPool": 0, "AveragePool": 1, "LpPool": 2, "GlobalLpPool": 2}  # POOL of pool.cl
COORDINATES: Final = {
    "n": "n",
    "c": "c",
    "oz": "D",
    "oy": "H",
    "ox": "W",
}  # of an output element: C name → loop's label


@dataclass(frozen=True, slots=True)
class Pool:
    """One pooling: x → y through a window; indices: where each maximum's place goes, None when nobody asks."""

    x: Tensor
    y: Tensor
    window: Window
    indices: Tensor | None = None


@lowers("MaxPool", "AveragePool", "LpPool")
def lower_pool(planner: Planner, node: Node) -> None:
    """A window over each channel."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    window = window_of(node, node.attrs["kernel_shape"], x.shape[2:], y.shape[2:])
    indices = planner.result(node.outputs[1]) if len(node.outputs) > 1 and node.outputs[1] else None
    _emit(planner, node, Pool(x, y, window, indices))


@lowers("GlobalMaxPool", "GlobalLpPool")
def lower_global(planner: Planner, node: Node) -> None:
    """One window over the whole map. The average has a kernel of its own (ops.reduce)."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    if len(x.shape) > 5:
        raise unsupported(node, f"{len(x.shape) - 2} spatial axes")
    ones, zeros = (1, 1, 1), (0, 0, 0)
    _emit(planner, node, Pool(x, y, Window(three(x.shape[2:], 1), ones, ones, zeros, zeros)))


def _emit(planner: Planner, node: Node, pool: Pool) -> None:
    x, y, indices = pool.x, pool.y, pool.indices
    if not y.size:
        return
    kernel = Kernel("pool.cl", "pool", defines_of(**_defines(node, pool)))
    results = {"y0": y} | ({"y1": indices} if indices else {})
    size = np.int32(y.size)
    step = Step(kernel, *global_for(y.size), ("x", *results, size), bytes=x.nbytes + y.nbytes)
    planner.emit(node.name, [step], x=x, **results)


def _defines(node: Node, pool: Pool) -> dict[str, object]:
    x, y, indices = pool.x, pool.y, pool.indices
    defines: dict[str, object] = {
        "PARAMS": parameters({"x": x}, {"y0": y} | ({"y1": indices} if indices else {})),
        "DECODE": _decode(y),
        "POOL": KINDS[node.op],
        "COUNT_PAD": int(node.op == "AveragePool" and node.attrs.get("count_include_pad", 0)),
        "LP": float(node.attrs.get("p", 2)),
        "Y_TYPE": C_TYPES[y.dtype],
        "INDEX_AT": _index_at(x, columns_first=bool(node.attrs.get("storage_order", 0))),
        **layout_defines(x, y),
        **pool.window.defines(),
    }
    if indices:
        steps = (*indices.strides[:2], *three(indices.strides[2:], 0))
        defines |= {"INDICES": 1, "IS_AT": " + ".join(f"{v} * {s}" for v, s in zip(COORDINATES, steps, strict=True))}
    return defines


def _decode(y: Tensor) -> str:
    """C statements that turn `i`, counted along y's memory, into COORDINATES."""
    labels = ("n", "c", *AXES)
    filled = replace(
        y, shape=(*y.shape[:2], *three(y.shape[2:], 1)), strides=(*y.strides[:2], *three(y.strides[2:], 0))
    )
    # strides of one and zeros: each label's place is that coordinate itself
    each = {label: tuple(int(axis == place) for axis in range(5)) for place, label in enumerate(labels)}
    loop = loop_over(filled.shape, {"y": filled.strides} | each, order="y")
    return loop.decode + "".join(f" const int {name} = {loop.at[label]};" for name, label in COORDINATES.items())


def _index_at(x: Tensor, *, columns_first: bool) -> str:
    """The flat index of a maximum, as ONNX counts: row-major, or with storage_order 1 columns first."""
    depth, height, width = three(x.shape[2:], 1)
    if not columns_first:
        inner = f"(z * {height} + yy) * {width} + xx"
    elif len(x.shape) == 5:
        inner = f"z + {depth} * (yy + {height} * xx)"
    else:
        inner = f"yy + {height} * xx"
    return f"((long)n * {x.shape[1]} + c) * {depth * height * width} + {inner}"
