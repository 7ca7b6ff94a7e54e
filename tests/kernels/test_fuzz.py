"""Random small networks, by both kernel families on a real device, against ONNX Runtime.

Odd channels, sides down to 1, asymmetric pads, strides, dilation, groups; residuals and activations that fusion takes
into the convolution; splits, slices, concatenations, reshapes and transposes that become views. TIGRILLO_FUZZ says how
many networks a test tries (more than the default find more; a run is repeatable either way).
"""

import math
import os
from dataclasses import dataclass, field, replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.compute.device import Device
from edge.inference.opencl.execute import bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import plan_graph

# A network takes 0.5 to 2 s, nearly all of it PoCL's compiler: so few.
EXAMPLES = int(os.environ.get("TIGRILLO_FUZZ", "6"))
# Relative to the largest output: Winograd and another order of sums differ by some 1e-5 in float32.
TOLERANCE = 2e-4
ACTIVATIONS = ("Relu", "LeakyRelu", "Sigmoid", "HardSwish", "Clip", "SiLU", "HardSigmoid")


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("fuzz")) as opened:
        yield opened


@dataclass
class Network:
    """A model that grows: each method adds an operator to `last` and keeps the shapes."""

    shape: tuple[int, ...]
    seed: int
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    shapes: dict = field(default_factory=dict)
    last: str = "x"

    def __post_init__(self):
        self.shapes["x"] = self.shape
        self.random = np.random.default_rng(self.seed)

    @property
    def here(self) -> tuple[int, ...]:
        return self.shapes[self.last]

    def constant(self, array) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def add(self, op, inputs, shape, **attrs) -> str:
        name = f"t{len(self.shapes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attrs))
        self.shapes[name], self.last = tuple(shape), name
        return name

    def split(self, sizes, axis) -> list[str]:
        names = [f"t{len(self.shapes) + i}" for i in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [self.last, self.constant(np.int64(sizes))], names, axis=axis))
        for name, size in zip(names, sizes, strict=True):
            self.shapes[name] = tuple(size if i == axis else side for i, side in enumerate(self.here))
        return names

    def model(self, outputs):
        values = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name]) for name in names]
            for names in (["x"], outputs)
        ]
        weights = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "fuzz", *values, initializer=weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def conv(draw, net):
    """Any convolution whose result is not empty."""
    count, ci, *sides = net.here
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (2, 2), (7, 7)]))
    dilations = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2)]))
    strides = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1), (3, 3)]))
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    lacking = [max(0, r + 1 - side) for r, side in zip(reach, sides, strict=True)]
    begin = [draw(st.integers(max(0, -(-more // 2)), r // 2 + more)) for more, r in zip(lacking, reach, strict=True)]
    end = [draw(st.integers(max(0, more - b), r // 2 + more)) for more, r, b in zip(lacking, reach, begin, strict=True)]
    groups = draw(st.sampled_from([1, 1, 1, ci, *(g for g in (2, 3) if ci % g == 0)]))
    co = groups * draw(st.integers(1, max(1, 12 // groups)))
    weights = net.random.standard_normal((co, ci // groups, *kernel)) / math.sqrt(ci // groups * math.prod(kernel))
    inputs = [net.last, net.constant(weights.astype(np.float32))]
    if draw(st.booleans()):
        inputs.append(net.constant(net.random.standard_normal(co).astype(np.float32)))
    sizes = [(s + b + e - r - 1) // t + 1 for s, b, e, r, t in zip(sides, begin, end, reach, strides, strict=True)]
    attrs = {"strides": strides, "pads": [*begin, *end], "dilations": dilations, "group": groups}
    net.add("Conv", inputs, (count, co, *sizes), kernel_shape=kernel, **attrs)


def norm(_draw, net):
    channels = net.here[1]
    vectors = [net.random.uniform(0.5, 1.5, channels).astype(np.float32) for _ in range(4)]
    net.add("BatchNormalization", [net.last, *map(net.constant, vectors)], net.here)


def activation(draw, net):
    name, source = draw(st.sampled_from(ACTIVATIONS)), net.last
    if name == "SiLU":
        net.add("Mul", [source, net.add("Sigmoid", [source], net.here)], net.here)
    elif name == "Clip":
        net.add("Clip", [source, *(net.constant(np.float32(bound)) for bound in (-0.5, 0.8))], net.here)
    else:
        net.add(name, [source], net.here)


def residual(draw, net):
    """The sum with an earlier tensor of the same shape, if only with itself."""
    same = [name for name, shape in net.shapes.items() if shape == net.here]
    other = draw(st.sampled_from(same))
    net.add("Add", draw(st.permutations([net.last, other])), net.here)


def pool(draw, net):
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    size = draw(st.sampled_from([3, 5]))
    pads = [size // 2] * 4
    net.add(op, [net.last], net.here, kernel_shape=[size, size], pads=pads, strides=[1, 1])


def shuffle(draw, net):
    """Split along the channels, change one part, concatenate in another order, perhaps with the whole."""
    channels, whole = net.here[1], net.last
    if channels < 2:
        return
    first = draw(st.integers(1, channels - 1))
    parts = net.split([first, channels - first], 1)
    net.last = parts[0]
    activation(draw, net)
    pool_size = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1]}
    inputs = draw(st.permutations([net.last, parts[1], *draw(st.sampled_from([[], [whole]]))]))
    count = sum(net.shapes[name][1] for name in inputs)
    net.add("Concat", inputs, (net.here[0], count, *net.here[2:]), axis=1)
    if draw(st.booleans()):
        net.add("MaxPool", [net.last], net.here, **pool_size)


def cut(draw, net):
    """A slice along one axis, with a step, perhaps backwards."""
    axis = draw(st.integers(1, 3))
    side = net.here[axis]
    step = draw(st.sampled_from([1, 2, -1, -2]))
    start = draw(st.integers(0, side - 1))
    places = range(start, side, step) if step > 0 else range(start, -1, step)
    end = side if step > 0 else -side - 1
    rows = [net.constant(np.int64([each])) for each in (start, end, axis, step)]
    net.add("Slice", [net.last, *rows], [len(places) if i == axis else s for i, s in enumerate(net.here)])


def turn(draw, net):
    """To rows of pixels, softmax along one axis, and back."""
    count, channels, height, width = net.here
    net.add("Reshape", [net.last, net.constant(np.int64([count, channels, -1]))], (count, channels, height * width))
    net.add("Transpose", [net.last], (count, height * width, channels), perm=[0, 2, 1])
    net.add("Softmax", [net.last], net.here, axis=draw(st.sampled_from([1, 2])))
    net.add("Transpose", [net.last], (count, channels, height * width), perm=[0, 2, 1])
    net.add("Reshape", [net.last, net.constant(np.int64([0, 0, height, width]))], (count, channels, height, width))


def grow(_draw, net):
    count, channels, height, width = net.here
    scales = net.constant(np.float32([1, 1, 2, 2]))
    attrs = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    net.add("Resize", [net.last, "", scales], (count, channels, 2 * height, 2 * width), **attrs)


def head(_draw, net):
    """A mean over the map and a dense layer."""
    count, channels = net.here[:2]
    net.add("GlobalAveragePool", [net.last], (count, channels, 1, 1))
    net.add("Flatten", [net.last], (count, channels))
    weights, bias = net.random.standard_normal((7, channels)), net.random.standard_normal(7)
    inputs = [net.last, *(net.constant(each.astype(np.float32)) for each in (weights, bias))]
    net.add("Gemm", inputs, (count, 7), transB=1)


@st.composite
def convolutions(draw):
    """One convolution with what fusion may take into it."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 9, 11, 11))
    net = Network(shape, draw(st.integers(0, 2**16)))
    conv(draw, net)
    first = net.last
    for step in draw(st.lists(st.sampled_from([norm, activation, residual, conv]), max_size=3)):
        step(draw, net)
    return net, list(dict.fromkeys([net.last, *draw(st.sampled_from([[], [first]]))]))


@st.composite
def layouts(draw):
    """A chain of operators that move data, between convolutions."""
    shape = tuple(draw(st.integers(low, most)) for low, most in ((1, 3), (2, 6), (1, 8), (1, 8)))
    net = Network(shape, draw(st.integers(0, 2**16)))
    steps = [conv, shuffle, cut, turn, grow, pool, residual, activation]
    for step in draw(st.lists(st.sampled_from(steps), min_size=2, max_size=5)):
        step(draw, net)
    middle = net.last
    if middle == "x" or draw(st.booleans()):
        head(draw, net)
    return net, list(dict.fromkeys([net.last, *([middle] if middle != "x" else [])]))


def check(device, net, outputs, family):
    model = net.model(outputs)
    note(f"{family}: {[(n.op_type, list(n.input), list(n.output)) for n in model.graph.node]} {net.shapes}")
    x = net.random.standard_normal(net.shape).astype(np.float32)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    capability = replace(device.capability, family=family, local_bytes=32 * 1024, wave=64 if family == "gpu" else 1)

    plan = plan_graph(fuse(import_model(model)), capability)
    with bind(plan, device) as bound:
        found = bound.run({"x": x})

    for name, a, b in zip(outputs, found, wanted, strict=True):
        bound_abs = TOLERANCE * max(1.0, float(np.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=bound_abs, err_msg=f"{family} {name}")


FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),  # compiling is slow, and that is known
    report_multiple_bugs=False,
)


@pytest.mark.parametrize("family", ["cpu", "gpu"])
@FUZZ
@given(drawn=convolutions())
def test_convolutions_with_epilogues_equal_onnx_runtime(device, family, drawn):
    check(device, *drawn, family)


@pytest.mark.parametrize("family", ["cpu", "gpu"])
@FUZZ
@given(drawn=layouts())
def test_views_between_convolutions_equal_onnx_runtime(device, family, drawn):
    check(device, *drawn, family)
