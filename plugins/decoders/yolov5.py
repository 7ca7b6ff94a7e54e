"""The head of YOLOv5 and MegaDetector v5: (n, boxes, 5 + classes), a box a row.

A row is centre x, centre y, width, height in pixels of the input, objectness, then a score for each class.
Source: ultralytics/yolov5, models/yolo.py, class Detect.
"""

from collections.abc import Iterable, Sequence

from edge.api import F32, Boxes, Card, DecoderSpec, Session, boxes_from_rows, check_head, first_of_rank, hookimpl


def check(session: Session) -> None:
    """Raise ModelError unless the first output with three axes is (n, boxes, 5 + classes)."""
    check_head(session, shape=("n", "boxes", 5 + len(session.card.classes)))


def decode(outputs: Sequence[F32], card: Card) -> Sequence[Boxes]:
    """The boxes of each input whose best class reaches card.min_score."""
    return [boxes_from_rows(rows, min_score=card.min_score) for rows in first_of_rank(outputs, 3)]


@hookimpl
def tigrillo_decoders() -> Iterable[DecoderSpec]:
    """The decoder `yolov5`."""
    return [DecoderSpec("yolov5", "detect", check, decode)]
