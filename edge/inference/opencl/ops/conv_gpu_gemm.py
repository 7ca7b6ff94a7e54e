"""Convolution as a matrix product on a GPU: which tiles fit a problem and a device, and the launches they become."""

import math
from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Scratch, Step
from .conv_gpu_cost import cycles, suits
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
from .conv_gpu_tiles import TILES, Tile, tile_of, tile_params

SPLITS: Final = (1, 2, 3, 4, 6, 8, 12, 16)
KEPT: Final = 10  # candidates handed to the tuner: past these none has won a measured layer


def rank(
    size: tuple[int, int, int], device: Capability, *, vector: int, planes: int = 1
) -> list[tuple[float, Tile, int]]:
    """Tiles and splits for a product, the best guess first. Only tiles that suit; never empty."""
    steps_of = {tile: ceil_div(size[2], tile.bk) for tile in TILES if suits(tile, device, vector=vector)}
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
