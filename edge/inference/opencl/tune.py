"""Which algorithm for which layer, found out on the device itself and kept.

Each distinct convolution is timed alone with its best candidates; what wins there is only proposed. Proposals are tried
on the whole model, in turns with what is in use, and stay when the answer is the same and the model 5 % faster: a layer
that is fast alone may be slow beside its neighbours, whose cache it finds cold.
"""

import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from ...clock import Clock, SystemClock
from ...compute.capability import Capability
from ...compute.device import Device
from ...compute.driver import cl
from ...errors import DeviceBusy, KernelBuildError
from ...model import Card
from ...paths import write_atomically
from .check import difference, key_of
from .execute import Bound, Constants, bind
from .graph import Graph
from .kept import Tell, read_kept, tell_nobody
from .launch import Algorithm, Array, Const, ConvProblem, Scratch, Step
from .ops.conv import every_candidate, kernels_for
from .plan import Choices, Plan, pick, plan_graph

MOST_TRIED: Final = 8  # candidates a layer, in the order of the static guess
MOST_GATED: Final = 3  # of those that need the error gate: Winograd F(4,3)
LEAST_GAIN: Final = 0.05  # of the whole model's time; less is noise
LEAST_LAYER_GAIN: Final = 0.02  # of a layer alone, to be proposed
ROUNDS: Final = 9  # of a whole model, in turns; the medians are compared
LAYER_S: Final = 0.02  # how long one candidate is run, at least three times
MOST_ERROR: Final = 1e-4  # between two ways to compute the same; F(4,3) passes only where its layer bears it
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning a model found. ms: one run before and after, without the way to and from the host."""

    choices: Choices
    ms_before: float
    ms_after: float
    tried: int
    kept: int


def tune(
    graph: Graph,
    device: Device,
    inputs: Mapping[str, Array],
    *,
    clock: Clock | None = None,
    on_progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
) -> Tuned:
    """Find the algorithms that make this graph fastest on this device; in the thread that owns the device.

    inputs: what to run it with. on_progress: what is done, how many of how many. Raises DeviceLost.
    """
    clock = clock or SystemClock()
    used = Trial(device, graph, {}, inputs, clock)
    ms_before = statistics.median(used.time() for _ in range(ROUNDS))
    proposals = list(_proposals(used, device, clock, on_progress))
    kept = 0
    for number, proposal in enumerate(proposals, start=1):
        on_progress("proposals", number, len(proposals))
        try:
            trial = Trial(device, graph, dict(used.choices) | dict(proposal), inputs, clock)
        except (DeviceBusy, KernelBuildError):
            continue
        if trial.beats(used):
            used.close()
            used, kept = trial, kept + 1
        else:
            trial.close()
    ms_after = statistics.median(used.time() for _ in range(ROUNDS)) if kept else ms_before
    choices = dict(used.choices)
    used.close()
    return Tuned(choices, ms_before, ms_after, len(proposals), kept)


class Trial:
    """A whole model with some choices, bound and run once."""

    def __init__(
        self, device: Device, graph: Graph, choices: Choices, inputs: Mapping[str, Array], clock: Clock
    ) -> None:
        self.choices, self._inputs, self._clock = choices, inputs, clock
        self.plan: Plan = plan_graph(graph, device.capability, choose=partial(pick, choices))
        self._constants = Constants(device)
        try:
            self._bound: Bound = bind(self.plan, device, constants=self._constants)
            self.outputs = [np.asarray(each, np.float32) for each in self._bound.run(inputs)]
        except BaseException:
            self._constants.free()
            raise

    def time(self) -> float:
        """Milliseconds of one run, the inputs on the device already and the outputs left there."""
        self._bound.device.finish()
        start = self._clock.monotonic_s()
        self._bound.launch()
        self._bound.device.finish()
        return (self._clock.monotonic_s() - start) * 1e3

    def beats(self, other: "Trial") -> bool:
        """Whether it gives the same answer in at least 5 % less time, both run in turns."""
        if difference(self.outputs, other.outputs) > MOST_ERROR:
            return False
        pairs = [(self.time(), other.time()) for _ in range(ROUNDS)]
        mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
        surely = min(mine for mine, _ in pairs) < min(theirs for _, theirs in pairs)  # not by a noisy neighbour's grace
        return bool(surely and mine <= theirs * (1 - LEAST_GAIN))

    def close(self) -> None:
        """Give its memory back."""
        self._bound.free()
        self._constants.free()


def _proposals(
    used: Trial, device: Device, clock: Clock, on_progress: Callable[[str, int, int], None]
) -> Iterable[Choices]:
    """Sets of choices worth a trial: all layers' winners, the winners of the costliest half, each family's winners."""
    problems = Counter(used.plan.algorithms)
    lowered = {problem: dict(_candidates(device, problem, used.plan.algorithms[problem])) for problem in problems}
    kernels = [step.kernel for each in lowered.values() for steps in each.values() for step in steps]
    device.programs.prebuild(kernels, lambda done, count: on_progress("kernels", done, count))
    gains: dict[ConvProblem, tuple[float, Algorithm]] = {}
    for number, problem in enumerate(problems, start=1):
        on_progress("layers", number, len(problems))
        times = dict(layer_times(device, problem, lowered[problem], clock))
        first = times.get(used.plan.algorithms[problem])
        best = min(times, key=lambda algorithm: times[algorithm], default=None)
        if first is not None and best is not None and times[best] <= first * (1 - LEAST_LAYER_GAIN):
            gains[problem] = (first - times[best], best)
    if not gains:
        return
    yield {problem: best for problem, (_, best) in gains.items()}
    ranked = sorted(gains, key=lambda problem: -gains[problem][0])
    yield {problem: gains[problem][1] for problem in ranked[: max(1, len(ranked) // 2)]}
    for family in sorted({best.name for _, best in gains.values()}):
        yield {problem: best for problem, (_, best) in gains.items() if best.name == family}


def _candidates(device: Device, problem: ConvProblem, first: Algorithm) -> Iterable[tuple[Algorithm, Sequence[Step]]]:
    """The first guess and the best others, as launches; nothing for a layer that reads planes: it has one way only."""
    kernels = kernels_for(device.capability)
    found = kernels.candidates(problem, device.capability)
    gated = [each for each in every_candidate(problem, device.capability) if each not in found]
    if first not in (*found, *gated):
        return
    random = np.random.default_rng(0)
    weights = random.standard_normal((problem.co, problem.ci // problem.groups, *problem.kernel), np.float32)
    bias = np.zeros(problem.co, np.float32)
    for algorithm in dict.fromkeys((first, *found[:MOST_TRIED], *gated[:MOST_GATED])):
        yield algorithm, kernels.lower(problem, algorithm, device.capability, weights=weights, bias=bias)


def layer_times(
    device: Device, problem: ConvProblem, lowered: Mapping[Algorithm, Sequence[Step]], clock: Clock
) -> Iterable[tuple[Algorithm, float]]:
    """Each candidate of a layer and the milliseconds it takes alone. One that has no room or no kernel is left out."""
    for algorithm, steps in lowered.items():
        try:
            yield algorithm, _time_steps(device, problem, steps, clock)
        except (DeviceBusy, KernelBuildError):
            continue


def _time_steps(device: Device, problem: ConvProblem, steps: Sequence[Step], clock: Clock) -> float:
    taken: list[Any] = []

    def take(array: Array) -> Any:
        taken.append(device.upload(array))
        return taken[-1]

    try:
        sizes = {
            "x": problem.batch * problem.hi * problem.wi * max(problem.x_stride, problem.ci),
            "y": problem.pixels * max(problem.y_stride, problem.co),
            "r": problem.pixels * problem.r_stride,
        }
        memory = {role: take(np.ones(max(size, 1), np.float32)) for role, size in sizes.items()}
        calls = []
        for step in steps:
            kernel = device.programs.kernel(step.kernel)
            kernel.set_args(*_arguments(step, memory, take))
            calls.append((kernel, step.global_size, step.local_size))
        return _time_calls(device, calls, clock)
    finally:
        for buffer in taken:
            device.free(buffer)


def _arguments(step: Step, memory: dict[str, Any], take: Callable[[Array], Any]) -> list[Any]:
    found: list[Any] = []
    for arg in step.args:
        if isinstance(arg, str):
            found += [memory[arg], np.int32(0)]
        elif isinstance(arg, Const):
            found += [take(np.ascontiguousarray(arg.array)), np.int32(0)]
        elif isinstance(arg, Scratch):
            if arg.name not in memory:
                memory[arg.name] = take(np.zeros(arg.elements, arg.dtype))
            found += [memory[arg.name], np.int32(0)]
        else:
            found.append(arg)
    return found


def _time_calls(device: Device, calls: Sequence[tuple[Any, Any, Any]], clock: Clock) -> float:
    """Milliseconds of one pass over the launches, from as many as fill LAYER_S; the best of three."""

    def passes(count: int) -> float:
        start = clock.monotonic_s()
        with device.guard("tune"):
            for _ in range(count):
                for kernel, global_size, local_size in calls:
                    cl.enqueue_nd_range_kernel(device.queue, kernel, global_size, local_size)
        device.finish()
        return (clock.monotonic_s() - start) / count

    passes(1)
    count = max(3, min(200, round(LAYER_S / max(passes(1), 1e-6))))
    return min(passes(count) for _ in range(3)) * 1e3


def choices_path(folder: Path, card: Card, device: Capability, size: int) -> Path:
    """Where the choices for a model, a device and a batch size are kept."""
    return folder / "tuned" / f"{key_of(card, device)}-{size}.json"


def save_choices(folder: Path, card: Card, device: Capability, size: int, tuned: Tuned) -> Path:
    """Keep what tuning found. Returns the file."""
    rows = [{"problem": asdict(problem), "algorithm": asdict(each)} for problem, each in tuned.choices.items()]
    path = choices_path(folder, card, device, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"format": FORMAT, "model": card.name, "device": device.name, "batch": size, "rows": rows}
    body |= {"ms_before": tuned.ms_before, "ms_after": tuned.ms_after}
    write_atomically(path, json.dumps(body, indent=1).encode())
    return path


def load_choices(folder: Path, card: Card, device: Capability, size: int, *, tell: Tell = tell_nobody) -> Choices:
    """What tuning found for this batch size, else for one picture; {} when there is nothing that can be read.

    tell: told of a file that can't be.
    """
    step = f"delete it; tigrillo bench {card.name} --device opencl --tune makes it anew"
    for batch in dict.fromkeys((size, 1)):
        kept = read_kept(choices_path(folder, card, device, batch), TypeAdapter(_Kept), tell=tell, next_step=step)
        if kept:
            pairs = ((row.problem, row.algorithm) for row in kept.rows)
            return {replace(problem, batch=_batch(problem, batch, size)): algorithm for problem, algorithm in pairs}
    return {}


@dataclass(frozen=True, slots=True)
class _Row:
    problem: ConvProblem
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is read of a file that save_choices wrote."""

    rows: tuple[_Row, ...]


def _batch(problem: ConvProblem, tuned_for: int, size: int) -> int:
    return problem.batch * size // tuned_for if tuned_for != size else problem.batch
