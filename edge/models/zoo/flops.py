"""Count the multiplications and additions of a model's convolutions and matrix products."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import onnx
from onnx import helper

LARGE_BYTES = 1024  # above this an initializer's values cannot matter to shapes; shapes and axes are far smaller
Shapes = Mapping[str, tuple[int, ...]]
NO_SIZES: Mapping[str, int] = MappingProxyType({})


def flops(model: onnx.ModelProto, *, sizes: Mapping[str, int] = NO_SIZES) -> int:
    """Twice the multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul.

    sizes: of the dynamic input axes by name, those not named count as 1. Papers on detectors mean the same by "FLOPs":
    bias, activation, pooling and normalisation are not counted.
    Raises ValueError when a shape cannot be inferred.
    """
    shapes = tensor_shapes(model, sizes=sizes)
    return sum(_node_flops(node, shapes) for node in model.graph.node)


def tensor_shapes(model: onnx.ModelProto, *, sizes: Mapping[str, int] = NO_SIZES) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that shape inference knows; sizes as in flops. The weights are not copied."""
    graph = onnx.shape_inference.infer_shapes(_skeleton(model, sizes), data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        dims = info.type.tensor_type.shape.dim
        if info.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[info.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _skeleton(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """The model with large weights as inputs, so that inference does not copy them."""
    slim = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    slim.graph.name = model.graph.name
    slim.graph.node.extend(model.graph.node)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) <= LARGE_BYTES:
            slim.graph.initializer.append(tensor)
        else:
            slim.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for info in model.graph.input:
        fixed = slim.graph.input.add()
        fixed.CopyFrom(info)
        for dim in fixed.type.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value or sizes.get(dim.dim_param, 1)
    for info in model.graph.output:
        # the type only: a declared symbolic size must not stand against the inferred one
        slim.graph.output.append(helper.make_tensor_value_info(info.name, info.type.tensor_type.elem_type, None))
    return slim


def _node_flops(node: onnx.NodeProto, shapes: Shapes) -> int:
    if node.op_type not in {"Conv", "ConvTranspose", "Gemm", "MatMul"}:
        return 0
    missing = [name for name in (*node.input[:2], node.output[0]) if name not in shapes]
    if missing:
        raise ValueError(f"op {node.op_type!r} at node {node.name!r}: the shape of {missing[0]!r} cannot be inferred")
    first, second, result = shapes[node.input[0]], shapes[node.input[1]], math.prod(shapes[node.output[0]])
    match node.op_type:
        case "Conv":
            return 2 * result * math.prod(second[1:])
        case "ConvTranspose":
            return 2 * math.prod(first) * math.prod(second[1:])
        case "Gemm":
            transposed = any(each.name == "transA" and each.i for each in node.attribute)
            return 2 * result * first[0 if transposed else 1]
        case _:
            return 2 * result * first[-1]
