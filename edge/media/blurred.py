"""Pictures in which nobody can be recognised: every picture that is made for people to look at passes here.

Alerts, contact sheets, annotated copies and clips all call `hide_people`; only an alert to somebody who may see people,
by a rule that shows them, does without.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..model import U8, Box, Detection

# Along the shorter side of a box: a standing person's head is one or two cells. No more, because there are boxes around
# a face alone, and networks have matched mosaics of faces with a known few (McPherson et al. 2016).
CELLS = 4
HIDDEN = ("person", "vehicle")  # a number plate names a person, too
LEAST_CELL_PX = 4
PERSON_MARGIN = 0.06  # around a person's box, of its sides: detectors cut hair and hands


def hide_people(bgr: U8, detections: Sequence[Detection]) -> U8:
    """A copy of the picture in which each person's and vehicle's box, and a bit around it, is a few smooth patches.

    bgr: uint8 (height, width, 3). Only averages of large cells are kept, so nothing can undo it. Whom the detector has
    not seen, or taken for something else, is not hidden.
    """
    shown = bgr.copy()
    height, width = bgr.shape[:2]
    for x0, y0, x1, y1 in (pixels(box, width, height) for box in people_boxes(detections)):
        if x1 <= x0 or y1 <= y0:
            continue
        cell = max(LEAST_CELL_PX, min(x1 - x0, y1 - y0) / CELLS)
        cells = (max(1, round((x1 - x0) / cell)), max(1, round((y1 - y0) / cell)))
        # of the original, not of what a neighbour's box has left: boxes that overlap would show seams
        mosaic = cv2.resize(bgr[y0:y1, x0:x1], cells, interpolation=cv2.INTER_AREA)
        shown[y0:y1, x0:x1] = cv2.resize(mosaic, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    return shown


def people_boxes(detections: Sequence[Detection]) -> list[Box]:
    """Where people and vehicles are, xywh_norm, with the margin that is hidden, too; unlikely ones as well."""
    grown = 1 + 2 * PERSON_MARGIN
    people = [each.xywh_norm for each in detections if each.category in HIDDEN]
    return [
        (left - PERSON_MARGIN * wide, top - PERSON_MARGIN * high, wide * grown, high * grown)
        for left, top, wide, high in people
    ]


def pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels that a box touches, inside the picture."""
    left, top, wide, high = box
    x0, y0 = int(np.floor(left * width)), int(np.floor(top * height))
    x1, y1 = int(np.ceil((left + wide) * width)), int(np.ceil((top + high) * height))
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)
