"""Depthwise convolutions on the CPU family: tiles of pixels, all channels of a tile in one work-item."""

from typing import Final

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Step
from .conv_cpu_direct import epilogue_defines, window_defines
from .conv_cpu_pack import F32, VECTOR, blocks_of, imbalance, pack_bias

TILES: Final = ((4, 2), (7, 1), (7, 2), (8, 1), (4, 4), (4, 1), (2, 2), (1, 1))  # columns, rows
LARGEST: Final = 7  # taps a side: the kernel unrolls all of them


def is_depthwise(problem: ConvProblem) -> bool:
    """Whether the depthwise kernel can do it: one filter a channel, no dilation, up to 7 x 7 taps, small strides."""
    one_each = problem.groups == problem.ci == problem.co
    small = max(problem.kernel) <= LARGEST and max(problem.strides) <= 4
    return one_each and small and problem.dilations == (1, 1)


def depthwise_tiles(problem: ConvProblem, device: Capability) -> tuple[Algorithm, ...]:
    """Tiles that fit the output, least estimated cost first."""
    fitting = [tile for tile in TILES if tile[0] <= problem.wo and tile[1] <= problem.ho]
    fitting.sort(key=lambda tile: cost(problem, device, tx=tile[0], ty=tile[1]))
    return tuple(Algorithm("depthwise", (("tx", tx), ("ty", ty))) for tx, ty in fitting)


def cost(problem: ConvProblem, device: Capability, *, tx: int, ty: int) -> float:
    """Estimated cycles for 16 channels of the whole map: two FMAs a cycle, and loads and branches beside them."""
    (kh, kw), (sh, sw) = problem.kernel, problem.strides
    tiles = blocks_of(problem.wo, lanes=tx) * blocks_of(problem.ho, lanes=ty)
    loads = ((tx - 1) * sw + kw) * ((ty - 1) * sh + kh)
    cycles = tx * ty * (kh * kw / 2 + 1) + loads / 2 + kh * kw / 2 + 8
    return tiles * cycles * imbalance(tiles * problem.batch, units=device.compute_units)


def depthwise_step(problem: ConvProblem, algorithm: Algorithm, *, weights: F32, bias: F32) -> Step:
    """The one launch. weights: (c, 1, kh, kw)."""
    tile = dict(algorithm.params)
    tx, ty = tile["tx"], tile["ty"]
    kh, kw = problem.kernel
    blocks = blocks_of(problem.co, lanes=VECTOR)
    by_lane = pack_bias(weights.reshape(problem.co, kh * kw).T.reshape(-1), groups=kh * kw, lanes=VECTOR)
    packed = by_lane.reshape(kh * kw, blocks, VECTOR).transpose(1, 0, 2).copy()
    kernel = Kernel(
        "cpu_depthwise.cl",
        "cpu_depthwise",
        (
            *defines_of(C=problem.co, TX=tx, TY=ty),
            *window_defines(problem),
            *epilogue_defines(problem),
        ),
    )
    residual = ("r",) if problem.r_stride else ()
    constants = Const(packed), Const(pack_bias(bias, groups=1, lanes=VECTOR))
    return Step(
        kernel,
        (blocks_of(problem.wo, lanes=tx), blocks_of(problem.ho, lanes=ty), problem.batch),
        (1, 1, 1),
        ("x", *constants, *residual, "y"),
        flops=problem.flops,
        bytes=4 * problem.co * (problem.pixels + problem.batch * problem.hi * problem.wi) + weights.nbytes,
    )
