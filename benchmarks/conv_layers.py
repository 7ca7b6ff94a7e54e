"""Every convolution of three models, timed alone on one OpenCL device, for each candidate algorithm of the GPU family.

    python benchmarks/conv_layers.py [--models mobilenetv2:1,yolov5s:1,yolov5s:16,yolov5x6:1] [--device NUMBER]
                                     [--best 2] [--repeat 7] [--f4] [--jobs 1] [--json FILE]

One row a distinct layer: how often it occurs, ms of the first guess and of the best, GFLOP/s (direct flops), share of
the measured fp32 limit. The last rows are sums over a model's
layers, and the wall time of its best launches one after the other. Kernel times are profiling events, medians; every
candidate's result is compared with the direct kernel's. Needs pyopencl and NumPy only.
"""

import argparse
import ctypes
import itertools
import json
import multiprocessing
import os
import re
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edge.compute.capability import Capability
from edge.compute.kernel import Kernel
from edge.inference.opencl.launch import Algorithm, Const, ConvProblem, Scratch, Step
from edge.inference.opencl.ops import conv_gpu_gemm
from edge.inference.opencl.ops.conv_gpu import candidates, lower
from edge.inference.opencl.ops.conv_gpu_first import DIRECT
from edge.inference.opencl.ops.conv_gpu_tiles import TILES

SILU = "((v) / (1.0f + exp(-(v))))"
if "--native" in sys.argv:
    SILU = "((v) * native_recip(1.0f + native_exp(-(v))))"
RELU6 = "clamp((v), 0.0f, 6.0f)"
OPTIONS = "-cl-std=CL1.2 -cl-mad-enable"
Bound = tuple[cl.Kernel, tuple[int, ...], tuple[int, ...] | None, list[Any]]
ROOF = """
__kernel void flops(__global float *y, float a) {
    float4 v0 = (float4)(get_global_id(0)), v1 = v0 + 1, v2 = v0 + 2, v3 = v0 + 3;
    for (int i = 0; i < 256; i++) {
        v0 = mad(v0, a, v1); v1 = mad(v1, a, v2); v2 = mad(v2, a, v3); v3 = mad(v3, a, v0);
        v0 = mad(v0, a, v1); v1 = mad(v1, a, v2); v2 = mad(v2, a, v3); v3 = mad(v3, a, v0);
    }
    v0 += v1 + v2 + v3;
    y[get_global_id(0)] = v0.x + v0.y + v0.z + v0.w;
}
__kernel void copy(__global const float4 *x, __global float4 *y) { y[get_global_id(0)] = x[get_global_id(0)]; }
__kernel void nothing(__global float *y) { if (get_global_id(0) > 1000) y[0] = 1; }
"""


def layer(
    hi: int,
    ci: int,
    co: int,
    k: int,
    s: int = 1,
    p: int | None = None,
    *,
    groups: int = 1,
    act: str = SILU,
    residual: bool = False,
    batch: int = 1,
) -> ConvProblem:
    p = k // 2 if p is None else p
    ho = (hi + 2 * p - k) // s + 1
    pair = (k, k), (s, s), (p, p)
    return ConvProblem(
        batch,
        hi,
        hi,
        ci,
        ho,
        ho,
        co,
        *pair,
        groups=groups,
        x_stride=ci,
        y_stride=co,
        r_stride=co if residual else 0,
        act=act,
    )


def mobilenetv2(batch: int) -> list[ConvProblem]:
    rows = [layer(224, 3, 32, 3, 2, act=RELU6, batch=batch)]
    size, ci = 112, 32
    for expand, co, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for at in range(count):
            s, mid = stride if at == 0 else 1, ci * expand
            if expand > 1:
                rows.append(layer(size, ci, mid, 1, act=RELU6, batch=batch))
            rows.append(layer(size, mid, mid, 3, s, groups=mid, act=RELU6, batch=batch))
            size //= s
            rows.append(layer(size, mid, co, 1, act="(v)", residual=s == 1 and ci == co, batch=batch))
            ci = co
    return [*rows, layer(7, 320, 1280, 1, act=RELU6, batch=batch), layer(1, 1280, 1000, 1, act="(v)", batch=batch)]


def yolov5(
    size: int, widths: tuple[int, ...], depths: tuple[int, ...], batch: int, classes: int = 80
) -> list[ConvProblem]:
    """Backbone, neck and heads of YOLOv5; widths of P1 … P5 or P6, depths of the C3 blocks of the backbone."""
    rows = [layer(size, 3, widths[0], 6, 2, 2, batch=batch)]
    side = size // 2

    def c3(ci: int, co: int, count: int, at: int, *, shortcut: bool) -> None:
        half = co // 2
        rows.append(layer(at, ci, co, 1, batch=batch))  # cv1 and cv2 read the same x: one product
        for _ in range(count):
            rows.append(layer(at, half, half, 1, batch=batch))
            rows.append(layer(at, half, half, 3, residual=shortcut, batch=batch))
        rows.append(layer(at, co, co, 1, batch=batch))

    for ci, co, count in zip(widths[:-1], widths[1:], depths, strict=True):
        rows.append(layer(side, ci, co, 3, 2, batch=batch))
        side //= 2
        c3(co, co, count, side, shortcut=True)
    last = widths[-1]
    rows += [layer(side, last, last // 2, 1, batch=batch), layer(side, last * 2, last, 1, batch=batch)]  # SPPF
    neck, levels = depths[-1], widths[2:]
    for co, ci in zip(levels[-2::-1], levels[:0:-1], strict=False):
        rows.append(layer(side, ci, co, 1, batch=batch))
        side *= 2
        c3(2 * co, co, neck, side, shortcut=False)
    for co, up in itertools.pairwise(levels):
        rows.append(layer(side, co, co, 3, 2, batch=batch))
        side //= 2
        c3(2 * co, up, neck, side, shortcut=False)
    for at, co in enumerate(levels):
        rows.append(layer(size // 8 >> at, co, 3 * (classes + 5), 1, act="(v)", batch=batch))
    return rows


def model(name: str, batch: int) -> list[ConvProblem]:
    match name:
        case "mobilenetv2":
            return mobilenetv2(batch)
        case "yolov5s":
            return yolov5(640, (32, 64, 128, 256, 512), (1, 2, 3, 1), batch)
        case "yolov5x6":
            return yolov5(1280, (80, 160, 320, 640, 960, 1280), (4, 8, 12, 4, 4), batch, classes=3)
    raise SystemExit(f"no model {name!r}")


@dataclass
class Bench:
    """A device with a profiling queue, its programs, and memory that the layers share."""

    context: cl.Context
    queue: cl.CommandQueue
    capability: Capability
    repeat: int
    build_s: float = 0.0
    built: int = 0

    def __post_init__(self) -> None:
        self.programs = {}
        self.random = np.random.default_rng(0)
        noise = self.random.standard_normal(1 << 24).astype(np.float32)
        self.noise = self.buffer(noise.nbytes)
        cl.enqueue_copy(self.queue, self.noise, noise)
        self.flat = {}

    def buffer(self, nbytes: int) -> cl.Buffer:
        """Fresh memory."""
        return cl.Buffer(self.context, cl.mem_flags.READ_WRITE, max(16, nbytes))

    def memory(self, name: str, elements: int) -> cl.Buffer:
        """A buffer kept under a name, grown when needed, filled with noise when it is x or r."""
        have = self.flat.get(name)
        if have is None or have.size < 4 * elements:
            have = self.flat[name] = self.buffer(4 * elements)
            step = self.noise.size
            for at in range(0, 4 * elements, step):
                cl.enqueue_copy(self.queue, have, self.noise, byte_count=min(step, 4 * elements - at), dst_offset=at)
        return have

    def kernel(self, kernel: Kernel) -> cl.Kernel:
        """The compiled kernel."""
        if kernel not in self.programs:
            start = time.perf_counter()
            source = kernel.source()
            program = cl.Program(self.context, source).build(OPTIONS)
            self.programs[kernel] = cl.Kernel(program, kernel.entry)
            self.build_s += time.perf_counter() - start
            self.built += 1
        return self.programs[kernel]

    def bind(self, steps: tuple[Step, ...], problem: ConvProblem) -> tuple[list[Bound], cl.Buffer]:
        """Launches with their arguments, and y's memory."""
        x = self.memory("x", problem.batch * problem.hi * problem.wi * problem.x_stride)
        y = self.memory("y", problem.pixels * problem.y_stride)
        r = self.memory("r", max(1, problem.pixels * problem.r_stride))
        roles = {"x": x, "y": y, "r": r}
        bound = []
        for step in steps:
            args = []
            for arg in step.args:
                if isinstance(arg, str):
                    args += [roles[arg], np.int32(0)]
                elif isinstance(arg, Const):
                    memory = self.buffer(arg.array.nbytes)
                    cl.enqueue_copy(self.queue, memory, arg.array)
                    args += [memory, np.int32(0)]
                elif isinstance(arg, Scratch):
                    args += [self.memory("scratch " + arg.name, arg.elements), np.int32(0)]
                else:
                    args.append(arg)
            bound.append((self.kernel(step.kernel), step.global_size, step.local_size, args))
        return bound, y

    def time_ms(self, bound: list[Bound], limit_ms: float | None = None) -> float:
        """Median over the repeats of the kernels' own times; gaps between them are the host's."""
        spans = []
        for number in range(self.repeat + 1):
            events = [kernel(self.queue, *sizes, *values) for kernel, *sizes, values in bound]
            events[-1].wait()
            span = sum(event.profile.end - event.profile.start for event in events) / 1e6
            if number:
                spans.append(span)
            if limit_ms and span > 6 * limit_ms and number > 1:
                break
        return statistics.median(spans)


def roof(bench: Bench) -> float:
    program = cl.Program(bench.context, ROOF).build(OPTIONS)
    flops, copy, nothing = (cl.Kernel(program, name) for name in ("flops", "copy", "nothing"))
    items = 256 * 64 * bench.capability.compute_units
    y = bench.memory("x", max(items, 1 << 27))
    z = bench.memory("y", 1 << 27)
    times = {"flops": [], "copy": [], "nothing": []}
    for _ in range(10):
        for name, kernel, size, args in (
            ("flops", flops, items, (y, np.float32(0.5))),
            ("copy", copy, 1 << 25, (y, z)),
            ("nothing", nothing, 256, (y,)),
        ):
            event = kernel(bench.queue, (size,), (256,), *args)
            event.wait()
            times[name].append((event.profile.end - event.profile.start) * 1e-9)
    nothing.set_args(y)
    start = time.perf_counter()
    for _ in range(2000):
        cl.enqueue_nd_range_kernel(bench.queue, nothing, (256,), (256,))
    bench.queue.finish()
    launch_us = (time.perf_counter() - start) / 2000 * 1e6
    limit = items * 256 * 8 * 4 * 2 / min(times["flops"])
    print(
        f"fp32 limit {limit / 1e12:.1f} TFLOP/s, copy {2 * (1 << 29) / min(times['copy']) / 1e9:.0f} GB/s, "
        f"an empty kernel {min(times['nothing']) * 1e6:.1f} us, a launch {launch_us:.1f} us (profiling queue)"
    )
    bench.flat.clear()
    raw_launch(bench, nothing)
    return limit


def registers(bench: Bench) -> None:
    os.environ["PYOPENCL_NO_CACHE"] = "1"
    for tile in TILES:
        said = []
        for problem in (layer(80, 128, 128, 3), layer(80, 128, 128, 1)):
            kernel = conv_gpu_gemm.product_kernel(problem, tile, planes=1, partial=False, aligned=True)
            program = cl.Program(bench.context, kernel.source()).build(OPTIONS + " -cl-nv-verbose")
            log = program.get_build_info(bench.context.devices[0], cl.program_build_info.LOG)
            said += re.findall(r"(\d+) registers|(\d+) bytes spill", log)
        print(tile, said)


def raw_launch(bench: Bench, kernel: cl.Kernel) -> None:
    """What one launch costs the host when the driver is called without pyopencl's events."""
    libraries = sorted(Path(cl.__file__).parent.parent.glob("pyopencl*/**/libOpenCL*"))
    if not libraries:
        return
    enqueue = ctypes.CDLL(str(libraries[0])).clEnqueueNDRangeKernel
    queue = cl.CommandQueue(bench.context)
    size, local = (ctypes.c_size_t * 1)(256), (ctypes.c_size_t * 1)(256)
    handles = ctypes.c_void_p(queue.int_ptr), ctypes.c_void_p(kernel.int_ptr)
    for name, call in {
        "driver": lambda: enqueue(*handles, 1, None, size, local, 0, None, None),
        "pyopencl": lambda: cl.enqueue_nd_range_kernel(queue, kernel, (256,), (256,)),
    }.items():
        queue.finish()
        start = time.perf_counter()
        for _ in range(200):
            call()
        enqueued = time.perf_counter() - start
        queue.finish()
        done = time.perf_counter() - start
        print(f"launch through {name}: host {enqueued / 200 * 1e6:.1f} us, until done {done / 200 * 1e6:.1f} us each")


def compile_all(kernels: list[Kernel], device_number: int, jobs: int) -> None:
    """Fill the driver's and pyopencl's caches of programs from several processes."""
    shares = [(kernels[at::jobs], device_number) for at in range(jobs)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(compile_share, shares, chunksize=1)


def compile_share(share: tuple[list[Kernel], int]) -> None:
    kernels, device_number = share
    context = cl.Context([all_devices()[device_number]])
    for kernel in kernels:
        cl.Program(context, kernel.source()).build(OPTIONS)


def all_devices() -> list[cl.Device]:
    return [device for platform in cl.get_platforms() for device in platform.get_devices()]


def offered(problem: ConvProblem, capability: Capability, args: argparse.Namespace) -> list[Algorithm]:
    found = candidates(problem, capability, allow_f4=args.f4)
    return [algorithm for algorithm in found if algorithm != DIRECT or len(found) == 1]


def kernels_of(problem: ConvProblem, algorithms: list[Algorithm], capability: Capability) -> list[Kernel]:
    shape = (problem.co, problem.ci // problem.groups, *problem.kernel)
    weights, bias = np.broadcast_to(np.float32(0), shape), np.zeros(problem.co, np.float32)
    return [
        step.kernel
        for algorithm in algorithms
        for step in lower(problem, algorithm, capability, weights=weights, bias=bias)
    ]


def chain_ms(bench: Bench, bounds: list[Bound]) -> tuple[float, ...]:
    """Wall time of launches one after the other, without profiling: median of 20 runs."""
    queue = cl.CommandQueue(bench.context)
    ready = []
    for kernel, size, local, args in bounds:
        own = cl.Kernel(kernel.program, kernel.function_name)
        own.set_args(*args)
        ready.append((own, size, local))
    spans = []
    for _ in range(21):
        start = time.perf_counter()
        for kernel, size, local in ready:
            cl.enqueue_nd_range_kernel(queue, kernel, size, local)
        queue.flush()
        enqueued = time.perf_counter() - start
        queue.finish()
        spans.append((time.perf_counter() - start, enqueued))
    return tuple(1e3 * value for value in sorted(spans)[10])


def measure(
    bench: Bench, problem: ConvProblem, args: argparse.Namespace
) -> tuple[list[tuple[float, str, float]], list[Bound]]:
    random = np.random.default_rng(1)
    shape = (problem.co, problem.ci // problem.groups, *problem.kernel)
    weights = (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    bias = random.standard_normal(problem.co).astype(np.float32)
    want = None
    rows = []
    bounds = []
    for algorithm in offered(problem, bench.capability, args):
        bound, y = bench.bind(lower(problem, algorithm, bench.capability, weights=weights, bias=bias), problem)
        ms = bench.time_ms(bound, min((row[0] for row in rows), default=None))
        got = np.empty(min(problem.pixels * problem.co, 1 << 20), np.float32)
        cl.enqueue_copy(bench.queue, got, y)
        cl.enqueue_fill_buffer(bench.queue, y, np.float32(np.nan), 0, 4 * problem.pixels * problem.co)
        if want is None:
            direct, y = bench.bind(lower(problem, DIRECT, bench.capability, weights=weights, bias=bias), problem)
            for kernel, *sizes, values in direct:
                kernel(bench.queue, *sizes, *values)
            want = np.empty_like(got)
            cl.enqueue_copy(bench.queue, want, y)
            cl.enqueue_fill_buffer(bench.queue, y, np.float32(np.nan), 0, 4 * problem.pixels * problem.co)
        error = float(np.linalg.norm(got - want) / np.linalg.norm(want))
        rows.append((ms, str(algorithm), error))
        bounds.append(bound)
    return rows, bounds[rows.index(min(rows))]


def short(text: str) -> str:
    values = dict(pair.split("=") for pair in text.split()[1:])
    if "bm" not in values:
        return text
    tail = "".join(f" {key}{values[key]}" for key in ("ks", "buffers", "splits") if values.get(key, "1") != "1")
    lead = f"wino{values['f']}" if "f" in values else "gemm"
    return f"{lead} {values['bm']}x{values['bn']}x{values['bk']} {values['tm']}x{values['tn']}{tail}"


def describe(p: ConvProblem) -> str:
    text = f"{p.hi:>4} {p.ci:>4}>{p.co:<4} {p.kernel[0]}x{p.kernel[1]}"
    return (
        text
        + (f"s{p.strides[0]}" if p.strides[0] > 1 else "  ")
        + ("dw" if p.groups > 1 else "  ")
        + ("+r" if p.r_stride else "  ")
    )


def main() -> None:  # noqa: PLR0915  # because it is the table's story from top to bottom
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="mobilenetv2:1,yolov5s:1")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--best", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--f4", action="store_true")
    parser.add_argument("--layers", type=int, default=0, help="only the first so many distinct layers")
    parser.add_argument("--registers", action="store_true", help="print what NVIDIA's compiler says of each tile")
    parser.add_argument("--wide", action="store_true", help="try every tile, not only those that the planner keeps")
    parser.add_argument("--native", action="store_true", help="SiLU in native_ functions")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.wide:
        conv_gpu_gemm.KEPT = 100
    device = all_devices()[args.device]
    context = cl.Context([device])
    queue = cl.CommandQueue(context, properties=cl.command_queue_properties.PROFILING_ENABLE)
    wave = 64 if "AMD" in device.vendor or "Advanced" in device.vendor else 32
    capability = Capability(
        device.name,
        device.vendor,
        device.driver_version,
        "gpu",
        device.max_compute_units,
        wave,
        min(device.local_mem_size, 48 * 1024),
        device.global_mem_size,
        device.max_mem_alloc_size,
    )
    bench = Bench(context, queue, capability, args.repeat)
    print(device.name, device.driver_version, device.max_compute_units, "units, local", device.local_mem_size)
    limit = roof(bench)
    if args.registers:
        registers(bench)
    record = {"device": device.name, "limit": limit, "layers": {}}
    for entry in args.models.split(","):
        name, _, batch = entry.partition(":")
        rows = model(name, int(batch or 1))
        counts = {p: rows.count(p) for p in rows}
        chain = []
        if args.jobs > 1:
            start = time.perf_counter()
            wanted = [k for p in counts for k in kernels_of(p, [*offered(p, capability, args), DIRECT], capability)]
            wanted = list(dict.fromkeys(wanted))
            compile_all(wanted, args.device, args.jobs)
            print(
                f"-- {name}: {len(wanted)} kernels, {args.jobs} processes, {time.perf_counter() - start:.1f} s",
                flush=True,
            )
        first_sum = best_sum = plain_sum = flops = 0.0
        for number, (problem, count) in enumerate(counts.items()):
            if args.layers and number >= args.layers:
                break
            found, bound = measure(bench, problem, args)
            chain += bound * count
            bad = [f"{short(row[1])} {row[2]:.1e}" for row in found if not row[2] < (3e-5 if "f=4" in row[1] else 5e-6)]
            ranked = sorted(found)
            gemms = [row for row in ranked if "f=4" not in row[1]]
            best = ranked[0]
            first_sum, best_sum = first_sum + count * found[0][0], best_sum + count * best[0]
            plain_sum += count * (gemms or ranked)[0][0]
            flops += count * problem.flops
            rate = problem.flops / best[0] / 1e6
            record["layers"][f"{name} b{batch} {describe(problem)}"] = [problem.flops, count, found]
            others = " | ".join(f"{1e3 * row[0]:.1f} {short(row[1])}" for row in ranked[: args.best])
            print(
                f"{describe(problem)} x{count:<2} first {1e3 * found[0][0]:7.1f} us, {rate:6.0f} GF/s",
                f"{1e11 * rate / limit:3.0f}% {others}{' WRONG ' + str(bad) if bad else ''}",
                flush=True,
            )
        print(
            f"== {name} batch {batch}: {len(rows)} convs, {flops / 1e9:.1f} GFLOP, first guesses {first_sum:.3f} ms,",
            f"best {best_sum:.3f} ms (without F4 {plain_sum:.3f}), {flops / best_sum / 1e6:.0f} GFLOP/s,",
            f"{1e5 * flops / best_sum / limit:.0f} %; built {bench.built} in {bench.build_s:.1f} s",
            flush=True,
        )
        wall, enqueued = chain_ms(bench, chain)
        print(
            f"== {name} batch {batch}: {len(chain)} launches one after the other {wall:.3f} ms,",
            f"of which enqueueing {enqueued:.3f}",
            flush=True,
        )
        if args.json:
            Path(args.json).write_text(json.dumps(record))


if __name__ == "__main__":
    main()
