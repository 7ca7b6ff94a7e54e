"""YOLOv5's detect head in its two exported forms: shapes as constants, and shapes read from the tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .builder import Graph, Value
from .layers import conv


@dataclass(frozen=True, slots=True)
class AnchorLevel:
    """One level of the pyramid: features, stride in pixels, three anchors (width, height) in pixels."""

    x: Value
    stride: int
    anchors: tuple[tuple[int, int], ...]


def detect(g: Graph, levels: Sequence[AnchorLevel], classes: int) -> Value:
    """Predictions (anchors, 5 + classes) of all levels; sizes are constants."""
    parts = []
    for level in levels:
        raw, (rows, columns) = _raw(g, level, classes), level.x.shape[1:]
        cells = g.reshape(raw, (3, 5 + classes, rows, columns))
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        corners = np.stack([x, y], axis=-1)[None, None] - 0.5
        boxes = _decode(g, cells, g.constant(np.repeat(corners, 3, axis=1)), level, classes)
        parts.append(g.reshape(boxes, (3 * rows * columns, 5 + classes)))
    return g.concat(parts, axis=1, named="output0")


def detect_any_size(g: Graph, levels: Sequence[AnchorLevel], classes: int) -> Value:
    """As detect, with Shape, Gather, Range and Expand in place of constants: the form of a dynamic export."""
    parts = []
    for index, level in enumerate(levels):
        with g.scope(f"level{index}"):
            raw, (rows, columns) = _raw(g, level, classes), level.x.shape[1:]
            sizes = g.op("Shape", [raw], (4,))
            batch, height, width = (
                g.op("Gather", [sizes, g.constant(np.array(axis, np.int64))], (), axis=0) for axis in (0, 2, 3)
            )
            split = _vector(g, [batch, 3, 5 + classes, height, width])
            cells = g.op("Reshape", [raw, split], (3, 5 + classes, rows, columns))
            boxes = _decode(g, cells, _corners(g, height, width), level, classes)
            area = g.op("Mul", [g.op("Mul", [g.constant(np.array(3, np.int64)), height], ()), width], ())
            flat = _vector(g, [batch, area, 5 + classes])
            parts.append(g.op("Reshape", [boxes, flat], (3 * rows * columns, 5 + classes)))
    return g.concat(parts, axis=1, named="output0")


def _raw(g: Graph, level: AnchorLevel, classes: int) -> Value:
    return conv(g, level.x, 3 * (5 + classes))


def _decode(g: Graph, cells: Value, corners: Value, level: AnchorLevel, classes: int) -> Value:
    """Offsets and sizes in 0..1 → centre and size in pixels. cells: (3, 5 + classes, rows, columns)."""
    y = g.transpose(cells, [0, 1, 3, 4, 2])
    y = g.op("Sigmoid", [y], y.shape)
    offset, size, scores = g.split(y, [2, 2, 1 + classes], axis=4)
    offset = g.op("Mul", [offset, g.scalar(2)], offset.shape)
    centre = g.op("Add", [offset, corners], offset.shape)
    centre = g.op("Mul", [centre, g.scalar(level.stride)], offset.shape)
    size = g.op("Mul", [size, g.scalar(2)], size.shape)
    size = g.op("Pow", [size, g.scalar(2)], size.shape)
    anchors = np.array(level.anchors, np.float32)[None, :, None, None]
    size = g.op("Mul", [size, g.constant(anchors)], size.shape)
    return g.concat([centre, size, scores], axis=4)


def _vector(g: Graph, parts: Sequence[Value | int]) -> Value:
    """An int64 vector of scalars, some known, some computed."""
    axis = g.ints([0])
    rows = [g.op("Unsqueeze", [part, axis], (1,)) if isinstance(part, Value) else g.ints([part]) for part in parts]
    return g.op("Concat", rows, (len(rows),), axis=0)


def _corners(g: Graph, height: Value, width: Value) -> Value:
    """Left top corner of every cell minus 0.5, (1, 1, rows, columns, 2), sizes known at run time only."""
    zero, one = (g.constant(np.array(each, np.int64)) for each in (0, 1))
    sizes = _vector(g, [height, width])
    planes = []
    for side, axis in ((width, 0), (height, 1)):
        counted = g.op("Range", [zero, side, one], ())
        line = g.op("Cast", [counted], (), to=1 if g.dtype is np.float32 else 10)
        plane = g.op("Expand", [g.op("Unsqueeze", [line, g.ints([axis])], ()), sizes], ())
        planes.append(g.op("Unsqueeze", [plane, g.ints([2])], ()))
    corners = g.op("Concat", planes, (), axis=2)
    corners = g.op("Sub", [corners, g.scalar(0.5)], ())
    return g.op("Unsqueeze", [corners, g.ints([0, 1])], ())
