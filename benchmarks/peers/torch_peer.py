"""The same ONNX model in torch on a CUDA device, fp32 without TF32: eager, and captured as one CUDA graph.

Our own importer reads the model (shapes known, constant chains folded); each node becomes one torch call. Host to host,
as ours: NumPy array in, NumPy arrays out. cuDNN may try its algorithms first (`benchmark`), as its users let it.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as nn

from edge.inference.opencl.graph import Graph, Node
from edge.inference.opencl.importer import import_model

Values = dict[str, Any]
WARM_RUNS = 10


def measure(model: onnx.ModelProto, inputs: Mapping[str, Any], *, seconds: float) -> dict[str, float]:
    """Milliseconds of one run, by way: "eager", "graph"; {} without a CUDA device or when a node is not known."""
    if not torch.cuda.is_available():
        print("peer torch: no CUDA device", flush=True)
        return {}
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    try:
        with torch.inference_mode():
            peer = Peer(model, inputs)
            return {"eager": timed(peer.eager, seconds), "graph": timed(peer.captured(), seconds)}
    except NotImplementedError as exc:
        print(f"peer torch: {exc}", flush=True)
        return {}


class Peer:
    """A model with its weights on the device."""

    def __init__(self, model: onnx.ModelProto, inputs: Mapping[str, Any]) -> None:
        wide = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
        self.graph: Graph = import_model(model, shapes={name: array.shape for name, array in wide.items()})
        self.host = {name: torch.from_numpy(array) for name, array in wide.items()}
        self.weights = {name: torch.from_numpy(np.array(a)).cuda() for name, a in self.graph.constants.items()}

    def run(self, values: Values) -> list[Any]:
        """The nodes, one torch call each; outputs on the device."""
        known = self.weights | values
        for node in self.graph.nodes:
            found = call(node, [known[name] if name else None for name in node.inputs], self.graph)
            known.update(zip(node.outputs, found if isinstance(found, list | tuple) else [found], strict=False))
        return [known[name] for name in self.graph.outputs]

    def eager(self) -> list[Any]:
        """Host to host."""
        outputs = self.run({name: each.cuda() for name, each in self.host.items()})
        return [each.cpu().numpy() for each in outputs]

    def captured(self) -> Callable[[], list[Any]]:
        """Host to host through one CUDA graph."""
        static = {name: each.cuda() for name, each in self.host.items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _run in range(3):
                self.run(dict(static))
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.run(dict(static))

        def replay() -> list[Any]:
            for name, each in self.host.items():
                static[name].copy_(each)
            graph.replay()
            return [each.cpu().numpy() for each in outputs]

        return replay


def timed(run: Callable[[], object], seconds: float) -> float:
    """Median milliseconds."""
    for _run in range(WARM_RUNS):
        run()
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def call(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """One node. Raises NotImplementedError for an operator that is not listed here."""
    if node.op in SIMPLE:
        return SIMPLE[node.op](*x)
    if node.op in WITH_ATTRIBUTES:
        return WITH_ATTRIBUTES[node.op](node, x, graph)
    raise NotImplementedError(f"op {node.op!r} at node {node.name!r} is not written for torch")


def numbers(node: Node, index: int, graph: Graph) -> list[Any]:
    """A constant input as Python numbers."""
    name = node.input(index)
    return list(np.asarray(graph.constants[name]).ravel().tolist()) if name else []


def padded(x: Any, node: Node, value: float) -> tuple[Any, list[int]]:
    """Input and symmetric padding for it; what is not symmetric is padded here."""
    pads = list(node.attrs.get("pads", [0] * 4))
    kind = node.attrs.get("auto_pad", "NOTSET")
    if kind in {"SAME_UPPER", "SAME_LOWER"}:
        kernel, strides = node.attrs["kernel_shape"], node.attrs.get("strides", [1, 1])
        total = [
            max(0, (-(-side // s) - 1) * s + k - side) for side, k, s in zip(x.shape[2:], kernel, strides, strict=True)
        ]
        less, more = [each // 2 for each in total], [each - each // 2 for each in total]
        pads = less + more if kind == "SAME_UPPER" else more + less
    if pads[:2] == pads[2:]:
        return x, pads[:2]
    return nn.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=value), [0, 0]


def conv(node: Node, x: Sequence[Any], _graph: Graph) -> Any:
    """Conv."""
    attrs = node.attrs
    data, pads = padded(x[0], node, 0.0)
    bias = x[2] if len(x) > 2 else None
    strides, dilations = attrs.get("strides", [1, 1]), attrs.get("dilations", [1, 1])
    return nn.conv2d(data, x[1], bias, strides, pads, dilations, attrs.get("group", 1))


def max_pool(node: Node, x: Sequence[Any], _graph: Graph) -> Any:
    """MaxPool."""
    data, pads = padded(x[0], node, float("-inf"))
    strides = node.attrs.get("strides", [1, 1])
    return nn.max_pool2d(data, node.attrs["kernel_shape"], strides, pads, ceil_mode=bool(node.attrs.get("ceil_mode")))


def resize(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """Resize, as detectors use it: nearest by whole factors."""
    if node.attrs.get("mode", "nearest") != "nearest":
        raise NotImplementedError(f"op 'Resize' at node {node.name!r}: mode {node.attrs['mode']}")
    return nn.interpolate(x[0], size=list(graph.types[node.outputs[0]].shape[2:]), mode="nearest")


def gemm(node: Node, x: Sequence[Any], _graph: Graph) -> Any:
    """Gemm with alpha = beta = 1."""
    a = x[0].T if node.attrs.get("transA") else x[0]
    b = x[1] if node.attrs.get("transB") else x[1].T
    return nn.linear(a, b, x[2] if len(x) > 2 else None)


def split(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """Split."""
    axis = node.attrs.get("axis", 0)
    return torch.split(x[0], [graph.types[name].shape[axis] for name in node.outputs], axis)


def cut(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """Slice with steps above 0."""
    starts, ends = numbers(node, 1, graph), numbers(node, 2, graph)
    axes, steps = numbers(node, 3, graph) or list(range(len(starts))), numbers(node, 4, graph) or [1] * len(starts)
    where: list[Any] = [slice(None)] * x[0].dim()
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        where[axis] = slice(start, None if end >= 2**31 - 1 else end, step)
    return x[0][tuple(where)]


def reduced(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """ReduceMean."""
    axes = numbers(node, 1, graph) or node.attrs.get("axes") or list(range(x[0].dim()))
    return x[0].mean(list(axes), keepdim=bool(node.attrs.get("keepdims", 1)))


def shaped(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """Reshape, Flatten, Squeeze, Unsqueeze: all shapes are known."""
    return x[0].reshape(graph.types[node.outputs[0]].shape)


def clipped(_node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """Clip; limits are constants."""
    del graph
    low, high = (x[index] if len(x) > index else None for index in (1, 2))
    return torch.clamp(x[0], low, high)


def padding(node: Node, x: Sequence[Any], graph: Graph) -> Any:
    """Pad with a constant."""
    pads = numbers(node, 1, graph)
    half = len(pads) // 2
    order = [each for axis in reversed(range(half)) for each in (pads[axis], pads[half + axis])]
    value = numbers(node, 2, graph)
    return nn.pad(x[0], order, value=value[0] if value else 0.0)


def batch_norm(node: Node, x: Sequence[Any], _graph: Graph) -> Any:
    """BatchNormalization as at inference."""
    return nn.batch_norm(x[0], x[3], x[4], x[1], x[2], eps=node.attrs.get("epsilon", 1e-5))


def layer_norm(node: Node, x: Sequence[Any], _graph: Graph) -> Any:
    """LayerNormalization over the last axes."""
    shape = x[0].shape[node.attrs.get("axis", -1) :]
    return nn.layer_norm(x[0], shape, x[1], x[2] if len(x) > 2 else None, node.attrs.get("epsilon", 1e-5))


SIMPLE: dict[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Pow": torch.pow,
    "Exp": torch.exp,
    "Sqrt": torch.sqrt,
    "Erf": torch.erf,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "HardSwish": nn.hardswish,
    "MatMul": torch.matmul,
    "Identity": lambda x: x,
}
WITH_ATTRIBUTES: dict[str, Callable[[Node, Sequence[Any], Graph], Any]] = {
    "Conv": conv,
    "MaxPool": max_pool,
    "Resize": resize,
    "Gemm": gemm,
    "Split": split,
    "Slice": cut,
    "ReduceMean": reduced,
    "Reshape": shaped,
    "Flatten": shaped,
    "Squeeze": shaped,
    "Unsqueeze": shaped,
    "Clip": clipped,
    "Pad": padding,
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "Concat": lambda node, x, _graph: torch.cat(list(x), node.attrs["axis"]),
    "Transpose": lambda node, x, _graph: x[0].permute(*node.attrs["perm"]),
    "Softmax": lambda node, x, _graph: torch.softmax(x[0], node.attrs.get("axis", -1)),
    "HardSigmoid": lambda node, x, _graph: torch.clamp(
        x[0] * node.attrs.get("alpha", 0.2) + node.attrs.get("beta", 0.5), 0, 1
    ),
    "LeakyRelu": lambda node, x, _graph: nn.leaky_relu(x[0], node.attrs.get("alpha", 0.01)),
    "GlobalAveragePool": lambda _node, x, _graph: x[0].mean((2, 3), keepdim=True),
}
