"""Probabilities put right by what people said: a temperature for the classifier, and thresholds for single taxa.

Reviewed boxes (classes, what it was) → Calibration → calibration.toml, which the stage `rollup` reads. The temperature
is fitted on the probability of what was right, at the finest taxon that the classifier can tell of it. Isotonic or
vector scaling would need far more boxes than a site reviews.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import tomli_w
from pydantic import TypeAdapter, ValidationError

from ..errors import ConfigError, FatalError
from ..foreign import foreign
from ..i18n import _
from ..model import F32, Classification, Taxon
from ..models.taxonomy import MIN_SCORE, Taxonomy
from ..paths import write_atomically
from .reliability import bins_of, calibration_error

MIN_BOXES = 100  # a judgement: ten boxes a bin of the plot, were they spread evenly
MIN_TAXA = 3
MIN_OF_TAXON = 20  # boxes that a threshold of a taxon rests on
LEAST_THRESHOLD = 0.3
TARGET = 0.9  # share of a taxon's answers that shall be right
TEMPERATURES = (0.2, 10.0)
STEPS = 30  # of the golden section: a millionth of the range
TINY = 1e-6
DIGITS = 1e4  # of thresholds: four after the point
NEVER = 1.0  # the threshold of a taxon whose answers were not right often enough at any


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A box that a person judged. classes: most likely first. truth: what it is, None for no animal."""

    classes: tuple[Classification, ...]
    truth: Taxon | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calibration.toml says. class_count: of the model, for the probability that was not kept.

    thresholds: scientific name → least summed probability. error_before, error_after: expected calibration error on the
    boxes that it was made of. made_of: where these came from.
    """

    taxonomy: str
    temperature: float
    class_count: int
    boxes: int
    model: str = ""
    model_sha256: str = ""
    target: float = TARGET
    error_before: float = 0.0
    error_after: float = 0.0
    made_of: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = TEMPERATURES
        if not low <= self.temperature <= high:
            raise ValueError(f"temperature: {low} to {high}, got {self.temperature}")
        if wrong := [name for name, value in self.thresholds.items() if not 0 < value <= 1]:
            raise ValueError(f"thresholds: {wrong[0]}: more than 0, at most 1, got {self.thresholds[wrong[0]]}")

    def heat(self, classes: Sequence[Classification]) -> tuple[Classification, ...]:
        """The classes with their probabilities at this temperature, in the same order."""
        return heat(classes, temperature=self.temperature, class_count=self.class_count)


_ADAPTER = TypeAdapter(Calibration)
KEYS = tuple(each.name for each in fields(Calibration))


def heat(classes: Sequence[Classification], *, temperature: float, class_count: int) -> tuple[Classification, ...]:
    """Probabilities as a softmax at another temperature gives them; above 1 they come closer to each other.

    What `classes` leave of 1 is taken as spread evenly over the classes that are not among them.
    """
    if temperature == 1.0 or not classes:
        return tuple(classes)
    powers, rest = _powers(np.array([each.score for each in classes], np.float64), class_count, 1 / temperature)
    total = powers.sum() + rest
    return tuple(replace(each, score=float(power / total)) for each, power in zip(classes, powers, strict=True))


def _powers(
    scores: "np.ndarray[tuple[int], np.dtype[np.float64]]", class_count: int, power: float
) -> tuple[F32, float]:
    """(each score, and the sum of all that were not kept) to this power."""
    others = max(class_count - len(scores), 0)
    left = max(0.0, 1.0 - float(scores.sum()))
    rest = others * (left / others) ** power if others and left > 0 else 0.0
    return np.power(np.maximum(scores, 0.0), power), rest


def fit(
    boxes: Sequence[Reviewed], taxonomy: Taxonomy, *, target: float = TARGET, model: str = "", model_sha256: str = "",
    made_of: str = "",
) -> Calibration:  # fmt: skip
    """The calibration that these boxes ask for.

    Raises FatalError, with numbers, when they are too few or show too few kinds of animals.
    """
    boxes = [each for each in boxes if each.classes]
    _check_enough(boxes)
    count = len(taxonomy.classes)
    temperature = _best_temperature(boxes, taxonomy, count)
    hot = [replace(each, classes=heat(each.classes, temperature=temperature, class_count=count)) for each in boxes]
    return Calibration(
        taxonomy=taxonomy.name,
        temperature=round(temperature, 4),
        class_count=count,
        boxes=len(boxes),
        model=model,
        model_sha256=model_sha256,
        target=target,
        error_before=round(calibration_error(bins_of(said_and_right(boxes, taxonomy))), 4),
        error_after=round(calibration_error(bins_of(said_and_right(hot, taxonomy))), 4),
        made_of=made_of,
        thresholds=taxon_thresholds(hot, taxonomy, target=target),
    )


def _check_enough(boxes: Sequence[Reviewed]) -> None:
    if len(boxes) < MIN_BOXES:
        text = _("{count} reviewed boxes are too few for a calibration: it needs {least}, {missing} more")
        raise FatalError(text.format(count=len(boxes), least=MIN_BOXES, missing=MIN_BOXES - len(boxes)))
    taxa = {each.truth.scientific_name for each in boxes if each.truth}
    if len(taxa) < MIN_TAXA:
        text = _("the reviewed boxes show {count} kinds of animals: a calibration needs {least}")
        raise FatalError(text.format(count=len(taxa), least=MIN_TAXA))


def _best_temperature(boxes: Sequence[Reviewed], taxonomy: Taxonomy, class_count: int) -> float:
    """The temperature at which what was right was most probable: golden section over its logarithm."""
    prepared = [(np.array([each.score for each in box.classes], np.float64), _is_right(box, taxonomy)) for box in boxes]

    def loss(log_temperature: float) -> float:
        total = 0.0
        for (scores, right), box in zip(prepared, boxes, strict=True):
            powers, rest = _powers(scores, class_count, math.exp(-log_temperature))
            # what was not kept may be anything: it counts for boxes that show no animal
            mass = float(powers[right].sum()) + (rest if box.truth is None else 0.0)
            total -= math.log(max(mass / (float(powers.sum()) + rest), TINY))
        return total

    low, high = (math.log(each) for each in TEMPERATURES)
    share = (math.sqrt(5) - 1) / 2
    inner, outer = high - share * (high - low), low + share * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    for _step in range(STEPS):
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - share * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + share * (high - low)
            at_outer = loss(outer)
    return math.exp((low + high) / 2)


def _is_right(box: Reviewed, taxonomy: Taxonomy) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Of each class, whether it stands for what the box shows, as finely as the classifier can tell."""
    trusted = [taxonomy.class_of(each.label).trusted for each in box.classes]
    if box.truth is None:
        return np.array([each is None for each in trusted], bool)
    goal = taxonomy.finest_answer(box.truth).scientific_name
    return np.array([each is not None and goal in each.lineage for each in trusted], bool)


def said_and_right(boxes: Iterable[Reviewed], taxonomy: Taxonomy) -> list[tuple[float, bool]]:
    """(probability of the taxon of the likeliest animal class, whether that was right) of each box that has one.

    Compared at the coarser of the two, where the person's answer is coarser than the classifier's.
    """
    pairs = []
    for box in boxes:
        sums = taxonomy.sums(box.classes)
        best = next((taxon for each in box.classes if (taxon := taxonomy.class_of(each.label).trusted)), None)
        if best is None:
            continue
        if box.truth is not None and box.truth.scientific_name in best.lineage:
            best = box.truth
        right = box.truth is not None and best.scientific_name in box.truth.lineage
        pairs.append((min(sums[best.scientific_name], 1.0), right))
    return pairs


def taxon_thresholds(boxes: Sequence[Reviewed], taxonomy: Taxonomy, *, target: float = TARGET) -> dict[str, float]:
    """Scientific name → the lowest summed probability from which `target` of the answers were right.

    Only taxa with enough boxes at or above it, and with a reason for another threshold than the usual one; NEVER for
    those that were not right so often at any.
    """
    seen: dict[str, list[tuple[float, bool]]] = {}
    for box in boxes:
        for name, score in taxonomy.sums(box.classes).items():
            if score < LEAST_THRESHOLD:
                continue
            coarser = box.truth is not None and box.truth.scientific_name in taxonomy.taxon(name).lineage[:-1]
            if not coarser:  # else nobody said whether it was this
                seen.setdefault(name, []).append((score, box.truth is not None and name in box.truth.lineage))
    enough = {name: pairs for name, pairs in sorted(seen.items()) if len(pairs) >= MIN_OF_TAXON}
    return {name: found for name, pairs in enough.items() if (found := _threshold(pairs, target)) is not None}


def _threshold(pairs: Sequence[tuple[float, bool]], target: float) -> float | None:
    """The least probability from which enough was right; None where the boxes give no reason for another than usual.

    Above the usual one only as far as wrong answers call for: that nobody saw a lower score says nothing against it.
    """
    ordered = sorted(pairs, reverse=True)
    lowest: float | None = None
    below, right = 0.0, 0
    for number, (score, was_right) in enumerate(ordered, start=1):
        right += was_right
        after = ordered[number][0] if number < len(ordered) else 0.0
        if number >= MIN_OF_TAXON and after < score and right / number >= target:
            lowest, below = score, after
    if lowest is None:
        return NEVER
    if lowest <= MIN_SCORE:
        return math.floor(lowest * DIGITS) / DIGITS  # not above the score that it was found at
    usual = math.floor(below * DIGITS + 1) / DIGITS  # just above the first that was wrong too often
    return usual if usual > MIN_SCORE else None


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write calibration.toml, whole or not at all."""
    head = "# Made by `tigrillo calibrate`; named under `calibration:` of the stage `rollup`.\n"
    values = {key: value for key, value in asdict(calibration).items() if value != ""}
    write_atomically(path, (head + tomli_w.dumps(values)).encode())


def read_calibration(path: Path, taxonomy: Taxonomy) -> Calibration:
    """The calibration in this file. Raises ConfigError with one line for every fault."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        if strange := [key for key in values if key not in KEYS]:
            raise ConfigError(_("{path}: nothing is called {key!r} here").format(path=path, key=strange[0]))
        found = _ADAPTER.validate_python(values)
    except OSError as exc:
        text = _("{path}: can't be read: {reason}; `tigrillo calibrate` makes one")
        raise ConfigError(text.format(path=path, reason=foreign(exc.strerror or str(exc)))) from exc
    except ValidationError as exc:
        lines = [f"{path}: {'.'.join(map(str, each['loc']))}: {foreign(each['msg'])}" for each in exc.errors()]
        raise ConfigError("\n".join(lines)) from exc
    except ValueError as exc:
        raise ConfigError(_("{path}: no calibration: {reason}").format(path=path, reason=foreign(str(exc)))) from exc
    if found.taxonomy != taxonomy.name:
        text = _("{path}: was made for the taxonomy {made!r}, the stage uses {used!r}")
        raise ConfigError(text.format(path=path, made=found.taxonomy, used=taxonomy.name))
    if unknown := [name for name in found.thresholds if taxonomy.find(name) is None]:
        text = _("{path}: thresholds: no answer can be {name!r}")
        raise ConfigError("\n".join(text.format(path=path, name=name) for name in unknown))
    return found
