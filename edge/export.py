"""`tigrillo export`: what was recorded → filter → an exporter plugin. Reads beside the daemon."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

from .clock import Clock, SystemClock
from .config import Plan
from .errors import FatalError, SchemaError
from .fieldwork.effort import EffortByDeployment
from .fieldwork.independence import Independence, keep_only
from .hookspecs import ExporterSpec, ExportOption
from .i18n import _
from .model import Beside, Category, Detection, Kind, Outcome, Review
from .models.installed import InstalledModels
from .models.taxa import common_and_scientific_names, fold, taxon_named
from .paths import models_dir
from .services import ExportContext, ImportedEvent, Log, Services, Station
from .site_file import did_you_mean
from .stations.book import Book
from .stations.folders import Folders
from .stations.known import KnownStations
from .store import harvest
from .store.deployments import all_deployments
from .store.engines import exists, name_of
from .store.packages import imported_events_in, imported_packages
from .store.sql import Store
from .summaries.outcomes import as_counted

PROGRESS_EVERY = 200  # frames
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
KINDS: Mapping[str, Category] = {"animal": "animal", "human": "person", "vehicle": "vehicle"}  # as Camtrap DP says it


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames and which of their detections are meant; what is left out means all.

    taxa: scientific names, with all below them. min_score: of the answer where there is one, else of the detector.
    suppressed: also repeated detections that people suppressed. independent: only records of a kind that was not seen
    at the station for so long before.
    """

    span: harvest.Span = field(default_factory=harvest.Span)
    taxa: frozenset[str] = frozenset()
    categories: frozenset[Category] = frozenset()
    min_score: float = 0.0
    suppressed: bool = False
    independent: timedelta | None = None

    @property
    def chooses(self) -> bool:
        """Whether detections are chosen; then a frame on which none is left is no blank and is left out."""
        return bool(self.taxa or self.categories or self.min_score or self.independent)

    def keeps(self, detection: Detection) -> bool:
        """Whether this detection is meant."""
        if self.categories and detection.category not in self.categories:
            return False
        answer = detection.answer
        if (answer.score if answer else detection.score) < self.min_score:
            return False
        return not self.taxa or (answer is not None and not self.taxa.isdisjoint(answer.taxon.lineage))

    def part_of(self, outcome: Outcome) -> Outcome | None:
        """The frame with the detections that are meant; None when it is not meant."""
        if not self.chooses:
            return outcome
        pictures = tuple(
            replace(each, detections=tuple(filter(self.keeps, each.detections))) if each.detections else each
            for each in outcome.pictures
        )
        beside = self._part_beside(outcome)
        left = any(each.detections for each in pictures) or (beside is not None and beside.reviews)
        return replace(outcome, pictures=pictures, beside=beside) if left else None

    def _part_beside(self, outcome: Outcome) -> Beside | None:
        """The same of what stands beside the frame: reviews, the rows of its detections, what an import said of it."""
        beside = outcome.beside
        if beside is None:
            return None
        observed = beside.observed
        if observed:
            pairs = zip(outcome.detections(), observed, strict=True)
            observed = tuple(each for detection, each in pairs if self.keeps(detection))
        reviews = tuple(each for each in beside.reviews if self._keeps_review(each))
        details = beside.details
        if details and "rows" in details.get("camtrap", {}):
            details = {**details, "camtrap": {**details["camtrap"], "rows": []}}  # they say of what it is not
        return replace(beside, observed=observed, reviews=reviews, details=details)

    def _keeps_review(self, review: Review) -> bool:
        taxon = taxon_named(review.taxon) if review.taxon else None
        lineage = (review.details or {}).get("lineage") or (taxon.lineage if taxon else ())
        return self._keeps_kind(review.kind, lineage)

    def _keeps_kind(self, kind: str, lineage: Iterable[str]) -> bool:
        """kind: a Camtrap DP observationType."""
        if self.categories and KINDS.get(kind) not in self.categories:
            return False
        return kind in KINDS and (not self.taxa or not self.taxa.isdisjoint(lineage))

    def events_of(self, found: Iterable[ImportedEvent]) -> Iterator[ImportedEvent]:
        """Those of imported events that are meant."""
        for each in found:
            if not self.chooses or (each.score >= self.min_score and self._keeps_kind(each.kind, each.lineage)):
                yield each


@dataclass(slots=True)
class Exported:
    """What an export took in. without_position: stations that were exported and have no place, by name."""

    frames: int = 0
    observations: int = 0
    failures: int = 0
    read: int = 0
    without_position: list[str] = field(default_factory=list)


def refuse_format(name: str, formats: Iterable[str]) -> NoReturn:
    """Raise FatalError for a format that there is none of, with what is near."""
    known = sorted(formats)
    near = did_you_mean(difflib.get_close_matches(name, known, n=2, cutoff=0.4))
    raise FatalError(
        _("{name!r}: no such format{near}; there are {formats}").format(name=name, near=near, formats=", ".join(known))
    )


def read_time(text: str, timezone: str, *, end: bool) -> datetime:
    """A date ("2026-11-22", its begin or its end) or a date and time, in this zone unless it has an offset.

    Raises FatalError with what would be right.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise FatalError(_("{text!r}: write a date such as 2026-11-22 or 2026-11-22T18:30").format(text=text)) from exc
    if end and len(text) <= len("2026-11-22"):
        found = datetime.combine(found.date(), time.max)
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(timezone))


def read_interval(text: str) -> timedelta:
    """An interval: "30m", "1h", "90s", "1d". Raises FatalError with what would be right."""
    found = re.fullmatch(r"(\d{1,6})\s*([smhd])", text.strip().lower())
    if found is None or not int(found[1]):
        raise FatalError(_("{text!r}: write an interval such as 30m, 1h or 1d").format(text=text))
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def read_options(said: Iterable[str], exporter: ExporterSpec) -> dict[str, str]:
    """OPTION=VALUE texts → what holds for the format, defaults included. Raises FatalError with what there is."""
    known: dict[str, ExportOption] = {each.name: each for each in exporter.options}
    chosen = {name: each.default for name, each in known.items()}
    for text in said:
        name, _equals, value = text.partition("=")
        if name not in known:
            near = did_you_mean(difflib.get_close_matches(name, known, n=1, cutoff=0.4))
            there = ", ".join(known) or _("none")
            raise FatalError(
                _("--set {text}: {format} has no option {name!r}{near}; there are {options}").format(
                    text=text, format=exporter.name, name=name, near=near, options=there
                )
            )
        if not re.fullmatch(known[name].pattern, value):
            raise FatalError(
                _("--set {text}: {name} is {about}; {default} when left out").format(
                    text=text, name=name, about=_(known[name].about), default=known[name].default
                )
            )
        chosen[name] = value
    return chosen


def read_taxa(names: Iterable[str]) -> tuple[frozenset[str], list[str]]:
    """(scientific names, what is wrong with the others): scientific, English and Spanish names are known."""
    taxa, faults = set(), []
    for name in names:
        if taxon := taxon_named(name):
            taxa.add(taxon.scientific_name)
            continue
        written = common_and_scientific_names()
        near = [written[each][0] for each in difflib.get_close_matches(fold(name), written, n=3)]
        faults.append(_("no taxon {name!r}{near}").format(name=name, near=did_you_mean(near)))
        taxa.add(name)  # matches nothing, unless a model of the site's own has it
    return frozenset(taxa), faults


@contextmanager
def open_store(plan: Plan) -> Iterator[Store]:
    """The site's database, for reading. Raises SchemaError when it is not there or was made by an older program."""
    url = plan.database_url
    if not exists(url):
        raise SchemaError(_("{path}: nothing was recorded yet: `tigrillo run` makes it").format(path=name_of(url)))
    with Store(url, read_only=True) as store:
        if not harvest.is_current(store):
            raise SchemaError(
                _("{path}: was made by an older tigrillo: start `tigrillo run` once, it brings it up to date").format(
                    path=name_of(url)
                )
            )
        yield store


def known_stations(plan: Plan, clock: Clock) -> KnownStations:
    """The stations of a site, named in its YAML or added."""
    named = {
        each.name: Station(each.name, each.timezone or "", each.latitude, each.longitude) for each in plan.file.stations
    }
    return KnownStations(Book(Folders.of(plan.state_dir).book), named, plan.file.site.timezone, clock)


def services_for(plan: Plan, *, log: Log, clock: Clock, context: ExportContext) -> Services:
    """What an exporter is handed: no device is opened and no model loaded."""
    file = plan.file
    return Services(
        compute=_Nothing(),
        models=InstalledModels(models_dir()),
        media=_Nothing(),
        log=log,
        state_dir=plan.state_dir,
        clock=clock,
        stations=known_stations(plan, clock),
        default_timezone=file.site.timezone,
        language=file.site.language,
        site_name=file.site.name,
        used_models={spec.name: str(config.model) for spec, config in plan.stages if hasattr(config, "model")},
        exporting=replace(context, dataset=file.dataset),
    )


class _Nothing:
    """No device and no media: an exporter gets by with what was recorded."""

    def session(self, card: object) -> NoReturn:
        raise NotImplementedError(f"{card}: an exporter runs no models")

    def open(self, path: Path, kind: Kind) -> NoReturn:
        raise NotImplementedError(f"{path}: an exporter opens no {kind}")


def context_of(
    store: Store,
    span: harvest.Span,
    *,
    timezone_of: Callable[[str], str] = lambda _station: "UTC",
    now: datetime | None = None,
) -> ExportContext:
    """What the records tell beside the frames. now: until when the effort of deployments that go on is counted."""
    with store.reading() as connection:
        stood = all_deployments(connection, stations=span.stations, since=span.since, until=span.until)
    periods = tuple(harvest.periods(store, span))
    loose = harvest.loose_periods(store, span) if stood else periods
    return ExportContext(
        periods=periods,
        loose={each.station: each for each in loose},
        packages=tuple(imported_packages(store)),
        imported_events=partial(imported_events_in, store, span),
        encounters_of=partial(harvest.encounters_of, store),
        by_station=True,
        deployments=tuple(stood),
        effort=EffortByDeployment(store, {each.id: each for each in stood}, timezone_of, now or SystemClock().now()),
    )


def write_export(
    store: Store,
    exporter: ExporterSpec,
    out: Path,
    services: Services,
    wanted: Wanted,
    *,
    progress: Callable[[int], object] = lambda _read: None,
) -> Exported:
    """Write what is wanted to `out`, whole or not at all; memory does not grow with the number of frames.

    services: with the context of `wanted.span`. progress: told how many frames were read, now and then.
    """
    done = Exported()
    seen: set[str] = set()
    context = services.exporting
    meant = replace(context, imported_events=lambda: wanted.events_of(context.imported_events()))
    services = replace(services, exporting=meant)
    stations = [period.station for period in services.exporting.periods]
    independence = Independence(wanted.independent) if wanted.independent else None
    with exporter.open(out, services) as writer:
        for outcome in harvest.outcomes(
            store, wanted.span, stations, raw_classes=exporter.raw_classes, suppressed=wanted.suppressed
        ):
            done.read += 1
            if done.read % PROGRESS_EVERY == 0:
                progress(done.read)
            part = wanted.part_of(as_counted(outcome) if exporter.counted else outcome)
            if part is not None and independence is not None:
                part = keep_only(part, independence.keeper(part))
            if part is None:
                continue
            writer.add(part)
            done.frames += 1
            done.observations += sum(len(picture.detections) for picture in part.pictures)
            seen.add(part.spooled.station)
        if not wanted.chooses:
            for name, reason in harvest.failures(store, wanted.span):
                writer.fail(name, reason)
                done.failures += 1
    progress(done.read)
    done.without_position = sorted(each for each in seen if not _has_place(services, each))
    return done


def _has_place(services: Services, station: str) -> bool:
    """Whether a station, or one of its deployments, has a position."""
    if any(each.station == station and each.latitude is not None for each in services.exporting.deployments):
        return True
    known = services.stations.get(station)
    return known is not None and known.latitude is not None and known.longitude is not None


def why_nothing(store: Store, wanted: Wanted, faults: Sequence[str]) -> str:
    """Why nothing matched, as far as a wrong name explains it; "" when it does not."""
    known = harvest.stations_known(store)
    reasons = list(faults)
    for station in wanted.span.stations:
        if station not in known:
            near = did_you_mean(difflib.get_close_matches(station, known, n=3))
            reasons.append(_("no frame of a station {name!r}{near}").format(name=station, near=near))
    return "; ".join(reasons)
