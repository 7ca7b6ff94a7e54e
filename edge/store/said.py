"""Which of the answers that people gave are in force. Pure; the same for exports and for what the page shows."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


def in_force(answers: Iterable[T], *, about: Callable[[T], Hashable], imported: Callable[[T], bool]) -> list[T]:
    """Of what is about the same (a box of a frame, or the whole frame) the newest.

    An imported one stands with the others of its data set, which may name several kinds. answers: oldest first, none
    of them undone.
    """
    groups: dict[Hashable, list[T]] = {}
    for each in answers:
        groups.setdefault(about(each), []).append(each)
    found: list[T] = []
    for group in groups.values():
        newest = group[-1]
        found += [each for each in group if imported(each)] if imported(newest) else [newest]
    return found
