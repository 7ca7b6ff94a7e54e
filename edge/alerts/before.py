"""What was seen there before: first of the season, rare here, here again. The reasons that the records give."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..model import Category, Detection
from ..models.taxa import fold
from .because import JOINT, Because
from .conditions import Condition
from .hours import local_time
from .sight import Past, Sight


@dataclass(frozen=True, slots=True)
class _Subject:
    """Of what encounters are looked up. names: as they are written. An encounter of any of them counts."""

    names: frozenset[str] = frozenset()
    categories: frozenset[Category] = frozenset()

    def __str__(self) -> str:
        return JOINT.join([*sorted(self.names), *sorted(self.categories)])


def past_leaves(
    condition: Condition, sight: Sight, past: Past, *, asked: Condition | None, ask: bool
) -> Iterator[Because]:
    """The reasons of first_in_days and seen_times. Raises what `past` raises.

    asked: the condition that says what was seen; where that names taxa or groups, encounters with any of these count,
    else those with the detection's own taxon, or its category when it has none. ask: False when it makes no difference.
    """
    subject = _subject(asked, sight.detection)
    if condition.first_in_days is not None:
        yield _first(condition.first_in_days, sight, past if ask else None, subject)
    if condition.seen_times is not None:
        yield _again(condition.seen_times.times, condition.seen_times.days, sight, past if ask else None, subject)


def _first(days: float, sight: Sight, past: Past | None, subject: _Subject) -> Because:
    fields = {"station": sight.station.name, "days": f"{days:g}", "subject": str(subject)}
    if past is None:
        return Because("first_in_days.unasked", holds=False, fields=fields)
    times = _times(days, sight, past, subject)
    if times is None:
        return Because("first_in_days.untimed", holds=False, fields=fields)
    if times:
        last = local_time(max(times), sight.station.timezone) or max(times).astimezone(UTC)
        fields |= {"last": f"{last:%Y-%m-%d %H:%M}"}
    return Because("first_in_days", not times, fields | {"got": str(len(times))})


def _again(least: int, days: float, sight: Sight, past: Past | None, subject: _Subject) -> Because:
    fields = {"station": sight.station.name, "days": f"{days:g}", "subject": str(subject), "wanted": str(least)}
    if past is None:
        return Because("seen_times.unasked", holds=False, fields=fields)
    times = _times(days, sight, past, subject)
    if times is None:
        return Because("seen_times.untimed", holds=False, fields=fields)
    count = len(times) + 1
    return Because("seen_times", count >= least, fields | {"got": str(count)})


def _times(days: float, sight: Sight, past: Past, subject: _Subject) -> set[datetime] | None:
    """When other encounters of it began in the days before this one; None when nobody knows when this one is."""
    if sight.at is None:
        return None
    # frames come out of order: this one may be older than the first of its encounter that arrived
    before = min(sight.began, sight.at) if sight.began else sight.at
    try:
        since = before - timedelta(days=days)
    except OverflowError:  # year 1: a camera with an empty battery
        return None
    questions: list[tuple[frozenset[str] | None, Category | None]] = [(None, each) for each in subject.categories]
    if subject.names:
        questions.append((frozenset(map(fold, subject.names)), None))
    return {
        begin
        for names, category in questions
        for begin in past.times(sight.station.name, names=names, category=category, since=since, before=before)
    }


def _subject(asked: Condition | None, detection: Detection) -> _Subject:
    if asked and asked.taxon:
        return _Subject(names=frozenset(asked.taxon))
    if asked and asked.group:
        members = [found for each in asked.group if (found := asked.members(each))]
        return _Subject(
            frozenset().union(*(each.taxa for each in members)),
            frozenset().union(*(each.categories for each in members)),
        )
    if detection.answer:
        return _Subject(names=frozenset({detection.answer.taxon.scientific_name}))
    return _Subject(categories=frozenset({detection.category}))
