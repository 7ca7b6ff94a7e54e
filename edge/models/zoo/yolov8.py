"""YOLOv8n as Ultralytics exports it: C2f blocks, anchor-free head with distances as distributions over 16 bins.

In: images, (n, 3, size, size), 0..1. Out: output0, (n, 4 + classes, cells): centre x, centre y, width, height in
pixels, class scores 0..1. Source: Ultralytics 8 models/v8/yolov8.yaml, nn/modules/head.py (Detect); distribution focal
loss: Li et al. 2020 (arXiv:2006.04388).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .builder import Graph, Value
from .layers import conv, double
from .yolov5 import sppf, unit

CLASSES = 80
BINS = 16
WIDTH = 0.25  # of "n"
BLOCKS = (1, 2, 2, 1)  # of the backbone's stages: 3, 6, 6, 3 at depth 0.33
STRIDES_PX = (8, 16, 32)


def write_yolov8n(g: Graph, images: Value) -> list[Value]:
    """Add YOLOv8n to the graph; its predictions."""
    return [detect(g, _neck(g, _backbone(g, images)), depthwise=False)]


def channels(at_full_width: int) -> int:
    """Channels of a layer of the "n" size that has this many at width 1."""
    return math.ceil(at_full_width * WIDTH / 8) * 8


def c2f(g: Graph, x: Value, out: int, blocks: int, *, shortcut: bool) -> Value:
    """Cross-stage block that keeps every bottleneck's result: split, chain, concatenate all."""
    hidden = out // 2
    parts = g.split(unit(g, x, 2 * hidden), [hidden, hidden], axis=1)
    for index in range(blocks):
        with g.scope(f"m.{index}"):
            grown = unit(g, unit(g, parts[-1], hidden, kernel=3), hidden, kernel=3)
            parts.append(g.add(parts[-1], grown) if shortcut else grown)
    return unit(g, g.concat(parts), out)


def _backbone(g: Graph, images: Value) -> list[Value]:
    """Features at strides 8, 16, 32."""
    with g.scope("backbone.0"):
        x = unit(g, images, channels(64), kernel=3, stride=2)
    features = []
    for stage, (out, blocks) in enumerate(zip((128, 256, 512, 1024), BLOCKS, strict=True), start=1):
        with g.scope(f"backbone.{stage}"):
            x = unit(g, x, channels(out), kernel=3, stride=2)
            x = c2f(g, x, channels(out), blocks, shortcut=True)
            features.append(x)
    with g.scope("backbone.sppf"):
        features[-1] = sppf(g, features[-1], channels(1024))
    return features[1:]


def _neck(g: Graph, features: Sequence[Value]) -> list[Value]:
    """Mix the levels: coarse into fine, then fine into coarse."""
    near, middle, far = features
    with g.scope("neck.up1"):
        mean = c2f(g, g.concat([double(g, far), middle]), channels(512), 1, shortcut=False)
    with g.scope("neck.up0"):
        fine = c2f(g, g.concat([double(g, mean), near]), channels(256), 1, shortcut=False)
    with g.scope("neck.down1"):
        down = unit(g, fine, fine.channels, kernel=3, stride=2)
        mean = c2f(g, g.concat([down, mean]), channels(512), 1, shortcut=False)
    with g.scope("neck.down2"):
        down = unit(g, mean, mean.channels, kernel=3, stride=2)
        return [fine, mean, c2f(g, g.concat([down, far]), channels(1024), 1, shortcut=False)]


def detect(g: Graph, features: Sequence[Value], *, depthwise: bool) -> Value:
    """Predictions (4 + classes, cells) of all levels. depthwise: the class branch of YOLO11."""
    box_hidden = max(16, features[0].channels // 4, 4 * BINS)
    class_hidden = max(features[0].channels, min(CLASSES, 100))
    flat = []
    for level, x in enumerate(features):
        with g.scope(f"detect.cv2.{level}"):
            box = unit(g, unit(g, x, box_hidden, kernel=3), box_hidden, kernel=3)
            box = conv(g, box, 4 * BINS)
        with g.scope(f"detect.cv3.{level}"):
            scores = _class_branch(g, x, class_hidden, depthwise=depthwise)
        joined = g.concat([box, scores])
        with g.scope("detect"):
            flat.append(g.reshape(joined, (joined.channels, math.prod(joined.shape[1:]))))
    with g.scope("detect"):
        return _decode(g, g.concat(flat, axis=2), _grid(features))


def _class_branch(g: Graph, x: Value, hidden: int, *, depthwise: bool) -> Value:
    for _ in range(2):
        if depthwise:
            x = conv(g, x, x.channels, kernel=3, groups=x.channels, act="silu")
        x = unit(g, x, hidden, kernel=1 if depthwise else 3)
    return conv(g, x, CLASSES)


def _decode(g: Graph, x: Value, grid: tuple[np.ndarray, np.ndarray]) -> Value:
    """Distances from the cell's centre to the four sides → centre and size in pixels; logits → scores."""
    centres, strides = (g.constant(each) for each in grid)
    cells = x.shape[1]
    bins, logits = g.split(x, [4 * BINS, CLASSES], axis=1)
    with g.scope("dfl"):
        shares = g.transpose(g.reshape(bins, (4, BINS, cells)), [0, 2, 1, 3])
        shares = g.op("Softmax", [shares], shares.shape, axis=1, variance=1 / BINS)
        weight = g.weight("weight", np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1))
        window: dict[str, Any] = {
            "dilations": [1, 1],
            "group": 1,
            "kernel_shape": [1, 1],
            "pads": [0] * 4,
            "strides": [1, 1],
        }
        distances = g.reshape(g.op("Conv", [shares, weight], (1, 4, cells), **window), (4, cells))
    before, after = g.split(distances, [2, 2], axis=1)
    low = g.op("Sub", [centres, before], before.shape)
    high = g.op("Add", [centres, after], after.shape)
    middle = g.op("Div", [g.op("Add", [low, high], low.shape), g.scalar(2)], low.shape)
    size = g.op("Sub", [high, low], low.shape)
    boxes = g.op("Mul", [g.concat([middle, size]), strides], (4, cells))
    return g.concat([boxes, g.op("Sigmoid", [logits], logits.shape)], named="output0")


def _grid(features: Sequence[Value]) -> tuple[np.ndarray, np.ndarray]:
    """Centre of every cell in cells, (1, 2, cells), and its stride in pixels, (1, cells)."""
    centres, strides = [], []
    for x, stride in zip(features, STRIDES_PX, strict=True):
        rows, columns = np.mgrid[: x.shape[1], : x.shape[2]].astype(np.float32) + 0.5
        centres.append(np.stack([columns.ravel(), rows.ravel()]))
        strides.append(np.full((1, rows.size), stride, np.float32))
    return np.concatenate(centres, axis=1)[None], np.concatenate(strides, axis=1)
