"""A small detector with RT-DETR's parts: residual backbone, hybrid encoder, TopK query selection, deformable decoder.

In: images, (n, 3, size, size), 0..1. Out: output0, (n, QUERIES, 4 + classes): centre x, centre y, width, height as
shares of the picture, class scores 0..1. Source: Zhao et al. 2023 (arXiv:2304.08069), ResNet-18 variant at half width.
"""

import math
from collections.abc import Sequence
from typing import Any

from .attention import self_attention
from .builder import Graph, Value
from .layers import conv, double, layer_norm, linear, max_pool, residual_relu
from .rtdetr_decoder import write_decoder

HIDDEN = 128  # of the encoder and the decoder; RT-DETR-R18 has 256
BACKBONE_CHANNELS = (32, 64, 128, 256)  # half of ResNet-18's


def write_rtdetr_like(g: Graph, images: Value) -> list[Value]:
    """Add the detector to the graph; its predictions."""
    features = _backbone(g, images)
    with g.scope("encoder"):
        levels = _fuse(g, _project(g, features))
    return [write_decoder(g, levels)]


def _backbone(g: Graph, images: Value) -> list[Value]:
    """Features at strides 8, 16, 32: ResNet-18 "vd", with a deep stem and pooled shortcuts."""
    with g.scope("stem"):
        x = conv(g, images, 16, kernel=3, stride=2, act="relu")
        x = conv(g, x, 16, kernel=3, act="relu")
        x = max_pool(g, conv(g, x, 32, kernel=3, act="relu"), 3, stride=2)
    features = []
    for stage, out in enumerate(BACKBONE_CHANNELS):
        for block in range(2):
            with g.scope(f"layer{stage + 1}.{block}"):
                x = _basic_block(g, x, out, stride=2 if stage and not block else 1)
        features.append(x)
    return features[1:]


def _basic_block(g: Graph, x: Value, out: int, *, stride: int) -> Value:
    y = conv(g, conv(g, x, out, kernel=3, stride=stride, act="relu"), out, kernel=3)
    around = x
    if stride != 1:
        sides = (side // 2 for side in x.shape[1:])
        window: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4, "ceil_mode": 1}
        around = g.op("AveragePool", [x], (x.channels, *sides), **window)
    if around.shape != y.shape:
        around = conv(g, around, out)
    return residual_relu(g, y, around)


def _project(g: Graph, features: Sequence[Value]) -> list[Value]:
    """All levels at HIDDEN channels, the coarsest through one transformer layer."""
    near, middle, far = (conv(g, x, HIDDEN) for x in features)
    return [near, middle, _transformer_layer(g, far)]


def _transformer_layer(g: Graph, x: Value) -> Value:
    """Self-attention and a GELU feed-forward pair over all cells, each added and normalised."""
    cells = math.prod(x.shape[1:])
    with g.scope("aifi"):
        tokens = g.transpose(g.reshape(x, (HIDDEN, cells)), [0, 2, 1])
        place = g.normal("position", (1, cells, HIDDEN), std=0.7)
        tokens = layer_norm(g, g.add(tokens, self_attention(g, tokens, place)))
        wide = linear(g, tokens, 4 * HIDDEN, act="gelu")
        tokens = layer_norm(g, g.add(tokens, linear(g, wide, HIDDEN)))
        return g.reshape(g.transpose(tokens, [0, 2, 1]), x.shape)


def _fuse(g: Graph, levels: Sequence[Value]) -> list[Value]:
    """Mix the levels: coarse into fine, then fine into coarse."""
    near, middle, far = levels
    with g.scope("up1"):
        far = conv(g, far, HIDDEN, act="silu")
        mean = _csp_rep(g, g.concat([double(g, far), middle]))
    with g.scope("up0"):
        mean = conv(g, mean, HIDDEN, act="silu")
        fine = _csp_rep(g, g.concat([double(g, mean), near]))
    with g.scope("down1"):
        mean = _csp_rep(g, g.concat([conv(g, fine, HIDDEN, kernel=3, stride=2, act="silu"), mean]))
    with g.scope("down2"):
        far = _csp_rep(g, g.concat([conv(g, mean, HIDDEN, kernel=3, stride=2, act="silu"), far]))
    return [fine, mean, far]


def _csp_rep(g: Graph, x: Value) -> Value:
    """Two branches added, one through a RepVGG block that is folded to its 3×3 convolution."""
    inner = conv(g, conv(g, x, HIDDEN, act="silu"), HIDDEN, kernel=3, act="silu")
    return g.add(inner, conv(g, x, HIDDEN, act="silu"))
