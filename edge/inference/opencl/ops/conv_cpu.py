"""Convolutions for the CPU family: which algorithms a problem can take, best guess first, and what each one launches.

Pure functions of the problem and the device: nothing is compiled, allocated or measured here.
"""

from typing import Final

from ....compute.capability import Capability
from ..launch import Algorithm, ConvProblem, Step
from .conv_cpu_depthwise import depthwise_step, depthwise_tiles, is_depthwise
from .conv_cpu_direct import direct_step, direct_tiles
from .conv_cpu_pack import F32
from .conv_cpu_winograd import is_winograd, winograd_step, winograd_tiles

WINOGRAD_FROM: Final = 32  # channels, both ways, from which F(2, 3) won on every map measured


def candidates(
    problem: ConvProblem,
    device: Capability,
    *,
    aligned: bool = True,  # noqa: ARG001  # because both families answer to one signature
    planar: bool = False,
) -> tuple[Algorithm, ...]:
    """Algorithms for `problem`, best static guess first; the last one, direct, handles any convolution.

    aligned: whether offsets and strides are multiples of four; of no interest here, a CPU loads vectors from anywhere.
    planar: x is NCHW.
    """
    direct = direct_tiles(problem, device, planar=planar)
    if planar:
        return direct
    if is_depthwise(problem):
        return (*depthwise_tiles(problem, device), direct[-1])
    if is_winograd(problem):
        winograd = winograd_tiles(problem, device)
        deep = min(problem.ci, problem.co) >= WINOGRAD_FROM
        return (*winograd, *direct) if deep else (direct[0], *winograd, *direct[1:])
    return direct


def lower(
    problem: ConvProblem,
    algorithm: Algorithm,
    device: Capability,
    *,
    weights: F32,
    bias: F32,
    planar: bool = False,
) -> tuple[Step, ...]:
    """The launches of `algorithm`, one of candidates(…).

    weights: (co, ci/groups, kh, kw). bias: (co,). Raises ValueError for an algorithm that is not of this family.
    """
    if algorithm.name == "depthwise":
        return (depthwise_step(problem, algorithm, weights=weights, bias=bias),)
    if algorithm.name == "winograd":
        return (winograd_step(problem, algorithm, device, weights=weights, bias=bias),)
    if algorithm.name == "direct":
        return (direct_step(problem, algorithm, weights=weights, bias=bias, planar=planar),)
    raise ValueError(f"no CPU convolution is called {algorithm.name!r}: candidates() says which there are")
