"""YOLOX-tiny as its authors' export_onnx.py writes it: focus by strided slices, 5/9/13 pooling, raw boxes.

In: images, (n, 3, size, size), 0..255. Out: output, (n, cells, 5 + classes): offsets and log sizes in cells, scores
0..1. builders/yolox.py has the same network with the focus as a convolution and boxes decoded inside.
Source: Ge et al. 2021 (arXiv:2107.08430); Megvii YOLOX exps/default/yolox_tiny.py (depth 0.33, width 0.375).
"""

import math
from collections.abc import Sequence

from .builder import Graph, Value
from .layers import conv, double, max_pool
from .yolov5 import c3, unit

CLASSES = 80
WIDTH = 0.375
FOCUS_ORDER = ((0, 0), (1, 0), (0, 1), (1, 1))  # (row, column) of the pixel behind each group of stem channels


def write_yolox_tiny(g: Graph, images: Value) -> list[Value]:
    """Add YOLOX-tiny to the graph; its predictions."""
    levels = _neck(g, _backbone(g, images))
    flat = [_head(g, level, x) for level, x in enumerate(levels)]
    joined = g.concat(flat, axis=2)
    return [g.op("Transpose", [joined], joined.shape[::-1], perm=[0, 2, 1], named="output")]


def _channels(at_full_width: int) -> int:
    return int(at_full_width * WIDTH)


def _focus(g: Graph, x: Value) -> Value:
    """Every second pixel into its own channels, (12, height / 2, width / 2)."""
    channels, height, width = x.shape
    parts = []
    for start in FOCUS_ORDER:
        part, sides = x, [height, width]
        for axis in (0, 1):
            sides[axis] //= 2
            bounds = [g.ints([value]) for value in (start[axis], 2**63 - 1, axis + 2, 2)]
            part = g.op("Slice", [part, *bounds], (channels, *sides))
        parts.append(part)
    return g.concat(parts)


def _backbone(g: Graph, images: Value) -> list[Value]:
    """Features at strides 8, 16, 32."""
    with g.scope("stem"):
        x = unit(g, _focus(g, images), _channels(64), kernel=3)
    features = []
    for stage, (out, blocks) in enumerate(((128, 1), (256, 3), (512, 3)), start=2):
        with g.scope(f"dark{stage}"):
            x = unit(g, x, _channels(out), kernel=3, stride=2)
            x = c3(g, x, _channels(out), blocks, shortcut=True)
            features.append(x)
    with g.scope("dark5"):
        x = unit(g, x, _channels(1024), kernel=3, stride=2)
        half = unit(g, x, x.channels // 2)
        x = unit(g, g.concat([half, *(max_pool(g, half, size) for size in (5, 9, 13))]), x.channels)
        return [*features[1:], c3(g, x, _channels(1024), 1, shortcut=False)]


def _neck(g: Graph, features: Sequence[Value]) -> list[Value]:
    """Mix the levels: coarse into fine, then fine into coarse."""
    near, middle, far = features
    with g.scope("neck.up1"):
        lateral = unit(g, far, _channels(512))
        mean = c3(g, g.concat([double(g, lateral), middle]), _channels(512), 1, shortcut=False)
    with g.scope("neck.up0"):
        reduced = unit(g, mean, _channels(256))
        fine = c3(g, g.concat([double(g, reduced), near]), _channels(256), 1, shortcut=False)
    with g.scope("neck.down1"):
        down = unit(g, fine, _channels(256), kernel=3, stride=2)
        mean = c3(g, g.concat([down, reduced]), _channels(512), 1, shortcut=False)
    with g.scope("neck.down2"):
        down = unit(g, mean, _channels(512), kernel=3, stride=2)
        return [fine, mean, c3(g, g.concat([down, lateral]), _channels(1024), 1, shortcut=False)]


def _head(g: Graph, level: int, x: Value) -> Value:
    """Predictions of one level, (5 + classes, cells): box and objectness from one branch, classes from the other."""
    hidden = _channels(256)
    with g.scope(f"head.{level}"):
        stem = unit(g, x, hidden)
        boxes, scores = (unit(g, unit(g, stem, hidden, kernel=3), hidden, kernel=3) for _ in range(2))
        parts = [conv(g, boxes, 4), conv(g, boxes, 1, act="sigmoid"), conv(g, scores, CLASSES, act="sigmoid")]
        joined = g.concat(parts)
        return g.reshape(joined, (joined.channels, math.prod(joined.shape[1:])))
