"""A condition and a detection → whether it holds, and why. Pure but for `Past`, which looks into the records."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..model import Detection, Outcome, PictureResult
from ..services import Station
from .because import Verdict
from .conditions import DEFAULT_MIN_SCORE, Condition


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


def judge(condition: Condition, sight: Sight, past: Past, *, min_score: float = DEFAULT_MIN_SCORE) -> Verdict:
    """Judge one detection. Never raises, but for what `past` raises.

    min_score: for a condition that names none.
    """
    raise NotImplementedError
