"""Frames that come in pieces: offered, appended piece by piece, each synced before it is answered, and then a frame.

    <state_dir>/incoming/<station>/<id>.json   the offer
    <state_dir>/incoming/<station>/<id>.part   what is here so far: its length is the offset that is expected next

Nothing of it is kept in memory that kill -9 could take away. A piece at another offset changes nothing and is answered
with the one that is expected (go back N).
"""

import contextlib
import os
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path

from edge.api import (
    Event,
    FrameError,
    RetryableError,
    Services,
    Sink,
    SpoolFull,
    crash,
    messages,
    sync_dir,
    wire,
    write_atomically,
)

from .mqtt_incoming import incoming_of, is_damaged

ABANDONED_S = 7 * 24 * 3600.0  # half a frame without news for so long is removed
MOST_OPEN = 64  # offers of one station at once; each is a small file
MOST_REMEMBERED = 64  # offers kept in memory so as not to be read again for each piece
MAX_DAMAGED = 3  # so often a frame may arrive whole with a wrong hash


@dataclass(frozen=True, slots=True)
class Refusal:
    """This frame will never be taken."""

    id: str
    reason: str


Answer = str | Refusal | messages.Progress  # the frame's id: durable


class Pieces:
    """The folder of frames that are not whole yet."""

    def __init__(self, services: Services, sink: Sink) -> None:
        self._services = services
        self._sink = sink
        self._folder = services.state_dir / "incoming"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._offers: OrderedDict[tuple[str, str], messages.Offer] = OrderedDict()
        self._damaged: Counter[tuple[str, str]] = Counter()
        for leftover in self._folder.glob("*/.*.part"):  # of an offer, cut short by kill -9
            leftover.unlink()
        self._total_bytes = sum(path.stat().st_size for path in self._folder.glob("*/*.part"))
        with contextlib.suppress(RetryableError):  # a limit that was lowered since; what is here is here
            sink.hold("mqtt", self._total_bytes)

    def offered(self, station: str, offer: messages.Offer) -> Answer:
        """A station offers a frame. Raises RetryableError when there is no room for it now."""
        frame_id, header = offer.header.id, offer.header
        known = self._sink.sha256_of(station, frame_id)
        if known == header.sha256:
            self._forget(station, frame_id)
            return frame_id
        if known is not None:
            self._forget(station, frame_id)
            return Refusal(frame_id, f"frame id {frame_id!r} of station {station!r} is taken by other content")
        before = self._offer_of(station, frame_id)
        if before is not None and (before.header.sha256, before.size) != (header.sha256, offer.size):
            self._forget(station, frame_id)
            before = None
        if before != offer:  # new, or its time was corrected meanwhile
            self._write_offer(station, offer, is_new=before is None)
        return self._next(station, offer)

    def arrived(self, station: str, chunk: wire.ChunkHeader, body: bytes) -> Answer:
        """A piece of a frame. Raises WireError when it can't be one of this frame, RetryableError as `offered`."""
        offer = self._offer_of(station, chunk.id)
        if offer is None:
            known = self._sink.sha256_of(station, chunk.id)  # a late copy of a piece of what is done already
            return messages.Progress(chunk.id, messages.UNKNOWN) if known is None else chunk.id
        if chunk.offset + len(body) > offer.size:
            raise wire.WireError(f"chunk ends at {chunk.offset + len(body)}, the frame has {offer.size} bytes")
        if body and chunk.offset == self._size_of(station, chunk.id):
            self._append(station, chunk.id, chunk.offset, body)
        return self._next(station, offer)

    def clean(self) -> None:
        """Remove what was abandoned, and count it."""
        now = self._services.clock.now()
        for offer_path in self._folder.glob("*/*.json"):
            station, frame_id = offer_path.parent.name, offer_path.stem
            parts = [path for path in (offer_path, self._part(station, frame_id)) if path.exists()]
            newest = max(path.stat().st_mtime for path in parts)
            if now.timestamp() - newest > ABANDONED_S:
                self._forget(station, frame_id)
                fields = {"source": "mqtt", "reason": "half of it, and no news for 7 days", "refusal": "abandoned"}
                event = Event("receive", now, ok=False, station=station, frame_id=frame_id, fields=fields)
                self._services.emit(event)

    def _next(self, station: str, offer: messages.Offer) -> Answer:
        size = self._size_of(station, offer.header.id)
        return messages.Progress(offer.header.id, size) if size < offer.size else self._finish(station, offer)

    def _finish(self, station: str, offer: messages.Offer) -> Answer:
        """All is here: make it a frame, as any other."""
        frame_id = offer.header.id
        part = self._part(station, frame_id)
        incoming = incoming_of(self._services, station, offer.header, part)
        (result,) = self._sink.receive_many([incoming])
        if isinstance(result, RetryableError):
            raise result
        if isinstance(result, FrameError) and is_damaged(incoming):
            self._damaged[station, frame_id] += 1
            if self._damaged[station, frame_id] < MAX_DAMAGED:
                self._truncate(station, frame_id, 0)
                self._hold(self._total_bytes - offer.size)
                return messages.Progress(frame_id, 0)
        crash.reached("pieces.whole")
        self._forget(station, frame_id)
        return frame_id if isinstance(result, bool) else Refusal(frame_id, str(result))

    def _append(self, station: str, frame_id: str, offset: int, body: bytes) -> None:
        """Add bytes at the end, durable on return. Raises RetryableError, and the file is as it was."""
        self._hold(self._total_bytes + len(body))
        try:
            with self._part(station, frame_id).open("ab") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            crash.reached("pieces.synced")
        except OSError as exc:
            self._truncate(station, frame_id, offset)
            self._hold(self._total_bytes - len(body))
            raise SpoolFull(f"incoming: {exc.strerror or exc}") from exc

    def _hold(self, total_bytes: int) -> None:
        self._sink.hold("mqtt", total_bytes)
        self._total_bytes = total_bytes

    def _truncate(self, station: str, frame_id: str, size: int) -> None:
        with contextlib.suppress(OSError):  # what stays is the beginning of what was to be written
            os.truncate(self._part(station, frame_id), size)

    def _forget(self, station: str, frame_id: str) -> None:
        """Remove what is here of a frame; the offer last, as it stands for the piece."""
        size = self._size_of(station, frame_id)
        self._part(station, frame_id).unlink(missing_ok=True)
        crash.reached("pieces.removed")
        self._offer_path(station, frame_id).unlink(missing_ok=True)
        self._offers.pop((station, frame_id), None)
        self._damaged.pop((station, frame_id), None)
        if size:
            self._hold(self._total_bytes - size)

    def _write_offer(self, station: str, offer: messages.Offer, *, is_new: bool) -> None:
        """Keep an offer, durable on return. Raises SpoolFull."""
        folder, frame_id = self._folder / station, offer.header.id
        try:
            if not folder.is_dir():
                folder.mkdir()
                sync_dir(self._folder)
            if is_new:
                if sum(1 for _each in folder.glob("*.json")) >= MOST_OPEN:
                    raise SpoolFull(f"incoming: {MOST_OPEN} frames of station {station!r} are open already")
                self._part(station, frame_id).touch()
            write_atomically(self._offer_path(station, frame_id), offer.encode())
        except OSError as exc:
            raise SpoolFull(f"incoming: {exc.strerror or exc}") from exc
        self._remember(station, offer)

    def _offer_of(self, station: str, frame_id: str) -> messages.Offer | None:
        if offer := self._offers.get((station, frame_id)):
            return offer
        try:
            offer = messages.Offer.decode(self._offer_path(station, frame_id).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, wire.WireError) as exc:  # a damaged disk: it is offered again, and begins anew
            self._services.log.warning("incoming.unreadable", station=station, frame_id=frame_id, reason=str(exc))
            self._forget(station, frame_id)
            return None
        self._remember(station, offer)
        return offer

    def _remember(self, station: str, offer: messages.Offer) -> None:
        self._offers[station, offer.header.id] = offer
        while len(self._offers) > MOST_REMEMBERED:
            self._offers.popitem(last=False)

    def _size_of(self, station: str, frame_id: str) -> int:
        try:
            return self._part(station, frame_id).stat().st_size
        except FileNotFoundError:
            return 0

    def _part(self, station: str, frame_id: str) -> Path:
        return self._folder / station / f"{frame_id}.part"

    def _offer_path(self, station: str, frame_id: str) -> Path:
        return self._folder / station / f"{frame_id}.json"
