"""Quantised models: the arithmetic is float32, the rounding is INT8's. A QDQ pair is two steps of one Map."""

from dataclasses import replace
from typing import Final

from ....i18n import _
from ..graph import Graph, Node, unsupported
from ..launch import C_TYPES, Tensor
from ..plan import Planner, lowers
from .elementwise import Expr, Program, literal, map_step

LIMITS: Final = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


def is_per_tensor(node: Node, graph: Graph) -> bool:
    """Whether scale and zero point are single constants."""
    return all(
        graph.constants.get(name) is not None and graph.constants[name].size == 1 for name in node.inputs[1:] if name
    )


def quantize(node: Node, graph: Graph) -> Program:
    """QuantizeLinear: clamp(rint(x / scale) + zero). Inputs: x, scale[, zero], broadcast to x's shape."""
    dtype = graph.types[node.outputs[0]].dtype
    if dtype not in LIMITS:
        raise unsupported(node, _("it quantises to {dtype}").format(dtype=dtype))
    low, high = LIMITS[dtype]
    scale, zero, args = _parameters(node, graph)
    text = f"(({C_TYPES[dtype]})clamp(rint((float){{0}} / {scale}) + {zero}, {low}.0f, {high}.0f))"
    return (Expr(C_TYPES[dtype], text, args),)


def dequantize(node: Node, graph: Graph) -> Program:
    """DequantizeLinear: (x − zero) · scale."""
    if graph.types[node.outputs[0]].dtype != "float32":
        raise unsupported(node, _("it does not give float32"))
    scale, zero, args = _parameters(node, graph)
    return (Expr("float", f"(((float){{0}} - {zero}) * {scale})", args),)


def _parameters(node: Node, graph: Graph) -> tuple[str, str, tuple[int, ...]]:
    """Scale and zero point in C, and which inputs the text reads."""
    if is_per_tensor(node, graph):
        numbers = [float(graph.constants[name].reshape(-1)[0]) for name in node.inputs[1:] if name]
        scale, zero = [*numbers, 0.0][:2]
        return literal(scale, "float"), literal(zero, "float"), (0,)
    return "{1}", "(float){2}" if node.input(2) else "0.0f", (0, 1, 2) if node.input(2) else (0, 1)


@lowers("QuantizeLinear", "DequantizeLinear")
def lower_quantisation(planner: Planner, node: Node) -> None:
    """Per tensor, per axis, or in blocks: scale and zero point are spread over x's shape."""
    program = (quantize if node.op == "QuantizeLinear" else dequantize)(node, planner.graph)
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    tensors = [x]
    if not is_per_tensor(node, planner.graph):
        tensors += [spread(planner, node, planner.value(name), x.shape) for name in node.inputs[1:] if name]
    roles = {f"x{k}": each for k, each in enumerate(tensors)}
    planner.emit(node.name, [map_step(program, tensors, y)] if y.size else [], y=y, **roles)


def spread(planner: Planner, node: Node, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Scales or zero points so that they broadcast to x's shape."""
    if tensor.size == 1:
        return replace(tensor, shape=(), strides=())
    axis = node.attrs.get("axis", 1) % len(shape)
    if len(tensor.shape) == 1 != len(shape):
        wide = tuple(tensor.shape[0] if i == axis else 1 for i in range(len(shape)))
        return replace(
            tensor, shape=wide, strides=tuple(tensor.strides[0] if i == axis else 0 for i in range(len(shape)))
        )
    if tensor.shape[axis] in {1, shape[axis]}:
        return tensor
    return _repeat_blocks(planner, node, tensor, shape, axis)


def _repeat_blocks(planner: Planner, node: Node, tensor: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """One scale for `block_size` elements along the axis: a copy in which each stands so many times."""
    block, count = node.attrs["block_size"], tensor.shape[axis]
    cut = (*shape[:axis], count, block, *shape[axis + 1 :])
    source = replace(tensor, shape=cut, strides=(*tensor.strides[: axis + 1], 0, *tensor.strides[axis + 1 :]))
    dense = planner.new(cut, tensor.dtype)
    planner.copy(source, dense, node=f"{node.name} (blocks)")
    strides = (*dense.strides[:axis], *dense.strides[axis + 1 :])
    return replace(dense, shape=shape, strides=strides)
