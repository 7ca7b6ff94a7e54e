"""Depthwise convolution on a GPU: each item computes a small patch of one or four channels."""

from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Step
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
    writes_vectors,
    x_bytes,
    y_bytes,
)

PATCHES: Final = ((1, 1), (1, 2), (2, 2), (1, 4), (2, 4))  # output rows × columns of an item
LOCALS: Final = (64, 256)
MOST_REGISTERS: Final = 128  # of GCN's 256 for each lane: two waves on a SIMD


def depthwise_candidates(problem: ConvProblem, device: Capability, *, aligned: bool) -> tuple[Algorithm, ...]:
    """Patches, the best guess first: the largest that still gives each unit four waves. None unless depthwise."""
    if not (problem.groups == problem.ci == problem.co > 1 and problem.dilations == (1, 1)):
        return ()
    if max(problem.kernel) > 7:  # the loops are unrolled
        return ()
    width = _width(problem, aligned=aligned)
    enough = 4 * device.wave * device.compute_units
    patches = [patch for patch in PATCHES if _registers(problem, patch, width) <= MOST_REGISTERS]
    full = [patch for patch in reversed(patches) if _items(problem, patch, width) >= enough]
    rest = [patch for patch in patches if patch not in full]
    local = 64 if _items(problem, (1, 1), width) < 4 * enough else 256
    algorithms = (
        Algorithm("depthwise", (("py", py), ("px", px), ("local", size)))
        for py, px in full + rest
        for size in (local, *(other for other in LOCALS if other != local))
    )
    return tuple(algorithms)[:6]


def lower_depthwise(
    problem: ConvProblem, algorithm: Algorithm, *, weights: F32, bias: F32, aligned: bool
) -> tuple[Step, ...]:
    """One launch."""
    values = dict(algorithm.params)
    width = _width(problem, aligned=aligned)
    patch = (values["py"], values["px"])
    padded = round_up(problem.co, 4)
    packed = pad_to(weights.reshape(problem.co, -1).T, 1, padded)
    vectors = tuple(pair for pair in epilogue(problem, aligned=aligned) if pair[0] != "VY") + defines_of(VY=width)
    macros = defines_of(PY=patch[0], PX=patch[1], XS=problem.x_stride) + geometry(problem) + vectors
    items = _items(problem, patch, width)
    return (
        Step(
            Kernel("conv_depthwise.cl", "conv_depthwise", macros),
            *linear(items, values["local"]),
            ("x", Const(packed), *finish_args(problem, bias, padded), np.int32(items // (problem.co // width))),
            flops=problem.flops,
            bytes=x_bytes(problem) + y_bytes(problem) + packed.nbytes,
        ),
    )


def _width(problem: ConvProblem, *, aligned: bool) -> int:
    return 4 if reads_vectors(problem, aligned=aligned) and writes_vectors(problem, aligned=aligned) else 1


def _registers(problem: ConvProblem, patch: tuple[int, int], width: int) -> int:
    """Registers that an item's loads, weights and sums need when its rows are unrolled, as clang allots them."""
    (kh, kw), (sh, sw), (py, px) = problem.kernel, problem.strides, patch
    across, down = (px - 1) * sw + kw, (py - 1) * sh + kh
    if kh > 3:  # rows stay a loop when py is 1; with more, weights of several rows are live
        return 24 + width * (across + kw + px) if py == 1 else 2 * MOST_REGISTERS
    return 24 + width * (across * down + py * px)


def _items(problem: ConvProblem, patch: tuple[int, int], width: int) -> int:
    blocks = ceil_div(problem.ho, patch[0]) * ceil_div(problem.wo, patch[1])
    return problem.batch * blocks * (problem.co // width)
