"""The CPU family's convolutions on PoCL equal ONNX Runtime's, for every algorithm that a problem is offered."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pyopencl as cl
import pytest
from onnx import TensorProto, helper

from edge.compute.capability import Capability
from edge.compute.kernel import Kernel
from edge.compute.program import OPTIONS
from edge.inference.opencl.launch import Const, ConvProblem, Scratch, Step
from edge.inference.opencl.ops.conv_cpu import candidates, lower

F32 = npt.NDArray[np.float32]

# float32 sums of up to 1152 products in another order, Winograd's transforms included: 1e-5 of the largest value
TOLERANCE = 1e-5
UNTOUCHED = np.float32(-12345.0)
AVX512 = Capability("cpu", "", "", "cpu", 2, 1, 1 << 20, 1 << 33, 1 << 31, vector_floats=16)
AVX2 = replace(AVX512, vector_floats=8)


@dataclass(frozen=True, slots=True)
class Rig:
    """A PoCL queue and the programs built so far, shared by all tests as PoCL compiles slowly."""

    context: Any
    queue: Any
    programs: dict[Kernel, Any]

    def run(self, steps: tuple[Step, ...], tensors: dict[str, tuple[Any, int]]) -> None:
        """Run the steps in order; tensors: buffer and element offset by role."""
        scratch: dict[str, Any] = {}
        for step in steps:
            values: list[Any] = []
            for arg in step.args:
                if isinstance(arg, str):
                    values += [tensors[arg][0], np.int32(tensors[arg][1])]
                elif isinstance(arg, Const):
                    values += [self.upload(arg.array), np.int32(0)]
                elif isinstance(arg, Scratch):
                    scratch.setdefault(arg.name, self.upload(np.full(arg.elements, np.nan, arg.dtype)))
                    values += [scratch[arg.name], np.int32(0)]
                else:
                    values.append(arg)
            if step.kernel not in self.programs:
                self.programs[step.kernel] = cl.Program(self.context, step.kernel.source()).build(OPTIONS.split())
            kernel = cl.Kernel(self.programs[step.kernel], step.kernel.entry)
            kernel(self.queue, step.global_size, step.local_size, *values)
        self.queue.finish()

    def upload(self, array: npt.NDArray[Any]) -> Any:
        """A buffer of exactly the array's bytes."""
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        return cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(array))


@pytest.fixture(scope="module")
def rig() -> Rig:
    platform = next(p for p in cl.get_platforms() if p.name == "Portable Computing Language")
    context = cl.Context(platform.get_devices()[:1])
    return Rig(context, cl.CommandQueue(context), {})


@dataclass(frozen=True, slots=True)
class Case:
    """One convolution. gap: channels of another tensor beside x, y and r in memory; lead: elements before them."""

    ci: int
    co: int
    size: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    batch: int = 1
    gap: int = 0
    lead: int = 0
    residual: bool = False
    planar: bool = False
    act: str = "(v)"
    post: str = "(v)"

    def problem(self) -> ConvProblem:
        """What the planner is asked."""
        extent = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        out = [(self.size[i] + self.pads[i] + self.pads[i + 2] - extent[i]) // self.strides[i] + 1 for i in (0, 1)]
        return ConvProblem(
            batch=self.batch, hi=self.size[0], wi=self.size[1], ci=self.ci, ho=out[0], wo=out[1], co=self.co,
            kernel=self.kernel, strides=self.strides, pads=self.pads[:2], dilations=self.dilations, groups=self.groups,
            x_stride=self.ci + self.gap, y_stride=self.co + self.gap,
            r_stride=(self.co + self.gap) * self.residual, act=self.act, post=self.post,
        )  # fmt: skip


ACTIVATIONS = {
    "(v)": lambda v: v,
    "fmax(v, 0.0f)": lambda v: np.maximum(v, 0),
    "fmin(fmax(v, 0.0f), 6.0f)": lambda v: np.clip(v, 0, 6),
    "(v * SIGMOID(v))": lambda v: v / (1 + np.exp(-v)),
    "SIGMOID(v)": lambda v: 1 / (1 + np.exp(-v)),
    "(v / (1.0f + EXP(-v)))": lambda v: v / (1 + np.exp(-v)),
}
SILU = "(v * SIGMOID(v))"

CASES = {
    "1x1": Case(16, 32, (20, 20)),
    "1x1 one map, one channel": Case(1, 1, (1, 1)),
    "1x1 of a 1x1 map": Case(33, 255, (1, 1), act="SIGMOID(v)"),
    "1x1 odd channels in a slice": Case(17, 33, (7, 5), gap=3, lead=5, batch=3, residual=True, act=SILU),
    "1x1 stride 2": Case(24, 40, (9, 9), strides=(2, 2)),
    "1x1 with pads": Case(8, 16, (4, 4), pads=(1, 1, 1, 1)),
    "detect head": Case(32, 255, (10, 10), act="SIGMOID(v)"),
    "3x3": Case(32, 64, (20, 20), (3, 3), pads=(1, 1, 1, 1), act="(v / (1.0f + EXP(-v)))"),
    "3x3 residual in slices": Case(
        32, 32, (13, 11), (3, 3), pads=(1, 1, 1, 1), gap=32, lead=16, residual=True, act=SILU, post="fmax(v, 0.0f)"
    ),
    "3x3 odd channels, batch 3": Case(7, 17, (9, 6), (3, 3), pads=(1, 1, 1, 1), batch=3, gap=1, lead=3, residual=True),
    "3x3 of a 1x1 map": Case(16, 24, (1, 1), (3, 3), pads=(1, 1, 1, 1)),
    "3x3 of a 2x3 map": Case(16, 24, (2, 3), (3, 3), pads=(1, 1, 1, 1)),
    "3x3 stride 2, pads below and right": Case(24, 48, (16, 12), (3, 3), (2, 2), (0, 0, 1, 1), act=SILU),
    "3x3 without pads": Case(16, 16, (8, 8), (3, 3)),
    "3x3 deep": Case(128, 48, (10, 10), (3, 3), pads=(1, 1, 1, 1), act=SILU),
    "3x3 dilated": Case(8, 16, (12, 12), (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2)),
    "5x3 uneven everything": Case(5, 9, (11, 14), (5, 3), (1, 2), (2, 0, 1, 2), (2, 1), batch=2),
    "3x3 groups": Case(24, 36, (8, 8), (3, 3), pads=(1, 1, 1, 1), groups=3, residual=True),
    "1x1 groups in a slice": Case(32, 64, (5, 5), groups=2, gap=4, lead=1, batch=2),
    "first layer, NCHW": Case(3, 32, (32, 24), (6, 6), (2, 2), (2, 2, 2, 2), planar=True, batch=2, act=SILU),
    "first layer, 1 channel, NCHW": Case(1, 8, (15, 15), (3, 3), (2, 2), (0, 0, 1, 1), planar=True),
    "first layer, NHWC": Case(3, 16, (17, 19), (3, 3), (2, 2), (1, 1, 1, 1)),
    "1x1, NCHW": Case(3, 5, (6, 6), planar=True),
    "depthwise 3x3": Case(
        48, 48, (14, 14), (3, 3), pads=(1, 1, 1, 1), groups=48, act="fmin(fmax(v, 0.0f), 6.0f)", batch=2
    ),
    "depthwise 3x3 odd channels in slices": Case(
        33, 33, (9, 7), (3, 3), (2, 2), (0, 0, 1, 1), groups=33, gap=2, lead=1, residual=True, batch=3
    ),
    "depthwise 5x5 stride 2": Case(24, 24, (11, 11), (5, 5), (2, 2), (2, 2, 2, 2), groups=24),
    "depthwise of a 1x1 map": Case(17, 17, (1, 1), (3, 3), pads=(1, 1, 1, 1), groups=17),
    "depthwise dilated": Case(16, 16, (9, 9), (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2), groups=16),
    "depthwise with multiplier": Case(8, 16, (6, 6), (3, 3), pads=(1, 1, 1, 1), groups=8),
}


@pytest.mark.parametrize("name", CASES)
def test_every_algorithm_equals_onnx_runtime_and_touches_nothing_else(rig: Rig, name: str) -> None:
    case = CASES[name]
    x, r, weights, bias = arrays_of(case)
    expected = expected_of(case, x, r, weights, bias)

    offered = candidates(case.problem(), AVX512, planar=case.planar)

    for algorithm in first_of_each_name(offered):
        whole, y = run(rig, case, algorithm, x, r, weights, bias, AVX512)
        assert np.abs(y - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max()), algorithm
        assert np.all(whole == UNTOUCHED), algorithm


@pytest.mark.parametrize("name", ["3x3", "1x1 odd channels in a slice", "depthwise 3x3"])
def test_tiles_for_half_as_wide_registers_compute_the_same(rig: Rig, name: str) -> None:
    case = CASES[name]
    x, r, weights, bias = arrays_of(case)

    first = candidates(case.problem(), AVX2, planar=case.planar)[0]

    _, y = run(rig, case, first, x, r, weights, bias, AVX2)
    expected = expected_of(case, x, r, weights, bias)
    assert np.abs(y - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


def test_one_kernel_serves_all_batch_sizes() -> None:
    one, many = (replace(CASES["1x1 odd channels in a slice"], batch=n).problem() for n in (1, 8))
    weights, bias = np.ones((33, 17, 1, 1), np.float32), np.zeros(33, np.float32)

    for algorithm in candidates(one, AVX512):
        a = lower(one, algorithm, AVX512, weights=weights, bias=bias)
        b = lower(many, algorithm, AVX512, weights=weights, bias=bias)
        assert [step.kernel for step in a] == [step.kernel for step in b]


def test_vector_functions_are_as_exact_as_float32(rig: Rig) -> None:
    for act in (SILU, "SIGMOID(v)"):
        case = Case(16, 16, (40, 40), act=act)
        x = np.linspace(-100, 100, 16 * 1600, dtype=np.float32).reshape(1, 16, 40, 40)
        weights, bias = np.eye(16, dtype=np.float32)[:, :, None, None], np.zeros(16, np.float32)

        algorithm = candidates(case.problem(), AVX512)[0]
        _, y = run(rig, case, algorithm, x, x, weights, bias, AVX512)

        exact = ACTIVATIONS[act](x.astype(np.float64))
        assert np.abs(y - exact).max() <= 1e-6 * np.abs(exact).max()  # polynomial 2e-7, three roundings beside it


def first_of_each_name(offered: tuple[Any, ...]) -> list[Any]:
    """The best guess of each family of algorithms."""
    return list({a.name: a for a in reversed(offered)}.values())


def arrays_of(case: Case) -> tuple[F32, F32, F32, F32]:
    """x, r, weights, bias, NCHW."""
    random = np.random.default_rng(len(str(case)))
    p = case.problem()
    fan_in = p.ci // p.groups * p.kernel[0] * p.kernel[1]
    shapes = (p.batch, p.ci, p.hi, p.wi), (p.batch, p.co, p.ho, p.wo), (p.co, p.ci // p.groups, *p.kernel), (p.co,)
    x, r, weights, bias = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, r, weights * np.float32((2 / fan_in) ** 0.5), bias


def expected_of(case: Case, x: F32, r: F32, weights: F32, bias: F32) -> F32:
    """ONNX Runtime's convolution, then activation, residual and the last function in NumPy."""
    info = helper.make_tensor_value_info
    arrays = {"x": x, "w": weights, "b": bias}
    node = helper.make_node(
        "Conv", list(arrays), ["y"], kernel_shape=case.kernel, strides=case.strides, pads=case.pads,
        dilations=case.dilations, group=case.groups,
    )  # fmt: skip
    inputs = [info(name, TensorProto.FLOAT, value.shape) for name, value in arrays.items()]
    graph = helper.make_graph([node], "conv", inputs, [info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = ACTIVATIONS[case.act](session.run(None, arrays)[0]) + (r if case.residual else 0)
    return np.asarray(ACTIVATIONS[case.post](y), np.float32)


def run(
    rig: Rig, case: Case, algorithm: Any, x: F32, r: F32, weights: F32, bias: F32, device: Capability
) -> tuple[F32, F32]:
    """Everything in y's memory that is not y, and y as NCHW."""
    p = case.problem()
    flat_x = x.reshape(-1) if case.planar else beside(x, case.gap)
    tensors = {name: (rig.upload(framed(case, flat)), case.lead) for name, flat in
               {"x": flat_x, "r": beside(r, case.gap)}.items()}  # fmt: skip
    memory = framed(case, np.full(p.pixels * p.y_stride, UNTOUCHED, np.float32)[: -case.gap or None])
    tensors["y"] = (rig.upload(memory), case.lead)

    rig.run(lower(p, algorithm, device, weights=weights, bias=bias, planar=case.planar), tensors)

    cl.enqueue_copy(rig.queue, memory, tensors["y"][0])
    pixels = np.append(memory[case.lead :], np.full(case.gap, UNTOUCHED)).reshape(p.pixels, p.y_stride)
    y = pixels[:, : p.co].reshape(p.batch, p.ho, p.wo, p.co).transpose(0, 3, 1, 2)
    return np.append(memory[: case.lead], pixels[:, p.co :]), y.astype(np.float32)


def beside(tensor: F32, gap: int) -> F32:
    """NHWC memory with `gap` channels of another tensor behind all pixels but the last, where memory ends."""
    pixels = tensor.transpose(0, 2, 3, 1).reshape(-1, tensor.shape[1])
    wide = np.full((len(pixels), pixels.shape[1] + gap), np.nan, np.float32)
    wide[:, : pixels.shape[1]] = pixels
    return wide.reshape(-1)[: -gap or None]


def framed(case: Case, flat: F32) -> F32:
    """`flat` behind `lead` elements that belong to others."""
    return np.append(np.full(case.lead, UNTOUCHED), flat).astype(np.float32)
