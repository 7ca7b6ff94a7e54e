"""YOLO11n as Ultralytics exports it: C3k2 blocks, attention on the coarsest level, depthwise class branch.

In and out as YOLOv8n (yolov8.py). Source: Ultralytics 8.3 models/11/yolo11.yaml, nn/modules/block.py (C3k2, C2PSA).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .builder import Graph, Value
from .layers import conv, double
from .yolov5 import sppf, unit
from .yolov8 import channels, detect

HEAD_CHANNELS = 64  # of the attention's values; keys have half


@dataclass(frozen=True, slots=True)
class _Stage:
    """A C3k2 block: channels at full width, whether its inner block is a C3k, share of channels inside."""

    out: int
    deep: bool
    inside: float = 0.5


BACKBONE = (
    _Stage(256, deep=False, inside=0.25),
    _Stage(512, deep=False, inside=0.25),
    _Stage(512, deep=True),
    _Stage(1024, deep=True),
)


def write_yolo11n(g: Graph, images: Value) -> list[Value]:
    """Add YOLO11n to the graph; its predictions."""
    return [detect(g, _neck(g, _backbone(g, images)), depthwise=True)]


def _c3k2(g: Graph, x: Value, stage: _Stage) -> Value:
    """C2f with one inner block, a bottleneck or a C3k."""
    out = channels(stage.out)
    hidden = int(out * stage.inside)
    parts = g.split(unit(g, x, 2 * hidden), [hidden, hidden], axis=1)
    with g.scope("m.0"):
        inner = _c3k(g, parts[-1]) if stage.deep else _bottleneck(g, parts[-1], hidden // 2)
    return unit(g, g.concat([*parts, inner]), out)


def _bottleneck(g: Graph, x: Value, hidden: int) -> Value:
    return g.add(x, unit(g, unit(g, x, hidden, kernel=3), x.channels, kernel=3))


def _c3k(g: Graph, x: Value) -> Value:
    """C3 with two bottlenecks of 3×3 and 3×3."""
    hidden = x.channels // 2
    inner = unit(g, x, hidden)
    for index in range(2):
        with g.scope(f"m.{index}"):
            inner = _bottleneck(g, inner, hidden)
    return unit(g, g.concat([inner, unit(g, x, hidden)]), x.channels)


def _c2psa(g: Graph, x: Value) -> Value:
    """Half of the channels through attention and a feed-forward pair, half around them."""
    hidden = x.channels // 2
    around, y = g.split(unit(g, x, 2 * hidden), [hidden, hidden], axis=1)
    with g.scope("m.0"):
        y = g.add(y, _attention(g, y))
        with g.scope("ffn"):
            y = g.add(y, conv(g, unit(g, y, 2 * hidden), hidden))
    return unit(g, g.concat([around, y]), x.channels)


def _attention(g: Graph, x: Value) -> Value:
    """Multi-head attention over all cells, positions by a depthwise convolution of the values."""
    hidden, rows, columns = x.shape
    heads, keys, cells = hidden // HEAD_CHANNELS, HEAD_CHANNELS // 2, rows * columns
    with g.scope("attn"):
        qkv = conv(g, x, hidden + 2 * heads * keys)
        qkv = g.reshape(qkv, (heads, 2 * keys + HEAD_CHANNELS, cells))
        query, key, value = g.split(qkv, [keys, keys, HEAD_CHANNELS], axis=2)
        scores = g.op("MatMul", [g.transpose(query, [0, 1, 3, 2]), key], (heads, cells, cells))
        scores = g.op("Mul", [scores, g.scalar(1 / math.sqrt(keys))], scores.shape)
        shares = g.op("Softmax", [scores], scores.shape, axis=-1)
        mixed = g.op("MatMul", [value, g.transpose(shares, [0, 1, 3, 2])], value.shape, variance=value.variance)
        mixed = g.reshape(mixed, x.shape)
        with g.scope("pe"):
            placed = conv(g, g.reshape(value, x.shape), hidden, kernel=3, groups=hidden)
        with g.scope("proj"):
            return conv(g, g.add(mixed, placed), hidden)


def _backbone(g: Graph, images: Value) -> list[Value]:
    """Features at strides 8, 16, 32."""
    with g.scope("backbone.0"):
        x = unit(g, images, channels(64), kernel=3, stride=2)
    features = []
    entries = (128, 256, 512, 1024)
    for number, (entry, stage) in enumerate(zip(entries, BACKBONE, strict=True), start=1):
        with g.scope(f"backbone.{number}"):
            x = _c3k2(g, unit(g, x, channels(entry), kernel=3, stride=2), stage)
            features.append(x)
    with g.scope("backbone.sppf"):
        x = sppf(g, x, channels(1024))
    with g.scope("backbone.psa"):
        features[-1] = _c2psa(g, x)
    return features[1:]


def _neck(g: Graph, features: Sequence[Value]) -> list[Value]:
    """Mix the levels: coarse into fine, then fine into coarse."""
    near, middle, far = features
    with g.scope("neck.up1"):
        mean = _c3k2(g, g.concat([double(g, far), middle]), _Stage(512, deep=False))
    with g.scope("neck.up0"):
        fine = _c3k2(g, g.concat([double(g, mean), near]), _Stage(256, deep=False))
    with g.scope("neck.down1"):
        down = unit(g, fine, fine.channels, kernel=3, stride=2)
        mean = _c3k2(g, g.concat([down, mean]), _Stage(512, deep=False))
    with g.scope("neck.down2"):
        down = unit(g, mean, mean.channels, kernel=3, stride=2)
        return [fine, mean, _c3k2(g, g.concat([down, far]), _Stage(1024, deep=True))]
