"""Rules: what was seen, where and how surely → alerts for the outbox.

`matches` is a pure function, called in hop 6 (record): its alerts go into the same transaction as the observations.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Protocol
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..i18n import _
from ..model import Alert, Category, Detection, Outcome, PictureResult, Taxon
from ..models.taxa import fold
from ..paths import is_safe_name

MAX_NAME = 80  # a rule's name stands in subjects and on telephones


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise ValueError(
            _("{name!r}: one line of 1 to {most} printable characters").format(name=name[:MAX_NAME], most=MAX_NAME)
        )
    return name


def _station(name: str) -> str:
    if not is_safe_name(name):
        raise ValueError(_("{name!r}: letters, digits, '_', '-' and '.' only, at most 64").format(name=name))
    return name


class Rule(BaseModel):
    """When to tell whom: an entry of the site's `rules:`.

    taxon: a scientific or common name (English or Spanish) at any level; it means this taxon and all below it.
    category: animal, person or vehicle. At least one of the two; with both, both must hold.
    stations: those the rule is for; empty for all.
    min_score: 0..1, compared with the score of the answer (`rollup`) when `taxon` is given, else with the detection's.
    channels: names of the site's `channels:`; each gets one alert a frame.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(_printable)]
    taxon: str = ""
    category: Category | None = None
    stations: tuple[Annotated[str, AfterValidator(_station)], ...] = ()
    min_score: float = Field(default=0.5, ge=0, le=1)
    channels: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _says_what(self) -> "Rule":
        if not self.taxon.strip() and self.category is None:
            raise ValueError(_("a rule needs `taxon:` (such as Felidae) or `category:`, or both"))
        return self

    def score_of(self, detection: Detection) -> float | None:
        """The score this rule judges a detection by; None when the detection is not what the rule is about."""
        if self.category is not None and detection.category != self.category:
            return None
        if not self.taxon.strip():
            return detection.score
        if detection.answer is None or fold(self.taxon) not in _names(detection.answer.taxon):
            return None
        return detection.answer.score


class NamesTaxa(Protocol):
    """What `resolve_taxa` asks of a taxonomy."""

    def find(self, name: str) -> Taxon | None:
        """The taxon of a scientific or common name, in any case; None when there is none."""

    def suggest(self, name: str) -> Sequence[str]:
        """Names near to this one, nearest first."""


def matches(outcome: Outcome, rules: Iterable[Rule]) -> list[Alert]:
    """Return the alerts that an outcome raises: at most one a rule and channel, for the best detection of all pictures.

    Pictures that a stage rejected don't count. Of equal scores the first counts. Rules with a common name of a higher
    taxon ("cats") must have passed `resolve_taxa`.
    """
    return [alert for rule in rules for alert in _alerts(outcome, rule)]


def _alerts(outcome: Outcome, rule: Rule) -> Iterator[Alert]:
    spooled = outcome.spooled
    if rule.stations and spooled.station not in rule.stations:
        return
    found = [
        (score, picture, detection)
        for picture in outcome.pictures
        if not picture.rejected
        for detection in picture.detections
        if (score := rule.score_of(detection)) is not None and score >= rule.min_score
    ]
    if not found:
        return
    _score, picture, detection = max(found, key=_by_score)
    # a thumbnail and its full frame are one event: whichever comes first raises the alert
    event_id = (spooled.agent and spooled.agent.stands_for) or spooled.id
    for channel in dict.fromkeys(rule.channels):
        yield Alert(
            key=alert_key(rule=rule.name, channel=channel, station=spooled.station, frame_id=event_id),
            rule=rule.name,
            channel=channel,
            station=spooled.station,
            frame_id=spooled.id,
            captured=spooled.captured,
            detection=detection,
            picture_path=spooled.path,
            picture_number=picture.number,
            kind=spooled.kind,
            received_at=spooled.received_at,
        )


def _by_score(found: tuple[float, PictureResult, Detection]) -> float:
    return found[0]


def alert_key(*, rule: str, channel: str, station: str, frame_id: str) -> str:
    """The text that is the same for the same alert and differs for any other, whatever the names contain."""
    return "/".join(quote(part, safe="") for part in (rule, channel, station, frame_id))


def resolve_taxa(
    rules: Sequence[Rule], taxonomies: Sequence[NamesTaxa]
) -> tuple[tuple[Rule, ...], list[tuple[int, str]]]:
    """Give each rule its taxon's scientific name, and say which taxa no model of the site knows.

    Returns the rules, in order, and (index of the rule, what is wrong and what would be right) for each fault.
    """
    resolved: list[Rule] = []
    faults: list[tuple[int, str]] = []
    for index, rule in enumerate(rules):
        name = rule.taxon.strip()
        taxon = next(filter(None, (each.find(name) for each in taxonomies)), None) if name else None
        resolved.append(rule.model_copy(update={"taxon": taxon.scientific_name}) if taxon else rule)
        if name and taxon is None:
            faults.append((index, _unknown_taxon(name, taxonomies)))
    return tuple(resolved), faults


def _unknown_taxon(name: str, taxonomies: Sequence[NamesTaxa]) -> str:
    if not taxonomies:
        return _("no model of this site names species: add a classifier with a taxonomy and the stage `rollup`")
    close = dict.fromkeys(suggestion for each in taxonomies for suggestion in each.suggest(name))
    text = _("no model of this site knows a taxon {name!r}").format(name=name)
    if close:
        text += _("; did you mean {names}?").format(names=", ".join(repr(each) for each in list(close)[:3]))
    return text


def _names(taxon: Taxon) -> set[str]:
    return {fold(name) for name in (*taxon.lineage, taxon.scientific_name, taxon.english, taxon.spanish) if name}
