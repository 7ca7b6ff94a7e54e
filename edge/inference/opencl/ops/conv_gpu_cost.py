"""What a product is guessed to take on a GPU, so that its tiles can be ranked before anything is measured.

Two reckonings: fitted to an H100 for waves of 32, computed from GCN's data sheet for waves of 64 (conv_gpu_gcn).
"""

import math
from dataclasses import dataclass
from typing import Final

from ....compute.capability import Capability
from . import conv_gpu_gcn
from .conv_gpu_parts import ceil_div
from .conv_gpu_tiles import Tile


@dataclass(frozen=True, slots=True)
class Costs:
    """What lies outside a product. bytes_cycle: of global memory, a unit. launch_cycles: one that waits for another."""

    bytes_cycle: float
    launch_cycles: int


# The static guess, near cycles of a compute unit, fitted to 123 layers on an H100: its first choice there takes
# 3.4 % longer in all than the best one measured. Only the order matters.
EFFICIENCY: Final = {64: 0.281, 32: 0.293, 16: 0.198}  # of a unit's lanes, by sums an item holds
RESIDENT_ITEMS: Final = 685  # as many as registers let live on a unit
STEP_CYCLES: Final = 568  # a K tile's way from memory through two barriers; one barrier takes four fifths
START_CYCLES: Final = 27_700  # before a group's first step and after its last
FITTED: Final = Costs(bytes_cycle=7.5, launch_cycles=20_200)
COMPUTED: Final = Costs(conv_gpu_gcn.BYTES_CYCLE, conv_gpu_gcn.LAUNCH_CYCLES)


def costs_of(device: Capability) -> Costs:
    """What moving bytes and launching cost there, in the unit that `cycles` counts in."""
    return COMPUTED if conv_gpu_gcn.is_gcn(device) else FITTED


def suits(tile: Tile, device: Capability, *, vector: int) -> bool:
    """Whether a group of the device can hold a tile whose left side is loaded `vector` floats at a time."""
    if not (tile.fits(device) and tile.loads(vector)):
        return False
    return not conv_gpu_gcn.is_gcn(device) or tile.held(vector) <= conv_gpu_gcn.MOST_HELD


def cycles(tile: Tile, splits: int, size: tuple[int, int, int], device: Capability, *, planes: int = 1) -> float:
    """A static guess of what a product of (M, N, K) takes: how full the units are, how deep each sums, what waits."""
    m, n, k = size
    steps = ceil_div(ceil_div(k, tile.bk), splits)
    share = ceil_div(m, tile.bm) * ceil_div(n, tile.bn) * splits * planes / device.compute_units
    group = conv_gpu_gcn.group_cycles if conv_gpu_gcn.is_gcn(device) else group_cycles
    resident, taken = group(tile, steps, share, device)
    costs = costs_of(device)
    parts = 8 * splits * m * n / (costs.bytes_cycle * device.compute_units) + costs.launch_cycles if splits > 1 else 0
    rounds = share / resident
    return (math.ceil(rounds) if rounds < 4 else rounds + 0.5) * taken + parts


def group_cycles(tile: Tile, steps: int, share: float, device: Capability) -> tuple[int, float]:
    """Groups that a unit holds at once, and what they take together for `steps` K tiles; the fitted reckoning.

    share: groups of the launch for each unit.
    """
    resident = min(math.ceil(share), max(1, min(RESIDENT_ITEMS // tile.items, 128 * 1024 // tile.local_bytes)))
    # four schedulers issue each cycle
    rate = 4 * device.wave * EFFICIENCY[tile.tm * tile.tn] * min(1.0, resident * tile.items / (2.75 * device.wave))
    compute = resident * steps * tile.bm * tile.bn * tile.bk / rate
    return resident, compute + steps * STEP_CYCLES * (0.8 if tile.buffers == 2 else 1.0) + START_CYCLES
