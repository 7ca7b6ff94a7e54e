"""Events for Camtrap DP: which frames belong together, what was there, how many at once, which frame shows it best.

Frames come station by station in the order of time. Those of one burst or quick sequence are one event, blank ones
among them too; where the record has an encounter (edge/alerts/encounters.py: one kind, no gap longer than
`alerts.gap_min`), the sequences that show it are its event, and a sequence that shows several is that of the most
boxes. In memory are the sequences and encounters that are open at the moment.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge.api import Detection, Encountered, ExportContext, Outcome, Shot, follows, shot_of

from .found import blank_or_why, later, media_id, score_of, when

GAP_S = 10.0  # triggers that follow so soon are one sequence; longer gaps are the encounters' to bridge
GAP = timedelta(seconds=GAP_S)
BURST_GAP_S = 60.0  # as edge.fieldwork.sequences: no burst waits longer for its next picture
LONGEST = 500  # frames of a sequence that are held; a camera that never stops gives several


@dataclass(slots=True, eq=False)
class Kind:
    """A kind of an event. name: scientific, "" when unknown. fixed: the record knows its name. count: most at once.

    score, sure: of its surest observation, rounded and not. best: media id of the frame that shows it best. picture,
    together: the one in hand, and how many of its boxes so far.
    """

    category: str
    name: str
    lineage: tuple[str, ...]
    fixed: bool = False
    count: int = 0
    score: float = 0.0
    best: str = ""
    quality: float = -1.0
    sure: float = -1.0
    picture: tuple[str, int] = ("", -1)
    together: int = 0

    def holds(self, category: str, lineage: tuple[str, ...]) -> bool:
        """Whether this may be one of them: one's answer is at or above the other's."""
        if self.category != category:
            return False
        return lineage == self.lineage or all(a == b for a, b in zip(self.lineage, lineage, strict=False))

    def see(self, detection: Detection, number: str, picture: int) -> None:
        """Take one box of a picture of the frame with this media id."""
        answer = detection.answer
        if not self.fixed and answer is not None and len(answer.taxon.lineage) > len(self.lineage):
            self.name, self.lineage = answer.taxon.scientific_name, answer.taxon.lineage
        if self.picture != (number, picture):
            self.picture, self.together = (number, picture), 0
        self.together += 1
        self.count = max(self.count, self.together)
        score = answer.score if answer is not None else detection.score
        if score > self.sure:
            self.sure, self.score = score, score_of(detection)
        # the same as edge.alerts.encounters.quality
        quality = detection.score * (detection.xywh_norm[2] * detection.xywh_norm[3]) ** 0.5
        if quality > self.quality:
            self.best, self.quality = number, quality


@dataclass(slots=True, eq=False)
class Event:
    """An event as far as its frames were seen. met_until: when the encounter that it is ends; None for a sequence.

    outcome: its first frame. blank: whether a frame of it was looked at and shows nothing; unseen: whether one was not
    looked at.
    """

    uid: str
    station: str
    timezone: str
    start: datetime
    end: datetime
    met_from: datetime | None = None
    met_until: datetime | None = None
    outcome: Outcome | None = None
    kinds: list[Kind] = field(default_factory=list)
    blank: bool = False
    unseen: bool = False

    def see(self, outcome: Outcome) -> None:
        """Take one frame."""
        if self.outcome is None:
            self.outcome = outcome
        number, at, nothing = media_id(outcome), when(outcome), True
        self.start = min(self.start, at)
        for picture in outcome.pictures:
            for detection in picture.detections:
                nothing = False
                self._kind_of(detection).see(detection, number, picture.number)
        last_s = outcome.pictures[-1].time_s if outcome.pictures else 0.0
        end = later(at, last_s) if last_s else at
        self.end = max(self.end, end)
        if nothing:
            if blank_or_why(outcome)[0] == "blank":
                self.blank = True
            else:
                self.unseen = True

    def _kind_of(self, detection: Detection) -> Kind:
        lineage = detection.answer.taxon.lineage if detection.answer else ()
        for kind in self.kinds:
            if kind.holds(detection.category, lineage):
                return kind
        name = detection.answer.taxon.scientific_name if detection.answer else ""
        self.kinds.append(Kind(detection.category, name, lineage))
        return self.kinds[-1]


@dataclass(slots=True, eq=False)
class _Sequence:
    """Frames that belong together. uid: of its event, once it is over."""

    frames: list[Outcome]
    uid: str = ""


class Events:
    """Takes frames; hands each on with the id of its event, in the same order, and every event that is over."""

    def __init__(
        self, context: ExportContext, *, write: Callable[[Outcome, str], None], done: Callable[[Event], None]
    ) -> None:
        self._context = context
        self._write = write
        self._done = done
        self._station: str | None = None
        self._coming: Iterator[Encountered] = iter(())
        self._next: Encountered | None = None
        self._met: list[Event] = []
        self._open: dict[str, _Sequence] = {}  # by camera
        self._waiting: deque[tuple[Outcome, _Sequence]] = deque()

    def add(self, outcome: Outcome) -> None:
        """Take one frame."""
        station = outcome.spooled.station
        if station != self._station:
            self.finish()
            self._station = station
            self._coming = self._context.encounters_of(station)
            self._next = next(self._coming, None)
        camera = outcome.spooled.camera
        mine = self._open.get(camera)
        if mine is not None and (len(mine.frames) >= LONGEST or not _follows(mine.frames[-1], outcome)):
            self._close(camera)
            mine = None
        if len(self._open) > (mine is not None):
            shot = shot_of(outcome)
            for other in [each for each, one in self._open.items() if _is_over(shot_of(one.frames[-1]), shot)]:
                self._close(other)
        if mine is None:
            mine = self._open[camera] = _Sequence([])
        mine.frames.append(outcome)
        self._waiting.append((outcome, mine))
        self._hand_on()

    def finish(self) -> None:
        """Hand on what is still open."""
        for camera in list(self._open):
            self._close(camera)
        self._hand_on()
        self._expire(None)

    def _hand_on(self) -> None:
        while self._waiting and self._waiting[0][1].uid:
            outcome, sequence = self._waiting.popleft()
            self._write(outcome, sequence.uid)

    def _close(self, camera: str) -> None:
        sequence = self._open.pop(camera)
        first = sequence.frames[0]
        self._advance(sequence)
        event = self._encounter_in(sequence.frames) if self._met else None
        own = event is None
        if event is None:
            at = when(first)
            event = Event(media_id(first), first.spooled.station, first.spooled.captured.timezone, at, at)
        for outcome in sequence.frames:
            event.see(outcome)
        sequence.uid = event.uid
        if own:
            self._done(event)

    def _advance(self, sequence: _Sequence) -> None:
        """Have those encounters open that this sequence may show."""
        first, last = sequence.frames[0].spooled.captured.utc, sequence.frames[-1].spooled.captured.utc
        if first is None or last is None:  # these come before all others, in no order of time
            return
        if self._met:
            begun = [one.frames[0].spooled.captured.utc for one in self._open.values()] if self._open else []
            self._expire(min((at for at in begun if at is not None and at < first), default=first))
        while self._next is not None and self._next.started_at <= last:
            if self._next.last_at >= first:
                self._met.append(_opened(self._next, sequence.frames[0].spooled.captured.timezone))
            self._next = next(self._coming, None)

    def _expire(self, at: datetime | None) -> None:
        """Hand on the encounters that ended before `at`; None: all."""
        over = [each for each in self._met if at is None or each.met_until is None or each.met_until < at]
        if not over:
            return
        self._met = [each for each in self._met if each not in over]
        for event in over:
            if event.outcome is not None:
                self._done(event)

    def _encounter_in(self, frames: list[Outcome]) -> Event | None:
        """The encounter that most boxes of a sequence show, the first of equals; None when they show none."""
        boxes: dict[str, int] = {}
        for outcome in frames:
            at = outcome.spooled.captured.utc
            if at is None:
                continue
            here = [each for each in reversed(self._met) if _spans(each, at)]
            for picture in outcome.pictures:
                for detection in picture.detections:
                    lineage = detection.answer.taxon.lineage if detection.answer else ()
                    for event in here:
                        if event.kinds[0].holds(detection.category, lineage):
                            boxes[event.uid] = boxes.get(event.uid, 0) + 1
                            break
        if not boxes:
            return None
        uid = max(boxes, key=lambda each: boxes[each])
        return next(event for event in self._met if event.uid == uid)


def _spans(event: Event, at: datetime) -> bool:
    return event.met_from is not None and event.met_until is not None and event.met_from <= at <= event.met_until


def _follows(before: Outcome, after: Outcome) -> bool:
    """Whether a frame is of the sequence of another of its camera."""
    first, then = before.spooled, after.spooled
    if not then.burst and first.kind == "still" and first.captured.utc is not None and then.captured.utc is not None:
        apart = then.captured.utc - first.captured.utc
        if apart >= GAP:  # most frames: nothing else needs to be known
            return False
    return follows(shot_of(before), shot_of(after), gap_s=GAP_S)


def _is_over(last: Shot, now: Shot) -> bool:
    """Whether nothing that comes after `now` can belong to what another camera ended with `last`."""
    if last.camera == now.camera:
        return False
    if last.at is None or now.at is None:
        return (last.at is None) != (now.at is None)
    return (now.at - last.at).total_seconds() - last.lasts_s > BURST_GAP_S


def _opened(found: Encountered, timezone: str) -> Event:
    name = found.lineage[-1] if found.lineage else ""
    kind = Kind(found.category, name, found.lineage, fixed=True)
    start, end = found.started_at, found.last_at
    return Event(found.uid, found.station, timezone, start, end, start, end, kinds=[kind])
