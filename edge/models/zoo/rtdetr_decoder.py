"""RT-DETR's decoder: best cells become queries, three layers of self and deformable attention refine their boxes.

Source: Zhao et al. 2023 (arXiv:2304.08069); multi-scale deformable attention: Zhu et al. 2020 (arXiv:2010.04159),
sampled with GridSample as the authors' torch code is exported.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .attention import HEADS, self_attention
from .builder import Graph, Value
from .layers import FIRST_REDUCE_AXES_INPUT_OPSET, activate, layer_norm, linear

CLASSES = 80
QUERIES = 100  # RT-DETR has 300
LAYERS = 3
POINTS = 4
FIRST_GRID_SAMPLE_OPSET = 16
FIRST_LINEAR_MODE_OPSET = 20  # "bilinear" before
RIM = 0.01  # anchors nearer to the picture's edge are not offered as queries
SCORE_GAIN = 4.0  # spreads the scores, so that rounding does not reorder TopK
FINE_GAIN = 0.5  # of box corrections: boxes stay inside the picture


@dataclass(frozen=True, slots=True)
class _Queries:
    """State between the layers. x: (QUERIES, hidden). boxes: (QUERIES, 4), shares of the picture."""

    x: Value
    boxes: Value


def write_decoder(g: Graph, levels: Sequence[Value]) -> Value:
    """Predictions (QUERIES, 4 + classes) from features at three strides, all of the same channels."""
    with g.scope("decoder"):
        tokens = [g.transpose(g.reshape(x, (x.channels, math.prod(x.shape[1:]))), [0, 2, 1]) for x in levels]
        memory = g.concat(tokens, axis=1)
        queries = _select(g, memory, levels)
        for index in range(LAYERS):
            with g.scope(f"layers.{index}"):
                queries = _layer(g, queries, memory, levels)
        scores = activate(g, linear(g, queries.x, CLASSES, gain=SCORE_GAIN), "sigmoid")
        return g.concat([queries.boxes, scores], axis=2, named="output0")


def _select(g: Graph, memory: Value, levels: Sequence[Value]) -> _Queries:
    """The cells whose best class scores highest, with their boxes.

    Neighbours in that order may differ by 1e-5 only, as random weights have it: who compares two engines must expect
    rows of the output to change places.
    """
    cells, hidden = memory.shape
    anchors, inside = _anchors(levels)
    with g.scope("select"):
        kept = g.op("Where", [g.constant(inside), memory, g.scalar(0)], memory.shape, variance=memory.variance)
        kept = layer_norm(g, linear(g, kept, hidden))
        scores = linear(g, kept, CLASSES, gain=SCORE_GAIN)
        boxes = g.op("Add", [_mlp(g, kept, 4), g.constant(anchors)], (cells, 4))
        best = _reduce_max(g, scores)
        chosen = _top_k(g, best)
        x = _gather(g, kept, chosen)
        logits = _gather(g, boxes, chosen)
        return _Queries(x, g.op("Sigmoid", [logits], (QUERIES, 4), variance=0.1, mean=0.4))


def _reduce_max(g: Graph, scores: Value) -> Value:
    """Best score of every cell."""
    if g.opset >= FIRST_REDUCE_AXES_INPUT_OPSET:
        return g.op("ReduceMax", [scores, g.ints([-1])], scores.shape[:1], keepdims=0)
    return g.op("ReduceMax", [scores], scores.shape[:1], axes=[-1], keepdims=0)


def _top_k(g: Graph, best: Value) -> Value:
    """Places of the QUERIES highest, best first, (QUERIES, 1) int64. TopK has two results; the first goes unused."""
    values = g.op("TopK", [best, g.ints([QUERIES])], (QUERIES,), axis=1, largest=1, sorted=1)
    node = g.model.graph.node[-1]
    node.output.append(f"{node.name}_output_1")
    return g.op("Unsqueeze", [Value(node.output[1], values.shape), g.ints([-1])], (QUERIES, 1))


def _gather(g: Graph, x: Value, chosen: Value) -> Value:
    """Rows of x at the chosen places."""
    features = x.shape[-1]
    index = g.op("Tile", [chosen, g.ints([1, 1, features])], (QUERIES, features))
    return g.op("GatherElements", [x, index], (QUERIES, features), axis=1)


def _mlp(g: Graph, x: Value, out: int) -> Value:
    """Three linear layers to small corrections of a box."""
    hidden = x.shape[-1]
    return linear(g, linear(g, linear(g, x, hidden, act="relu"), hidden, act="relu"), out, gain=FINE_GAIN)


def _layer(g: Graph, queries: _Queries, memory: Value, levels: Sequence[Value]) -> _Queries:
    """Self-attention, deformable attention, feed-forward pair, correction of the boxes."""
    hidden = queries.x.shape[-1]
    with g.scope("place"):
        place = linear(g, linear(g, queries.boxes, 2 * hidden, act="relu"), hidden)
    x = layer_norm(g, g.add(queries.x, self_attention(g, queries.x, place)))
    x = layer_norm(g, g.add(x, _deformable(g, _Queries(g.add(x, place), queries.boxes), memory, levels)))
    with g.scope("ffn"):
        x = layer_norm(g, g.add(x, linear(g, linear(g, x, 4 * hidden, act="relu"), hidden)))
    with g.scope("box"):
        logits = g.op("Add", [_mlp(g, x, 4), _inverse_sigmoid(g, queries.boxes)], (QUERIES, 4))
        return _Queries(x, g.op("Sigmoid", [logits], (QUERIES, 4), variance=0.1, mean=0.4))


def _inverse_sigmoid(g: Graph, x: Value) -> Value:
    """log(x / (1 − x)), with x kept off 0 and 1."""
    x = g.op("Clip", [x, g.scalar(0), g.scalar(1)], x.shape)
    over = g.op("Clip", [x, g.scalar(1e-5)], x.shape)
    rest = g.op("Sub", [g.scalar(1), x], x.shape)
    under = g.op("Clip", [rest, g.scalar(1e-5)], x.shape)
    return g.op("Log", [g.op("Div", [over, under], x.shape)], x.shape)


def _deformable(g: Graph, queries: _Queries, memory: Value, levels: Sequence[Value]) -> Value:
    """Every query reads POINTS places per head and level around its box, and takes their weighted sum."""
    hidden, samples = queries.x.shape[-1], len(levels) * POINTS
    each = hidden // HEADS
    with g.scope("cross"):
        value = g.reshape(linear(g, memory, hidden), (memory.shape[0], HEADS, each))
        per_level = g.split(value, [math.prod(x.shape[1:]) for x in levels], axis=1)
        grids = g.split(_places(g, queries, len(levels)), [1] * len(levels), axis=3)
        sampled = [_sample(g, part, grid, x.shape[1:]) for part, grid, x in zip(per_level, grids, levels, strict=True)]
        shares = linear(g, queries.x, HEADS * samples)
        shares = g.reshape(shares, (QUERIES, HEADS, samples))
        shares = g.op("Softmax", [shares], shares.shape, axis=-1)
        shares = g.reshape(g.transpose(shares, [0, 2, 1, 3]), (1, QUERIES, samples), merged=HEADS)
        weighted = g.op("Mul", [g.concat(sampled, axis=-1), shares], (each, QUERIES, samples))
        total = g.op("ReduceSum", [weighted, g.ints([-1])], (each, QUERIES), keepdims=0, variance=value.variance / 4)
        return linear(g, g.transpose(g.reshape(total, (hidden, QUERIES)), [0, 2, 1]), hidden)


def _sample(g: Graph, value: Value, places: Value, hw: tuple[int, ...]) -> Value:
    """Values of one level at these places, (features of a head, QUERIES, POINTS), heads merged into the batch."""
    each = value.shape[-1]
    picture = g.reshape(g.transpose(value, [0, 2, 3, 1]), (each, *hw), merged=HEADS)
    grid = g.op("Squeeze", [places, g.ints([3])], (QUERIES, HEADS, POINTS, 2))
    grid = g.reshape(g.transpose(grid, [0, 2, 1, 3, 4]), (QUERIES, POINTS, 2), merged=HEADS)
    mode = "linear" if g.opset >= FIRST_LINEAR_MODE_OPSET else "bilinear"
    options: dict[str, Any] = {"mode": mode, "padding_mode": "zeros", "align_corners": 0}
    return g.op("GridSample", [picture, grid], (each, QUERIES, POINTS), **options)


def _places(g: Graph, queries: _Queries, levels: int) -> Value:
    """Where to sample, −1..1 over the picture, (QUERIES, HEADS, levels, POINTS, 2)."""
    shape = (QUERIES, HEADS, levels, POINTS, 2)
    offsets = g.reshape(linear(g, queries.x, math.prod(shape[1:])), shape)
    boxes = g.op("Unsqueeze", [queries.boxes, g.ints([2, 3, 4])], (QUERIES, 1, 1, 1, 4))
    centre, size = g.split(boxes, [2, 2], axis=5)
    offsets = g.op("Mul", [offsets, g.scalar(1 / POINTS)], shape)
    offsets = g.op("Mul", [g.op("Mul", [offsets, size], shape), g.scalar(0.5)], shape)
    place = g.op("Add", [offsets, centre], shape)
    return g.op("Sub", [g.op("Mul", [place, g.scalar(2)], shape), g.scalar(1)], shape)


def _anchors(levels: Sequence[Value]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a box per cell, (1, cells, 4), and whether its centre is off the rim, (1, cells, 1).

    The authors set the logits of the others to infinity; here they stay finite, so that layers can be compared.
    """
    boxes = []
    for level, x in enumerate(levels):
        rows, columns = np.mgrid[: x.shape[1], : x.shape[2]].astype(np.float64) + 0.5
        centre = np.stack([columns / x.shape[2], rows / x.shape[1]], axis=-1).reshape(-1, 2)
        boxes.append(np.concatenate([centre, np.full_like(centre, 0.05 * 2**level)], axis=1))
    flat = np.concatenate(boxes)[None]
    inside = np.all((flat > RIM) & (flat < 1 - RIM), axis=-1, keepdims=True)
    return np.log(flat / (1 - flat)).astype(np.float32), inside
