"""Which event a detection belongs to, for Camtrap DP: the site's encounters, else the frame it was seen on.

Frames come station by station in the order of time, and so do encounters: only those that are open at the moment are in
memory. An event's count is the most of it that one picture shows: more were there at once, fewer can't have been.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from edge.api import Detection, Encountered, ExportContext, Outcome

from .found import later, media_id, score_of, when


@dataclass(slots=True)
class Event:
    """An event as far as its frames were seen. name: scientific, "" when unknown. score: of its surest observation.

    picture, together: the one in hand, and how many of its boxes so far.
    """

    uid: str
    station: str
    timezone: str
    category: str
    name: str
    lineage: tuple[str, ...]
    start: datetime
    end: datetime
    count: int = 0
    score: float = 0.0
    picture: tuple[str, int] = ("", -1)
    together: int = 0

    def holds(self, detection: Detection) -> bool:
        """Whether a detection may be what the event is about: one's answer is at or above the other's."""
        lineage = detection.answer.taxon.lineage if detection.answer else ()
        if self.category != detection.category:
            return False
        return lineage == self.lineage or all(a == b for a, b in zip(self.lineage, lineage, strict=False))


class Events:
    """Takes frames, names each detection's event, and hands on every event that is over."""

    def __init__(self, context: ExportContext, done: Callable[[Event], None]) -> None:
        self._context = context
        self._done = done
        self._station: str | None = None
        self._coming: Iterator[Encountered] = iter(())
        self._next: Encountered | None = None
        self._open: list[Event] = []

    def of(self, outcome: Outcome) -> list[list[str]]:
        """The id of the event of each detection, in each picture of the frame."""
        self._advance(outcome)
        if not any(picture.detections for picture in outcome.pictures):
            return [[] for _picture in outcome.pictures]
        number = media_id(outcome)
        own: dict[tuple[str, str], Event] = {}
        ids: list[list[str]] = []
        for picture in outcome.pictures:
            at = later(when(outcome), picture.time_s) if picture.time_s else when(outcome)
            events = [self._event_of(detection, outcome, own) for detection in picture.detections]
            for event, detection in zip(events, picture.detections, strict=True):
                if event.picture != (key := (number, picture.number)):
                    event.picture, event.together = key, 0
                event.together += 1
                event.count = max(event.count, event.together)
                event.score = max(event.score, score_of(detection))
                event.end = max(event.end, at)
            ids.append([event.uid for event in events])
        for event in own.values():
            self._done(event)
        return ids

    def finish(self) -> None:
        """Hand on what is still open."""
        self._expire(None)

    def _advance(self, outcome: Outcome) -> None:
        spooled = outcome.spooled
        if spooled.station != self._station:
            self._expire(None)
            self._station = spooled.station
            self._coming = self._context.encounters_of(spooled.station)
            self._next = next(self._coming, None)
        at = spooled.captured.utc
        if at is None:  # these come before all others, in no order of time
            return
        self._expire(at)
        while self._next is not None and self._next.started_at <= at:
            if self._next.last_at >= at:
                self._open.append(_opened(self._next, spooled.captured.timezone))
            self._next = next(self._coming, None)

    def _expire(self, at: datetime | None) -> None:
        if not self._open:
            return
        over = [event for event in self._open if at is None or event.end < at]
        self._open = [] if at is None else [event for event in self._open if event.end >= at]
        for event in over:
            if event.count:
                self._done(event)

    def _event_of(self, detection: Detection, outcome: Outcome, own: dict[tuple[str, str], Event]) -> Event:
        if outcome.spooled.captured.utc is not None:
            for event in reversed(self._open):
                if event.holds(detection):
                    return event
        taxon = detection.answer.taxon if detection.answer else None
        name = taxon.scientific_name if taxon else ""
        at, key = when(outcome), (detection.category, name)
        if key not in own:
            own[key] = Event(
                f"{media_id(outcome)}#{len(own)}",
                outcome.spooled.station,
                outcome.spooled.captured.timezone,
                detection.category,
                name,
                taxon.lineage if taxon else (),
                at,
                at,
            )
        return own[key]


def _opened(found: Encountered, timezone: str) -> Event:
    name = found.lineage[-1] if found.lineage else ""
    return Event(
        found.uid, found.station, timezone, found.category, name, found.lineage, found.started_at, found.last_at
    )
