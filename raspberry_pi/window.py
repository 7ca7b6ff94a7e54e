"""Which frames are under way on one connection, and which of them must be sent again."""

from collections.abc import Collection
from dataclasses import dataclass

FRAMES = 8  # under way at once: fills the link's delay; what a crash of the server makes us send twice
BYTES = 16 * 2**20  # of frames in memory at once; a larger frame goes alone
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 30.0
GIVEN_UP_DELAY_S = 10.0  # an answer after an outage says nothing of how fast the server is


@dataclass(slots=True)
class _UnderWay:
    size: int
    first_taken_at: float | None = None
    taken_at: float | None = None
    copies: int = 1
    asked_for: bool = False


class Window:
    """Frames sent and not yet acknowledged by the server.

    The wait for an ack starts when the broker has the frame (its PUBACK): until then TCP looks after it, however slow
    the link. It is 2 s, more where acks usually take longer, and doubles with every copy up to 30 s, so that a server
    that is down is not buried in copies.
    """

    def __init__(self, *, frames: int = FRAMES, size_bytes: int = BYTES) -> None:
        self._frames = frames
        self._bytes = size_bytes
        self._under_way: dict[str, _UnderWay] = {}
        self._usual_delay_s = 0.0

    @property
    def ids(self) -> Collection[str]:
        """The frames under way."""
        return self._under_way.keys()

    def has_room(self, size: int, *, keep_free: int = 0) -> bool:
        """Whether a frame of this many bytes may be sent now and `keep_free` more after it."""
        used = sum(each.size for each in self._under_way.values())
        return not used or (len(self._under_way) + keep_free < self._frames and used + size <= self._bytes)

    def sent(self, frame_id: str, *, size: int) -> None:
        """A copy of this frame was handed to the network."""
        known = self._under_way.get(frame_id)
        if known is None:
            self._under_way[frame_id] = _UnderWay(size)
        else:
            known.taken_at = None
            known.copies += 1
            known.asked_for = False

    def taken(self, frame_id: str, *, now_s: float) -> None:
        """The broker has this frame, or will not have it; the wait starts."""
        if (known := self._under_way.get(frame_id)) is not None:
            known.taken_at = now_s
            known.first_taken_at = now_s if known.first_taken_at is None else known.first_taken_at

    def acked(self, frame_id: str, *, now_s: float) -> None:
        """The server has this frame."""
        known = self._under_way.pop(frame_id, None)
        if known is not None and known.first_taken_at is not None:
            delay_s = min(now_s - known.first_taken_at, GIVEN_UP_DELAY_S)
            self._usual_delay_s += (delay_s - self._usual_delay_s) / 4

    def again(self, frame_id: str) -> None:
        """The server asks for this frame, for which it had no room before."""
        if (known := self._under_way.get(frame_id)) is not None:
            known.asked_for = True

    def forget(self, frame_id: str) -> None:
        """This frame is not to be sent again."""
        self._under_way.pop(frame_id, None)

    def overdue(self, *, now_s: float) -> str | None:
        """A frame whose ack should have come by now; None when there is none."""
        return next((each for each, known in self._under_way.items() if self._due_at(known) <= now_s), None)

    def wait_s(self, *, now_s: float) -> float | None:
        """Seconds until a frame is overdue; None when none will be."""
        due = [self._due_at(known) for known in self._under_way.values() if known.taken_at is not None]
        return max(0.0, min(due) - now_s) if due else None

    def _due_at(self, known: _UnderWay) -> float:
        if known.taken_at is None:
            return float("inf")
        if known.asked_for:
            return known.taken_at
        first_s = max(FIRST_WAIT_S, 3 * self._usual_delay_s)
        doublings = min(known.copies - 1, 8)  # more would only overflow
        return known.taken_at + min(first_s * 2.0**doublings, LONGEST_WAIT_S)
