"""Why: the reasons of a verdict, as values that can be kept and as lines that a person reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..i18n import mark, translate
from .hours import WEEKDAY_NAMES

# Code of a reason → its line. Each begins with the key as the rule has it. Where a code stands for yes and for no, the
# line of the no has a "!" behind it.
LINES: Mapping[str, str] = {
    "taxon": mark("taxon: {got}, within {wanted}"),
    "taxon!": mark("taxon: {got}, wanted {wanted}"),
    "taxon.none!": mark("taxon: no species was told, wanted {wanted}"),
    "group": mark("group: {got}, of {wanted}"),
    "group!": mark("group: {got} is not of {wanted}"),
    "group.unknown!": mark("group: nobody knows {wanted}"),
    "category": mark("category: it is {got}"),
    "category!": mark("category: {got}, wanted {wanted}"),
    "stations": mark("stations: {station} is one of them"),
    "stations!": mark("stations: {station} is none of {wanted}"),
    "zones": mark("zones: {station} lies in {wanted}"),
    "zones!": mark("zones: {station} does not lie in {wanted}"),
    "zones.unplaced!": mark("zones: {station} has no coordinates, so it is not known to lie in {wanted}"),
    "zones.unknown!": mark("zones: nobody knows {wanted}"),
    "polygon": mark("polygon: {station} lies in it"),
    "polygon!": mark("polygon: {station} does not lie in it"),
    "polygon.unplaced!": mark("polygon: {station} has no coordinates"),
    "hours": mark("hours: {time} at {station} ({zone}) is in {wanted}"),
    "hours!": mark("hours: {time} at {station} ({zone}) is not in {wanted}"),
    "hours.untimed!": mark("hours: nobody knows when it was captured, wanted {wanted}"),
    "sun": mark("sun: {height}° over the horizon at {station}, {got}"),
    "sun!": mark("sun: {height}° over the horizon at {station}, {got}; wanted {wanted}"),
    "sun.untimed!": mark("sun: nobody knows when it was captured, wanted {wanted}"),
    "sun.unplaced!": mark("sun: {station} has no coordinates, wanted {wanted}"),
    "weekdays": mark("weekdays: {got} at {station} ({zone})"),
    "weekdays!": mark("weekdays: {got} at {station} ({zone}), wanted {wanted}"),
    "weekdays.untimed!": mark("weekdays: nobody knows when it was captured, wanted {wanted}"),
    "min_score": mark("min_score: {got} of the answer, {wanted} at least"),
    "min_score!": mark("min_score: {got} of the answer, below {wanted}"),
    "min_score.box": mark("min_score: {got} of the detector, {wanted} at least"),
    "min_score.box!": mark("min_score: {got} of the detector, below {wanted}"),
    "min_count": mark("min_count: {got} in the picture, {wanted} at least"),
    "min_count!": mark("min_count: {got} in the picture, fewer than {wanted}"),
    "first_in_days": mark("first_in_days: none at {station} in the {days} days before ({subject})"),
    "first_in_days!": mark("first_in_days: {got} at {station} in the {days} days before ({subject}), last {last}"),
    "first_in_days.untimed!": mark("first_in_days: nobody knows when it was captured"),
    "first_in_days.unasked!": mark("first_in_days: not looked up, as something else already speaks against it"),
    "seen_times": mark("seen_times: encounter {got} at {station} in {days} days ({subject}), {wanted} at least"),
    "seen_times!": mark("seen_times: encounter {got} at {station} in {days} days ({subject}), fewer than {wanted}"),
    "seen_times.untimed!": mark("seen_times: nobody knows when it was captured"),
    "seen_times.unasked!": mark("seen_times: not looked up, as something else already speaks against it"),
    "direction": mark("direction: {got}, over {pictures} pictures"),
    "direction!": mark("direction: {got}, over {pictures} pictures, wanted {wanted}"),
    "direction.none!": mark("direction: to no side, over {pictures} pictures, wanted {wanted}"),
    "direction.still!": mark("direction: a still picture shows none, wanted {wanted}"),
    "direction.untracked!": mark("direction: in one picture of the clip only, wanted {wanted}"),
    "repeat!": mark("suppressed repeat: it is suspect {number}, which {who} suppressed on {when}"),
    "any": mark("any: one of these holds"),
    "any!": mark("any: none of these holds"),
    "together": mark("together: all of these hold"),
    "together!": mark("together: not all of these hold"),
    "all": mark("all: all of these hold"),
    "all!": mark("all: not all of these hold"),
    "not": mark("not: this does not hold"),
    "not!": mark("not: this holds"),
}
# The values that are words, not names: translated one by one. `edge.wording` marks the categories.
WORDS: Mapping[str, str] = {
    "day": mark("day"),
    "night": mark("night"),
    "twilight": mark("twilight"),
    "toward": mark("toward"),
    "away": mark("away"),
    "left": mark("to the left"),
    "right": mark("to the right"),
    **WEEKDAY_NAMES,
}
WORDY = frozenset({"category", "sun", "weekdays", "direction"})  # reasons whose values are such words
JOINT = ", "


@dataclass(frozen=True, slots=True)
class Because:
    """One reason. code: which one. holds: whether it speaks for the alert. fields: its values, text each.

    depth: how many conditions it lies in, 0 at the rule's top.
    """

    code: str
    holds: bool
    fields: Mapping[str, str]
    depth: int = 0

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads, of plain types."""
        return {"code": self.code, "holds": self.holds, "fields": dict(self.fields), "depth": self.depth}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Because":
        """The reason that was kept."""
        fields = {str(name): str(value) for name, value in dict(data["fields"]).items()}
        return cls(str(data["code"]), bool(data["holds"]), fields, int(data.get("depth", 0)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds for a detection, and every reason, in the order of the condition's tree.

    score: the answer's where that was compared and was enough, else the detector's.
    """

    holds: bool
    because: tuple[Because, ...] = ()
    score: float = 0.0


def tell(because: Because, language: str) -> str:
    """The reason as one line in "en" or "es", without indentation.

    A reason of another version of tigrillo, which this one has no line for, is told by its code and values.
    """
    line = LINES.get(because.code + ("" if because.holds else "!"))
    if line is None:
        return _plain(because)
    key = because.code.partition(".")[0]
    values = {
        name: _words(value, language) if key in WORDY and name in {"got", "wanted"} else value
        for name, value in because.fields.items()
    }
    if "subject" in values:
        values["subject"] = _words(values["subject"], language)
    try:
        return translate(line, language).format_map(values)
    except (KeyError, IndexError, ValueError):
        return _plain(because)


def _words(value: str, language: str) -> str:
    return JOINT.join(translate(WORDS.get(each, each), language) for each in value.split(JOINT))


def _plain(because: Because) -> str:
    return " ".join([because.code, *(f"{name}={value}" for name, value in because.fields.items())])
