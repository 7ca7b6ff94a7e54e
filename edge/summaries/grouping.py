"""Which frames are one sequence, told from what lies near: the same answer whatever part of the record is looked at.

Frames of one camera that follow each other (edge.fieldwork.sequences.follows) are one sequence. One that goes on and
on is cut where a tenth minute begins, if it was already under way as the one before began. So no sequence lasts longer
than MOST, and what is begun before a moment is known from REACH before it; midnight is no place of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from ..fieldwork.sequences import Shot, file_number, follows
from ..store.summaries import FrameRow

GAP_S = 10.0  # as plugins/exporters/camtrap_events.py: triggers that follow so soon are one sequence
SLOT_S = 600
SLOT = timedelta(seconds=SLOT_S)
MOST = 2 * SLOT
REACH = 2 * SLOT  # frames so long before a moment tell where a sequence that goes on at it began
LONGEST = 500  # frames of unknown time in one sequence, as in camtrap_events


def in_sequences(
    frames: Iterable[FrameRow], *, since: datetime, gap_s: float = GAP_S
) -> Iterator[tuple[FrameRow, ...]]:
    """The frames of a station in sequences, each in the order of its pictures.

    frames: all from `since` on, in the order of time, those of unknown time apart from the others. Right for sequences
    that have a frame REACH or more after `since` and were read to their end, MOST after their begin.
    """
    cameras: dict[str, list[FrameRow]] = {}
    for each in frames:
        cameras.setdefault(each.camera, []).append(each)
    for mine in cameras.values():
        yield from _of_camera(mine, since, gap_s)


def _of_camera(frames: Sequence[FrameRow], since: datetime, gap_s: float) -> Iterator[tuple[FrameRow, ...]]:
    group: list[FrameRow] = []
    before: Shot | None = None
    # when the chain that this one is part of began; None: who knows, and too long ago to matter
    began = frames[0].at if frames[0].at - since >= SLOT else None
    for each in frames:
        shot = shot_of(each)
        if before is not None and group:
            if not follows(before, shot, gap_s=gap_s):
                yield _in_order(group)
                group, began = [], each.at
            elif _is_cut(group, each, began):
                yield _in_order(group)
                group = []
        group.append(each)
        before = shot
    if group:
        yield _in_order(group)


def _is_cut(group: Sequence[FrameRow], each: FrameRow, began: datetime | None) -> bool:
    """Whether a new sequence begins with a frame that follows the others."""
    if not each.timed:
        return len(group) >= LONGEST
    slot = slot_of(each.at)
    return slot != slot_of(group[-1].at) and (began is None or began < slot - SLOT)


def slot_of(at: datetime) -> datetime:
    """The begin of the ten minutes that a moment lies in."""
    return at - timedelta(seconds=at.minute % 10 * 60 + at.second, microseconds=at.microsecond)


def shot_of(frame: FrameRow) -> Shot:
    """What is to be known of a frame to tell its sequence."""
    return Shot(
        frame.station,
        frame.at if frame.timed else None,
        frame.camera,
        frame.burst,
        frame.burst_number,
        file_number(frame.name),
        frame.lasts_s,
    )


def _in_order(group: Sequence[FrameRow]) -> tuple[FrameRow, ...]:
    """As edge.fieldwork.sequences: what falls into one second came in any order."""

    def key(each: FrameRow) -> tuple[datetime, int, int, int]:
        return each.at, each.burst_number or 0, file_number(each.name) or 0, each.pk

    return tuple(sorted(group, key=key))
