"""Which frame is next: the frames that wait, in the order in which they should go. Pure; the spool tells it the time.

    fresh  1. thumbnails, oldest first   2. frames taken less than fresh_s ago, oldest first
    rest   3. full images that were asked for   4. the backlog, oldest first
    held   full images whose thumbnail goes ahead, when only wanted ones are to be sent

Shares between the two classes are dealt out in schedule.py.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

FRESH_S = 120.0
SPARED_S = 3600.0  # frames of the last hour go last: somebody may be about to ask for them


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame that waits. size: of its file, bytes. taken_s: on the monotonic clock, -inf for an earlier start.

    thumbnail: it is one. announced_by: id of the thumbnail that goes, or went, ahead; "" when there is none.
    """

    id: str
    size: int
    kind: str
    taken_s: float
    thumbnail: bool = False
    announced_by: str = ""


class Queues:
    """The frames that wait. Each is in exactly one queue; every change costs the same however many wait."""

    def __init__(self, *, fresh_s: float = FRESH_S, only_wanted: bool = False) -> None:
        self._fresh_s = fresh_s
        self._only_wanted = only_wanted
        # Bounded by the spool's max_bytes, as all here. A plain dict is smaller, and slow only at its front, once much
        # of it is deleted; the others are asked for their front.
        self._all: dict[str, Waiting] = {}
        self._thumbnails: OrderedDict[str, Waiting] = OrderedDict()
        self._fresh: OrderedDict[str, Waiting] = OrderedDict()
        self._wanted: OrderedDict[str, Waiting] = OrderedDict()
        self._backlog: OrderedDict[str, Waiting] = OrderedDict()
        self._held: OrderedDict[str, Waiting] = OrderedDict()
        self._queues = (self._thumbnails, self._fresh, self._wanted, self._backlog, self._held)
        self._asked: set[str] = set()  # of `_all`

    @property
    def all(self) -> dict[str, Waiting]:
        """Every frame that waits, in the order of capture."""
        return self._all

    def first(self) -> Waiting | None:
        """The one that waits longest."""
        fronts = (_first(queue, ()) for queue in self._queues)
        return min((each for each in fronts if each), key=lambda each: each.id.rpartition("-")[2], default=None)

    @property
    def held(self) -> Mapping[str, Waiting]:
        """Full images that are sent only when they are asked for, in the order of capture."""
        return self._held

    def rule(self, *, fresh_s: float, only_wanted: bool) -> None:
        """Change the rules, also for what waits already."""
        self._fresh_s, self._only_wanted = fresh_s, only_wanted
        for queue in self._queues:
            queue.clear()
        for frame in self._all.values():
            self._queue_for(frame)[frame.id] = frame

    def add(self, frame: Waiting) -> None:
        """A frame more; they come in the order of capture."""
        self._all[frame.id] = frame
        self._queue_for(frame)[frame.id] = frame

    def remove(self, frame_id: str) -> Waiting | None:
        """A frame less; None when it is none of ours."""
        frame = self._all.pop(frame_id, None)
        self._asked.discard(frame_id)
        for queue in self._queues:
            queue.pop(frame_id, None)
        return frame

    def want(self, frame_id: str) -> bool:
        """This one before the backlog; False when it is none of ours."""
        frame = self._all.get(frame_id)
        if frame is None:
            return False
        self._asked.add(frame_id)
        for queue in (self._fresh, self._backlog, self._held):
            if queue.pop(frame_id, None) is not None:
                self._wanted[frame_id] = frame
        return True

    def next_fresh(self, *, now_s: float, but: Collection[str] = ()) -> Waiting | None:
        """The thumbnail or fresh frame whose turn it is, without those in `but`."""
        self._age(now_s)
        return _first(self._thumbnails, but) or _first(self._fresh, but)

    def next_rest(self, *, now_s: float, but: Collection[str] = ()) -> Waiting | None:
        """The wanted image or the frame of the backlog whose turn it is, without those in `but`."""
        self._age(now_s)
        return _first(self._wanted, but) or _first(self._backlog, but)

    def _queue_for(self, frame: Waiting) -> OrderedDict[str, Waiting]:
        if frame.thumbnail:
            return self._thumbnails
        if frame.id in self._asked:
            return self._wanted
        if frame.announced_by and self._only_wanted:
            return self._held
        # Where it goes from here is for _age to say, which moves the oldest first.
        return self._fresh

    def _age(self, now_s: float) -> None:
        while self._fresh:
            frame = next(iter(self._fresh.values()))
            if now_s - frame.taken_s < self._fresh_s:
                return
            del self._fresh[frame.id]
            self._backlog[frame.id] = frame


def _first(queue: Mapping[str, Waiting], but: Collection[str]) -> Waiting | None:
    return next((frame for frame_id, frame in queue.items() if frame_id not in but), None)


def victims(policy: str, queues: Queues, *, now_s: float) -> Iterable[str]:
    """The frames that may go to make room, in the order in which they should; see docs/agent.md.

    keep_oldest: only full images that nobody asked for and whose thumbnail has arrived. keep_newest: the oldest.
    thin: every second still of more than an hour, then every second clip, then every second frame of the last hour.
    Thumbnails go last: they are small, and all that is left of many frames.
    """
    frames = queues.all.values()
    if policy == "keep_oldest":
        return [frame.id for frame in queues.held.values() if frame.announced_by not in queues.all]
    if policy == "keep_newest":
        return [frame.id for frame in frames if not frame.thumbnail] or [frame.id for frame in frames]
    old = [frame for frame in frames if not frame.thumbnail and now_s - frame.taken_s >= SPARED_S]
    stills = [frame.id for frame in old if frame.kind == "still"]
    clips = [frame.id for frame in old if frame.kind != "still"]
    young = [frame.id for frame in frames if not frame.thumbnail and now_s - frame.taken_s < SPARED_S]
    left = stills or clips or young or [frame.id for frame in frames]
    return left[1::2] or left
