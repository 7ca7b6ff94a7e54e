"""What is sent next, and what follows from what comes back: the agent's half of the protocol, without a network.

The uplink asks `next`, publishes it, and tells what it heard. A frame leaves the spool only in `acked`. Nothing is read
from the disk before the network takes it, and nothing survives `reset`, which begins a connection.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.messages import Offer
from edge.wire import CHUNK_BYTES, ChunkHeader, FrameHeader

from .frame_file import DamagedFrameError, FrameFile
from .ledger import DISK_IS_FULL
from .queues import Waiting
from .schedule import Budget, Shares
from .spool import Spool
from .transfer import Step, Transfer
from .window import Window

log = logging.getLogger(__name__)
KEPT_FOR_FRESH = 2  # of the window's frames: a backlog never takes the last two
HEADER_BYTES = 600  # of topic, header and TCP beside the bytes of a frame, about; for the budget and the shares
SMALLEST_CHUNK = 65_536
OWED_AGAIN_S = 2.0
CHUNK_S = 2.0  # a chunk takes about so long, so that a fresh frame does not wait longer behind one


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish: what is the last level of its topic, "frame", "offer" or "chunk"."""

    what: str
    frame_id: str
    body: bytes
    properties: tuple[tuple[str, str], ...] = ()
    step: Step | None = None
    fresh: bool = False


@dataclass(slots=True)
class _Sent:
    out: Outgoing
    at_s: float
    outstanding: int  # bytes on their way when it went, its own included


class Delivery:
    """Frames of a spool under way on one connection after the other. Used by one thread.

    correct: gives a frame's header as it is to be sent, with its time corrected where that is possible by now.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        shares: Shares | None = None,
        budget: Budget | None = None,
        correct: Callable[[FrameFile], FrameHeader] = lambda frame: frame.header,
    ) -> None:
        self.shares = shares or Shares()
        self.out_of_budget = False
        self.last_refusal = ""
        self.acked_at_s: float | None = None  # when the last ack came, on the caller's clock
        self._spool = spool
        self._budget = budget
        self._correct = correct
        self._checked: set[str] = set()  # large frames whose hash was compared in this run; as many as were offered
        self._unusable: set[str] = set()  # damaged ones that a full disk does not let us set aside; until `reset`
        self._owed: set[str] = set()  # acknowledged, and not deleted for want of room for a note; one at most
        self._owed_at_s = 0.0
        self._bytes_a_second = SMALLEST_CHUNK * 2.0
        self.reset()

    def reset(self) -> None:
        """A new connection begins: what was under way and not acknowledged goes again."""
        self._window = Window()
        self._transfers: dict[str, Transfer] = {}  # at most one fresh and one of the rest
        self._sent: dict[int, _Sent] = {}  # by packet id; at most what the link lets be under way
        self._unusable.clear()
        self._spool.spare(())

    def next(self, *, now_s: float) -> Outgoing | None:
        """The message to publish now; None while there is nothing, or nothing more may be under way."""
        self.out_of_budget = False
        if self._owed and now_s - self._owed_at_s >= OWED_AGAIN_S:
            self._owed, self._owed_at_s = set(self._spool.delete(self._owed)), now_s
        while True:
            try:
                return self._next(now_s)
            except DamagedFrameError as exc:
                frame_id = str(exc).partition(":")[0]
                log.error("spool.damaged frame=%s reason=%r; set aside", frame_id, str(exc))  # noqa: TRY400  # because the reason is in the text
                self._set_aside(frame_id, "damaged")

    def went(self, out: Outgoing, *, mid: int, now_s: float) -> None:
        """This message was handed to the network under this packet id."""
        size = len(out.body) + HEADER_BYTES
        outstanding = size + sum(len(each.out.body) for each in self._sent.values())
        self._sent[mid] = _Sent(out, now_s, outstanding)
        self.shares.sent(size, fresh=out.fresh)
        if out.step is None:
            self._window.sent(out.frame_id, size=len(out.body))
        elif (transfer := self._transfers.get(out.frame_id)) is not None:
            transfer.went(out.step)
        self._spool.spare((*self._window.ids, *self._transfers))

    def taken(self, mid: int, *, now_s: float) -> None:
        """The broker has the message with this packet id, or will not have it."""
        sent = self._sent.pop(mid, None)
        if sent is None:
            return
        if len(sent.out.body) >= SMALLEST_CHUNK:
            speed = sent.outstanding / max(now_s - sent.at_s, 0.001)
            self._bytes_a_second += (speed - self._bytes_a_second) / 2
        if sent.out.step is None:
            self._window.taken(sent.out.frame_id, now_s=now_s)
        elif (transfer := self._transfers.get(sent.out.frame_id)) is not None:
            transfer.taken(now_s=now_s)

    def acked(self, frame_ids: Iterable[str], *, now_s: float) -> None:
        """The server has these durably: they go from the Pi, on a full disk as soon as that can be noted."""
        ids = list(frame_ids)
        for frame_id in ids:
            self._window.acked(frame_id, now_s=now_s)
            self._transfers.pop(frame_id, None)
            self._checked.discard(frame_id)
        self.acked_at_s = now_s
        self._owed = set(self._spool.delete({*ids, *self._owed}))
        self._owed_at_s = now_s

    def refused(self, frame_id: str, reason: str) -> bool:
        """The server will never take this one; False when there is none of this id."""
        self.last_refusal = reason
        return self._set_aside(frame_id, "refused")

    def progress(self, frame_id: str, offset: int, *, now_s: float) -> None:
        """The server has this much of a large frame; below 0: it is to be offered, or sent, again."""
        transfer = self._transfers.get(frame_id)
        if transfer is not None:
            transfer.progress(offset, now_s=now_s)
        elif offset < 0:
            self._window.again(frame_id)

    def wait_s(self, *, now_s: float) -> float | None:
        """Seconds until something is overdue; None when nothing will be."""
        due = [transfer.due_at_s() - now_s for transfer in self._transfers.values()]
        if (window_s := self._window.wait_s(now_s=now_s)) is not None:
            due.append(window_s)
        soonest = min(due, default=float("inf"))
        return max(0.0, soonest) if soonest != float("inf") else None

    def _next(self, now_s: float) -> Outgoing | None:
        for transfer in self._transfers.values():
            transfer.overdue(now_s=now_s)
        if (again := self._window.overdue(now_s=now_s)) is not None:
            out = self._whole(again, self._spool.open(again), fresh=False)
            return out if self._pay(out) else None
        under_way = {*self._window.ids, *self._transfers, *self._unusable, *self._owed}
        fresh = self._pick(self._spool.next_fresh(now_s=now_s, but=under_way), fresh=True)
        rest = self._pick(self._spool.next_rest(now_s=now_s, but=under_way), fresh=False)
        if fresh is None and rest is None:
            return None
        first, second = (fresh, rest)
        if not self.shares.fresh_is_next(fresh_waits=fresh is not None, rest_waits=rest is not None):
            first, second = (rest, fresh)
        for choice in (first, second):
            if choice is not None:
                out = self._make(choice, fresh=choice is fresh)
                if self._pay(out):
                    return out
        return None

    def _pick(self, waiting: Waiting | None, *, fresh: bool) -> Waiting | Transfer | None:
        """What this class sends now: a frame that fits into one message, or a step of a large one."""
        transfer = next((each for each in self._transfers.values() if each.fresh == fresh), None)
        has_step = transfer is not None and transfer.next(chunk_bytes=self._chunk_bytes()) is not None
        if transfer is not None and has_step and not fresh:
            return transfer  # what was begun is finished first; among fresh frames stills come first
        if waiting is not None:
            large = waiting.size > CHUNK_BYTES and self._spool.open(waiting.id).size > CHUNK_BYTES
            if large and transfer is None:
                return waiting
            if not large and self._window.has_room(waiting.size, keep_free=0 if fresh else KEPT_FOR_FRESH):
                return waiting
        return transfer if has_step else None

    def _make(self, choice: Waiting | Transfer, *, fresh: bool) -> Outgoing:
        if isinstance(choice, Transfer):
            return self._step(choice, self._spool.open(choice.frame_id))
        frame = self._spool.open(choice.id)
        if frame.size <= CHUNK_BYTES:
            return self._whole(choice.id, frame, fresh=fresh)
        if choice.id not in self._checked:
            frame.check()
            self._checked.add(choice.id)
        transfer = self._transfers[choice.id] = Transfer(choice.id, frame.size, fresh)
        return self._step(transfer, frame)

    def _whole(self, frame_id: str, frame: FrameFile, *, fresh: bool) -> Outgoing:
        return Outgoing("frame", frame_id, frame.read(), tuple(self._correct(frame).to_properties()), fresh=fresh)

    def _step(self, transfer: Transfer, frame: FrameFile) -> Outgoing:
        step = transfer.next(chunk_bytes=self._chunk_bytes())
        assert step is not None
        if not step.size:
            offer = Offer(self._correct(frame), frame.size).encode()
            return Outgoing("offer", transfer.frame_id, offer, step=step, fresh=transfer.fresh)
        header = ChunkHeader(transfer.frame_id, step.offset)
        part = frame.read_part(step.offset, step.size)
        return Outgoing("chunk", transfer.frame_id, part, tuple(header.to_properties()), step, transfer.fresh)

    def _pay(self, out: Outgoing) -> bool:
        """Take a message's bytes from the day's budget; False when there is too little left."""
        size = len(out.body) + HEADER_BYTES
        if self._budget is None:
            return True
        if not self._budget.allows(size):
            self.out_of_budget = True
            return False
        self._budget.spend(size)
        return True

    def _chunk_bytes(self) -> int:
        return int(min(max(self._bytes_a_second * CHUNK_S, SMALLEST_CHUNK), CHUNK_BYTES))

    def _set_aside(self, frame_id: str, reason: str) -> bool:
        self._window.forget(frame_id)
        self._transfers.pop(frame_id, None)
        self._checked.discard(frame_id)
        try:
            return self._spool.set_aside(frame_id, reason)
        except OSError as exc:
            if exc.errno not in DISK_IS_FULL:
                raise
            log.warning("spool.not_set_aside frame=%s reason=%r; tried again later", frame_id, exc.strerror)
            self._unusable.add(frame_id)
            return False
