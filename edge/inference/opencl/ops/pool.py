"""MaxPool, AveragePool, LpPool and the global ones that are a window over the whole map."""

from collections.abc import Mapping

from ....compute.kernel import Kernel, defines_of
from ..graph import Node, unsupported
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .indexing import global_for, loop_over, parameters
from .windows import AXES, Window, layout_defines, three, window_of

import numpy as np  # isort: skip

KINDS: Mapping[str, int] = {"MaxPool": 0, "AveragePool": 1, "LpPool": 2}


@lowers("MaxPool", "AveragePool", "LpPool")
def lower_pool(planner: Planner, node: Node) -> None:
    """A window over each channel."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    window = window_of(node, node.attrs["kernel_shape"], x.shape[2:], y.shape[2:])
    indices = planner.result(node.outputs[1]) if len(node.outputs) > 1 and node.outputs[1] else None
    _emit(planner, node, x, y, window, indices)


@lowers("GlobalMaxPool", "GlobalLpPool")
def lower_global(planner: Planner, node: Node) -> None:
    """One window over the whole map. The average has a kernel of its own (ops.reduce)."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    sides = x.shape[2:]
    if len(sides) > 3:
        raise unsupported(node, f"{len(sides)} spatial axes")
    window = Window(three(sides, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    kind = {"GlobalMaxPool": "MaxPool", "GlobalLpPool": "LpPool"}[node.op]
    _emit(planner, Node(node.name, kind, node.inputs, node.outputs, node.attrs, node.opset), x, y, window, None)


def _emit(planner: Planner, node: Node, x: Tensor, y: Tensor, window: Window, indices: Tensor | None) -> None:
    rank = len(x.shape) - 2
    sides = (y.shape[0], y.shape[1], *three(y.shape[2:], 1))
    strides = (y.strides[0], y.strides[1], *three(y.strides[2:], 0))
    loop = loop_over(sides, {"y": strides} | _one_hot(), order="y")
    names = {"n": "n", "c": "c", "oz": "D", "oy": "H", "ox": "W"}
    decode = loop.decode + "".join(f" const int {name} = {loop.at[label]};" for name, label in names.items())
    defines = {
        "PARAMS": parameters({"x": x}, {"y0": y} | ({"y1": indices} if indices else {})),
        "DECODE": decode,
        "POOL": KINDS[node.op],
        "COUNT_PAD": int(node.op == "AveragePool" and node.attrs.get("count_include_pad", 0)),
        "LP": float(node.attrs.get("p", 2)),
        "Y_TYPE": C_TYPES[y.dtype],
        "INDEX_AT": _index_at(x, node),
        **layout_defines(x, y),
        **window.defines(),
    }
    if indices:
        steps = (indices.strides[0], indices.strides[1], *three(indices.strides[2:], 0))
        defines |= {"INDICES": 1, "IS_AT": " + ".join(f"{v} * {s}" for v, s in zip(names, steps, strict=True))}
    del rank
    global_size, local_size = global_for(y.size)
    args = ("x", "y0", "y1", np.int32(y.size)) if indices else ("x", "y0", np.int32(y.size))
    step = Step(Kernel("pool.cl", "pool", defines_of(**defines)), global_size, local_size, args)
    planner.emit(node.name, [step], x=x, y0=y, **({"y1": indices} if indices else {}))


def _one_hot() -> dict[str, tuple[int, ...]]:
    """Strides that make each coordinate readable by name."""
    labels = ("n", "c", *AXES)
    return {label: tuple(int(i == k) for i in range(5)) for k, label in enumerate(labels)}


def _index_at(x: Tensor, node: Node) -> str:
    """The flat index of a maximum, as ONNX counts: row-major, or with storage_order 1 columns first."""
    sides = three(x.shape[2:], 1)
    channels = x.shape[1]
    depth, height, width = sides
    plane = depth * height * width
    if node.attrs.get("storage_order", 0):
        inner = f"z + {depth} * (yy + {height} * xx)" if len(x.shape) == 5 else f"yy + {height} * xx"
    else:
        inner = f"(z * {height} + yy) * {width} + xx"
    return f"((long)n * {channels} + c) * {plane} + {inner}"
