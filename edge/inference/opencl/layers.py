"""Where a model's time goes on a device: every launch with its kernel, microseconds and rates, and totals a kernel."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .execute import Bound
from .launch import Algorithm, ConvProblem, Launch
from .measure import Ready

REPEATS: Final = 5
LEAST_WORK: Final = 0.2  # of the direct convolution's operations; F(4,3) does 0.25 of them


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One launch. us: microseconds on the device, the median. share: of all launches' time.

    node: what it computes. kernel: file and entry point. algorithm: the convolution's, "" for others. shape: of what it
    writes. gflop_s, gb_s: operations and least traffic, 10⁹ a second, as the launch declares them.
    """

    number: int
    node: str
    kernel: str
    algorithm: str
    shape: tuple[int, ...]
    us: float
    gflop_s: float
    gb_s: float
    share: float


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """All launches of one entry point, named as in LayerRow."""

    kernel: str
    launches: int
    us: float
    gflop_s: float
    gb_s: float
    share: float


def profile_layers(ready: Ready) -> list[LayerRow]:
    """Time each launch, in the plan's order. The device must have been opened with profile=True. Raises DeviceLost."""
    plan = ready.plan
    seconds = _medians(ready.bound)
    whole = sum(seconds)
    algorithms = _algorithms(plan.launches, ready.chosen)
    return [
        LayerRow(
            number=number,
            node=launch.node,
            kernel=f"{Path(launch.kernel.file).stem}.{launch.kernel.entry}",
            algorithm=str(algorithm) if algorithm else "",
            shape=launch.writes[0].shape if launch.writes else (),
            us=took * 1e6,
            gflop_s=launch.flops / took / 1e9,
            gb_s=launch.bytes / took / 1e9,
            share=took / whole,
        )
        for number, (launch, took, algorithm) in enumerate(
            zip(plan.launches, seconds, algorithms, strict=True), start=1
        )
    ]


def total_families(rows: Sequence[LayerRow]) -> list[FamilyRow]:
    """Totals an entry point, the costliest first."""
    groups: dict[str, list[LayerRow]] = defaultdict(list)
    for row in rows:
        groups[row.kernel].append(row)
    totals = [total(group, kernel=kernel) for kernel, group in groups.items()]
    return sorted(totals, key=lambda each: -each.us)


def total(rows: Sequence[LayerRow], *, kernel: str = "") -> FamilyRow:
    """The sum of some launches; rates are over all their time."""
    us = sum(each.us for each in rows)
    return FamilyRow(
        kernel=kernel,
        launches=len(rows),
        us=us,
        gflop_s=sum(each.gflop_s * each.us for each in rows) / us,
        gb_s=sum(each.gb_s * each.us for each in rows) / us,
        share=sum(each.share for each in rows),
    )


def _medians(bound: Bound) -> list[float]:
    """Seconds a launch, at least a nanosecond: some clocks stand still during a short one."""
    runs = [bound.timed() for _repeat in range(1 + REPEATS)]
    return [max(statistics.median(each) * 1e-3, 1e-9) for each in zip(*runs[1:], strict=True)]


def _algorithms(
    launches: Sequence[Launch], chosen: Sequence[tuple[ConvProblem, Algorithm]]
) -> Iterator[Algorithm | None]:
    """The algorithm of each launch. Convolutions were chosen in the order in which their launches stand."""
    waiting = list(chosen)
    groups: list[list[Launch]] = []
    for launch in launches:
        if groups and groups[-1][0].node == launch.node:
            groups[-1].append(launch)
        else:
            groups.append([launch])
    for group in groups:
        fits = waiting and _computes(group, waiting[0][0])
        algorithm = waiting.pop(0)[1] if fits else None
        yield from [algorithm] * len(group)


def _computes(group: Sequence[Launch], problem: ConvProblem) -> bool:
    size = problem.pixels * problem.co
    writes = any(tensor.size == size for launch in group for tensor in launch.writes)
    return writes and sum(each.flops for each in group) >= LEAST_WORK * problem.flops
