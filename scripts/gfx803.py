#!/usr/bin/env python3
"""RX 580 without an RX 580: compile every kernel that the zoo's plans use for gfx803 and Mesa's polaris10.

    python scripts/gfx803.py [--models NAME...] [--first-guess] [--check]

Plans, and what no plan has (gfx803_others) → distinct kernels → clang-16 → gate (no scratch, ≤ 32 KB LDS, ≤ 128 VGPRs)
→ the tables in docs/hardware.md.
Exits 1 and names each kernel that is beyond the gate; the page names its tile, too. --first-guess leaves out what only
the tuner might choose; --models takes some models only; both, and --check, leave the page alone.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from gfx803_others import around_models, other_operators
from gfx803_page import ModelRow, Page, Variant, update_page, variant_class

from edge.compute.capability import RX580_8GB
from edge.compute.gcn import SIMDS, Work
from edge.compute.kernel import Kernel
from edge.compute.offline import OfflineError, Resources, Target, compile_all, mesa_target, rocm_target
from edge.errors import UnsupportedOpError
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.graph import Graph
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.launch import Launch, Step
from edge.inference.opencl.ops.conv_gpu import candidates, lower
from edge.inference.opencl.ops.conv_gpu_cost import cycles
from edge.inference.opencl.ops.conv_gpu_gcn import LANES
from edge.inference.opencl.ops.conv_gpu_tiles import tile_of
from edge.inference.opencl.ops.conv_gpu_winograd import tiles_of
from edge.inference.opencl.plan import Plan, plan_graph
from edge.models.zoo.zoo import ZOO, build

REPO: Final = Path(__file__).resolve().parent.parent
CACHE: Final = REPO / ".cache" / "gfx803"
QUANTISED: Final = ("mobilenetv2", "yolov5s")  # two of the zoo's in INT8: their kernels are the others', too
TELL_S: Final = 5.0


@dataclass(slots=True)
class Found:
    """What the plans hold. kernels: each with the most items of its groups; chosen: those that a first guess has."""

    kernels: dict[Kernel, int] = field(default_factory=dict)
    chosen: set[Kernel] = field(default_factory=set)
    models: list[ModelRow] = field(default_factory=list)
    unplanned: dict[str, str] = field(default_factory=dict)

    def add(self, launches: Iterable[Launch | Step], *, chosen: bool) -> None:
        """Take the kernels of a plan."""
        for each in launches:
            self.kernels[each.kernel] = max(self.kernels.get(each.kernel, 0), items_of(each))
            if chosen:
                self.chosen.add(each.kernel)


def items_of(launch: Launch | Step) -> int:
    """Work-items of a group; the most that there are where the driver chooses."""
    items = 1
    for side in launch.local_size or (RX580_8GB.max_group,):
        items *= side
    return items


def work_of(launch: Launch) -> Work:
    """A launch as its time depends on it. Where the plan doesn't say its bytes, those of its tensors count."""
    tensors = {(each.storage, each.offset, each.shape): each.nbytes for each in launch.reads + launch.writes}
    local = launch.local_size or (RX580_8GB.wave,) + (1,) * (len(launch.global_size) - 1)
    return Work(launch.kernel.entry, launch.flops, launch.bytes or sum(tensors.values()), launch.global_size, local)


def graphs(name: str) -> Iterator[tuple[str, Graph]]:
    """Label and graph of a model at its nominal size, batch 1; of some in INT8, too."""
    shape = (1, 3, *ZOO[name].input_hw)
    for storage in ("fp32", "int8") if name in QUANTISED else ("fp32",):
        label = name if storage == "fp32" else f"{name} INT8"
        yield label, fuse(import_model(build(name, storage=storage), shapes={"images": shape}))


def gather(models: Sequence[str], *, tuned: bool) -> Found:
    """Plan all models and collect their kernels."""
    found = Found()
    for at, name in enumerate(models, start=1):
        print(f"planning {name}, {at} of {len(models)}; {len(found.kernels)} kernels so far", flush=True)
        try:
            for label, graph in graphs(name):
                plan = plan_graph(graph, RX580_8GB)
                found.add(plan.launches, chosen=True)
                found.models.append(row_of(label, plan))
                if tuned:
                    found.add(other_steps(plan), chosen=False)
        except UnsupportedOpError as exc:
            found.unplanned[name] = str(exc)
    found.add(other_operators(), chosen=True)
    for kernel, items in around_models().items():
        found.kernels[kernel] = items
        found.chosen.add(kernel)
    return found


def other_steps(plan: Plan) -> Iterator[Step]:
    """Launches of all that the tuner may try for the convolutions of a plan, their weights zeros.

    What is read and written is taken to lie as four floats want it, unless the candidates show that it doesn't.
    """
    for problem, chosen in plan.algorithms.items():
        planar = problem.x_stride == 0
        weights = np.zeros((problem.co, problem.ci // problem.groups, *problem.kernel), np.float32)
        bias = np.zeros(problem.co, np.float32)
        for aligned in (True, False):
            offered = candidates(problem, RX580_8GB, aligned=aligned, planar=planar, allow_f4=True)
            if chosen not in offered:
                continue
            for each in offered:
                yield from lower(problem, each, RX580_8GB, weights=weights, bias=bias, aligned=aligned, planar=planar)
            break


def row_of(label: str, plan: Plan) -> ModelRow:
    """What the page says of a model."""
    works = tuple(map(work_of, plan.launches))
    return ModelRow(
        label, works, plan.const_bytes, plan.arena_bytes, plan.io_bytes, plan.total_bytes, product_share(plan)
    )


def product_share(plan: Plan) -> float:
    """Share of the card's arithmetic that a plan's products reach, by the reckoning that ranks their tiles.

    Computed, not measured; each distinct layer counts once, and the transforms around Winograd's products do not.
    """
    sums = spent = 0.0
    for problem, algorithm in plan.algorithms.items():
        if algorithm.name == "gemm":
            size, planes = (problem.pixels, problem.co, math.prod(problem.kernel) * problem.ci), 1
        elif algorithm.name == "winograd":
            f = dict(algorithm.params)["f"]
            size, planes = (tiles_of(problem, f), problem.co, problem.ci), (f + 2) ** 2
        else:
            continue
        tile, splits = tile_of(algorithm)
        sums += planes * math.prod(size)
        spent += cycles(tile, splits, size, RX580_8GB, planes=planes)
    return sums / (spent * RX580_8GB.compute_units * SIMDS * LANES) if spent else 0.0


def sample(found: Found) -> list[Kernel]:
    """Every kernel of the first guesses, and of the rest one of each class; see variant_class."""
    kept = {variant_class(each): each for each in reversed(found.kernels)}
    classes_done = {variant_class(each) for each in found.chosen}
    rest = [kernel for name, kernel in kept.items() if name not in classes_done]
    return [each for each in found.kernels if each in found.chosen] + rest


def one_of_each_class(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The first of each class."""
    return list({variant_class(each): each for each in reversed(kernels)}.values())


def compiled(kernels: Sequence[Kernel], target: Target) -> Mapping[Kernel, Resources]:
    """Compile with a line of progress now and then."""
    began = told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_S or done == total:
            told = now
            left = (now - began) / done * (total - done)
            print(f"{target.name}: {done} of {total} kernels, {now - began:.0f} s, {left:.0f} s to go", flush=True)

    return compile_all(kernels, target, cache_dir=CACHE, on_progress=tell)


def describe(kernel: Kernel) -> str:
    """File, entry and macros of a kernel in one line."""
    return f"kernels/{kernel.file} {kernel.entry} [{' '.join(f'{name}={text}' for name, text in kernel.defines)}]"


def main() -> int:
    """Compile, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(ZOO), default=list(ZOO), metavar="NAME")
    parser.add_argument("--first-guess", action="store_true", help="leave the tuner's other candidates out")
    parser.add_argument("--check", action="store_true", help="leave docs/hardware.md as it is")
    options = parser.parse_args()
    try:
        targets = rocm_target(), mesa_target()
        found = gather(options.models, tuned=not options.first_guess)
        kernels = sample(found)
        resources = compiled(kernels, targets[0])
        mesa = compiled(one_of_each_class(kernels), targets[1])
    except OfflineError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    variants = [
        Variant(each, resources[each], mesa.get(each), found.kernels[each], chosen=each in found.chosen)
        for each in kernels
    ]
    for name, reason in found.unplanned.items():
        print(f"{name}: not planned: {reason}", file=sys.stderr)
    if not (options.check or options.first_guess or options.models != list(ZOO)):
        update_page(REPO / "docs" / "hardware.md", Page(variants, found.models, found.unplanned, len(found.kernels)))
    if bad := judge(variants):
        print("\n".join(bad), file=sys.stderr)
        print(f"{len(bad)} kernels are beyond the gate, of {len(kernels)}", file=sys.stderr)
        return 1
    print(f"{len(kernels)} kernels of {len(found.kernels)} compiled, {len(mesa)} of them for Mesa: all within the gate")
    return 0


def judge(variants: Sequence[Variant]) -> list[str]:
    """A line for each kernel that is beyond the gate, for AMD's target or Mesa's."""
    return [
        f"{describe(each.kernel)}, {'a first guess' if each.chosen else 'the tuner may take it'}: {'; '.join(wrong)}"
        for each in variants
        if (wrong := each.faults())
    ]


if __name__ == "__main__":
    sys.exit(main())
