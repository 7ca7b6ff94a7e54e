"""Hop 6, record: which of a frame's detections are a suppressed repeat. They are kept, and count for nothing.

Called in the transaction that records the frame, before alerts look at it.
"""

from dataclasses import replace
from datetime import timedelta

import numpy as np
from sqlalchemy import Connection

from ..model import Detection, Outcome
from ..store import suspects as rows
from ..store.suspects import FINE_RANKS, SURE, Suspect
from .clusters import JOINS, PAUSE_DAYS, overlaps


def mark_repeats(connection: Connection, outcome: Outcome) -> Outcome:
    """Mark what of a frame is a suppressed repeat; returns the frame without it.

    A repeat holds for its deployment, or without one for its station, until it was missing on PAUSE_DAYS days with
    pictures: then the camera or the thing was moved. It does not hold for an animal that is surely named and that it
    was never taken for. One query, over an index, for a frame with detections; none for a blank one.
    """
    spooled = outcome.spooled
    at = spooled.captured.utc or spooled.received_at
    if not outcome.detections():
        return outcome
    known = rows.in_force(connection, spooled.station, at)
    if not known:
        return outcome
    boxes = np.array([each.box for each in known])
    lapsed: dict[int, bool] = {}
    pictures = []
    for picture in outcome.pictures:
        left = []
        for index, detection in enumerate(picture.detections):
            shared = overlaps(np.array([detection.xywh_norm]), boxes)[0]
            of_kind = [
                number
                for number in np.argsort(-shared)
                if shared[number] >= JOINS and known[number].category == detection.category
            ]
            suspect = known[of_kind[0]] if of_kind else None
            if suspect is None or _is_other(connection, suspect, detection):
                left.append(detection)
                continue
            if suspect.pk not in lapsed:
                lapsed[suspect.pk] = _has_lapsed(connection, suspect, outcome)
            if lapsed[suspect.pk]:
                left.append(detection)
                continue
            rows.add_box(connection, suspect, spooled.pk, picture.number, index, at)
        pictures.append(replace(picture, detections=tuple(left)))
    return replace(outcome, pictures=tuple(pictures))


def _is_other(connection: Connection, suspect: Suspect, detection: Detection) -> bool:
    answer = detection.answer
    if answer is None or answer.score < SURE or answer.taxon.rank not in FINE_RANKS:
        return False
    return not rows.was_taken_for(connection, suspect.pk, answer.taxon.scientific_name)


def _has_lapsed(connection: Connection, suspect: Suspect, outcome: Outcome) -> bool:
    spooled = outcome.spooled
    at = spooled.captured.utc or spooled.received_at
    if at - suspect.last_at <= timedelta(days=PAUSE_DAYS):
        return False
    return rows.days_between(connection, spooled.station, suspect.last_at, at) > PAUSE_DAYS
