"""How fast a model runs on an opened OpenCL device, and beside it ONNX Runtime on the CPU: the figures of the benches.

Random input, host to host: from an array in the host's memory to arrays in the host's memory. Both sides take turns, so
that what else the machine does hurts them alike; the median counts.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import onnx
import onnxruntime as ort

from ...clock import Clock, SystemClock
from ...compute.device import Device
from ...compute.peak import Peak
from ...models.zoo.flops import flops
from .execute import Bound, Constants, bind
from .fuse import fuse
from .graph import Graph
from .importer import import_model
from .launch import Array
from .memory import Fitted, Room, fit
from .plan import Choose, Plan, first_guess, leanest, plan_graph
from .subject import Subject

PAUSE_S: Final = 0.02  # ONNX Runtime's threads spin for some milliseconds after a run and would take a core from ours
TURN_S: Final = 0.05  # how long one side runs before it is the other's turn; one run at least
LEAST_RUNS: Final = 3  # unless a single one takes longer than all the time there is
NO_PROGRAMS: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class Timing:
    """Runs of one side, milliseconds each. ms: the median."""

    ms: float
    least_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class Row:
    """A model at a batch size. What was not measured is None.

    ms_*: milliseconds a picture, host to host, the median; least_ms_* the least. ratio: OpenCL's over ONNX Runtime's.
    images_per_s, gflop_s: OpenCL's, or ONNX Runtime's where that was measured alone. gflops: 10⁹ multiplications and
    additions of the convolutions and matrix products, a picture, counted as if computed directly. share: gflop_s over
    what the device was measured to do at most. build_s: from the model in memory to the end of the first run, of which
    plan_s for import and planning; the programs for it were built from source or loaded from the cache. memory_mb: of
    the device, 10⁶ bytes. how: "lean" or "streamed" when memory was short. enqueue_ms: the host's time to launch one
    run, of which launches_ms is what empty launches take and host_ms the rest. error: largest difference to ONNX
    Runtime over its largest value. failure: why there are no figures.
    """

    name: str
    batch: int
    ms_opencl: float | None = None
    ms_onnxruntime: float | None = None
    ratio: float | None = None
    images_per_s: float | None = None
    gflops: float | None = None
    gflop_s: float | None = None
    share: float | None = None
    build_s: float | None = None
    plan_s: float | None = None
    programs_built: int | None = None
    programs_loaded: int | None = None
    memory_mb: float | None = None
    how: str = ""
    launches: int | None = None
    enqueue_ms: float | None = None
    launches_ms: float | None = None
    host_ms: float | None = None
    least_ms_opencl: float | None = None
    least_ms_onnxruntime: float | None = None
    runs: int | None = None
    error: float | None = None
    failure: str = ""


@dataclass(slots=True)
class Ready:
    """A model on the device that ran once; use it with `with`."""

    graph: Graph
    fitted: Fitted
    bound: Bound
    constants: Constants
    inputs: Mapping[str, Array]
    outputs: Sequence[Array]
    plan_s: float
    build_s: float
    programs: tuple[int, int] = NO_PROGRAMS  # built, loaded

    @property
    def plan(self) -> Plan:
        """The plan that is bound."""
        return self.fitted.plan

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bound.free()
        self.constants.free()


def make_ready(
    subject: Subject, model: onnx.ModelProto, device: Device, *, batch: int, choose: Choose = first_guess
) -> Ready:
    """Plan, build, upload and run a model once. choose: see plan_graph.

    Raises UnsupportedOpError, ModelError when it does not fit the device, KernelBuildError, DeviceBusy, DeviceLost.
    """
    inputs = {name: _as_float32(array) for name, array in subject.inputs(model, batch).items()}
    before = (device.programs.built, device.programs.loaded)
    start = time.perf_counter()
    graph = fuse(import_model(model, shapes={name: array.shape for name, array in inputs.items()}))

    def make(lean: bool, stream: bool) -> Plan:
        return plan_graph(graph, device.capability, choose=leanest if lean else choose, stream=stream)

    usage = device.buffers.usage
    largest = min(device.capability.max_alloc_bytes, usage.limit)
    fitted = fit(make, Room(usage.limit - usage.used, largest), name=subject.name)
    planned = time.perf_counter()
    constants = Constants(device)
    try:
        bound = bind(fitted.plan, device, constants=constants)
        outputs = bound.run(inputs)
    except BaseException:
        constants.free()
        raise
    done = time.perf_counter()
    programs = (device.programs.built - before[0], device.programs.loaded - before[1])
    return Ready(graph, fitted, bound, constants, inputs, outputs, planned - start, done - start, programs)


def measure(
    subject: Subject,
    device: Device,
    peak: Peak,
    *,
    batch: int = 1,
    seconds: float = 1.0,
    beside_onnxruntime: bool = True,
    choose: Choose = first_guess,
    clock: Clock | None = None,
) -> Row:
    """All figures of one model at one batch size. seconds: about how long each side is run.

    Raises as make_ready does, ValueError when the model's batch is fixed to another size.
    """
    model = subject.model(batch)
    with make_ready(subject, model, device, batch=batch, choose=choose) as ready:
        calls: list[Callable[[], Sequence[Array]]] = [lambda: ready.bound.run(ready.inputs)]
        error = None
        if beside_onnxruntime:
            calls.append(onnxruntime_call(subject, model, batch))
            error = largest_error(ready.outputs, calls[1]())
        ours, *theirs = in_turns(calls, seconds=seconds, clock=clock)
        enqueue_ms = _enqueue_ms(ready.bound)
    launches_ms = len(ready.plan.launches) * peak.launch_us / 1e3
    work = count_gflops(subject, model, batch) or sum(each.flops for each in ready.plan.launches) / 1e9 / batch
    gflop_s = work * batch / (ours.ms / 1e3)
    return Row(
        name=subject.name,
        batch=batch,
        ms_opencl=ours.ms / batch,
        ms_onnxruntime=theirs[0].ms / batch if theirs else None,
        ratio=ours.ms / theirs[0].ms if theirs else None,
        images_per_s=batch / (ours.ms / 1e3),
        gflops=work,
        gflop_s=gflop_s,
        share=gflop_s / peak.gflops,
        build_s=ready.build_s,
        plan_s=ready.plan_s,
        programs_built=ready.programs[0],
        programs_loaded=ready.programs[1],
        memory_mb=ready.plan.total_bytes / 1e6,
        how=ready.fitted.how,
        launches=len(ready.plan.launches),
        enqueue_ms=enqueue_ms,
        launches_ms=launches_ms,
        host_ms=max(0.0, enqueue_ms - launches_ms),
        least_ms_opencl=ours.least_ms / batch,
        least_ms_onnxruntime=theirs[0].least_ms / batch if theirs else None,
        runs=ours.runs,
        error=error,
    )


def measure_onnxruntime(
    subject: Subject, *, batch: int = 1, seconds: float = 1.0, clock: Clock | None = None, failure: str = ""
) -> Row:
    """The figures of ONNX Runtime alone. failure: why there are none of OpenCL. Raises as ONNX Runtime does."""
    model = subject.model(batch)
    [theirs] = in_turns([onnxruntime_call(subject, model, batch)], seconds=seconds, clock=clock)
    work = count_gflops(subject, model, batch)
    return Row(
        name=subject.name,
        batch=batch,
        ms_onnxruntime=theirs.ms / batch,
        least_ms_onnxruntime=theirs.least_ms / batch,
        images_per_s=batch / (theirs.ms / 1e3),
        gflops=work,
        gflop_s=work * batch / (theirs.ms / 1e3) if work else None,
        runs=theirs.runs,
        failure=failure,
    )


def onnxruntime_call(subject: Subject, model: onnx.ModelProto, batch: int) -> Callable[[], Sequence[Array]]:
    """One run in ONNX Runtime with its default options: all cores, its own threads and memory arena."""
    session = ort.InferenceSession(subject.content(model), providers=["CPUExecutionProvider"])
    inputs = subject.inputs(model, batch)

    def call() -> Sequence[Array]:
        outputs: Sequence[Array] = session.run(None, inputs)
        return outputs

    return call


def in_turns(
    calls: Sequence[Callable[[], object]], *, seconds: float, clock: Clock | None = None, pause_s: float = PAUSE_S
) -> list[Timing]:
    """Time calls in turns: a pause, one run to wake up, then runs for TURN_S. seconds: of each call, all turns."""
    now = (clock or SystemClock()).monotonic_s
    times: list[list[float]] = [[] for _call in calls]

    def once(call: Callable[[], object]) -> float:
        start = now()
        call()
        return now() - start

    firsts = [once(call) for call in calls]
    while not all(_enough(each, seconds) for each in times):
        for call, first, mine in zip(calls, firsts, times, strict=True):
            if pause_s and len(calls) > 1:
                time.sleep(pause_s)
            if first < seconds:
                call()
            turn = [once(call)]
            while sum(turn) < TURN_S:
                turn.append(once(call))
            mine.extend(turn)
    return [Timing(statistics.median(each) * 1e3, min(each) * 1e3, len(each)) for each in times]


def _enough(times: Sequence[float], seconds: float) -> bool:
    return sum(times) >= seconds and (len(times) >= LEAST_RUNS or times[0] >= seconds)


def _enqueue_ms(bound: Bound, *, rounds: int = 9) -> float:
    """The host's milliseconds for enqueueing one run, the device idle before; the median."""
    times = []
    for _round in range(rounds):
        bound.device.finish()
        start = time.perf_counter()
        bound.launch()
        times.append((time.perf_counter() - start) * 1e3)
        bound.device.finish()
        if sum(times) > 1e3:
            break
    return statistics.median(times)


def count_gflops(subject: Subject, model: onnx.ModelProto, batch: int) -> float | None:
    """10⁹ operations a picture of convolutions and matrix products; None when shapes depend on the data."""
    try:
        return flops(model, sizes=subject.sizes(model, batch)) / batch / 1e9
    except ValueError:
        return None


def largest_error(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference as a share of an output's largest value; infinite when shapes differ."""
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        if ours.shape != theirs.shape:
            return float("inf")
        if theirs.size:
            wide = theirs.astype(np.float32)
            scale = max(float(np.abs(wide).max()), 1e-6)
            worst = max(worst, float(np.abs(ours - wide).max()) / scale)
    return worst


def _as_float32(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def row_values(row: Row) -> dict[str, Any]:
    """A row for JSON: rounded to what was measured, without what was not."""
    values: dict[str, Any] = {}
    for name in Row.__dataclass_fields__:
        value = getattr(row, name)
        if value is not None and value != "":
            values[name] = float(f"{value:.4g}") if isinstance(value, float) else value
    return values
