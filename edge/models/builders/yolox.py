"""YOLOX as an ONNX graph: CSPDarknet, path-aggregation neck, decoupled head, boxes decoded inside the graph.

In: images, float32 (n, 3, height, width), 0..255. Out: predictions, float32 (n, anchors, 5 + classes): centre x,
centre y, width, height in input pixels, objectness and class scores 0..1; anchors run over strides 8, 16, 32.
Source: Ge et al. 2021 (arXiv:2107.08430); tensor names as in the authors' checkpoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from .graph import GraphBuilder, Weights

STRIDES_PX = (8, 16, 32)
FOCUS_ORDER = ((0, 0), (1, 0), (0, 1), (1, 1))  # (row, column) of the pixel behind each group of stem channels


@dataclass(frozen=True, slots=True)
class YoloxShape:
    """Which YOLOX: tiny is depth 0.33, width 0.375. input_hw: multiples of 32 pixels."""

    classes: int
    depth: float = 0.33
    width: float = 0.375
    input_hw: tuple[int, int] = (640, 640)

    def channels(self, at_full_width: int) -> int:
        """Channels of a layer that has this many at width 1."""
        return int(at_full_width * self.width)

    @property
    def blocks(self) -> int:
        """Bottlenecks in the smallest stage."""
        return max(round(3 * self.depth), 1)


def build_yolox(weights: Weights, shape: YoloxShape) -> onnx.ModelProto:
    """The model with these weights. Raises ModelError when the weights are not of this shape."""
    graph = GraphBuilder(weights)
    levels = _neck(graph, shape, _backbone(graph, shape))
    flat = [_head(graph, shape, level, x) for level, x in enumerate(levels)]
    _decode(graph, shape, flat)
    height, width = shape.input_hw
    return graph.model(
        name="yolox",
        inputs={"images": ("n", 3, height, width)},
        outputs={"predictions": ("n", _anchors(shape), 5 + shape.classes)},
        notes={"architecture": f"YOLOX depth {shape.depth} width {shape.width}"},
    )


def _unit(graph: GraphBuilder, x: str, key: str, channels: tuple[int, int], *, kernel: int = 1, stride: int = 1) -> str:
    """Convolution, batch normalisation, SiLU. channels: in, out."""
    weight, bias = graph.folded(f"{key}.conv", f"{key}.bn", (channels[1], channels[0], kernel, kernel))
    pad = (kernel - 1) // 2
    return graph.silu(graph.conv(x, weight, bias, key, stride=stride, pads=(pad, pad, pad, pad)))


def _csp(graph: GraphBuilder, x: str, key: str, channels: tuple[int, int], *, blocks: int, shortcut: bool) -> str:
    """Cross-stage partial block: half of the channels go through bottlenecks, the other half around them."""
    hidden = channels[1] // 2
    inner = _unit(graph, x, f"{key}.conv1", (channels[0], hidden))
    around = _unit(graph, x, f"{key}.conv2", (channels[0], hidden))
    for index in range(blocks):
        name = f"{key}.m.{index}"
        squeezed = _unit(graph, inner, f"{name}.conv1", (hidden, hidden))
        grown = _unit(graph, squeezed, f"{name}.conv2", (hidden, hidden), kernel=3)
        inner = graph.node("Add", [inner, grown], f"{name}.add") if shortcut else grown
    joined = graph.node("Concat", [inner, around], f"{key}.concat", axis=1)
    return _unit(graph, joined, f"{key}.conv3", (2 * hidden, channels[1]))


def _stem(graph: GraphBuilder, x: str, key: str, out: int) -> str:
    """Focus (every second pixel into its own channels) and a 3×3 convolution, as one 6×6 convolution of stride 2.

    The same sums in one step, without strided slices: tap (i, j) of group (r, c) is tap (2·i + r, 2·j + c).
    """
    weight, bias = graph.folded(f"{key}.conv.conv", f"{key}.conv.bn", (out, 12, 3, 3))
    wide = np.zeros((out, 3, 6, 6))
    for group, (row, column) in enumerate(FOCUS_ORDER):
        wide[:, :, row::2, column::2] = weight[:, 3 * group : 3 * group + 3]
    return graph.silu(graph.conv(x, wide, bias, f"{key}.conv", stride=2, pads=(2, 2, 2, 2)))


def _spp(graph: GraphBuilder, x: str, key: str, channels: int) -> str:
    """Spatial pyramid pooling over 5, 9 and 13 pixels; the 5 repeated gives the maxima of the wider ones."""
    pooled = [_unit(graph, x, f"{key}.conv1", (channels, channels // 2))]
    for size in (5, 9, 13):
        pooled.append(
            graph.node(
                "MaxPool", [pooled[-1]], f"{key}.pool{size}", kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]
            )
        )
    joined = graph.node("Concat", pooled, f"{key}.concat", axis=1)
    return _unit(graph, joined, f"{key}.conv2", (2 * channels, channels))


def _backbone(graph: GraphBuilder, shape: YoloxShape) -> tuple[str, str, str]:
    """Features at strides 8, 16, 32."""
    key = "backbone.backbone"
    base, blocks = shape.channels(64), shape.blocks
    x = _stem(graph, "images", f"{key}.stem", base)
    features = []
    for number, repeats in ((2, blocks), (3, 3 * blocks), (4, 3 * blocks)):
        out = base * 2 ** (number - 1)
        x = _unit(graph, x, f"{key}.dark{number}.0", (out // 2, out), kernel=3, stride=2)
        x = _csp(graph, x, f"{key}.dark{number}.1", (out, out), blocks=repeats, shortcut=True)
        features.append(x)
    out = base * 16
    x = _unit(graph, x, f"{key}.dark5.0", (out // 2, out), kernel=3, stride=2)
    x = _spp(graph, x, f"{key}.dark5.1", out)
    x = _csp(graph, x, f"{key}.dark5.2", (out, out), blocks=blocks, shortcut=False)
    return features[1], features[2], x


def _neck(graph: GraphBuilder, shape: YoloxShape, features: tuple[str, str, str]) -> tuple[str, str, str]:
    """Mix the levels: coarse into fine, then fine into coarse."""
    near, middle, far = features
    small, medium, large = (shape.channels(each) for each in (256, 512, 1024))
    blocks = round(3 * shape.depth)

    def mix(parts: Sequence[str], key: str, channels: tuple[int, int]) -> str:
        joined = graph.node("Concat", parts, f"backbone.{key}.join", axis=1)
        return _csp(graph, joined, f"backbone.{key}", channels, blocks=blocks, shortcut=False)

    lateral = _unit(graph, far, "backbone.lateral_conv0", (large, medium))
    mixed = mix([_double(graph, lateral), middle], "C3_p4", (2 * medium, medium))
    reduced = _unit(graph, mixed, "backbone.reduce_conv1", (medium, small))
    fine = mix([_double(graph, reduced), near], "C3_p3", (2 * small, small))
    down = _unit(graph, fine, "backbone.bu_conv2", (small, small), kernel=3, stride=2)
    mean = mix([down, reduced], "C3_n3", (2 * small, medium))
    down = _unit(graph, mean, "backbone.bu_conv1", (medium, medium), kernel=3, stride=2)
    coarse = mix([down, lateral], "C3_n4", (2 * medium, large))
    return fine, mean, coarse


def _double(graph: GraphBuilder, x: str) -> str:
    """Twice the height and width, each pixel repeated."""
    scales = graph.constant("scales", np.array([1, 1, 2, 2], np.float32))
    return graph.node(
        "Resize",
        [x, "", scales],
        f"{x}.double",
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _head(graph: GraphBuilder, shape: YoloxShape, level: int, x: str) -> str:
    """Raw predictions of one level, (n, 5 + classes, cells)."""
    hidden = shape.channels(256)
    x = _unit(graph, x, f"head.stems.{level}", (shape.channels((256, 512, 1024)[level]), hidden))
    branches = {}
    for kind in ("cls", "reg"):
        branches[kind] = x
        for step in range(2):
            key = f"head.{kind}_convs.{level}.{step}"
            branches[kind] = _unit(graph, branches[kind], key, (hidden, hidden), kernel=3)
    parts = []
    for kind, source, out in (("reg", "reg", 4), ("obj", "reg", 1), ("cls", "cls", shape.classes)):
        key = f"head.{kind}_preds.{level}"
        weight, bias = graph.weight(f"{key}.weight", (out, hidden, 1, 1)), graph.weight(f"{key}.bias", (out,))
        parts.append(graph.conv(branches[source], weight, bias, key))
    joined = graph.node("Concat", parts, f"head.{level}.concat", axis=1)
    cells = _cells(shape, STRIDES_PX[level])
    flat = graph.constant(f"head.{level}.shape", np.array([0, 5 + shape.classes, cells[0] * cells[1]], np.int64))
    return graph.node("Reshape", [joined, flat], f"head.{level}.flat")


def _decode(graph: GraphBuilder, shape: YoloxShape, flat: Sequence[str]) -> None:
    """Offsets and log sizes in cells → boxes in pixels; logits → scores."""
    raw = graph.node("Concat", flat, "raw", axis=2)
    rows = graph.node("Transpose", [raw], "rows", perm=[0, 2, 1])
    corners, strides = _grid(shape)
    stride = graph.constant("stride", strides)
    offset = _columns(graph, rows, "offset", (0, 2))
    log_size = _columns(graph, rows, "log_size", (2, 4))
    logits = _columns(graph, rows, "logits", (4, 5 + shape.classes))
    placed = graph.node("Add", [offset, graph.constant("corner", corners)], "placed")
    centre = graph.node("Mul", [placed, stride], "centre")
    size = graph.node("Mul", [graph.node("Exp", [log_size], "cells"), stride], "size")
    scores = graph.node("Sigmoid", [logits], "scores")
    graph.node("Concat", [centre, size, scores], "predictions", axis=2)


def _columns(graph: GraphBuilder, x: str, name: str, between: tuple[int, int]) -> str:
    """Columns from, to of the last axis."""
    bounds = [graph.constant(f"{name}.{key}", np.array([at], np.int64)) for key, at in zip("ft", between, strict=True)]
    return graph.node("Slice", [x, *bounds, graph.constant("last_axis", np.array([2], np.int64))], name)


def _grid(shape: YoloxShape) -> tuple[np.ndarray, np.ndarray]:
    """Left top corner of every cell in cells, (1, anchors, 2), and its stride in pixels, (1, anchors, 1)."""
    corners, strides = [], []
    for stride in STRIDES_PX:
        rows, columns = _cells(shape, stride)
        y, x = np.mgrid[:rows, :columns]
        corners.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(corners)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def _cells(shape: YoloxShape, stride: int) -> tuple[int, int]:
    return shape.input_hw[0] // stride, shape.input_hw[1] // stride


def _anchors(shape: YoloxShape) -> int:
    return sum(rows * columns for rows, columns in (_cells(shape, stride) for stride in STRIDES_PX))
