"""Multi-head self-attention as torch's MultiheadAttention is exported (Vaswani et al. 2017, arXiv:1706.03762)."""

import math

from .builder import Graph, Value
from .layers import linear

HEADS = 4


def self_attention(g: Graph, x: Value, place: Value) -> Value:
    """Multi-head attention; queries and keys know their place. x: (tokens, features)."""
    tokens, hidden = x.shape
    each = hidden // HEADS
    with g.scope("attn"):
        placed = g.add(x, place)
        query, key, value = (linear(g, source, hidden) for source in (placed, placed, x))
        query, key, value = (
            g.transpose(g.reshape(part, (tokens, HEADS, each)), [0, 2, 1, 3]) for part in (query, key, value)
        )
        query = g.op("Mul", [query, g.scalar(1 / math.sqrt(each))], query.shape)
        scores = g.op("MatMul", [query, g.transpose(key, [0, 1, 3, 2])], (HEADS, tokens, tokens))
        shares = g.op("Softmax", [scores], scores.shape, axis=-1)
        mixed = g.op("MatMul", [shares, value], value.shape, variance=value.variance)
        mixed = g.reshape(g.transpose(mixed, [0, 2, 1, 3]), (tokens, hidden))
        return linear(g, mixed, hidden)
