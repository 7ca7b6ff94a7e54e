"""Frames that found no room, and when their agents are asked for them again.

An agent left to itself sends again after pauses of up to 30 s, so that a server that is down is not buried in copies.
One that has only run out of room for a while knows when there is some: it asks for one frame every other second, of
all stations together, and as soon as one was taken for all the others.
"""

from collections import OrderedDict

MOST = 256  # frames kept in mind; whoever is forgotten comes by itself
ASK_S = 2.0


class Deferred:
    """The frames, (station, id), oldest first. now_s: any monotonic clock."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._asked: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._ask_at_s = float("-inf")
        self._has_room = False

    def add(self, station: str, frame_id: str, *, now_s: float) -> None:
        """There was no room for this one."""
        if not self._waiting:
            self._ask_at_s = now_s + ASK_S
        self._has_room = False
        self._waiting[station, frame_id] = None
        self._asked.pop((station, frame_id), None)
        while len(self._waiting) > MOST:
            self._waiting.popitem(last=False)

    def taken(self, station: str, frame_id: str) -> None:
        """There was room for this one. If it had to wait, there may be room for the others now."""
        key = (station, frame_id)
        if key in self._waiting or key in self._asked:
            self._waiting.pop(key, None)
            self._asked.pop(key, None)
            self._has_room = True

    def due(self, *, now_s: float) -> list[tuple[str, str]]:
        """Those that are to be asked for now. One that comes and finds no room again is `add`ed again."""
        if self._waiting and self._has_room:
            found = list(self._waiting)
            self._waiting.clear()
        elif self._waiting and now_s >= self._ask_at_s:
            self._ask_at_s = now_s + ASK_S
            found = [self._waiting.popitem(last=False)[0]]
        else:
            found = []
        self._has_room = False
        self._asked.update(dict.fromkeys(found))
        while len(self._asked) > MOST:
            self._asked.popitem(last=False)
        return found
