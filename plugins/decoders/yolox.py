"""The head of YOLOX: (n, boxes, 5 + classes), a box a row; the boxes may still stand in units of the grid.

`decoded = true` in the card's options says that the model itself gives pixels, as YOLOv5 does. Without it, as the
publisher's own export leaves it, centre = (cell + x) * stride and side = exp(w) * stride.
Source: Megvii-BaseDetection/YOLOX, yolox/models/yolo_head.py, decode_outputs.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from edge.api import F32, Boxes, Card, DecoderSpec, Session, boxes_from_rows, check_head, first_of_rank, hookimpl

STRIDES_PX = (8, 16, 32)  # of all published YOLOX sizes


def check(session: Session) -> None:
    """Raise ModelError unless the first output with three axes is (n, cells of the three grids, 5 + classes)."""
    card = session.card
    check_head(session, shape=("n", len(grid_px(card.input_hw)), 5 + len(card.classes)))


def decode(outputs: Sequence[F32], card: Card) -> Sequence[Boxes]:
    """The boxes of each input whose best class reaches card.min_score."""
    rows = first_of_rank(outputs, 3)
    if not card.options.get("decoded", False):
        rows = to_pixels(rows, input_hw=card.input_hw)
    return [boxes_from_rows(each, min_score=card.min_score) for each in rows]


def to_pixels(rows: F32, *, input_hw: tuple[int, int]) -> F32:
    """A copy of the rows (n, cells, 5 + classes) with centre and sides in pixels of the input."""
    grid = grid_px(input_hw)
    stride = grid[:, 2:]
    placed = rows.copy()
    placed[..., :2] = rows[..., :2] * stride + grid[:, :2]
    with np.errstate(over="ignore"):  # a side that overflows is refused later, if its box is likely at all
        placed[..., 2:4] = np.exp(rows[..., 2:4]) * stride
    return placed


def grid_px(input_hw: tuple[int, int]) -> F32:
    """Left, top and stride of each cell in pixels, (cells, 3): the fine grid first, each row by row."""
    height, width = input_hw
    grids = []
    for stride in STRIDES_PX:
        top, left = np.mgrid[0 : height // stride, 0 : width // stride].reshape(2, -1) * stride
        grids.append(np.stack([left, top, np.full_like(left, stride)], axis=1))
    return np.concatenate(grids).astype(np.float32)


@hookimpl
def tigrillo_decoders() -> Iterable[DecoderSpec]:
    """The decoder `yolox`."""
    return [DecoderSpec("yolox", "detect", check, decode)]
