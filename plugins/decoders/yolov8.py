"""The head of YOLOv8 and YOLO11: (n, 4 + classes, boxes), a box a column, without objectness.

A column is centre x, centre y, width, height in pixels of the input, then a score for each class.
Source: ultralytics/ultralytics, nn/modules/head.py, class Detect.
"""

from collections.abc import Iterable, Sequence

from edge.api import F32, Boxes, Card, DecoderSpec, Session, boxes_above, check_head, first_of_rank, hookimpl


def check(session: Session) -> None:
    """Raise ModelError unless the first output with three axes is (n, 4 + classes, boxes)."""
    check_head(session, shape=("n", 4 + len(session.card.classes), "boxes"))


def decode(outputs: Sequence[F32], card: Card) -> Sequence[Boxes]:
    """The boxes of each input whose best class reaches card.min_score."""
    return [
        boxes_above(columns[:4].T, columns[4:].T, min_score=card.min_score) for columns in first_of_rank(outputs, 3)
    ]


@hookimpl
def tigrillo_decoders() -> Iterable[DecoderSpec]:
    """The decoder `yolov8`."""
    return [DecoderSpec("yolov8", "detect", check, decode)]
