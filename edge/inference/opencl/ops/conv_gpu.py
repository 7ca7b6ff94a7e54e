"""Convolution on a GPU: which algorithms suit a problem, best guess first, and the launches that each becomes.

Reading order: conv_gpu_gemm (most layers) and what ranks its tiles (conv_gpu_tiles, conv_gpu_cost, conv_gpu_gcn),
conv_gpu_winograd, conv_gpu_depthwise, conv_gpu_first; kernels/conv_*.cl.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from ....compute.capability import Capability
from ..launch import Algorithm, Const, ConvProblem, Scratch, Step
from .conv_gpu_depthwise import depthwise_candidates, lower_depthwise
from .conv_gpu_first import DIRECT, first_candidates, lower_direct, lower_first
from .conv_gpu_gcn import is_gcn
from .conv_gpu_gemm import gemm_candidates, lower_gemm
from .conv_gpu_parts import F32
from .conv_gpu_winograd import lower_winograd, winograd_candidates

EARLY: Final = 4  # of tune.MOST_TRIED
Arg = str | Const | Scratch | np.int32 | np.float32


def candidates(
    problem: ConvProblem,
    device: Capability,
    *,
    aligned: bool = True,
    planar: bool = False,
    allow_f4: bool = False,
) -> tuple[Algorithm, ...]:
    """Ways to compute a convolution on a device, the best static guess first; never empty.

    aligned: all offsets of x, y and r are multiples of 4 floats. planar: x is NCHW, its channels hi·wi floats apart
    (x_stride is not looked at). allow_f4: also Winograd F(4×4), whose error is some ten times the direct one's.
    The last takes any problem.
    """
    first = first_candidates(problem, device)
    depthwise = depthwise_candidates(problem, device, aligned=aligned)
    products = gemm_candidates(problem, device, aligned=aligned, planar=planar)
    sides = () if planar else (2, 4) if allow_f4 else (2,)
    ranked = sorted(products + winograd_candidates(problem, device, sides=sides), key=lambda guess: guess[0])
    others = tuple(algorithm for _, algorithm in ranked)
    if is_gcn(device):
        others = _transform_early(others)
    if planar:
        depthwise = ()
    # the first layer's weights are scalar registers on GCN; without those a product that gathers floats is faster
    return (*first, *depthwise, *others, DIRECT) if device.wave == 64 else (*depthwise, *others, *first, DIRECT)


def _transform_early(ranked: tuple[Algorithm, ...]) -> tuple[Algorithm, ...]:
    """The best F(2×2) among the first EARLY: GCN's ranks are computed only, and the tuner tries the first few."""
    best = next((each for each in ranked[EARLY:] if dict(each.params).get("f") == 2), None)
    if best is None or any(dict(each.params).get("f") == 2 for each in ranked[:EARLY]):
        return ranked
    rest = [each for each in ranked if each is not best]
    return (*rest[: EARLY - 1], best, *rest[EARLY - 1 :])


def lower(
    problem: ConvProblem,
    algorithm: Algorithm,
    device: Capability,  # noqa: ARG001  # because the CPU family's lower needs it, and both are called alike
    *,
    weights: F32,
    bias: F32,
    aligned: bool = True,
    planar: bool = False,
) -> tuple[Step, ...]:
    """The launches of one algorithm of `candidates`, which must have been given the same aligned and planar.

    weights: (co, ci/groups, kh, kw). bias: (co,). Steps name the tensors "x", "y" and, with r_stride, "r".
    Raises ValueError when the algorithm is not one of this module's.
    """
    values = {"weights": np.ascontiguousarray(weights, np.float32), "bias": np.ascontiguousarray(bias, np.float32)}
    match algorithm.name:
        case "gemm":
            steps = lower_gemm(problem, algorithm, aligned=aligned, planar=planar, **values)
        case "winograd":
            steps = lower_winograd(problem, algorithm, aligned=aligned, **values)
        case "depthwise":
            steps = lower_depthwise(problem, algorithm, aligned=aligned, **values)
        case "first":
            steps = lower_first(problem, algorithm, aligned=aligned, planar=planar, **values)
        case "direct":
            steps = lower_direct(problem, aligned=aligned, planar=planar, **values)
        case _:
            raise ValueError(f"no GPU convolution is called {algorithm.name!r}")
    return tuple(replace(step, args=tuple(map(_dense, step.args))) for step in steps)


def _dense(arg: Arg) -> Arg:
    return Const(np.ascontiguousarray(arg.array)) if isinstance(arg, Const) else arg
