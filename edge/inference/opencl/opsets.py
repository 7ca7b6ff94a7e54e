"""Operators of older opsets, written as the newer ones: what was an attribute becomes a constant input."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...i18n import _
from .graph import Graph, Node, TensorType, unsupported
from .launch import Array

# (operator, first opset that takes it as an input, attribute, position of that input, element type)
MOVED: Final[tuple[tuple[str, int, str, int, npt.DTypeLike], ...]] = (
    ("Slice", 10, "starts", 1, np.int64),
    ("Slice", 10, "ends", 2, np.int64),
    ("Slice", 10, "axes", 3, np.int64),
    ("Clip", 11, "min", 1, np.float32),
    ("Clip", 11, "max", 2, np.float32),
    ("Pad", 11, "pads", 1, np.int64),
    ("Pad", 11, "value", 2, np.float32),
    ("TopK", 10, "k", 1, np.int64),
    ("Squeeze", 13, "axes", 1, np.int64),
    ("Unsqueeze", 13, "axes", 1, np.int64),
    ("Split", 13, "split", 1, np.int64),
    ("ReduceSum", 13, "axes", 1, np.int64),
    *(
        (f"Reduce{kind}", 18, "axes", 1, np.int64)
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
    ),
)
ADDED_IN: Final = {  # opset in which the form with inputs came: inference must read the node by that schema
    "Slice": 13,
    "Clip": 13,
    "Pad": 13,
    "TopK": 11,
    "Squeeze": 13,
    "Unsqueeze": 13,
    "Split": 13,
    "ReduceSum": 13,
}
REDUCTIONS_ADDED_IN: Final = 18
FLOORED: Final = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}  # Resize before opset 11
SPREAD_6: Final = {"Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "Greater"}
FORGOTTEN_6: Final = {"broadcast", "axis", "consumed_inputs", "is_test", "spatial"}
KEEPS_AXIS_6: Final = {"Softmax", "LogSoftmax", "Concat", "Split", "Gather", "Flatten", "TopK", "ArgMax", "ArgMin"}


def as_current(node: Node, graph: Graph) -> list[Node]:
    """The node, or what stands for it, in the form that the rest of the importer knows. May add constants."""
    if node.opset < 7:
        *before, last = _opset_6(node, graph)
        return [*before, *as_current(last, graph)]
    if node.op == "Constant":
        return [replace(node, attrs=_constant_attrs(node))]
    if node.op == "Upsample":
        return [_upsample(node, graph)]
    if node.op == "Resize" and node.opset < 11:
        attrs = FLOORED | {"mode": node.attrs.get("mode", "nearest")}
        return [replace(node, inputs=(node.inputs[0], "", node.inputs[1]), attrs=attrs, opset=13)]
    return [_with_inputs(node, graph)]


def _with_inputs(node: Node, graph: Graph) -> Node:
    """Attributes that became inputs, as constants."""
    moved = [row for row in MOVED if row[0] == node.op and node.opset < row[1]]
    if not moved:
        return node
    attrs, inputs = dict(node.attrs), list(node.inputs)
    for op, _since, attribute, position, dtype in moved:
        if attribute in attrs:
            value = np.asarray(attrs.pop(attribute), dtype)
            value = np.atleast_1d(value) if op == "TopK" or dtype is np.int64 else value
            inputs += [""] * (position + 1 - len(inputs))
            inputs[position] = _constant(graph, node, attribute, value)
    newest = ADDED_IN.get(node.op, REDUCTIONS_ADDED_IN)
    return replace(node, attrs=attrs, inputs=tuple(inputs), opset=max(node.opset, newest))


def _constant(graph: Graph, node: Node, what: str, value: Array) -> str:
    name = f"{node.outputs[0]}/{what}"
    graph.constants[name] = value
    graph.types[name] = TensorType(str(value.dtype), value.shape)
    return name


def _opset_6(node: Node, graph: Graph) -> list[Node]:
    """Opset 6 as 7: the second operand was aligned at `axis`, not at the last one, and never by itself."""
    if node.op == "BatchNormalization" and not (node.attrs.get("is_test", 0) and node.attrs.get("spatial", 1)):
        raise unsupported(node, _("it is in training mode"))
    attrs = {
        name: value
        for name, value in node.attrs.items()
        if name not in FORGOTTEN_6 or (name == "axis" and node.op in KEEPS_AXIS_6)
    }
    current = replace(node, attrs=attrs, opset=7)
    axis = node.attrs.get("axis") if node.op in SPREAD_6 else 1 if node.op == "PRelu" else None
    if axis is None:
        return [current]
    ranks = [len(graph.types[name].shape) for name in node.inputs]
    behind = ranks[0] - axis % ranks[0] - ranks[1]
    if behind <= 0 or (node.op == "PRelu" and ranks[1] != 1):
        return [current]
    axes = _constant(graph, node, "axes", np.arange(ranks[1], ranks[1] + behind, dtype=np.int64))
    wide = f"{node.outputs[0]}/aligned"
    align = Node(f"{node.name}/aligned", "Unsqueeze", (node.inputs[1], axes), (wide,), {}, 13)
    return [align, replace(current, inputs=(node.inputs[0], wide))]


def _constant_attrs(node: Node) -> dict[str, Any]:
    """All forms of Constant as `value`, an array."""
    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in node.attrs:
            return {"value": np.asarray(node.attrs[name], dtype)}
    return dict(node.attrs)


def _upsample(node: Node, graph: Graph) -> Node:
    """Upsample (opset 7 to 9) as Resize: its pixel (x) reads pixel floor(x / scale)."""
    scales = node.input(1) or _constant(graph, node, "scales", np.asarray(node.attrs["scales"], np.float32))
    mode = "linear" if node.attrs.get("mode") in {"linear", "bilinear"} else "nearest"
    return replace(node, op="Resize", inputs=(node.inputs[0], "", scales), attrs=FLOORED | {"mode": mode}, opset=13)
