"""One frame too large for one message: offered, sent in chunks from where the server says, until it says it is whole.

    offer → progress(offset) → chunk, chunk, … → progress(offset) … → ack

The server's offset is durable and always right: whatever is lost or doubled on the way, the next progress sets us right
(go back N). Pure: time comes in by argument, and the caller sends.
"""

from dataclasses import dataclass, field

FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 30.0
AHEAD_BYTES = 4_000_000  # sent and not yet durable at most: fills a link; what its loss makes us send twice


@dataclass(frozen=True, slots=True)
class Step:
    """What to send next: an offer (size 0), or `size` bytes from `offset` on."""

    offset: int = 0
    size: int = 0


@dataclass(slots=True)
class Transfer:
    """Where one large frame stands. size: of its body, bytes. durable: what the server has; sent: where we are."""

    frame_id: str
    size: int
    fresh: bool = False
    durable: int = 0
    sent: int = 0
    _asking: bool = True  # an offer must be answered first
    _offered: bool = False
    _went_back: bool = False
    _not_taken: int = 0  # messages that the broker has not acknowledged
    _silent_since_s: float = field(default=float("inf"))
    _tries: int = 0

    def next(self, *, chunk_bytes: int) -> Step | None:
        """What to send now; None when there is nothing to do but wait."""
        if self._asking:
            return None if self._offered else Step()
        size = min(chunk_bytes, self.size - self.sent, self.durable + AHEAD_BYTES - self.sent)
        return Step(self.sent, size) if size > 0 else None

    def went(self, step: Step) -> None:
        """This step was handed to the network."""
        self._not_taken += 1
        if step.size:
            self.sent = step.offset + step.size
        else:
            self._offered = True

    def taken(self, *, now_s: float) -> None:
        """The broker has one message more of us; from the last one on we wait for an answer."""
        self._not_taken = max(0, self._not_taken - 1)
        self._silent_since_s = now_s

    def progress(self, offset: int, *, now_s: float) -> None:
        """The server has the first `offset` bytes; below 0: it knows nothing of this frame."""
        if offset > self.size:
            return
        self._silent_since_s = now_s
        if offset < 0:
            self.durable = self.sent = 0
            self._asking, self._offered, self._went_back = True, False, False
        elif self._asking:
            self.durable = self.sent = offset
            self._asking, self._went_back = False, False
            self._tries = 0
        elif offset > self.durable:
            self.durable = offset
            self.sent = max(self.sent, offset)
            self._went_back, self._tries = False, 0
        elif offset <= self.durable and not self._went_back:
            # A chunk came out of turn: all that were under way with it will, too, and say so; once is enough.
            self.durable, self.sent, self._went_back = offset, offset, True

    def overdue(self, *, now_s: float) -> bool:
        """Whether an answer should have come by now; then the next step is to offer again: it asks for the offset."""
        if self.due_at_s() > now_s:
            return False
        self._asking, self._offered, self._silent_since_s = True, False, float("inf")
        self._tries += 1
        return True

    def due_at_s(self) -> float:
        """When an answer is overdue; infinity while none is, or the broker has not taken all: TCP looks after that."""
        waits = self._offered if self._asking else self.sent > self.durable or self.durable == self.size
        if self._not_taken or not waits:
            return float("inf")
        return self._silent_since_s + min(FIRST_WAIT_S * 2.0 ** min(self._tries, 8), LONGEST_WAIT_S)
