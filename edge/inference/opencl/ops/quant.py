"""Quantised models: the arithmetic is float32, the rounding is INT8's. A QDQ pair is two steps of one Map."""

from dataclasses import replace

from ....i18n import _
from ..graph import Graph, Node, unsupported
from ..launch import C_TYPES
from ..plan import Planner, lowers
from .elementwise import Expr, Program, literal, lower_map

LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


def is_per_tensor(node: Node, graph: Graph) -> bool:
    """Whether scale and zero point are single constants."""
    return all(
        graph.constants.get(name) is not None and graph.constants[name].size == 1 for name in node.inputs[1:] if name
    )


def quantize(node: Node, graph: Graph, ctypes: object, attrs: object) -> Program:
    """QuantizeLinear: clamp(rint(x / scale) + zero). Inputs: x, scale[, zero], broadcast to x's shape."""
    del ctypes, attrs
    dtype = graph.types[node.outputs[0]].dtype
    if dtype not in LIMITS:
        raise unsupported(node, _("it quantises to {dtype}").format(dtype=dtype))
    low, high = LIMITS[dtype]
    if is_per_tensor(node, graph):
        scale = literal(float(graph.constants[node.inputs[1]].reshape(-1)[0]), "float")
        zero = float(graph.constants[node.inputs[2]].reshape(-1)[0]) if node.input(2) else 0.0
        text = f"(({C_TYPES[dtype]})clamp(rint({{0}} / {scale}) + {literal(zero, 'float')}, {low}.0f, {high}.0f))"
        return (Expr(C_TYPES[dtype], text, (0,)),)
    zero_text = " + (float){2}" if node.input(2) else ""
    text = f"(({C_TYPES[dtype]})clamp(rint({{0}} / {{1}}){zero_text}, {low}.0f, {high}.0f))"
    return (Expr(C_TYPES[dtype], text, (0, 1, 2) if node.input(2) else (0, 1)),)


def dequantize(node: Node, graph: Graph, ctypes: object, attrs: object) -> Program:
    """DequantizeLinear: (x − zero) · scale."""
    del ctypes, attrs
    if graph.types[node.outputs[0]].dtype != "float32":
        raise unsupported(node, _("it does not give float32"))
    if is_per_tensor(node, graph):
        scale = literal(float(graph.constants[node.inputs[1]].reshape(-1)[0]), "float")
        zero = float(graph.constants[node.inputs[2]].reshape(-1)[0]) if node.input(2) else 0.0
        return (Expr("float", f"(((float){{0}} - {literal(zero, 'float')}) * {scale})", (0,)),)
    zero_text = " - (float){2}" if node.input(2) else ""
    return (Expr("float", f"(((float){{0}}{zero_text}) * {{1}})", (0, 1, 2) if node.input(2) else (0, 1)),)


@lowers("QuantizeLinear", "DequantizeLinear")
def lower_quantisation(planner: Planner, node: Node) -> None:
    """Per tensor, per axis, or in blocks: scale and zero point are spread over x's shape."""
    graph = planner.graph
    build = quantize if node.op == "QuantizeLinear" else dequantize
    program = build(node, graph, None, None)
    if is_per_tensor(node, graph):
        lower_map(planner, Node(node.name, "Map", node.inputs[:1], node.outputs, {"program": program}))
        return
    shape = graph.types[node.inputs[0]].shape
    axis = node.attrs.get("axis", 1) % max(len(shape), 1)
    names = [node.inputs[0]]
    for name in node.inputs[1:]:
        if not name:
            continue
        tensor = planner.value(name)
        if len(tensor.shape) == 1 and len(shape) > 1:
            wide = tuple(tensor.shape[0] if i == axis else 1 for i in range(len(shape)))
            steps = tuple(tensor.strides[0] if i == axis else 0 for i in range(len(shape)))
            planner.tensors[f"{node.name}/{name}"] = replace(tensor, shape=wide, strides=steps)
            names.append(f"{node.name}/{name}")
        elif len(tensor.shape) == len(shape) and tensor.shape[axis] != shape[axis] and tensor.shape[axis] != 1:
            raise unsupported(node, _("it is quantised in blocks"))
        else:
            names.append(name)
    lower_map(planner, Node(node.name, "Map", tuple(names), node.outputs, {"program": program}))
