"""Stage `rollup`: says what each box is, at the finest level that is sure enough. Classifications → answer.

Probabilities of a box's classes → put right by a calibration → weighed by what lives at the station → summed up the
tree of life, or judged by the rules of SpeciesNet's ensemble → the finest taxon that is sure; what can't be there is
rolled up and marked.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.api import (
    AnswerRules,
    Calibration,
    Classification,
    ConfigError,
    Detection,
    Fence,
    Frame,
    ModelError,
    Services,
    Stage,
    StageError,
    StageSpec,
    Station,
    _,
    decide,
    hookimpl,
    is_safe_name,
    load_taxonomy,
    look_at_species_list,
    read_calibration,
    read_species_list,
    sum_up,
)


def _known(name: str) -> str:
    load_taxonomy(name)  # its ValueError names those there are
    return name


class RollupConfig(BaseModel):
    """Options of the stage.

    taxonomy: the table that knows the classifier's classes, or the name of an installed model whose classes are
    lineages; the classifier's card names it. min_score: summed probability from which a level counts as sure. rules:
    `sums`, or `speciesnet` for its published ensemble. species_list: what lives here, a CSV; stations may name another
    one beside it. geofence: roll up what is not on it. unlisted_weight: how likely what is not on it is beside what
    is; 1 for no prior. calibration: what `tigrillo calibrate` wrote.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomy: Annotated[str, AfterValidator(_known)] = "imagenet"
    min_score: float = Field(default=0.65, gt=0, le=1)
    rules: Literal["sums", "speciesnet"] = "sums"
    species_list: Path | None = None
    geofence: bool = True
    unlisted_weight: float = Field(default=0.1, gt=0, le=1)
    calibration: Path | None = None


@dataclass(frozen=True, slots=True)
class Rollup:
    """A taxonomy at work. rules: the site's. by_list: those of the stations' own lists, as they are asked for."""

    config: RollupConfig
    rules: AnswerRules
    services: Services
    calibration: Calibration | None = None
    by_list: dict[str, AnswerRules] = field(default_factory=dict)

    def __call__(self, frame: Frame) -> Frame:
        """The frame with an answer for each classified box; boxes that no classifier has seen stay as they are.

        A box has no answer when not even "it is an animal" is sure; its category still says animal, as the detector
        saw it. By SpeciesNet's rules the classifier also has a say in what is a person or a vehicle, and an animal's
        box that it calls blank is dropped. Raises StageError when a class is not in the taxonomy.
        """
        by_classes_alone = self.config.rules == "sums"
        if by_classes_alone and not any(detection.classifications for detection in frame.detections):
            return frame
        rules = self._rules_at(frame.spooled.station)
        try:
            if by_classes_alone:
                judged = [self._summed(detection, rules) for detection in frame.detections]
            else:
                judged = [each for found in frame.detections if (each := self._decided(found, rules))]
        except ValueError as exc:
            raise StageError(f"rollup: {exc}") from exc
        return replace(frame, detections=tuple(judged))

    def _summed(self, detection: Detection, rules: AnswerRules) -> Detection:
        if not detection.classifications:
            return detection
        return replace(detection, answer=sum_up(self._heated(detection), rules))

    def _decided(self, detection: Detection, rules: AnswerRules) -> Detection | None:
        """The box as the published rules see it; None for one that is blank."""
        verdict = decide(detection.category, detection.score, self._heated(detection), rules)
        if verdict.said == "human":
            return replace(detection, category="person", answer=None)
        if verdict.said == "vehicle":
            return replace(detection, category="vehicle", answer=None)
        if verdict.said == "blank" and detection.category == "animal":
            return None
        if verdict.said == "animal":
            return replace(detection, category="animal", answer=verdict.answer)
        return replace(detection, answer=None)

    def _heated(self, detection: Detection) -> tuple[Classification, ...]:
        classes = detection.classifications
        return self.calibration.heat(classes) if self.calibration else classes

    def _rules_at(self, station: str) -> AnswerRules:
        """The rules with the list of this station; with the site's where it names none, or one that is not there."""
        if self.config.species_list is None:
            return self.rules
        known = self.services.stations.get(station)
        name = known.species_list if known else ""
        if not name:
            return self.rules
        if name not in self.by_list:
            try:
                self.by_list[name] = replace(
                    self.rules, fence=_fence(_beside(self.config.species_list, name), self.config)
                )
            except ConfigError as exc:
                # the station may have been added while the site runs: better the site's list than no answer
                self.services.log.warning("rollup.list_unread", station=station, species_list=name, reason=str(exc))
                self.by_list[name] = self.rules
        return self.by_list[name]


def _beside(site_list: Path, name: str) -> Path:
    """The list of this name beside the site's."""
    return site_list.with_name(f"{name.removesuffix('.csv')}.csv")


def _fence(path: Path, config: RollupConfig) -> Fence:
    return Fence(read_species_list(path), weight=config.unlisted_weight, closed=config.geofence)


@contextmanager
def build(config: RollupConfig, services: Services) -> Iterator[Stage]:
    """Load taxonomy, list and calibration. Raises ConfigError, ModelError for a calibration of another classifier."""
    taxonomy = load_taxonomy(config.taxonomy)
    calibration = read_calibration(config.calibration, taxonomy) if config.calibration else None
    if calibration:
        _check_model(calibration, config, services)
    rules = AnswerRules(
        taxonomy,
        config.min_score,
        calibration.thresholds if calibration else {},
        _fence(config.species_list, config) if config.species_list else None,
    )
    yield Rollup(config, rules, services, calibration)


def _check_model(calibration: Calibration, config: RollupConfig, services: Services) -> None:
    used = services.used_models.get("classify", "")
    if not used or not calibration.model:
        return
    if calibration.model != used or calibration.model_sha256 not in {"", services.models.card(used).sha256}:
        text = _("{path}: was made for another model, {made}; this site classifies with {used}: calibrate it anew")
        raise ModelError(text.format(path=config.calibration, made=calibration.model, used=used))


def check(config: RollupConfig, stations: Mapping[str, Station]) -> Iterator[tuple[str, str]]:
    """Faults of the species lists and the calibration that a site names."""
    if config.species_list:
        yield from _list_faults(config.species_list)
    for name, named in {each.species_list: each.name for each in stations.values() if each.species_list}.items():
        if config.species_list is None:
            text = _("station {station!r} names the species list {name!r}: name the site's here with species_list")
            yield "", text.format(station=named, name=name)
        elif not is_safe_name(name):
            yield (
                "species_list",
                _("station {station!r}: {name!r} is no name of a list").format(station=named, name=name),
            )
        else:
            yield from _list_faults(_beside(config.species_list, name))
    if config.calibration:
        try:
            read_calibration(config.calibration, load_taxonomy(config.taxonomy))
        except ConfigError as exc:
            yield from (("calibration", line) for line in str(exc).splitlines())


def _list_faults(path: Path) -> Iterator[tuple[str, str]]:
    _species, faults = look_at_species_list(path)
    yield from (("species_list", f"{path}:{each.line}: {each.message}") for each in faults)


@hookimpl
def tigrillo_stages() -> Iterable[StageSpec[RollupConfig]]:
    """The stage `rollup`."""
    uses = frozenset({"detections"})
    return [StageSpec("rollup", RollupConfig, build, reads=uses, writes=uses, check=check)]
