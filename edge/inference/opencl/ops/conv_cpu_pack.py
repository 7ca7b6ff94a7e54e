"""Weights as the CPU family's kernels read them: blocks of output channels, the lanes of a block side by side."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

VECTOR = 16  # lanes of one float16, the width the kernels are written in


def blocks_of(channels: int, *, lanes: int) -> int:
    """Blocks of `lanes` output channels that hold `channels`, the last one perhaps in part."""
    return -(-channels // lanes)


def pack_blocks(weights: F32, *, groups: int, lanes: int) -> F32:
    """(co, ci/groups, kh, kw) as (groups * blocks, kh, kw, ci/groups, lanes), zero where a block exceeds its group."""
    co, ci, kh, kw = weights.shape
    blocks = blocks_of(co // groups, lanes=lanes)
    padded = np.zeros((groups, blocks * lanes, ci, kh, kw), np.float32)
    padded[:, : co // groups] = weights.reshape(groups, co // groups, ci, kh, kw)
    by_block = padded.reshape(groups * blocks, lanes, ci, kh, kw)
    return np.ascontiguousarray(by_block.transpose(0, 3, 4, 2, 1))


def pack_bias(bias: F32, *, groups: int, lanes: int) -> F32:
    """(co,) as (groups * blocks, lanes), zero where a block exceeds its group."""
    of_group = bias.size // groups
    padded = np.zeros((groups, blocks_of(of_group, lanes=lanes) * lanes), np.float32)
    padded[:, :of_group] = bias.reshape(groups, of_group)
    return padded.reshape(-1, lanes)


def imbalance(items: int, *, units: int) -> float:
    """How much longer `items` equal pieces of work take on `units` cores than if they could be cut at will."""
    return blocks_of(items, lanes=units) * units / items
