"""What the GPU convolutions share: their epilogue's macros and arguments, padding of weights, and launch sizes."""

import math

import numpy as np
import numpy.typing as npt

from ....compute.kernel import Defines, defines_of
from ..launch import Const, ConvProblem

F32 = npt.NDArray[np.float32]
Args = tuple[str | Const, ...]

LOCAL_SIZE = 256  # four waves of GCN: the most every device takes (CL_DEVICE_MAX_WORK_GROUP_SIZE ≥ 256 there)


def ceil_div(count: int, by: int) -> int:
    """How many `by` hold `count`."""
    return -(-count // by)


def round_up(count: int, to: int) -> int:
    """The least multiple of `to` that is at least `count`."""
    return ceil_div(count, to) * to


def pad_to(array: F32, axis: int, size: int) -> F32:
    """The array with zeros behind it along one axis, `size` long there."""
    missing = size - array.shape[axis]
    widths = [(0, missing if at == axis else 0) for at in range(array.ndim)]
    return np.pad(array, widths) if missing else array


def linear(items: int, local: int = LOCAL_SIZE) -> tuple[tuple[int], tuple[int]]:
    """Global and local size of `items` work-items in one dimension."""
    return (round_up(items, local),), (local,)


def reads_vectors(problem: ConvProblem, *, aligned: bool) -> bool:
    """Whether four channels of x may be loaded at once."""
    return aligned and problem.ci % 4 == 0 and problem.x_stride % 4 == 0


def writes_vectors(problem: ConvProblem, *, aligned: bool) -> bool:
    """Whether four channels of y may be stored, and of r loaded, at once."""
    return aligned and problem.co % 4 == 0 and problem.y_stride % 4 == 0 and problem.r_stride % 4 == 0


def geometry(problem: ConvProblem) -> Defines:
    """Sizes of the pictures and the filter, as macros."""
    (kh, kw), (sh, sw), (ph, pw) = problem.kernel, problem.strides, problem.pads
    picture = defines_of(HI=problem.hi, WI=problem.wi, HO=problem.ho, WO=problem.wo)
    return picture + defines_of(
        KH=kh, KW=kw, SH=sh, SW=sw, PH=ph, PW=pw, DH=problem.dilations[0], DW=problem.dilations[1]
    )


def epilogue(problem: ConvProblem, *, aligned: bool) -> Defines:
    """Macros of conv_epilogue.cl."""
    stores = defines_of(CO=problem.co, YS=problem.y_stride, VY=4 if writes_vectors(problem, aligned=aligned) else 1)
    residual = defines_of(RESIDUAL=problem.r_stride > 0, RS=problem.r_stride)
    return (*stores, *residual, ("ACT(v)", problem.act), ("POST(v)", problem.post))


def finish_args(problem: ConvProblem, bias: F32, padded: int) -> Args:
    """Arguments of the epilogue: bias, padded with zeros, r when there is one, y."""
    return (Const(pad_to(bias, 0, padded)), *(("r",) if problem.r_stride else ()), "y")


def y_bytes(problem: ConvProblem) -> int:
    """Least bytes that finishing moves: y written, r read."""
    return 4 * problem.pixels * problem.co * (2 if problem.r_stride else 1)


def x_bytes(problem: ConvProblem) -> int:
    """Least bytes of x that are read."""
    used = math.prod(problem.kernel) / math.prod(problem.strides)
    return int(4 * problem.batch * problem.hi * problem.wi * problem.ci * min(1.0, used))
