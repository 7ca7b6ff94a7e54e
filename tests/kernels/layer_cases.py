"""A whole model, layer by layer: every tensor that fusion leaves, read from the running plan, against ONNX Runtime.

Used by test_layer_parity.py and by scripts/layer_parity.py, so it needs neither pytest nor a particular device. The
plan is the one that a session runs; nothing is added to it. Where its tensors lie is learnt from a second plan of the
same graph that copies each of them out, and must launch the same kernels beside that; then the first plan runs launch
by launch, and each tensor is read where it lies as soon as it is there.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import as_strided
from onnx import TensorProto, numpy_helper

from edge.compute.capability import Capability
from edge.compute.device import Device
from edge.inference.opencl.execute import Bound, bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.graph import Graph, Node
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.launch import Array, Launch, Tensor
from edge.inference.opencl.plan import Plan, plan_graph

PROBE = "parity probe: "  # before the name of a tensor: the node that copies it out
COPIES = (" (rows)", " (pixels)", " (output)")  # what the planner adds to the name of a node whose tensor it moves


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies, and how many launches must be done before it is complete."""

    tensor: Tensor
    after: int


@dataclass(frozen=True, slots=True)
class Swap:
    """A TopK whose choice differs from ONNX Runtime's: how many of its rows, and why that may be.

    gap: the largest difference between the score that stands at a place of ours and the one that stands there in ONNX
    Runtime, both as ONNX Runtime has them. error: the largest difference between our scores and ONNX Runtime's. When
    all scores are right within `error`, the scores at equal places differ by no more than twice that. Both are shares
    of the largest score. is_exact: of our own scores, it chose the largest in order.
    """

    node: str
    rows: int
    of: int
    gap: float
    error: float
    is_exact: bool

    @property
    def is_fair(self) -> bool:
        """Whether the scores' own error explains it."""
        return self.is_exact and self.gap <= 2 * self.error


@dataclass(frozen=True, slots=True)
class Rounding:
    """A tensor of an INT8 model that was rounded to steps: elements that fell on another step than ONNX Runtime's.

    A value that lies half-way between two steps but for its own error may fall on either. most_steps: how far.
    """

    flipped: int
    of: int
    most_steps: float


@dataclass(slots=True)
class Comparison:
    """What was found out about one model. errors: tensor → largest difference as a share of its largest value.

    depths: tensor → how many operators with sums of many terms lie on the longest way to it. unnamed: tensors that
    exist in the fused graph only. elsewhere: nodes whose result no launch wrote. swaps, roundings: what was
    overwritten. outputs: errors of a plain run, in which nothing is overwritten; plain_swaps: of its TopK.
    """

    nodes: int
    launches: int
    errors: dict[str, float] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    roundings: dict[str, Rounding] = field(default_factory=dict)
    outputs: dict[str, float] = field(default_factory=dict)
    plain_swaps: list[Swap] = field(default_factory=list)


def compare(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    device: Device,
    *,
    reference: onnx.ModelProto | None = None,
    optimise: bool = True,
) -> Comparison:
    """Run a model on the device, and `reference` (the model itself) in ONNX Runtime, and compare all that both have.

    feeds: by name, of the model's own types. optimise: let ONNX Runtime fuse on its side. Three kinds of tensors make
    much of a rounding error: TopK's indices, what is rounded to the steps of an INT8 model, and the places that a
    GridSample reads, whose error is multiplied by the map's size and slope. They are judged by themselves and then
    overwritten with ONNX Runtime's before the next launch, so that what follows works on the same values and stays
    comparable. Raises UnsupportedOpError, DeviceBusy, DeviceLost.
    """
    graph = fuse(import_model(model, shapes={name: array.shape for name, array in feeds.items()}))
    plan, places = plan_with_places(graph, device.capability)
    strange = without_counterpart(graph, model)
    shared = [name for name in places if name not in strange]
    wanted = by_onnxruntime(reference or model, shared, feeds, optimise=optimise)
    found = Comparison(len(graph.nodes), len(plan.launches), depths=depths_of(graph))
    found.unnamed = [name for name in places if name in strange]
    found.elsewhere = elsewhere(graph, plan, places)
    top_k = {node.outputs[1]: node for node in graph.nodes if node.op == "TopK" and node.outputs[1] in wanted}
    kept = {node.inputs[0] for node in top_k.values()}
    grids = {node.inputs[1] for node in graph.nodes if node.op == "GridSample"}
    steps = steps_of(model)
    scores: dict[str, Array] = {}
    final = {name: wanted[name] for name in graph.outputs}
    with bind(plan, device) as bound:
        for name, ours in stepped(bound, {name: places[name] for name in shared}, feeds):
            theirs = wanted[name] if name in (kept | final.keys() | top_k.keys()) else wanted.pop(name)
            is_rounded = name in steps and name not in final
            if name in top_k:
                found.swaps += _swaps(top_k[name], ours, theirs, scores, wanted)
            elif is_rounded:
                found.roundings[name] = rounding(ours, theirs, steps[name])
                found.errors[name] = difference(np.where(_flipped(ours, theirs, steps[name]), theirs, ours), theirs)
            else:
                found.errors[name] = difference(ours, theirs)
            if name in top_k or name in grids or is_rounded:
                overwrite(bound, places[name].tensor, theirs)
            if name in kept:
                scores[name] = ours
        watched = {name: places[name] for name in (*kept, *top_k)}
        for name, ours in stepped(bound, watched, feeds):
            if name in top_k:
                found.plain_swaps += _swaps(top_k[name], ours, wanted[name], scores, wanted)
            if name in kept:
                scores[name] = ours
        whole = bound.run(feeds)
    for name, ours in zip(graph.outputs, whole, strict=True):
        found.outputs[name] = difference(ours, final[name])
    return found


def difference(found: Array, wanted: Array) -> float:
    """The largest difference as a share of the largest value; infinite when shapes differ or one has no number."""
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    ours, theirs = found.astype(np.float64), wanted.astype(np.float64)
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    largest, most = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
    return largest / most if most else (0.0 if largest == 0 else float("inf"))


# --- where tensors lie


def plan_with_places(graph: Graph, capability: Capability) -> tuple[Plan, dict[str, Place]]:
    """The plan of a graph, and the place of every tensor that its nodes compute.

    Raises ValueError when copying tensors out changes what is launched beside the copies: nothing is known then.
    """
    plan, probed = plan_graph(graph, capability), plan_graph(_with_probes(graph), capability)
    own = [each for each in probed.launches if not each.node.startswith(PROBE)]
    if [_signature(each) for each in own] != [_signature(each) for each in plan.launches]:
        raise ValueError("the plan with probes launches other kernels than the plan without")
    storages = {probed.inputs[name].storage: tensor.storage for name, tensor in plan.inputs.items()}
    for a, b in zip(own, plan.launches, strict=True):
        storages |= {x.storage: y.storage for x, y in zip(a.reads, b.reads, strict=True)}
    places: dict[str, Place] = {}
    done = 0
    for launch in probed.launches:
        if not launch.node.startswith(PROBE):
            done += 1
            continue
        name = launch.node.removeprefix(PROBE)
        for suffix in COPIES:
            name = name.removesuffix(suffix)
        source = next(each for each in launch.reads if each not in launch.writes)
        if source.storage in storages:
            tensor = replace(source, storage=storages[source.storage])
            places.setdefault(name, Place(tensor, done))
    places |= {name: Place(tensor, done) for name, tensor in plan.outputs.items()}
    return plan, places


def _with_probes(graph: Graph) -> Graph:
    """The graph with a copy of every computed tensor as an output of its own."""
    nodes: list[Node] = []
    types = dict(graph.types)
    probes: list[str] = []
    for node in graph.nodes:
        nodes.append(node)
        for name in node.outputs:
            if name and name not in graph.outputs and 0 not in graph.types[name].shape:
                nodes.append(Node(PROBE + name, "Identity", (name,), (PROBE + name,)))
                types[PROBE + name] = graph.types[name]
                probes.append(PROBE + name)
    return Graph(graph.name, nodes, types, graph.constants, graph.inputs, (*graph.outputs, *probes))


def _signature(launch: Launch) -> tuple[object, ...]:
    views = [(each.shape, each.strides, each.offset, each.dtype) for each in launch.reads]
    return launch.node, launch.kernel, launch.global_size, launch.local_size, views


def elsewhere(graph: Graph, plan: Plan, places: Mapping[str, Place]) -> list[str]:
    """Nodes that have a result which no launch wrote, and which is no view of an input either."""
    written = {tensor.storage for launch in plan.launches for tensor in launch.writes}
    written |= {tensor.storage for tensor in plan.inputs.values()}
    missing = []
    for node in graph.nodes:
        results = [name for name in node.outputs if name and 0 not in graph.types[name].shape]
        if not all(name in places and places[name].tensor.storage in written for name in results):
            missing.append(node.name)
    return missing


SUMS = ("Conv", "FusedConv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LayerNormalization", "GlobalAveragePool")


def depths_of(graph: Graph) -> dict[str, int]:
    """Tensor → how many operators with sums of many terms the longest way to it has."""
    depths: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depths.get(name, 0) for name in node.inputs), default=0)
        depths |= dict.fromkeys(node.outputs, before + (node.op in SUMS))
    return depths


MOVES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity"}  # all elements, none changed


def without_counterpart(graph: Graph, model: onnx.ModelProto) -> set[str]:
    """Tensors of a fused graph that the model does not have.

    Fusion gives new names to what it makes. Where it computes an activation before the reshapes that the model has
    before it, what these hand on keeps its name, but is another tensor now.
    """
    kinds = {name: node.op_type for node in model.graph.node for name in node.output}
    strange: set[str] = set()
    for node in graph.nodes:
        moved = node.op in MOVES and node.inputs[0] in strange
        strange.update(name for name in node.outputs if name not in kinds or (moved and kinds[name] == node.op))
    return strange


# --- a run, launch by launch


def stepped(bound: Bound, places: Mapping[str, Place], feeds: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Run a plan launch by launch and give each tensor as soon as it is there, by name.

    The next launch waits until the caller asks for more: what it writes into the device's memory meanwhile counts.
    """
    ready: dict[int, list[str]] = defaultdict(list)
    for name, place in places.items():
        ready[place.after].append(name)
    for name, tensor in bound.plan.inputs.items():
        bound.write(tensor, feeds[name])
    for done in range(len(bound.calls) + 1):
        if done:
            call = bound.calls[done - 1]
            bound.device.launch(call.kernel, call.global_size, call.local_size)
        for name in ready[done]:
            yield name, read(bound, places[name].tensor)


def read(bound: Bound, tensor: Tensor) -> Array:
    """The content of any view, dense."""
    return np.ascontiguousarray(_span(bound, tensor)[1])


def overwrite(bound: Bound, tensor: Tensor, array: Array) -> None:
    """Put other elements where any view lies; what lies between them stays."""
    flat, view, start = _span(bound, tensor)
    view[...] = array
    bound.device.write(bound.buffers[tensor.storage], flat, start)


def _span(bound: Bound, tensor: Tensor) -> tuple[Array, Array, int]:
    """The memory from a view's first to its last element, the view in it, and its place in the buffer, bytes."""
    item = np.dtype(tensor.dtype).itemsize
    spans = [(side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)]
    low, high = (tensor.offset + sum(each(0, span) for span in spans) for each in (min, max))
    storage = bound.plan.storages[tensor.storage]
    start = (storage.offset if storage.in_arena else 0) + low * item
    flat = bound.device.read(bound.buffers[tensor.storage], np.empty(high - low + 1, tensor.dtype), start)
    view = as_strided(flat[tensor.offset - low :], tensor.shape, [each * item for each in tensor.strides])
    return flat, view, start


# --- TopK


def _swaps(
    node: Node, ours: Array, theirs: Array, scores: Mapping[str, Array], wanted: Mapping[str, Array]
) -> list[Swap]:
    """Nothing when the choices are equal."""
    if np.array_equal(ours, theirs):
        return []
    found, expected = scores[node.inputs[0]], wanted[node.inputs[0]].astype(np.float64)
    axis, sign = node.attrs.get("axis", -1), 1 if node.attrs.get("largest", 1) else -1
    chosen = np.take_along_axis(found, ours, axis)
    best = -sign * np.sort(-sign * found, axis=axis)
    exact = np.array_equal(chosen, np.take(best, range(chosen.shape[axis]), axis=axis))
    most = float(np.abs(expected).max())
    gap = np.abs(np.take_along_axis(expected, ours, axis) - np.take_along_axis(expected, theirs, axis)).max()
    error = np.abs(found - expected).max()
    return [Swap(node.name, int((ours != theirs).sum()), ours.size, float(gap) / most, float(error) / most, exact)]


# --- INT8


def steps_of(model: onnx.ModelProto) -> dict[str, float]:
    """What is rounded to steps while the model runs, one scale a tensor: name → size of a step."""
    constants = {each.name: each for each in model.graph.initializer}
    rounded = {node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    steps = dict.fromkeys(rounded, 1.0)
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in rounded and node.input[1] in constants:
            scale = numpy_helper.to_array(constants[node.input[1]])
            if scale.size == 1:
                steps[node.output[0]] = float(scale.reshape(-1)[0])
    return steps


def _flipped(ours: Array, theirs: Array, step: float) -> Array:
    return np.abs(ours.astype(np.float64) - theirs.astype(np.float64)) > step / 2


def rounding(ours: Array, theirs: Array, step: float) -> Rounding:
    """How many elements fell on another step, and how far away."""
    apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0) / step
    return Rounding(int(_flipped(ours, theirs, step).sum()), ours.size, float(apart))


# --- ONNX Runtime's side


def by_onnxruntime(
    model: onnx.ModelProto, names: Sequence[str], feeds: Mapping[str, Array], *, optimise: bool
) -> dict[str, Array]:
    """These tensors of a model, and its outputs, by name."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    declared = {each.name for each in model.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in declared)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = opened.SerializeToString()
    del opened
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    outputs = [each.name for each in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, dict(feeds)), strict=True))


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float16 model with the same weights in float32 and all arithmetic in float32: what the importer makes of it."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        _widen(tensor)
    for node in wide.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    for value in (*wide.graph.input, *wide.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del wide.graph.value_info[:]
    return wide


def _widen(tensor: Any) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
