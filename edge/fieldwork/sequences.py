"""Which frames belong together: pictures of one trigger, and triggers that follow at once. Streamed, pure.

A camera says it in its maker note (edge.media.makers: the burst's name and the number in it) or by the numbers of its
files; where it says nothing, the time between two frames decides. Two cameras at one station have sequences of their
own, also while their frames come in turn.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from ..model import Outcome

T = TypeVar("T")
BURST_GAP_S = 60.0  # pictures of one trigger: no trap waits longer between two of them; another such number is chance
RAPID_S = 2.0  # files numbered one after the other so soon are one trigger: EXIF knows whole seconds only
LONGEST = 10_000  # frames; a camera that never stops gives several sequences, so that memory stays bounded
_NUMBER = re.compile(r"(\d{1,9})(?=\.[^.]*$)")


@dataclass(frozen=True, slots=True)
class Shot:
    """What is to be known of a frame to tell its sequence.

    at: when it was taken, None when unknown. lasts_s: of a clip. camera: "" when it does not say. burst: what its
    trigger is called, "" when it does not say; burst_number: from 1. file_number: at the end of the file's name.
    """

    station: str
    at: datetime | None
    camera: str = ""
    burst: str = ""
    burst_number: int | None = None
    file_number: int | None = None
    lasts_s: float = 0.0


def shot_of(outcome: Outcome) -> Shot:
    """What is to be known of a recorded frame."""
    frame = outcome.spooled
    return Shot(
        frame.station,
        frame.captured.utc,
        frame.camera,
        frame.burst,
        frame.burst_number,
        file_number(frame.name),
        outcome.pictures[-1].time_s if frame.kind == "clip" and outcome.pictures else 0.0,
    )


def file_number(name: str) -> int | None:
    """The number at the end of a file's name, "…-RCNX0031.JPG" → 31; None where there is none."""
    found = _NUMBER.search(name)
    return int(found[1]) if found else None


def follows(before: Shot, after: Shot, *, gap_s: float) -> bool:
    """Whether two frames, one right after the other of the same camera, are of one sequence.

    gap_s: seconds between them that are none; 0 leaves the bursts alone.
    """
    if (before.station, before.camera) != (after.station, after.camera):
        return False
    same_burst = bool(before.burst) and before.burst == after.burst
    if before.at is None or after.at is None:
        return same_burst and before.at is after.at
    waited_s = abs((after.at - before.at).total_seconds())
    if after.at > before.at:
        waited_s = max(0.0, waited_s - before.lasts_s)
    if same_burst:
        return waited_s <= max(gap_s, BURST_GAP_S)
    if before.burst != after.burst or before.file_number is None:
        return waited_s < gap_s
    return waited_s < gap_s or (after.file_number == before.file_number + 1 and waited_s <= RAPID_S)


def sequences(
    frames: Iterable[T], *, gap_s: float, shot: Callable[[T], Shot], longest: int = LONGEST
) -> Iterator[tuple[T, ...]]:
    """The frames in groups, each one sequence: in the order in which they are over, each in the order of its pictures.

    frames: station by station, those of unknown time first, then by time, as edge.store.harvest gives them. gap_s: see
    `follows`. shot: what is to be known of a frame, e.g. `shot_of`. Memory is bounded by the sequences that are open
    at once, one a camera, of at most `longest` frames each.
    """
    opened: dict[str, list[tuple[Shot, T]]] = {}  # by camera, in the order in which they began
    for frame in frames:
        known = shot(frame)
        mine = opened.get(known.camera)
        over = mine is not None and (len(mine) >= longest or not follows(mine[-1][0], known, gap_s=gap_s))
        for camera, group in list(opened.items()):
            if (over and group is mine) or _is_over(group[-1][0], known, gap_s=gap_s):
                yield _in_order(opened.pop(camera))
        opened.setdefault(known.camera, []).append((known, frame))
    for group in opened.values():
        yield _in_order(group)


def _is_over(last: Shot, now: Shot, *, gap_s: float) -> bool:
    """Whether nothing that comes after `now` can belong to what ended with `last`."""
    if last.station != now.station or (last.at is None) != (now.at is None):
        return True
    if last.at is None or now.at is None or last.camera == now.camera:
        return False
    return (now.at - last.at).total_seconds() - last.lasts_s > max(gap_s, BURST_GAP_S)


def _in_order(group: list[tuple[Shot, T]]) -> tuple[T, ...]:
    """By time, then by the burst's numbers, then by the files': what falls into one second came in any order."""

    def key(each: tuple[Shot, T]) -> tuple[float, int, int]:
        shot = each[0]
        return shot.at.timestamp() if shot.at else 0.0, shot.burst_number or 0, shot.file_number or 0

    return tuple(frame for _shot, frame in sorted(group, key=key))
