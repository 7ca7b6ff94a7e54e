"""What a condition is judged by: one detection where and when it was seen, and what was seen there before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..model import Detection, Outcome, PictureResult
from ..services import Station
from .zones import Point


@dataclass(frozen=True, slots=True)
class Sight:
    """One detection where it was seen.

    picture: the one it is in. outcome: of the whole frame. at: when it was captured, aware, or None when nobody knows.
    began: when the encounter it belongs to began; None when it begins with this one.
    """

    detection: Detection
    picture: PictureResult
    outcome: Outcome
    station: Station
    at: datetime | None = None
    began: datetime | None = None

    @property
    def place(self) -> Point | None:
        """Latitude and longitude of the station."""
        here = self.station
        return None if here.latitude is None or here.longitude is None else (here.latitude, here.longitude)


class Past(Protocol):
    """The encounters on record."""

    def times(
        self, station: str, *, names: Collection[str] | None, category: str | None, since: datetime, before: datetime
    ) -> Sequence[datetime]:
        """When encounters at a station began: aware, since ≤ begin < before.

        names: folded scientific names; an encounter counts when any is in its lineage. category: the detector's.
        None leaves out that question.
        """


class NoPast:
    """A Past without records."""

    def times(
        self, station: str, *, names: Collection[str] | None, category: str | None, since: datetime, before: datetime
    ) -> Sequence[datetime]:
        """None."""
        del station, names, category, since, before
        return ()
