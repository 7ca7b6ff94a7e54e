"""What a product takes on GCN (waves of 64: Radeon RX 4xx, 5xx), from data sheets and the compiler's registers.

Nothing here was measured on such a card. Tile → registers → waves that a SIMD holds → cycles of a compute unit.
"""

import math
from typing import Final

from ....compute import gcn
from ....compute.capability import Capability
from .conv_gpu_parts import ceil_div, round_up
from .conv_gpu_tiles import Tile

# From one K tile to the next an item holds its sums, loads and addresses. Of the tiles with 96 and more clang 16 gave
# padded scalar loads 148 to 175 VGPRs, beyond the budget of 128; with 88 and fewer 127 at most (make gfx803).
MOST_HELD: Final = 88
OPERANDS: Final = 28  # VGPRs beside those, and where two buffers let the compiler read ahead: within 25 of clang's
READ_AHEAD: Final = 24

# AMD, "Graphics Core Next Architecture, Generation 3", and the RX 580's data sheet: 1340 MHz, 36 units.
LANES: Final = 16  # of a SIMD: multiply-adds a cycle
LDS_BYTES_CYCLE: Final = 128
L2_BYTES_CYCLE: Final = 28  # 16 slices of 64 bytes for 36 units
BYTES_CYCLE: Final = 5.3  # 256 GB/s
LAUNCH_CYCLES: Final = 13_400  # 10 µs: a good driver
# Thought, not read: a load that misses the caches of the unit, and a barrier that no other group covers.
LOAD_CYCLES: Final = 500
BARRIER_CYCLES: Final = 100


def is_gcn(device: Capability) -> bool:
    """Whether the device steps in waves of 64, as GCN does."""
    return device.wave == gcn.WAVE


def registers(tile: Tile) -> int:
    """VGPRs of an item that loads vectors, estimated; compiled for all, see docs/hardware.md."""
    return min(gcn.VGPR_BUDGET, tile.held(4) + OPERANDS + (READ_AHEAD if tile.buffers == 2 else 0))


def groups_of_unit(tile: Tile) -> int:
    """Groups that a unit holds at once, by registers and local memory; one at least."""
    waves = min(gcn.MOST_WAVES, gcn.VGPRS // round_up(registers(tile), gcn.VGPR_STEP)) * gcn.SIMDS
    return max(1, min(waves // ceil_div(tile.items, gcn.WAVE), gcn.UNIT_LDS_BYTES // tile.local_bytes))


def group_cycles(tile: Tile, steps: int, share: float, device: Capability) -> tuple[int, float]:  # noqa: ARG001  # because the fitted reckoning is called alike
    """Groups that a unit holds at once, and cycles that they take together for `steps` K tiles. Computed, not measured.

    share: groups of the launch for each unit. A step takes the longest of sums, local memory and L2, of the other two
    what the waves of a SIMD don't cover, and never less than a load's way from memory.
    """
    resident = min(math.ceil(share), groups_of_unit(tile))
    waves = ceil_div(tile.items, gcn.WAVE)
    deep = resident * waves / gcn.SIMDS  # waves on a SIMD
    sums = tile.bm * tile.bn * tile.bk / (gcn.SIMDS * LANES * min(1.0, deep))
    reads = waves * gcn.WAVE * tile.bk / tile.ks * 4 * (tile.tm + tile.tn)  # lanes that read the same word count each
    tiles = 4 * tile.bk * (tile.bm + tile.bn)  # bytes of both, once from L2 and once into local memory
    parts = sums, (reads + tiles) / LDS_BYTES_CYCLE, tiles / L2_BYTES_CYCLE
    work = max(parts) + (sum(parts) - max(parts)) / max(1.0, deep)
    barriers = BARRIER_CYCLES * (1 if tile.buffers == 2 else 2) / resident
    return resident, steps * (max(resident * work, LOAD_CYCLES) + barriers) + 2 * LOAD_CYCLES
