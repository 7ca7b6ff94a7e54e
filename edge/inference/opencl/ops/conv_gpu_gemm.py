"""Convolution as a matrix product on a GPU: which tiles fit a problem and a device, and the launches they become."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Scratch, Step
from .conv_gpu_parts import (
    F32,
    ceil_div,
    epilogue,
    finish_args,
    geometry,
    linear,
    pad_to,
    reads_vectors,
    round_up,
    x_bytes,
    y_bytes,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """How conv_gemm.cl cuts a product: BM × BN a group, TM × TN an item, K in steps of BK shared by KS slices of items.

    buffers: K tiles held in local memory, 2 saves a barrier a step.
    """

    bm: int
    bn: int
    bk: int
    tm: int
    tn: int
    ks: int = 1
    buffers: int = 1

    @property
    def items(self) -> int:
        """Work-items of a group."""
        return self.bm // self.tm * (self.bn // self.tn) * self.ks

    @property
    def local_bytes(self) -> int:
        """Local memory of a group: as LOCAL4 in conv_gemm.cl."""
        tiles = self.buffers * self.bk * (self.bm + 4 + self.bn)
        return 4 * max(tiles, self.ks // 2 * self.bm * self.bn)

    @property
    def lanes(self) -> int:
        """Items of a row beside each other in a wave: 8 × 8 makes one of GCN, 8 × 4 one of NVIDIA."""
        across = self.bn // self.tn
        return max(width for width in range(1, 9) if across % width == 0)

    def fits(self, device: Capability) -> bool:
        """Whether a group of the device can hold it."""
        return self.local_bytes <= device.local_bytes and self.items <= device.max_group

    def loads(self, vector: int) -> bool:
        """Whether the items can share the loads evenly: each keeps one column of both tiles."""
        a, b = self.bk // vector, self.bn // 4
        return self.items % a == 0 and self.items % b == 0


TILES: Final = (
    Tile(128, 128, 8, 8, 8, buffers=2),
    Tile(128, 128, 16, 8, 8),
    Tile(128, 80, 8, 8, 8, buffers=2),
    Tile(128, 64, 8, 8, 8, buffers=2),
    Tile(64, 128, 8, 8, 8, buffers=2),
    Tile(64, 64, 8, 8, 8, buffers=2),
    Tile(128, 64, 16, 8, 4),
    Tile(64, 64, 16, 8, 4),
    Tile(64, 64, 16, 8, 4, buffers=2),
    Tile(64, 64, 32, 8, 4, ks=2),
    Tile(64, 64, 32, 8, 8, ks=4),
    Tile(32, 64, 32, 8, 4, ks=4),
    Tile(32, 32, 64, 4, 4, ks=4),
    Tile(64, 64, 16, 4, 4),
    Tile(128, 32, 16, 8, 4),
    Tile(64, 32, 16, 4, 4),
    Tile(32, 64, 32, 4, 4, ks=2),
    Tile(32, 32, 32, 4, 4, ks=4),
    Tile(32, 32, 32, 4, 4, buffers=2),
    Tile(64, 16, 32, 4, 4, ks=4),
    Tile(16, 32, 64, 4, 4, ks=8),
    Tile(16, 16, 64, 4, 4, ks=16),
)
SPLITS: Final = (1, 2, 3, 4, 6, 8, 12, 16)
KEPT: Final = 10  # candidates handed to the tuner: past these none has won a measured layer

# The static guess, near cycles of a compute unit, fitted to 123 layers on an H100: its first choice there takes
# 3.4 % longer in all than the best one measured. Only the order matters; on GCN the numbers are to be fitted again.
EFFICIENCY: Final = {64: 0.281, 32: 0.293, 16: 0.198}  # of a unit's lanes, by sums an item holds
RESIDENT_ITEMS: Final = 685  # as many as registers let live on a unit
STEP_CYCLES: Final = 568  # a K tile's way from memory through two barriers; one barrier takes four fifths
START_CYCLES: Final = 27_700  # before a group's first step and after its last
LAUNCH_CYCLES: Final = 20_200  # a launch that waits for the one before
BYTES_CYCLE: Final = 7.5  # of global memory for each unit


def tile_of(algorithm: Algorithm) -> tuple[Tile, int]:
    """The tile and the number of splits that an algorithm's parameters name."""
    values = dict(algorithm.params)
    splits = values.get("splits", 1)
    return Tile(**{name: values[name] for name in Tile.__dataclass_fields__}), splits


def tile_params(tile: Tile, splits: int) -> tuple[tuple[str, int], ...]:
    """Parameters that tile_of reads back."""
    return (*((name, getattr(tile, name)) for name in Tile.__dataclass_fields__), ("splits", splits))


def cycles(tile: Tile, splits: int, size: tuple[int, int, int], device: Capability, *, planes: int = 1) -> float:
    """A static guess of what a product of (M, N, K) takes: how full the units are, how deep each sums, what waits."""
    m, n, k = size
    steps = ceil_div(ceil_div(k, tile.bk), splits)
    groups = ceil_div(m, tile.bm) * ceil_div(n, tile.bn) * splits * planes
    share = groups / device.compute_units
    resident = min(math.ceil(share), max(1, min(RESIDENT_ITEMS // tile.items, 128 * 1024 // tile.local_bytes)))
    # NVIDIA's four schedulers issue each cycle, GCN's SIMDs of 16 lanes in four, and each needs a wave of its own
    lanes, busy = (4 * device.wave, 2.75 * device.wave) if device.wave < 64 else (64, 256)
    rate = lanes * EFFICIENCY[tile.tm * tile.tn] * min(1.0, resident * tile.items / busy)
    compute = resident * steps * tile.bm * tile.bn * tile.bk / rate
    waiting = steps * STEP_CYCLES * (0.8 if tile.buffers == 2 else 1.0) + START_CYCLES
    parts = 8 * splits * m * n / (BYTES_CYCLE * device.compute_units) + LAUNCH_CYCLES if splits > 1 else 0
    rounds = share / resident
    return (math.ceil(rounds) if rounds < 4 else rounds + 0.5) * (compute + waiting) + parts


def rank(
    size: tuple[int, int, int], device: Capability, *, vector: int, planes: int = 1
) -> list[tuple[float, Tile, int]]:
    """Tiles and splits for a product, the best guess first. Only tiles that fit; never empty."""
    steps_of = {tile: ceil_div(size[2], tile.bk) for tile in TILES if tile.fits(device) and tile.loads(vector)}
    guesses = [
        (cycles(tile, splits, size, device, planes=planes), tile, splits)
        for tile, steps in steps_of.items()
        for splits in (SPLITS if planes == 1 else (1,))
        if splits == 1 or steps >= 4 * splits
    ]
    return sorted(guesses, key=lambda guess: guess[0])


def gemm_candidates(
    problem: ConvProblem, device: Capability, *, aligned: bool, planar: bool = False
) -> list[tuple[float, Algorithm]]:
    """Guessed cycles and algorithm, best first, each tile whole and in its best split; none for grouped problems."""
    if problem.groups > 1:
        return []
    size = (problem.pixels, problem.co, math.prod(problem.kernel) * problem.ci)
    vector = 4 if reads_vectors(problem, aligned=aligned) and not planar else 1
    kept: list[tuple[float, Algorithm]] = []
    seen: set[tuple[Tile, bool]] = set()
    for guess, tile, splits in rank(size, device, vector=vector):
        if (tile, splits > 1) not in seen:
            seen.add((tile, splits > 1))
            kept.append((guess, Algorithm("gemm", tile_params(tile, splits))))
    return kept[:KEPT]


def pack_gemm(matrices: F32, tile: Tile) -> F32:
    """Right sides (planes, K, N) padded with zeros to whole tiles."""
    return pad_to(pad_to(matrices, 1, round_up(matrices.shape[1], tile.bk)), 2, round_up(matrices.shape[2], tile.bn))


def product_kernel(
    problem: ConvProblem, tile: Tile, *, planes: int, partial: bool, aligned: bool, planar: bool = False
) -> Kernel:
    """conv_gemm.cl for a problem; with planes, for `planes` products of one problem that is a plain 1×1."""
    k_all = math.prod(problem.kernel) * problem.ci
    plain = not planar and problem.kernel == (1, 1) and problem.strides == (1, 1) and problem.pads == (0, 0)
    span = [(out - 1) * s - p + (k - 1) * d for out, s, p, k, d in _axes(problem)]
    inside = problem.pads == (0, 0) and span[0] < problem.hi and span[1] < problem.wi
    cut = defines_of(BM=tile.bm, BN=tile.bn, BK=tile.bk, TM=tile.tm, TN=tile.tn, KS=tile.ks, BUFFERS=tile.buffers)
    shape = defines_of(
        LX=tile.lanes,
        VA=4 if reads_vectors(problem, aligned=aligned) and not planar else 1,
        PLANAR=planar,
        PLAIN=plain,
        PADDED=not inside,
        PARTIAL=partial,
        PLANES=planes,
        CI=problem.ci,
        XS=1 if planar else problem.x_stride,
        KP=round_up(k_all, tile.bk),
        NP=round_up(problem.co, tile.bn),
    )
    finish = () if partial else epilogue(problem, aligned=aligned)
    return Kernel(
        "conv_gemm.cl", "conv_gemm", cut + shape + ((() if plain else geometry(problem)) or _ONE_TAP) + finish
    )


def lower_gemm(
    problem: ConvProblem, algorithm: Algorithm, *, weights: F32, bias: F32, aligned: bool, planar: bool = False
) -> tuple[Step, ...]:
    """One launch, or two when K is split: the sums of each part, then their sum and the epilogue."""
    tile, splits = tile_of(algorithm)
    order = (1, 2, 3, 0) if planar else (2, 3, 1, 0)
    matrix = weights.transpose(order).reshape(1, -1, problem.co)
    packed = pack_gemm(matrix, tile)
    steps_all = packed.shape[1] // tile.bk
    steps = ceil_div(steps_all, splits)
    splits = ceil_div(steps_all, steps)  # the last part is never empty
    groups = ceil_div(problem.pixels, tile.bm) * (packed.shape[2] // tile.bn)
    kernel = product_kernel(problem, tile, planes=1, partial=splits > 1, aligned=aligned, planar=planar)
    sizes = (groups * tile.items, splits), (tile.items, 1)
    tail = np.int32(problem.pixels), np.int32(steps)
    traffic = x_bytes(problem) + weights.nbytes
    if splits == 1:
        args = ("x", Const(packed), *finish_args(problem, bias, packed.shape[2]), *tail)
        return (Step(kernel, *sizes, args, flops=problem.flops, bytes=traffic + y_bytes(problem)),)
    part = Scratch("part", splits * problem.pixels * packed.shape[2])
    first = Step(
        kernel, *sizes, ("x", Const(packed), part, *tail), flops=problem.flops, bytes=traffic + 4 * part.elements
    )
    finish = defines_of(NP=packed.shape[2]) + epilogue(problem, aligned=aligned)
    last = Step(
        Kernel("conv_reduce.cl", "conv_reduce", finish),
        *linear(problem.pixels * ceil_div(problem.co, 4)),
        (part, *finish_args(problem, bias, packed.shape[2]), np.int32(problem.pixels), np.int32(splits)),
        bytes=4 * part.elements + y_bytes(problem),
    )
    return first, last


_ONE_TAP: Final = defines_of(KH=1, KW=1, DH=1, DW=1, WI=1)


def _axes(problem: ConvProblem) -> tuple[tuple[int, int, int, int, int], ...]:
    sides = (problem.ho, problem.wo)
    return tuple(zip(sides, problem.strides, problem.pads, problem.kernel, problem.dilations, strict=True))
