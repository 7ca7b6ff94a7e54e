"""What the GPU convolution kernels compute, in NumPy: whole convolutions, and each kernel's own step.

Pictures are NHWC here, as the kernels have them; weights are (co, ci/groups, kh, kw).
"""

from typing import Final

import numpy as np

from ..launch import ConvProblem
from .conv_gpu_parts import F32, ceil_div

# Bᵀ and Aᵀ of F(2×2, 3×3) and F(4×4, 3×3): Lavin and Gray 2016, sections 4.1 and 4.3.
INPUTS: Final[dict[int, F32]] = {
    2: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32),
    4: np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        np.float32,
    ),
}
OUTPUTS: Final[dict[int, F32]] = {
    2: np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32),
    4: np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32),
}


def windows(x: F32, problem: ConvProblem) -> F32:
    """What each output pixel sees: (n, hi, wi, ci) → (n, ho, wo, kh, kw, ci), zeros outside the picture."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = problem.kernel, problem.strides, problem.pads, problem.dilations
    below = max(0, (problem.ho - 1) * sh + (kh - 1) * dh + 1 - ph - problem.hi)
    right = max(0, (problem.wo - 1) * sw + (kw - 1) * dw + 1 - pw - problem.wi)
    padded = np.pad(x, ((0, 0), (ph, below), (pw, right), (0, 0)))
    rows = np.arange(problem.ho)[:, None] * sh + np.arange(kh) * dh
    columns = np.arange(problem.wo)[:, None] * sw + np.arange(kw) * dw
    seen: F32 = padded[:, rows[:, None, :, None], columns[None, :, None, :], :]
    return seen


def conv(x: F32, weights: F32, problem: ConvProblem) -> F32:
    """Sums of a convolution before bias and activation: (n, ho, wo, co)."""
    seen = windows(x, problem)
    parts = np.split(seen, problem.groups, axis=-1)
    filters = np.split(weights, problem.groups, axis=0)
    return np.concatenate([np.einsum("nyxhwc,ochw->nyxo", a, w) for a, w in zip(parts, filters, strict=True)], axis=-1)


def depthwise(x: F32, weights: F32, problem: ConvProblem) -> F32:
    """Sums of a depthwise convolution: weights (c, 1, kh, kw), (n, ho, wo, c)."""
    sums: F32 = np.einsum("nyxhwc,chw->nyxc", windows(x, problem), weights[:, 0])
    return sums


def finish(sums: F32, bias: F32, residual: F32 | None = None) -> F32:
    """The epilogue with act and post left out: sums + bias, + r."""
    return sums + bias if residual is None else sums + bias + residual


def gemm_partial(left: F32, right: F32, *, bk: int, splits: int) -> F32:
    """Sums of each run of K tiles: left (m, k), right (k, n) → (splits, m, n)."""
    steps = ceil_div(ceil_div(left.shape[1], bk), splits)
    edges = [s * steps * bk for s in range(splits)]
    return np.stack([left[:, at : at + steps * bk] @ right[at : at + steps * bk] for at in edges])


def reduce_parts(parts: F32) -> F32:
    """The sum of the parts, in order."""
    total: F32 = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def winograd_input(x: F32, problem: ConvProblem, *, f: int) -> F32:
    """Tiles Bᵀ d B of x: (n, hi, wi, ci) → (D·D, tiles, ci)."""
    d, down, across = f + 2, ceil_div(problem.ho, f), ceil_div(problem.wo, f)
    ph, pw = problem.pads
    padded = np.pad(
        x,
        ((0, 0), (ph, max(0, down * f + 2 - ph - problem.hi)), (pw, max(0, across * f + 2 - pw - problem.wi)), (0, 0)),
    )
    rows = np.arange(down)[:, None] * f + np.arange(d)
    columns = np.arange(across)[:, None] * f + np.arange(d)
    tiles = padded[:, rows[:, None, :, None], columns[None, :, None, :], :]
    v: F32 = np.einsum("ih,nyxhwc,jw->ijnyxc", INPUTS[f], tiles, INPUTS[f])
    return v.reshape(d * d, -1, x.shape[-1])


def winograd_output(m: F32, problem: ConvProblem, *, f: int) -> F32:
    """Sums Aᵀ m A: (D·D, tiles, co) → (n, ho, wo, co)."""
    d, down, across = f + 2, ceil_div(problem.ho, f), ceil_div(problem.wo, f)
    tiles = m.reshape(d, d, problem.batch, down, across, -1)
    y: F32 = np.einsum("ih,hwnyxo,jw->nyixjo", OUTPUTS[f], tiles, OUTPUTS[f])
    return y.reshape(problem.batch, down * f, across * f, -1)[:, : problem.ho, : problem.wo]
