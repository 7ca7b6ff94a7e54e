"""What exporters share that give pictures away: which may go, what they are called, and copying them."""

import os
import shutil
from collections import Counter
from pathlib import Path

from edge.api import Outcome, Services

PEOPLE = ("person", "vehicle")
KEPT = "kept"  # of a frame's original


def shows_people(outcome: Outcome) -> bool:
    """Whether a person or vehicle was found on the frame, by anyone; also where a filter has taken the box away."""
    if outcome.beside is not None and outcome.beside.people:
        return True
    return any(each.category in PEOPLE for each in outcome.detections())


def why_not(outcome: Outcome, *, people: bool) -> str:
    """Why the picture can't be given away, "" when it can. people: those that show people may be."""
    if shows_people(outcome) and not people:
        return "people"
    if outcome.beside is not None and outcome.beside.original != KEPT:
        return "withheld"
    path = outcome.spooled.path
    return "" if path != Path() and path.is_file() else "missing"


def copy_picture(source: Path, target: Path, *, link: bool = False) -> None:
    """Put a picture at `target`, with its time; link: as a second name of the same file where the disk allows that."""
    if link:
        try:
            os.link(source, target)
        except OSError:  # another disk, or one that has no links
            pass
        else:
            return
    shutil.copyfile(source, target)
    keep_time(source, target)


def keep_time(source: Path, target: Path) -> None:
    """Give the copy the file time of its original, which some tools take for the time of capture."""
    stat = source.stat()
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def say_left_out(services: Services, name: str, left_out: Counter[str]) -> None:
    """Say how many pictures are not there, and why."""
    if left_out:
        services.log.warning("export.left_out", format=name, **dict(sorted(left_out.items())))
