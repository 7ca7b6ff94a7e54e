"""What a rule asks of a detection: the `Condition`, as YAML has it. `judge.py` evaluates it, `resolve.py` checks names.

All fields that are given must hold. A condition that was resolved also knows what its groups and zones are; these are
no fields: they are neither dumped nor read, and a condition read back is resolved anew. To write one out:
`model_dump(mode="json", by_alias=True, exclude_defaults=True)`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from ..i18n import _
from ..model import Category
from ..paths import is_safe_name
from .groups import BUILT_IN, Members
from .hours import Phase, parse_span, parse_weekday
from .tracks import Direction
from .zones import Polygon, Zone

DEFAULT_MIN_SCORE = 0.5  # of a rule that names none
MOST_LEVELS = 8  # of conditions in conditions: more than that nobody reads
MAX_NAME = 80
MAX_DAYS = 3660


def _as_list(value: Any) -> Any:
    """One text is a list of one; a blank one is none."""
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    return value


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > MAX_NAME:
        raise ValueError(
            _("{name!r}: one line of 1 to {most} printable characters").format(name=text[:MAX_NAME], most=MAX_NAME)
        )
    return text.strip()


def _station(name: str) -> str:
    if not is_safe_name(name):
        raise ValueError(_("{name!r}: letters, digits, '_', '-' and '.' only, at most 64").format(name=name[:MAX_NAME]))
    return name


def _span(text: str) -> str:
    return str(parse_span(text))


Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]
Stations = Annotated[tuple[Annotated[str, AfterValidator(_station)], ...], BeforeValidator(_as_list)]
Categories = Annotated[tuple[Category, ...], BeforeValidator(_as_list)]
Spans = Annotated[tuple[Annotated[str, AfterValidator(_span)], ...], BeforeValidator(_as_list)]
Phases = Annotated[tuple[Phase, ...], BeforeValidator(_as_list)]
Weekdays = Annotated[tuple[Annotated[str, AfterValidator(parse_weekday)], ...], BeforeValidator(_as_list)]
Directions = Annotated[tuple[Direction, ...], BeforeValidator(_as_list)]


class SeenTimes(BaseModel):
    """A repeat: at least `times` encounters at the station within `days`, this one included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: int = Field(ge=2, le=10_000)
    days: float = Field(gt=0, le=MAX_DAYS, allow_inf_nan=False)


class Condition(BaseModel):
    """When a detection counts. Where a field takes a list, one of the list is enough; one text may stand for a list.

    taxon: scientific, English or Spanish names at any level; this taxon and all below it. group: groups of the site or
    built-in ones. category: animal, person, vehicle. stations: names; empty for all. zones: names of the site's.
    polygon: corners [latitude, longitude]. hours: "18:00-06:00", local, over midnight too. sun: day, night, twilight,
    at the station. weekdays: of the local day. min_score: 0..1, compared with the answer's score where a taxon matched,
    else with the detection's; None takes the surrounding condition's, at the top 0.5. min_count: of them in the same
    picture. first_in_days: none of them at this station in the days before. seen_times: the opposite. direction: in
    which they cross a clip. any, all, not: conditions again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    taxon: Names = ()
    group: Names = ()
    category: Categories = ()
    stations: Stations = ()
    zones: Names = ()
    polygon: Polygon = ()
    hours: Spans = ()
    sun: Phases = ()
    weekdays: Weekdays = ()
    min_score: float | None = Field(default=None, ge=0, le=1)
    min_count: int | None = Field(default=None, ge=1, le=1000)
    first_in_days: float | None = Field(default=None, gt=0, le=MAX_DAYS, allow_inf_nan=False)
    seen_times: SeenTimes | None = None
    direction: Directions = ()
    any: tuple["Condition", ...] = ()
    all: tuple["Condition", ...] = ()
    not_: "Condition | None" = Field(default=None, alias="not")

    _members: Mapping[str, Members] = PrivateAttr(default_factory=dict)
    _places: Mapping[str, Zone] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _no_empty_list(cls, data: Any) -> Any:
        """An empty list would hold for everything, or for nothing: it is never what somebody means.

        `stations: []` alone has always meant all of them.
        """
        if isinstance(data, Mapping):
            for key in Condition.model_fields.keys() - {"stations"}:
                if isinstance(value := data.get(key), list) and not value:
                    raise ValueError(_("`{key}: []` is empty: name some, or remove the line").format(key=key))
        return data

    @model_validator(mode="after")
    def _not_too_deep(self) -> Self:
        if self.levels() > MOST_LEVELS:
            text = _("conditions within conditions, more than {most} deep: write it flatter")
            raise ValueError(text.format(most=MOST_LEVELS))
        return self

    def levels(self) -> int:
        """How deep conditions lie in this one; 1 when there are none."""
        return 1 + max((each.levels() for _path, each in self.nested()), default=0)

    def nested(self) -> Iterator[tuple[tuple[str | int, ...], "Condition"]]:
        """The conditions one level down, each with where it stands."""
        yield from ((("any", index), each) for index, each in enumerate(self.any))
        yield from ((("all", index), each) for index, each in enumerate(self.all))
        if self.not_ is not None:
            yield ("not",), self.not_

    @property
    def says_what(self) -> bool:
        """Whether it names a kind of thing: taxon, group or category."""
        return bool(self.taxon or self.group or self.category)

    @property
    def is_not_only(self) -> bool:
        """Whether there is a `not` and nothing else."""
        return self._given() == {"not_"}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked: it holds for everything."""
        return not self._given()

    def _given(self) -> set[str]:
        return {name for name in Condition.model_fields if getattr(self, name) not in ((), None)}

    def members(self, group: str) -> Members | None:
        """What a group of this condition is; None for one that is unknown, or was never resolved."""
        return self._members.get(group) or BUILT_IN.get(group)

    def zone(self, name: str) -> Zone | None:
        """What a zone of this condition is; None for one that is unknown, or was never resolved."""
        return self._places.get(name)

    def knowing(self, *, members: Mapping[str, Members], zones: Mapping[str, Zone], **changes: Any) -> Self:
        """A copy with other fields, that knows its groups and zones."""
        copy = self.model_copy(update=changes)
        copy._members, copy._places = members, zones  # noqa: SLF001  # because it is one of us
        return copy
