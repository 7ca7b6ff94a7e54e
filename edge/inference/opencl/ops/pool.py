"""MaxPool, AveragePool, LpPool and the global ones that are a window over the whole map.

Pictures whose channels lie side by side are pooled many channels at a time (pool_pixels.cl), all else one by one.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .indexing import global_for, loop_over, parameters
from .windows import AXES, Window, layout_defines, three, window_of

KINDS: Final = {"MaxPool": 0, "GlobalMaxPool": 0, "AveragePool": 1, "LpPool": 2, "GlobalLpPool": 2}  # POOL of pool.cl
GPU_VECTOR: Final = 4  # floats a work-item loads at once: 16 bytes, what a lane of GCN does in one instruction
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
        raise unsupported(node, _("{count} spatial axes").format(count=len(x.shape) - 2))
    ones, zeros = (1, 1, 1), (0, 0, 0)
    _emit(planner, node, Pool(x, y, Window(three(x.shape[2:], 1), ones, ones, zeros, zeros)))


def _emit(planner: Planner, node: Node, pool: Pool) -> None:
    x, y, indices = pool.x, pool.y, pool.indices
    if not y.size:
        return
    if _is_pixels(node, pool):
        _emit_pixels(planner, node, pool)
        return
    kernel = Kernel("pool.cl", "pool", defines_of(**_defines(node, pool)))
    results = {"y0": y} | ({"y1": indices} if indices else {})
    size = np.int32(y.size)
    step = Step(kernel, *global_for(y.size), ("x", *results, size), bytes=x.nbytes + y.nbytes)
    planner.emit(node.name, [step], x=x, **results)


def _is_pixels(node: Node, pool: Pool) -> bool:
    """Whether pool_pixels.cl computes this: float32 pictures, channels side by side, no places of maxima wanted."""
    known = KINDS[node.op] < 2 and pool.indices is None and len(pool.x.shape) == 4 and pool.x.dtype == "float32"
    return known and pool.x.pixel_stride is not None and pool.y.pixel_stride is not None


def _emit_pixels(planner: Planner, node: Node, pool: Pool) -> None:
    x, y = pool.x, pool.y
    count, channels, height, width = y.shape
    widest = planner.device.vector_floats if planner.device.family == "cpu" else GPU_VECTOR
    vec = next(each for each in (16, 8, 4, 2, 1) if each <= widest and channels % each == 0)
    sizes = {"C": channels, "VEC": vec, "XS": x.pixel_stride, "YS": y.pixel_stride, "POOL": KINDS[node.op]}
    sizes |= {"COUNT_PAD": _counts_padding(node), "XH": x.shape[2], "XW": x.shape[3], "YH": height, "YW": width}
    kernel = Kernel("pool_pixels.cl", "pool_pixels", defines_of(**sizes, **pool.window.defines()))
    grid = (channels // vec, width, count * height)
    planner.emit(node.name, [Step(kernel, grid, None, ("x", "y"), bytes=x.nbytes + y.nbytes)], x=x, y=y)


def _counts_padding(node: Node) -> int:
    return int(node.op == "AveragePool" and node.attrs.get("count_include_pad", 0))


def _defines(node: Node, pool: Pool) -> dict[str, object]:
    x, y, indices = pool.x, pool.y, pool.indices
    defines: dict[str, object] = {
        "PARAMS": parameters({"x": x}, {"y0": y} | ({"y1": indices} if indices else {})),
        "DECODE": _decode(y),
        "POOL": KINDS[node.op],
        "COUNT_PAD": _counts_padding(node),
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
