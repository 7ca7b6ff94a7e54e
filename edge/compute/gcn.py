"""What a Polaris card can hold at a time, which kernels are too large for it, and how long launches would take it.

Resources → waves on a SIMD, faults; flops and bytes of launches → a projected time. No figure here was measured on
such a card.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .offline import Resources

# A compute unit of GCN 3 and 4: AMD, "Graphics Core Next Architecture, Generation 3"; LLVM's AMDGPU user guide.
WAVE: Final = 64  # lanes
SIMDS: Final = 4
MOST_WAVES: Final = 10  # on a SIMD
VGPRS, VGPR_STEP = 256, 4  # of a lane, for all waves on a SIMD together; handed out in steps
SGPRS, SGPR_STEP = 800, 16  # of a SIMD, for all its waves together
UNIT_LDS_BYTES: Final = 64 * 1024
GROUP_LDS_BYTES: Final = 32 * 1024  # what AMD's drivers give one group

# The budget. A SIMD runs one wave at a time and hides the latency of memory by switching to another: with more than 128
# registers there is no other, and every load is waited for. Spilled registers go through global memory.
LEAST_WAVES: Final = 2
VGPR_BUDGET: Final = VGPRS // LEAST_WAVES


@dataclass(frozen=True, slots=True)
class Card:
    """A card of the family. flops: fp32 multiply-adds at boost clock, each two, a second; bytes_s: global memory."""

    name: str
    units: int
    flops: float
    bytes_s: float


RX580: Final = Card("RX 580 8 GB", 36, 6.17e12, 256e9)


@dataclass(frozen=True, slots=True)
class Work:
    """One launch as far as its time depends on it. entry: of the kernel. nbytes: traffic with global memory."""

    entry: str
    flops: int
    nbytes: int
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """How far below its limits the card is thought to run.

    products: share of peak arithmetic in kernels that reuse what they load from local memory; others: in the rest.
    memory: share of peak bandwidth.
    """

    products: float = 0.5
    others: float = 0.25
    memory: float = 0.6


CAREFUL: Final = Assumptions()
IDEAL: Final = Assumptions(1.0, 1.0, 1.0)
PRODUCTS: Final = ("conv_gemm", "conv_first", "matmul_tiled")


def faults(resources: Resources) -> list[str]:
    """What of a kernel goes beyond the card or the budget, each with its figure; empty when all is well."""
    found = []
    if resources.scratch_bytes:
        found.append(f"scratch {resources.scratch_bytes} bytes a lane, must be 0")
    if resources.lds_bytes > GROUP_LDS_BYTES:
        found.append(f"LDS {resources.lds_bytes} bytes, a group has {GROUP_LDS_BYTES}")
    if resources.vgprs > VGPR_BUDGET:
        found.append(f"{resources.vgprs} VGPRs, the budget is {VGPR_BUDGET}")
    return found


def waves_per_simd(resources: Resources, group_items: int) -> float:
    """Waves that a SIMD holds on average when the device is full of groups of this kernel; at most 10."""
    by_vgprs = VGPRS // _round_up(resources.vgprs, VGPR_STEP)
    by_sgprs = SGPRS // _round_up(resources.sgprs, SGPR_STEP)
    by_registers = min(MOST_WAVES, by_vgprs, by_sgprs)
    of_group = math.ceil(group_items / WAVE)
    groups = by_registers * SIMDS // of_group
    if resources.lds_bytes:
        groups = min(groups, UNIT_LDS_BYTES // resources.lds_bytes)
    return min(by_registers, groups * of_group / SIMDS)


def _round_up(count: int, step: int) -> int:
    return max(step, -(-count // step) * step)


def filled(work: Work, units: int) -> float:
    """Share of the card's SIMDs that have a wave, over the rounds that a launch takes; 0..1.

    A launch of 37 groups of four waves takes 36 units two rounds, the second with one unit at work: 37/72.
    """
    groups = math.prod(-(-all_ // mine) for all_, mine in zip(work.global_size, work.local_size, strict=True))
    waves = groups * math.ceil(math.prod(work.local_size) / WAVE)
    slots = units * SIMDS
    return waves / (math.ceil(waves / slots) * slots)


def projected_s(
    works: Iterable[Work],
    card: Card,
    *,
    launch_s: float,
    assumed: Assumptions = CAREFUL,
) -> float:
    """Seconds that launches in a row would take: each the longer of arithmetic and memory, and its start."""
    total = 0.0
    for work in works:
        share = assumed.products if work.entry in PRODUCTS else assumed.others
        fill = filled(work, card.units) if assumed is not IDEAL else 1.0
        arithmetic = work.flops / (card.flops * share * fill)
        memory = work.nbytes / (card.bytes_s * assumed.memory)
        total += max(arithmetic, memory) + launch_s
    return total
