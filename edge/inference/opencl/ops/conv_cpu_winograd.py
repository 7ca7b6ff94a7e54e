"""Winograd F(2x2, 3x3) on the CPU family: strips of tiles whose transforms stay in the L2 cache of one core."""

from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Scratch, Step
from .conv_cpu_direct import epilogue_defines, window_defines
from .conv_cpu_pack import F32, VECTOR, blocks_of, pack_bias

STRIP_KB: Final = 256  # of V, a strip's transformed input; a block of U and M lie beside it in L2
# rows of G: the filter transform of F(2, 3), Lavin and Gray 2015, section 4.1
FILTER: Final = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def is_winograd(problem: ConvProblem) -> bool:
    """Whether F(2, 3) applies and its transforms can pay: 3x3, stride 1, dense, enough channels either way."""
    plain = problem.kernel == (3, 3) and problem.strides == problem.dilations == (1, 1) and problem.groups == 1
    return plain and min(problem.ci, problem.co) >= VECTOR and min(problem.ho, problem.wo) >= 2


def tiles_of(problem: ConvProblem) -> int:
    """2 x 2 tiles of the output over the batch."""
    return problem.batch * (-(-problem.ho // 2)) * (-(-problem.wo // 2))


def transform_filters(weights: F32) -> F32:
    """(co, ci, 3, 3) as U = G g G^T, (16, ci, co); summed in float64, as U is made once."""
    u = np.einsum("pi,ocij,qj->pqco", FILTER, weights.astype(np.float64), FILTER)
    return np.asarray(u.reshape(16, *u.shape[2:]), np.float32)


def winograd_tiles(problem: ConvProblem, device: Capability) -> tuple[Algorithm, ...]:
    """Register tiles for the products, the best guess first."""
    wide = device.vector_floats >= VECTOR
    shapes = [(8, 3), (10, 2), (20, 1)] if wide else [(6, 1), (4, 1)]
    blocks = blocks_of(problem.co, lanes=VECTOR)
    shapes = [tile for tile in shapes if tile[1] <= blocks]
    shapes.sort(key=lambda tile: blocks % tile[1] > 0)
    # one work-item a core wastes least; two balance better where the cores have other things to do
    return tuple(
        Algorithm("winograd", (("px", px), ("ob", ob), ("walkers", walkers)))
        for walkers in (1, 2)
        for px, ob in shapes[: 3 - walkers]
    )


def winograd_step(problem: ConvProblem, algorithm: Algorithm, device: Capability, *, weights: F32, bias: F32) -> Step:
    """The one launch. weights: (co, ci, 3, 3)."""
    params = dict(algorithm.params)
    px, ob = params["px"], params["ob"]
    lanes = VECTOR * ob
    blocks = blocks_of(problem.co, lanes=lanes)
    walkers = params["walkers"] * device.compute_units
    ci_padded = blocks_of(problem.ci, lanes=VECTOR) * VECTOR
    # by the map, not the batch, so that one kernel serves all batch sizes
    share = blocks_of(tiles_of(problem) // problem.batch, lanes=walkers)
    strip = max(1, min(STRIP_KB * 1024 // (64 * ci_padded * px), blocks_of(share, lanes=px))) * px
    kernel = Kernel(
        "cpu_winograd.cl",
        "cpu_winograd",
        (
            *defines_of(CI=problem.ci, CO=problem.co, PX=px, OB=ob, BLOCKS=blocks, STRIP=strip),
            *window_defines(problem),
            *epilogue_defines(problem),
        ),
    )
    padded = np.zeros((16, problem.ci, blocks * lanes), np.float32)
    padded[:, :, : problem.co] = transform_filters(weights)
    packed = padded.reshape(16, problem.ci, blocks, lanes).transpose(2, 0, 1, 3)
    return Step(
        kernel,
        (walkers,),
        (1,),
        (
            "x",
            Const(np.ascontiguousarray(packed)),
            Const(pack_bias(bias, groups=1, lanes=lanes)),
            Scratch("v", walkers * 16 * (strip * ci_padded + 16)),
            Scratch("m", walkers * 16 * (strip * lanes + 16)),
            *(("r",) if problem.r_stride else ()),
            "y",
            np.int32(tiles_of(problem)),
        ),
        flops=problem.flops * 16 // 36,
        bytes=4 * (problem.pixels * problem.co + problem.batch * problem.hi * problem.wi * problem.ci) + packed.nbytes,
    )
