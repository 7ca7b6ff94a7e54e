"""ONNX file → Graph with every shape known: attributes of old opsets become inputs, constant chains are folded.

Types and shapes come from ONNX's own inference, node by node, fed with the constants known so far; folding is done by
ONNX's own reference operators. So Shape → Gather → Concat → Reshape chains vanish here. float16 and bfloat16 become
float32: the arithmetic is float32 throughout.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ...errors import UnsupportedOpError
from ...i18n import _
from .graph import Graph, Node, TensorType, understood, unsupported
from .launch import C_TYPES, Array
from .opsets import as_current

OPSETS: Final = (6, 28)  # versions whose operators are understood
# Never evaluated while importing: their result is another one each time, or they hold graphs of their own.
NOT_FOLDED: Final = {
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
}
ALIASES: Final = {"Identity", "Dropout"}
# Results have the type of the first input.
UNKNOWN_TO_INFERENCE: Final = {"GroupNormalization", "MeanVarianceNormalization"}
HALVES: Final = tuple(map(helper.tensor_dtype_to_np_dtype, (TensorProto.FLOAT16, TensorProto.BFLOAT16)))
SHAPE_DATA_BYTES: Final = 4096  # constants up to this size are shown to shape inference


def import_model(
    model: onnx.ModelProto,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    fixed: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of a model for inputs of these shapes.

    shapes: by input name, for inputs whose declared shape is open. fixed: inputs that always have this value; they
    become constants, so that shapes may depend on them. Raises UnsupportedOpError with one line naming the
    node when a shape depends on the data, an element type has no OpenCL counterpart, or the opset is unknown.
    """
    opset = _opset_of(model)
    graph = Graph(model.graph.name, [], {}, {}, (), ())
    for tensor in model.graph.initializer:
        _add_constant(graph, tensor.name, numpy_helper.to_array(tensor))
    for name, array in (fixed or {}).items():
        _add_constant(graph, name, array)
    given = [each for each in model.graph.input if each.name not in graph.constants]
    for each in given:
        graph.types[each.name] = _declared(each, (shapes or {}).get(each.name))
    graph.inputs = tuple(each.name for each in given)
    graph.outputs = tuple(each.name for each in model.graph.output)
    same: dict[str, str] = {}
    for index, proto in enumerate(model.graph.node):
        bare = Node(proto.name or f"{proto.op_type}_{index}", proto.op_type, (), (), opset=opset)
        with understood(bare):
            _import_node(graph, proto, index=index, opset=opset, same=same)
    _name_outputs(graph, same)
    for name in graph.outputs:
        if name not in graph.types:
            raise UnsupportedOpError(_("output {name!r} is made by no node: export the model again").format(name=name))
    graph.drop_unused()
    _refuse_unknown_types(graph)
    return graph


def _refuse_unknown_types(graph: Graph) -> None:
    """Raise for the first computed tensor, or constant output, of a type that kernels do not know: float64."""
    for node in graph.nodes:
        for name in (*node.outputs, *(each for each in node.inputs if each not in graph.constants)):
            if name and graph.types[name].dtype not in C_TYPES:
                raise unsupported(node, _("element type {dtype}").format(dtype=graph.types[name].dtype))
    for name in (*graph.inputs, *graph.outputs):
        if (dtype := graph.types[name].dtype) not in C_TYPES:
            text = _("tensor {name!r} has element type {found}, which OpenCL devices do not know: export it as float32")
            raise UnsupportedOpError(text.format(name=name, found=dtype))


def _name_outputs(graph: Graph, same: Mapping[str, str]) -> None:
    """Let outputs that are aliases keep their names: what they stand for takes the name, or is copied under it."""
    renamed: dict[str, str] = {}
    made = set(graph.producers())
    for name in graph.outputs:
        source = same.get(name)
        if source is None:
            continue
        graph.types[name] = graph.types[source]
        if source in made and source not in graph.outputs and source not in renamed:
            renamed[source] = name
        else:
            graph.nodes.append(Node(name, "Identity", (source,), (name,)))
    if renamed:
        graph.nodes = [
            replace(
                node,
                inputs=tuple(renamed.get(name, name) for name in node.inputs),
                outputs=tuple(renamed.get(name, name) for name in node.outputs),
            )
            for node in graph.nodes
        ]


def _opset_of(model: onnx.ModelProto) -> int:
    versions = {each.domain: each.version for each in model.opset_import}
    opset = int(versions.get("", versions.get("ai.onnx", 0)))
    if not OPSETS[0] <= opset <= OPSETS[1]:
        text = _("opset {opset} is not one of {first} to {last}: export the model with opset 17")
        raise UnsupportedOpError(text.format(opset=opset, first=OPSETS[0], last=OPSETS[1]))
    return opset


def _declared(value: onnx.ValueInfoProto, given: tuple[int, ...] | None) -> TensorType:
    if not value.type.HasField("tensor_type"):
        raise UnsupportedOpError(_("input {name!r} is no tensor: export the model without it").format(name=value.name))
    kind = value.type.tensor_type
    declared = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    shape = given or tuple(side or 0 for side in declared)
    if not given and any(side is None for side in declared):
        text = _(
            "input {name!r} has an open shape {shape}: say input_hw in the model's card or export it with fixed sizes"
        )
        raise UnsupportedOpError(text.format(name=value.name, shape=[side or "?" for side in declared]))
    return TensorType(_dtype_name(kind.elem_type, value.name), shape)


def _dtype_name(elem_type: int, name: str) -> str:
    if elem_type in {TensorProto.FLOAT16, TensorProto.BFLOAT16}:
        return "float32"
    found = "" if not elem_type else str(np.dtype(helper.tensor_dtype_to_np_dtype(elem_type)))
    if found not in C_TYPES and found != "float64":
        text = _("tensor {name!r} has element type {found}, which OpenCL devices do not know: export it as float32")
        raise UnsupportedOpError(text.format(name=name, found=TensorProto.DataType.Name(elem_type)))
    return found


def _widen(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype in HALVES else array


def _add_constant(graph: Graph, name: str, array: Array) -> None:
    array = _widen(np.asarray(array))
    graph.constants[name] = array
    graph.types[name] = TensorType(str(array.dtype), array.shape)


def _import_node(graph: Graph, proto: onnx.NodeProto, *, index: int, opset: int, same: dict[str, str]) -> None:
    """Add one node: folded into a constant, into an alias, or as it is."""
    node = _node_of(proto, index=index, opset=opset, same=same)
    for name in filter(None, node.inputs):
        if name not in graph.types:
            raise unsupported(node, _("its input {name!r} is made by no node before it").format(name=name))
    if node.op in ALIASES:
        _refuse_training(node, graph)
        same[node.outputs[0]] = node.inputs[0]
        for mask in filter(None, node.outputs[1:]):
            _add_constant(graph, mask, np.ones(graph.types[node.inputs[0]].shape, np.bool_))
        return
    for current in as_current(node, graph):
        if folded := _fold(graph, current):
            for name, array in zip(current.outputs, folded, strict=False):
                if name:
                    _add_constant(graph, name, array)
            continue
        _infer(graph, current)
        graph.nodes.append(current)


def _refuse_training(node: Node, graph: Graph) -> None:
    """Dropout copies its input unless the model was exported for training."""
    if node.op != "Dropout":
        return
    ratio, flag = (graph.constants.get(node.input(index)) for index in (1, 2))
    if node.opset < 7:
        training = not node.attrs.get("is_test", 0)
    else:
        training = bool(node.input(2)) and (flag is None or bool(flag.any()))
    if training and (ratio is None or ratio.any()):
        raise unsupported(node, _("it is in training mode"))


def _node_of(proto: onnx.NodeProto, *, index: int, opset: int, same: dict[str, str]) -> Node:
    attrs = {each.name: _attribute(each) for each in proto.attribute}
    node = Node(
        name=proto.name or f"{proto.op_type}_{index}",
        op=proto.op_type,
        inputs=tuple(same.get(name, name) for name in proto.input),
        outputs=tuple(proto.output),
        attrs=attrs,
        opset=opset,
    )
    if proto.domain not in {"", "ai.onnx"}:
        raise unsupported(node, _("domain {domain!r} is not ONNX's own").format(domain=proto.domain))
    if any(isinstance(value, onnx.GraphProto) for value in attrs.values()):
        raise unsupported(node, _("it holds a graph of its own"))
    if node.op == "Cast" and attrs["to"] in {TensorProto.FLOAT16, TensorProto.BFLOAT16}:
        attrs["to"] = TensorProto.FLOAT
    return node


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return _widen(numpy_helper.to_array(value))
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [each.decode("utf-8", "replace") for each in value]
    return value


def _proto_of(node: Node) -> onnx.NodeProto:
    attrs = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attrs.items()
    }
    return helper.make_node(node.op, node.inputs, node.outputs, name=node.name, **attrs)


def _fold(graph: Graph, node: Node) -> list[Array] | None:
    """The node's results when they do not depend on the model's inputs; None when they do."""
    if node.op in {"Shape", "Size"}:
        return [_shape_data(graph, node)]
    known = [graph.constants.get(name) for name in node.inputs if name]
    if any(array is None for array in known) or node.op in NOT_FOLDED:
        return None
    evaluator = ReferenceEvaluator(_proto_of(node), opsets={"": node.opset})
    feeds = {name: graph.constants[name] for name in node.inputs if name}
    try:
        return [np.asarray(each) for each in evaluator.run(None, feeds)]
    except (NotImplementedError, RuntimeError, TypeError, ValueError, IndexError):
        return None  # the reference does not know this form; the device's own operator may


def _shape_data(graph: Graph, node: Node) -> Array:
    shape = graph.types[node.inputs[0]].shape
    if node.op == "Size":
        return np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
    return np.array(shape[slice(node.attrs.get("start", 0), node.attrs.get("end"))], np.int64)


def _infer(graph: Graph, node: Node) -> None:
    """Write the types of the node's outputs into the graph."""
    if node.op in UNKNOWN_TO_INFERENCE:
        graph.types[node.outputs[0]] = graph.types[node.inputs[0]]
        return
    try:
        schema = onnx.defs.get_schema(node.op, max_inclusive_version=node.opset)
    except onnx.defs.SchemaError as exc:
        raise unsupported(node, _("ONNX has no such operator")) from exc
    types = {name: _proto_type(graph.types[name]) for name in node.inputs if name}
    small = {
        name: numpy_helper.from_array(np.asarray(graph.constants[name]), name)
        for name in node.inputs
        if name in graph.constants and graph.constants[name].nbytes <= SHAPE_DATA_BYTES
    }
    try:
        found = shape_inference.infer_node_outputs(
            schema, _proto_of(node), types, small, opset_imports=[helper.make_opsetid("", node.opset)]
        )
    except (shape_inference.InferenceError, RuntimeError, ValueError) as exc:
        why = _("it is not as ONNX wants it ({reason})")
        raise unsupported(node, why.format(reason=" ".join(str(exc).split())[:200])) from exc
    for name in node.outputs:
        if name:
            graph.types[name] = _static_type(node, name, found.get(name))


def _proto_type(kind: TensorType) -> onnx.TypeProto:
    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(kind.dtype))
    return helper.make_tensor_type_proto(elem_type, kind.shape)


def _static_type(node: Node, name: str, proto: onnx.TypeProto | None) -> TensorType:
    if proto is None or not proto.tensor_type.HasField("shape"):
        raise unsupported(node, _("the shape of {name!r} depends on the data").format(name=name))
    dims = proto.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        raise unsupported(node, _("the shape of {name!r} depends on the data").format(name=name))
    return TensorType(_dtype_name(proto.tensor_type.elem_type, name), tuple(dim.dim_value for dim in dims))
