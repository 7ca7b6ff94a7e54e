"""What a bench measures of a model, and how: runs in turns, medians, ONNX Runtime with its default options beside ours.

Random input, host to host: from an array in the host's memory to arrays in the host's memory. Both sides take turns, so
that what else the machine does hurts them alike; the median counts.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx

from ..clock import Clock, SystemClock
from ..errors import ModelError
from ..i18n import _
from ..models.zoo.flops import flops
from .subject import Array, Subject

PAUSE_S: Final = 0.02  # ONNX Runtime's threads spin for some milliseconds after a run and would take a core from ours
TURN_S: Final = 0.05  # how long one side runs before it is the other's turn; one run at least
LEAST_RUNS: Final = 3  # unless a single one takes longer than all the time there is


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
    what the device was measured to do at most. device_ms, device_share: the same with the pictures on the device
    already and the answers left there. build_s: from the model in memory to the end of the first run, of which
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
    device_ms: float | None = None
    device_share: float | None = None
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


def measure_onnxruntime(
    subject: Subject, *, batch: int = 1, seconds: float = 1.0, clock: Clock | None = None, failure: str = ""
) -> Row:
    """The figures of ONNX Runtime alone. failure: why there are none of OpenCL. Raises ModelError."""
    model = subject.make(batch)
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
    """One run in ONNX Runtime with its default options: all cores, its own threads and memory arena.

    Raises ModelError when it can't run the model.
    """
    # here, because a machine with a GPU may be measured without it
    import onnxruntime  # noqa: PLC0415
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # noqa: PLC0415

    from .ort_session import FAILED, LOG_NOTHING, NOISE, UNREADABLE  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.log_severity_level = LOG_NOTHING
    inputs = subject.inputs(model, batch)
    try:
        session = onnxruntime.InferenceSession(subject.content(model), options, providers=["CPUExecutionProvider"])
        session.run(None, inputs)
    except (*UNREADABLE, *FAILED, ort_errors.NotImplemented) as exc:
        reason = NOISE.sub("", str(exc)).splitlines()[0]
        text = _("model {name!r}: ONNX Runtime {version} can't run it: {reason}")
        raise ModelError(text.format(name=subject.name, version=onnxruntime.__version__, reason=reason)) from exc

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


def count_gflops(subject: Subject, model: onnx.ModelProto, batch: int) -> float | None:
    """10⁹ operations a picture of convolutions and matrix products; None when shapes depend on the data."""
    try:
        return flops(model, sizes=subject.sizes(model, batch)) / batch / 1e9
    except ValueError:
        return None


def largest_error(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference as a share of an output's largest value; infinite at other shapes and at our NaN."""
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        wide = theirs.astype(np.float32)
        if ours.shape != theirs.shape or not (np.isfinite(ours) | (ours == wide)).all():  # max() would lose a NaN
            return float("inf")
        there = np.isfinite(wide)  # a mask's minus infinity, say, is equal on both sides
        scale = max(float(np.abs(wide[there]).max(initial=0.0)), 1e-6)
        worst = max(worst, float(np.abs(ours[there] - wide[there]).max(initial=0.0)) / scale)
    return worst


def row_values(row: Row) -> dict[str, Any]:
    """A row for JSON: rounded to what was measured, without what was not."""
    values: dict[str, Any] = {}
    for name in Row.__dataclass_fields__:
        value = getattr(row, name)
        if value is not None and value != "":
            values[name] = float(f"{value:.4g}") if isinstance(value, float) else value
    return values
