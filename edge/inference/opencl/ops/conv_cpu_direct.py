"""Direct convolution on the CPU family: register tiles of pixels x channels, 1x1 as a GEMM over all pixels."""

from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Step
from .conv_cpu_pack import F32, VECTOR, blocks_of, imbalance, pack_bias, pack_blocks

WEIGHTS_AT_HAND: Final = 512 * 1024  # bytes of weights that stay in a core's L2 cache beside the pixels
UNROLL: Final = 4  # channels a loop turn
OFFERED: Final = 6  # tiles worth trying: beyond these none was ever fastest by 5 %
FEW_CHANNELS: Final = 8
PIXELS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24)
SUMS_IN_FLIGHT: Final = 10  # vectors: two FMAs a cycle of four cycles' latency, and some slack


def direct_tiles(problem: ConvProblem, device: Capability, *, planar: bool) -> tuple[Algorithm, ...]:
    """Tiles whose sums fit the registers, least estimated cost first."""
    blocks = blocks_of(problem.co // problem.groups, lanes=VECTOR)
    row = problem.ho * problem.wo if is_flat(problem, planar=planar) else problem.wo
    # with few input channels the loop over them unrolls, and what it holds for each tap takes registers too
    limit = registers(device) * 5 // 8 if problem.ci // problem.groups < FEW_CHANNELS else registers(device)
    tiles = [(px, ob) for ob in (1, 2, 3, 4) for px in PIXELS if ob <= blocks and px <= row and (px + 1) * ob < limit]
    tiles.sort(key=lambda tile: (cost(problem, device, px=tile[0], ob=tile[1], row=row), -tile[0]))
    return tuple(Algorithm("direct", (("px", px), ("ob", ob))) for px, ob in tiles[:OFFERED])


def registers(device: Capability) -> int:
    """Vectors of 16 floats in the register file: 32 of AVX-512, 8 pairs of AVX2's. One is kept for the pixel."""
    return 32 if device.vector_floats >= VECTOR else 8


def cost(problem: ConvProblem, device: Capability, *, px: int, ob: int, row: int) -> float:
    """Estimated time over that of a tile without waste. row: pixels that are cut into tiles, once for each row."""
    of_group = problem.co // problem.groups
    blocks, tiles = blocks_of(of_group, lanes=VECTOR * ob), blocks_of(row, lanes=px)
    items = problem.groups * blocks * tiles * (problem.pixels // row)
    waste = blocks * ob * VECTOR / of_group * tiles * px / row * imbalance(items, units=device.compute_units)
    # a 1x1's block of weights stays in L1; a larger kernel's streams from L2, so that more pixels a load pay
    weights, pixels = (1.0, 1.0) if problem.kernel == (1, 1) else (1.5, 0.5)
    return waste * max(1.0, SUMS_IN_FLIGHT / (px * ob)) * (1.0 + 0.4 * (weights / px + pixels / ob))


def is_flat(problem: ConvProblem, *, planar: bool) -> bool:
    """Whether each output pixel needs just the input pixel of the same number, and pixels lie evenly."""
    same = (problem.hi, problem.wi) == (problem.ho, problem.wo) and problem.pads == (0, 0)
    return same and problem.kernel == problem.strides == (1, 1) and not planar


def direct_step(problem: ConvProblem, algorithm: Algorithm, *, weights: F32, bias: F32, planar: bool) -> Step:
    """The one launch. weights: (co, ci/groups, kh, kw)."""
    tile = dict(algorithm.params)
    px, lanes, groups = tile["px"], VECTOR * tile["ob"], problem.groups
    flat = is_flat(problem, planar=planar)
    packed = pack_blocks(weights, groups=groups, lanes=lanes)
    # few weights: all blocks of a tile one after another, its pixels in L1; many: a block's weights serve all pixels
    channels_first = packed.nbytes <= WEIGHTS_AT_HAND
    tiles = blocks_of(problem.pixels if flat else problem.wo, lanes=px)
    rows = 1 if flat else problem.batch * problem.ho
    zeros = () if flat else (Const(np.zeros(problem.ci // groups, np.float32)),)
    return Step(
        Kernel(
            "cpu_conv.cl",
            "cpu_pointwise" if flat else "cpu_conv",
            (
                *defines_of(POINTWISE=flat, PLANAR=planar, CHANNELS_FIRST=channels_first, UNROLL=UNROLL),
                *defines_of(PX=px, OB=tile["ob"], BLOCKS=blocks_of(problem.co // groups, lanes=lanes)),
                *defines_of(GROUPS=groups, CI=problem.ci // groups, CO=problem.co // groups),
                *(() if flat else window_defines(problem)),
                *epilogue_defines(problem),
            ),
        ),
        (len(packed), tiles, rows) if channels_first else (tiles, rows, len(packed)),
        (1, 1, 1),
        (
            "x",
            Const(packed),
            Const(pack_bias(bias, groups=groups, lanes=lanes)),
            *zeros,
            *(("r",) if problem.r_stride else ()),
            "y",
            *((np.int32(problem.pixels),) if flat else ()),
        ),
        flops=problem.flops,
        bytes=4 * (problem.pixels * problem.co + problem.batch * problem.hi * problem.wi * problem.ci) + weights.nbytes,
    )


def window_defines(problem: ConvProblem) -> tuple[tuple[str, str], ...]:
    """Sizes of the maps and how the kernel moves over them."""
    return (
        *defines_of(HI=problem.hi, WI=problem.wi, HO=problem.ho, WO=problem.wo),
        *defines_of(KH=problem.kernel[0], KW=problem.kernel[1], SH=problem.strides[0], SW=problem.strides[1]),
        *defines_of(DH=problem.dilations[0], DW=problem.dilations[1], PH=problem.pads[0], PW=problem.pads[1]),
    )


def epilogue_defines(problem: ConvProblem) -> tuple[tuple[str, str], ...]:
    """Pixel strides, and what happens to a finished sum."""
    return (
        *defines_of(XS=problem.x_stride, YS=problem.y_stride, RS=problem.r_stride, RESIDUAL=problem.r_stride > 0),
        ("ACT(v)", problem.act),
        ("POST(v)", problem.post),
    )
