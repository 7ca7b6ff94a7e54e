"""Winograd's convolution on a GPU: transform, a batch of matrix products, transform back."""

from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Scratch, Step
from .conv_gpu_cost import costs_of
from .conv_gpu_gemm import pack_gemm, product_kernel, rank
from .conv_gpu_parts import F32, ceil_div, epilogue, finish_args, linear, reads_vectors, x_bytes, y_bytes
from .conv_gpu_tiles import tile_of, tile_params

# Filter transforms G of F(2×2, 3×3) and F(4×4, 3×3): Lavin and Gray 2016, sections 4.1 and 4.3.
FILTERS: Final[dict[int, F32]] = {
    2: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32),
    4: np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        np.float32,
    ),
}
LEAST_CHANNELS: Final = 16  # below, the transforms cost more than the products save
SCRATCH_SHARE: Final = 8  # at most this part of a card's memory for one operator's tiles


def tiles_of(problem: ConvProblem, f: int) -> int:
    """Output tiles of f × f over the whole batch."""
    return problem.batch * ceil_div(problem.ho, f) * ceil_div(problem.wo, f)


def winograd_candidates(
    problem: ConvProblem, device: Capability, *, sides: tuple[int, ...]
) -> list[tuple[float, Algorithm]]:
    """Guessed cycles and algorithm, best first, two tiles a side f; none unless 3×3, stride 1, undilated, ungrouped."""
    fit = problem.kernel == (3, 3) and problem.strides == problem.dilations == (1, 1) and problem.groups == 1
    if not fit or min(problem.ci, problem.co) < LEAST_CHANNELS:
        return []
    found, costs = [], costs_of(device)
    for f in sides:
        tiles, planes = tiles_of(problem, f), (f + 2) ** 2
        if 4 * planes * tiles * (problem.ci + problem.co) > device.global_bytes // SCRATCH_SHARE:
            continue
        moved = 8 * planes * tiles * (problem.ci + problem.co)  # tiles written once and read once, mostly in cache
        around = moved / (costs.bytes_cycle * device.compute_units) + 2 * costs.launch_cycles
        ranked = rank((tiles, problem.co, problem.ci), device, vector=4 if problem.ci % 4 == 0 else 1, planes=planes)
        for guess, tile, _ in ranked[:3]:
            found.append((guess + around, Algorithm("winograd", (("f", f), *tile_params(tile, 1)))))
    return sorted(found, key=lambda guess: guess[0])


def pack_winograd(weights: F32, f: int) -> F32:
    """Transformed filters G g Gᵀ as right sides of products: (co, ci, 3, 3) → (D·D, ci, co)."""
    g = FILTERS[f]
    co, ci = weights.shape[:2]
    half_way = (weights.reshape(-1, 3) @ g.T).reshape(co * ci, 3, f + 2).transpose(1, 2, 0).reshape(3, -1)
    return (g @ half_way).reshape((f + 2) ** 2, co, ci).transpose(0, 2, 1)


def lower_winograd(
    problem: ConvProblem, algorithm: Algorithm, *, weights: F32, bias: F32, aligned: bool
) -> tuple[Step, ...]:
    """Three launches: tiles of x to v, v times the filters to m, m to y."""
    f = dict(algorithm.params)["f"]
    tile, _ = tile_of(algorithm)
    tiles, planes = tiles_of(problem, f), (f + 2) ** 2
    packed = pack_gemm(pack_winograd(weights, f), tile)
    n = packed.shape[2]
    v, m = Scratch("v", planes * tiles * problem.ci), Scratch("m", planes * tiles * n)
    width = (4 if f == 2 else 2) if reads_vectors(problem, aligned=aligned) else 1  # registers: D·D vectors at once
    down, across = ceil_div(problem.ho, f), ceil_div(problem.wo, f)
    grid = defines_of(F=f, TH=down, TW=across, HI=problem.hi, WI=problem.wi, HO=problem.ho, WO=problem.wo)
    source = defines_of(INPUT=1, PH=problem.pads[0], PW=problem.pads[1], CI=problem.ci, XS=problem.x_stride, VW=width)
    spread = Step(
        Kernel("conv_winograd.cl", "wino_input", grid + source),
        *linear(tiles * problem.ci // width),
        ("x", v, np.int32(tiles)),
        bytes=x_bytes(problem) + 4 * v.elements,
    )
    wide = 4 if f == 2 else 1
    plain = ConvProblem(1, 1, tiles, problem.ci, 1, tiles, problem.co, (1, 1), (1, 1), (0, 0), x_stride=problem.ci)
    multiply = Step(
        product_kernel(plain, tile, planes=planes, partial=True, aligned=True),
        (ceil_div(tiles, tile.bm) * (n // tile.bn) * tile.items, planes),
        (tile.items, 1),
        (v, Const(packed), m, np.int32(tiles), np.int32(packed.shape[1] // tile.bk)),
        flops=2 * planes * tiles * problem.ci * problem.co,
        bytes=4 * (v.elements + m.elements) + packed.nbytes,
    )
    gather = Step(
        Kernel(
            "conv_winograd.cl", "wino_output", grid + defines_of(NP=n, VW=wide) + epilogue(problem, aligned=aligned)
        ),
        *linear(tiles * ceil_div(problem.co, wide)),
        (m, *finish_args(problem, bias, n), np.int32(tiles)),
        bytes=4 * m.elements + y_bytes(problem),
    )
    return spread, multiply, gather
