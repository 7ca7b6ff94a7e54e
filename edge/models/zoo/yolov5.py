"""YOLOv5 n, s and x6 (the shape of MegaDetector v5) as Ultralytics exports them, boxes decoded inside the graph.

In: images, (n, 3, size, size), 0..1. Out: output0, (n, anchors, 5 + classes): centre x, centre y, width, height in
pixels, objectness and class scores 0..1. Source: Ultralytics YOLOv5 v6.0 models/yolov5s.yaml, hub/yolov5x6.yaml.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .builder import Graph, Value
from .layers import conv, double, max_pool
from .yolov5_head import AnchorLevel, detect, detect_any_size

P5_ANCHORS_PX = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
P6_ANCHORS_PX = (
    ((19, 27), (44, 40), (38, 94)),
    ((96, 68), (86, 152), (180, 137)),
    ((140, 301), (303, 264), (238, 542)),
    ((436, 615), (739, 380), (925, 792)),
)


@dataclass(frozen=True, slots=True)
class Yolov5Shape:
    """Which YOLOv5. any_size: batch, height and width are read from the tensors at run time."""

    depth: float
    width: float
    classes: int = 80
    p6: bool = False
    any_size: bool = False

    def channels(self, at_full_width: int) -> int:
        """Channels of a layer that has this many at width 1."""
        return math.ceil(at_full_width * self.width / 8) * 8

    def blocks(self, at_full_depth: int) -> int:
        """Bottlenecks of a stage that has this many at depth 1."""
        return max(round(at_full_depth * self.depth), 1)

    @property
    def deep(self) -> tuple[int, ...]:
        """Full-width channels at strides 8, 16, 32 (and 64)."""
        return (256, 512, 768, 1024) if self.p6 else (256, 512, 1024)


def write_yolov5(g: Graph, images: Value, shape: Yolov5Shape) -> list[Value]:
    """Add a YOLOv5 to the graph; its predictions."""
    features = _neck(g, shape, _backbone(g, shape, images))
    anchors = P6_ANCHORS_PX if shape.p6 else P5_ANCHORS_PX
    strides = [images.shape[1] // feature.shape[1] for feature in features]
    levels = [AnchorLevel(x, stride, level) for x, stride, level in zip(features, strides, anchors, strict=True)]
    with g.scope("detect"):
        return [(detect_any_size if shape.any_size else detect)(g, levels, shape.classes)]


def unit(g: Graph, x: Value, out: int, *, kernel: int = 1, stride: int = 1) -> Value:
    """Convolution with its batch normalisation folded, SiLU."""
    return conv(g, x, out, kernel=kernel, stride=stride, act="silu")


def c3(g: Graph, x: Value, out: int, blocks: int, *, shortcut: bool) -> Value:
    """Cross-stage partial block: half of the channels go through bottlenecks, the other half around them."""
    hidden = out // 2
    inner = unit(g, x, hidden)
    for index in range(blocks):
        with g.scope(f"m.{index}"):
            grown = unit(g, unit(g, inner, hidden), hidden, kernel=3)
            inner = g.add(inner, grown) if shortcut else grown
    return unit(g, g.concat([inner, unit(g, x, hidden)]), out)


def sppf(g: Graph, x: Value, out: int) -> Value:
    """Spatial pyramid pooling: 5×5 maxima taken once, twice and three times, beside the input."""
    parts = [unit(g, x, x.channels // 2)]
    for _ in range(3):
        parts.append(max_pool(g, parts[-1], 5))
    return unit(g, g.concat(parts), out)


def _backbone(g: Graph, shape: Yolov5Shape, images: Value) -> list[Value]:
    """Features at strides 8, 16, 32 (and 64)."""
    with g.scope("backbone.0"):
        x = unit(g, images, shape.channels(64), kernel=6, stride=2)
    features = []
    repeats = (3, 6, 9, 3, 3) if shape.p6 else (3, 6, 9, 3)
    for stage, (out, blocks) in enumerate(zip((128, *shape.deep), repeats, strict=True), start=1):
        with g.scope(f"backbone.{stage}"):
            x = unit(g, x, shape.channels(out), kernel=3, stride=2)
            x = c3(g, x, shape.channels(out), shape.blocks(blocks), shortcut=True)
            features.append(x)
    with g.scope("backbone.sppf"):
        features[-1] = sppf(g, features[-1], shape.channels(1024))
    return features[1:]


def _neck(g: Graph, shape: Yolov5Shape, features: Sequence[Value]) -> list[Value]:
    """Mix the levels: coarse into fine, then fine into coarse."""
    widths, blocks = [shape.channels(each) for each in shape.deep], shape.blocks(3)
    laterals: list[Value] = []
    x = features[-1]
    for level in reversed(range(len(features) - 1)):
        with g.scope(f"neck.up{level}"):
            lateral = unit(g, x, widths[level])
            laterals.insert(0, lateral)
            joined = g.concat([double(g, lateral), features[level]])
            x = c3(g, joined, widths[level], blocks, shortcut=False)
    mixed = [x]
    for level, lateral in enumerate(laterals, start=1):
        with g.scope(f"neck.down{level}"):
            joined = g.concat([unit(g, x, x.channels, kernel=3, stride=2), lateral])
            x = c3(g, joined, widths[level], blocks, shortcut=False)
            mixed.append(x)
    return mixed
