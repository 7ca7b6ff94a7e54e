"""The two convolutions that read any layout of x: the first layer's, and the direct one that takes everything."""

import math
from typing import Final

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Defines, Kernel, defines_of
from ..launch import Algorithm, Const, ConvProblem, Step
from .conv_gpu_parts import F32, ceil_div, epilogue, finish_args, geometry, linear, pad_to, round_up, x_bytes, y_bytes

DIRECT: Final = Algorithm("direct")
CONSTANT_BYTES: Final = 64 * 1024  # least __constant memory of OpenCL 1.2's full profile
KEPT: Final = 4  # candidates handed to the tuner
# Output columns, rows of a group; pixels, channels of an item.
SHAPES: Final = (
    (32, 8, 2, 16),
    (32, 8, 4, 8),
    (32, 4, 2, 16),
    (32, 4, 2, 8),
    (16, 8, 1, 16),
    (16, 8, 2, 8),
    (64, 8, 4, 16),
)


def first_candidates(problem: ConvProblem, device: Capability) -> tuple[Algorithm, ...]:
    """Group shapes for 1 to 4 channels in, those that fill the device first; none for other problems."""
    if problem.ci > 4 or problem.groups > 1 or problem.dilations != (1, 1) or math.prod(problem.kernel) == 1:
        return ()
    found = []
    for tw, th, px, tn in SHAPES:
        tiles = problem.batch * ceil_div(problem.wo, tw) * ceil_div(problem.ho, th)
        blocks = ceil_div(problem.co, tn)
        loops = max(1, min(blocks, tiles * blocks // (4 * device.compute_units)))  # fewer groups load a patch anew
        params = (("tw", tw), ("th", th), ("px", px), ("tn", tn), ("loops", loops))
        lds = 4 * problem.ci * _side(th, 0, problem) * round_up(_side(tw, 1, problem), problem.strides[1])
        weights = 4 * problem.ci * math.prod(problem.kernel) * round_up(problem.co, tn)
        waste = round_up(problem.wo, tw) * round_up(problem.ho, th) / (problem.wo * problem.ho)
        if lds <= device.local_bytes and weights <= CONSTANT_BYTES:
            full = min(1.0, tiles * ceil_div(blocks, loops) * (tw // px * th) / (device.compute_units * 512))
            found.append((waste / full, Algorithm("first", params)))
    return tuple(algorithm for _, algorithm in sorted(found, key=lambda pair: pair[0]))[:KEPT]


def lower_first(
    problem: ConvProblem, algorithm: Algorithm, *, weights: F32, bias: F32, aligned: bool, planar: bool
) -> tuple[Step, ...]:
    """One launch."""
    values = dict(algorithm.params)
    tw, th, px, tn, loops = (values[name] for name in ("tw", "th", "px", "tn", "loops"))
    padded = round_up(problem.co, tn)
    packed = pad_to(weights, 0, padded).reshape(padded // tn, tn, -1).transpose(0, 2, 1)
    macros = defines_of(TW=tw, TH=th, PX=px, TN=tn, LOOPS=loops, CI=problem.ci) + _layout(problem, planar=planar)
    tiles = problem.batch * ceil_div(problem.wo, tw) * ceil_div(problem.ho, th)
    items = tw // px * th
    return (
        Step(
            Kernel("conv_first.cl", "conv_first", macros + geometry(problem) + epilogue(problem, aligned=aligned)),
            (tiles * items, ceil_div(padded // tn, loops)),
            (items, 1),
            ("x", Const(packed), *finish_args(problem, bias, padded)),
            flops=problem.flops,
            bytes=x_bytes(problem) + y_bytes(problem),
        ),
    )


def lower_direct(problem: ConvProblem, *, weights: F32, bias: F32, aligned: bool, planar: bool) -> tuple[Step, ...]:
    """One launch."""
    inner, outer = problem.ci // problem.groups, problem.co // problem.groups
    packed = weights.reshape(problem.groups, outer, inner, -1).transpose(0, 3, 2, 1)
    sizes = defines_of(CG=inner, OG=outer)
    macros = sizes + _layout(problem, planar=planar) + geometry(problem) + epilogue(problem, aligned=aligned)
    return (
        Step(
            Kernel("conv_any.cl", "conv_any", macros),
            *linear(problem.pixels * problem.co),
            ("x", Const(packed), *finish_args(problem, bias, problem.co), np.int32(problem.pixels)),
            flops=problem.flops,
            bytes=x_bytes(problem) + y_bytes(problem) + weights.nbytes,
        ),
    )


def _layout(problem: ConvProblem, *, planar: bool) -> Defines:
    pixels = problem.hi * problem.wi
    if planar:
        return defines_of(XB=problem.ci * pixels, XC=pixels, XS=1)
    return defines_of(XB=pixels * problem.x_stride, XC=1, XS=problem.x_stride)


def _side(outputs: int, axis: int, problem: ConvProblem) -> int:
    return (outputs - 1) * problem.strides[axis] + problem.kernel[axis]
