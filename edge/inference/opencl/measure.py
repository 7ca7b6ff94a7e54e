"""How fast a model runs on an opened OpenCL device, with ONNX Runtime on the CPU beside it in the same run."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np
import onnx

from ...clock import Clock
from ...compute.device import Device
from ...compute.peak import Peak
from ...errors import StageError
from ...i18n import _
from ..subject import Subject
from ..subject import inputs_of as model_inputs
from ..timing import Row, count_gflops, in_turns, largest_error, onnxruntime_call
from .execute import Bound, Constants, bind, kernels_of
from .fuse import fuse
from .graph import Graph
from .importer import import_model
from .launch import Algorithm, Array, ConvProblem
from .memory import Fitted, Room, fit
from .plan import Choose, Plan, first_guess, leanest, plan_graph

ENQUEUES: Final = 9  # of which the median counts
ENQUEUES_S: Final = 1.0  # what they may take together


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
    programs: tuple[int, int] = (0, 0)  # built, loaded
    chosen: Sequence[tuple[ConvProblem, Algorithm]] = ()  # in the order in which the plan asked

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
    subject: Subject,
    model: onnx.ModelProto,
    device: Device,
    *,
    batch: int,
    choose: Choose = first_guess,
    on_wait: Callable[[], None] = lambda: None,
) -> Ready:
    """Plan, build, upload and run a model once. choose: see plan_graph. on_wait: another process builds the same.

    Raises UnsupportedOpError, ModelError when it does not fit the device, KernelBuildError, DeviceBusy, DeviceLost.
    """
    before = (device.programs.built, device.programs.loaded)
    start = time.perf_counter()
    graph = graph_of(subject, model, batch)

    chosen: list[tuple[ConvProblem, Algorithm]] = []

    def make(lean: bool, stream: bool) -> Plan:
        chosen.clear()
        return plan_graph(graph, device.capability, choose=noting(leanest if lean else choose), stream=stream)

    def noting(choose: Choose) -> Choose:
        def choose_and_note(problem: ConvProblem, found: Sequence[Algorithm]) -> Algorithm:
            chosen.append((problem, choose(problem, found)))
            return chosen[-1][1]

        return choose_and_note

    usage = device.buffers.usage
    largest = min(device.capability.max_alloc_bytes, usage.limit)
    fitted = fit(make, Room(usage.limit - usage.used, largest), name=subject.name)
    planned = time.perf_counter()
    inputs = inputs_of(subject, model, batch)  # only now: what fits the device fits the host
    made = time.perf_counter()
    constants = Constants(device)
    try:
        with device.programs.building(kernels_of(fitted.plan), on_wait=on_wait):
            bound = bind(fitted.plan, device, constants=constants)
            outputs = bound.run(inputs)
    except BaseException:
        constants.free()
        raise
    done = time.perf_counter()
    programs = (device.programs.built - before[0], device.programs.loaded - before[1])
    return Ready(
        graph,
        fitted,
        bound,
        constants,
        inputs,
        outputs,
        planned - start,
        done - start - (made - planned),
        programs,
        chosen,
    )


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
    on_wait: Callable[[], None] = lambda: None,
) -> Row:
    """All figures of one model at one batch size. seconds: about how long each side is run. on_wait: see make_ready.

    Raises as make_ready does.
    """
    model = subject.make(batch)
    with make_ready(subject, model, device, batch=batch, choose=choose, on_wait=on_wait) as ready:
        calls: list[Callable[[], Sequence[Array]]] = [lambda: ready.bound.run(ready.inputs)]
        error = None
        if beside_onnxruntime:
            calls.append(onnxruntime_call(subject, model, batch))
            error = largest_error(ready.outputs, calls[1]())
            if not np.isfinite(error):
                text = _("model {name!r} answered with NaN or infinity: are its weights damaged?")
                raise StageError(text.format(name=subject.name))
        ours, *theirs = in_turns(calls, seconds=seconds, clock=clock)
        enqueue_ms, device_ms = _launched_ms(ready.bound)
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
        device_ms=device_ms / batch,
        device_share=work * batch / (device_ms / 1e3) / peak.gflops,
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


def _launched_ms(bound: Bound) -> tuple[float, float]:
    """Milliseconds from an idle device until one run is enqueued, and until it is done; medians."""
    enqueued: list[float] = []
    done: list[float] = []
    for _round in range(ENQUEUES):
        bound.device.finish()
        start = time.perf_counter()
        bound.launch()
        enqueued.append((time.perf_counter() - start) * 1e3)
        bound.device.finish()
        done.append((time.perf_counter() - start) * 1e3)
        if sum(done) > ENQUEUES_S * 1e3:
            break
    return statistics.median(enqueued), statistics.median(done)


def inputs_of(subject: Subject, model: onnx.ModelProto, batch: int) -> dict[str, Array]:
    """The subject's inputs as a plan takes them: float16 ones are float32 there."""
    given = subject.inputs(model, batch)
    return {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in given.items()}


def graph_of(subject: Subject, model: onnx.ModelProto, batch: int) -> Graph:
    """The fused graph. Raises UnsupportedOpError."""
    given = {value.name: subject.shape(value, batch) for value in model_inputs(model)}
    return fuse(import_model(model, shapes=given))
