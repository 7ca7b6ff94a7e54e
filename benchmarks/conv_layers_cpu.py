"""Is each convolution of a model as fast on a CPU OpenCL device as in ONNX Runtime? Prints milliseconds and GFLOP/s.

Usage: python benchmarks/conv_layers_cpu.py MODEL.onnx [--tried N] [--rounds N]. For every distinct convolution with its
activation: ONNX Runtime's time for a model of just that, then ours for the first N algorithms. At the end all layers in
one queue, with the algorithms that planning guesses and the fastest ones, against ONNX Runtime's whole model; they take
turns, so that a noisy machine hurts all alike, with a pause before each, as ONNX Runtime spins after a run and
would take a core from the next. Least of the rounds; two threads. Random inputs and weights.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyopencl as cl
from onnx import TensorProto, helper, numpy_helper, shape_inference

from edge.compute.capability import Capability
from edge.compute.kernel import Kernel
from edge.compute.program import OPTIONS
from edge.inference.opencl.launch import Algorithm, Const, ConvProblem, Scratch, Step
from edge.inference.opencl.ops.conv_cpu import candidates, lower

THREADS = 2
PAUSE_S = 0.02  # ONNX Runtime's threads spin for some milliseconds after a run
REPEATS = 3  # runs after a pause: the first one wakes the threads
ACTS = {("Mul", "Sigmoid"): "(v * SIGMOID(v))", ("Clip",): "fmin(fmax(v, 0.0f), 6.0f)", ("Relu",): "fmax(v, 0.0f)"}
DEVICE = Capability("cpu", "", "", "cpu", THREADS, 1, 1 << 20, 1 << 33, 1 << 31, vector_floats=16)


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution of a model. pads: as ONNX has them. planar: it reads the network's NCHW input."""

    problem: ConvProblem
    pads: tuple[int, ...]
    planar: bool

    def __str__(self) -> str:
        p = self.problem
        return f"{p.ci:>4}→{p.co:<4} {p.kernel[0]}x{p.kernel[1]} s{p.strides[0]} g{p.groups:<3} {p.ho:>3}x{p.wo:<3}"


def layers_of(path: Path) -> Counter[Layer]:
    """The distinct convolutions of a model, and how often each occurs."""
    graph = shape_inference.infer_shapes(onnx.load(path)).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in values}
    kernels = {tensor.name: tuple(tensor.dims[2:]) for tensor in graph.initializer}
    found: Counter[Layer] = Counter()
    for node in graph.node:
        if node.op_type == "Conv":
            has = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            (_, ci, hi, wi), (_, co, ho, wo) = shapes[node.input[0]], shapes[node.output[0]]
            after = tuple(sorted({n.op_type for n in graph.node if node.output[0] in n.input}))
            pads = tuple(has.get("pads", (0, 0, 0, 0)))
            problem = ConvProblem(
                1, hi, wi, ci, ho, wo, co, kernels[node.input[1]], tuple(has.get("strides", (1, 1))), pads[:2],
                tuple(has.get("dilations", (1, 1))), has.get("group", 1), ci, co, 0, ACTS.get(after, "(v)"),
            )  # fmt: skip
            found[Layer(problem, pads, node.input[0] == graph.input[0].name)] += 1
    return found


class Bench:
    """A queue of the CPU device, the programs built so far, and the layers' random tensors."""

    def __init__(self) -> None:
        device = next(d for p in cl.get_platforms() for d in p.get_devices(cl.device_type.CPU))
        self.context = cl.Context([device])
        self.queue = cl.CommandQueue(self.context)
        self.programs: dict[Kernel, Any] = {}
        self.random = np.random.default_rng(0)

    def upload(self, array: Any) -> Any:
        """A buffer of the array's bytes."""
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        return cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(array))

    def randoms(self, *shape: int) -> Any:
        """Normal float32 numbers."""
        return self.random.standard_normal(shape).astype(np.float32)

    def launches(self, layer: Layer, algorithm: Algorithm) -> list[Callable[[], Any]]:
        """What to call to enqueue the layer."""
        p = layer.problem
        weights = self.randoms(p.co, p.ci // p.groups, *p.kernel) / np.float32(p.ci)
        steps = lower(p, algorithm, DEVICE, weights=weights, bias=self.randoms(p.co), planar=layer.planar)
        tensors = {"x": self.upload(self.randoms(p.hi, p.wi, p.ci)), "y": self.upload(self.randoms(p.pixels, p.co))}
        return [self.launch(step, tensors) for step in steps]

    def launch(self, step: Step, tensors: dict[str, Any]) -> Callable[[], Any]:
        """One step with its arguments set."""
        if step.kernel not in self.programs:
            self.programs[step.kernel] = cl.Program(self.context, step.kernel.source()).build(OPTIONS.split())
        kernel = cl.Kernel(self.programs[step.kernel], step.kernel.entry)
        values: list[Any] = []
        for arg in step.args:
            if isinstance(arg, str):
                values += [tensors[arg], np.int32(0)]
            elif isinstance(arg, Const):
                values += [self.upload(arg.array), np.int32(0)]
            elif isinstance(arg, Scratch):
                values += [self.upload(np.zeros(arg.elements, arg.dtype)), np.int32(0)]
            else:
                values.append(arg)
        kernel.set_args(*values)
        # the queue, kernel and `values` live as long as the closure: OpenCL keeps no reference to arguments
        return lambda: (cl.enqueue_nd_range_kernel(self.queue, kernel, step.global_size, step.local_size), values)

    def runner(self, launches: list[Callable[[], Any]]) -> Callable[[], Any]:
        """What to call to run all launches and wait."""
        return lambda: ([launch() for launch in launches], self.queue.finish())


def session_of(layer: Layer, bench: Bench) -> Callable[[], Any]:
    """ONNX Runtime on a model of the one convolution and its activation."""
    p = layer.problem
    weights = numpy_helper.from_array(bench.randoms(p.co, p.ci // p.groups, *p.kernel) / np.float32(p.ci), "w")
    limits = [numpy_helper.from_array(np.float32(value), name) for value, name in ((0, "low"), (6, "high"))]
    conv = helper.make_node(
        "Conv", ["x", "w"], ["c"], kernel_shape=p.kernel, strides=p.strides, pads=layer.pads, dilations=p.dilations,
        group=p.groups,
    )  # fmt: skip
    acts = {
        ACTS["Mul", "Sigmoid"]: [("Sigmoid", ["c"], ["s"]), ("Mul", ["c", "s"], ["y"])],
        ACTS["Clip",]: [("Clip", ["c", "low", "high"], ["y"])],
        ACTS["Relu",]: [("Relu", ["c"], ["y"])],
    }.get(p.act, [("Identity", ["c"], ["y"])])
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", (1, p.ci, p.hi, p.wi)), ("y", (1, p.co, p.ho, p.wo)))
    )
    graph = helper.make_graph(
        [conv, *(helper.make_node(*act) for act in acts)], "conv", [x], [y], [weights, *limits * (acts[0][0] == "Clip")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return session(model.SerializeToString(), bench)


def session(model: str | bytes, bench: Bench) -> Callable[[], Any]:
    """ONNX Runtime with its default options and THREADS threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    made = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = made.get_inputs()[0]
    x = bench.randoms(*(side if isinstance(side, int) else 1 for side in given.shape))
    return lambda: made.run(None, {given.name: x})


def least_ms(calls: list[Callable[[], Any]], *, rounds: int) -> list[float]:
    """The least milliseconds of each call; they take turns."""
    best = [float("inf")] * len(calls)
    for call in calls:
        call()
    for _ in range(rounds):
        for i, call in enumerate(calls):
            time.sleep(PAUSE_S)
            for _ in range(REPEATS):
                start = time.perf_counter()
                call()
                best[i] = min(best[i], 1e3 * (time.perf_counter() - start))
    return best


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tried", type=int, default=4, help="algorithms a layer")
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    bench = Bench()
    guessed: list[Callable[[], Any]] = []
    fastest: list[Callable[[], Any]] = []
    for layer, count in layers_of(args.model).items():
        algorithms = candidates(layer.problem, DEVICE, planar=layer.planar)[: args.tried]
        launches = [bench.launches(layer, algorithm) for algorithm in algorithms]
        calls = [session_of(layer, bench), *(bench.runner(launch) for launch in launches)]
        peer, *ours = least_ms(calls, rounds=args.rounds)
        guessed += count * launches[0]
        fastest += count * launches[int(np.argmin(ours))]
        told = "; ".join(
            f"{algorithm} {ms:.3f} ({layer.problem.flops / ms / 1e6:.0f})"
            for algorithm, ms in zip(algorithms, ours, strict=True)
        )
        print(f"{count} × {layer}  onnxruntime {peer:.3f} ms; {told}", flush=True)
    calls = [session(str(args.model), bench), bench.runner(guessed), bench.runner(fastest)]
    whole, guess, best = least_ms(calls, rounds=args.rounds)
    print(
        f"{args.model}: onnxruntime {whole:.2f} ms, convolutions as guessed {guess:.2f} ms ({guess / whole:.2f}), "
        f"fastest {best:.2f} ms ({best / whole:.2f})"
    )


if __name__ == "__main__":
    main()
