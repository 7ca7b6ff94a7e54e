"""Exporter `matrices`: tables for camtrapR, unmarked and activity: records, cameras, effort and detection histories.

Memory holds which kinds a station recorded on which days, and nothing of single frames.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.api import Category, Exporter, ExporterSpec, ExportOption, Outcome, Services, hookimpl, mark

from .bundle import open_bundle
from .captures import kind_of, most_together
from .found import Table, later, local
from .stays import Stay, Stays

DAY = timedelta(days=1)
RECORDS = (
    *("Station", "Camera", "Species", "DateTimeOriginal", "Date", "Time", "delta.time.secs", "delta.time.mins"),
    *("delta.time.hours", "delta.time.days", "Directory", "FileName", "n_individuals", "Category", "Rank", "Score"),
)
CAMERAS = (
    *("Station", "Camera", "Latitude", "Longitude", "Setup_date", "Retrieval_date", "Problem1_from", "Problem1_to"),
    *("Deployment", "Timezone"),
)
MISSING = "NA"  # as R writes it


class MatrixWriter:
    """Writes the record table as frames come, the rest at the end."""

    def __init__(self, records: Table, services: Services) -> None:
        options = services.exporting.options
        self._records = records
        self._services = services
        self._stays = Stays(services)
        self._independent = timedelta(minutes=int(options.get("independent_minutes", "0")))
        self._occasion = int(options.get("occasion_days", "1"))
        self._station = ""
        self._last: dict[str, datetime] = {}  # of this station: kind → its last record that was written
        self._recent: dict[str, datetime] = {}  # and its last record at all
        self._seen: dict[str, dict[str, set[date]]] = {}  # kind → station → days
        self._days: dict[str, set[date]] = {}  # station → days with a frame

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame; those of unknown time are in no table."""
        stay = self._stays.of(outcome)
        captured = outcome.spooled.captured
        if captured.utc is None:
            return
        if stay.station != self._station:
            self._station = stay.station
            self._last, self._recent = {}, {}
        zone = captured.timezone
        today = date.fromisoformat(local(captured.utc, zone)[:10])
        self._days.setdefault(stay.station, set()).add(today)
        for kind, count in most_together(outcome).items():
            self._seen.setdefault(kind, {}).setdefault(stay.station, set()).add(today)
            self._record(outcome, stay, kind, count, captured.utc)

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: nothing was seen."""

    def _record(self, outcome: Outcome, stay: Stay, kind: str, count: int, at: datetime) -> None:
        recent = self._recent.get(kind)
        self._recent[kind] = at
        if recent is not None and at - recent < self._independent:
            return
        last = self._last.get(kind)
        self._last[kind] = at
        delta = (at - last).total_seconds() if last is not None else 0.0
        deltas = (round(delta), round(delta / 60, 1), round(delta / 3600, 1), round(delta / 86400, 1))
        category, rank, score, seconds = _surest(outcome, kind)
        there = local(later(at, seconds), outcome.spooled.captured.timezone)
        day, time = there[:10], there[11:19]
        folder, _slash, name = outcome.spooled.name.rpartition("/")
        self._records.add(
            (
                *(stay.station, _camera(stay), kind, f"{day} {time}", day, time, *deltas, folder, name),
                *(count, category, rank, score),
            )
        )

    def finish(self, folder: Path) -> None:
        """Write cameras, effort and histories."""
        active = self._active_days()
        days = [day for found in active.values() for day in found]
        first, last = (min(days), max(days)) if days else (None, None)
        with ExitStack() as files:

            def table(name: str, columns: tuple[str, ...]) -> Table:
                made = Table(files.enter_context((folder / f"{name}.csv").open("wb")), columns)
                files.callback(made.flush)
                return made

            cameras = table("camera_traps", CAMERAS)
            for stay in self._stays:
                cameras.add(self._camera_row(stay))
            dates = () if first is None or last is None else tuple(_range(first, last))
            operation = table("camera_operation", ("Station", *(each.isoformat() for each in dates)))
            spans = [dates[at : at + self._occasion] for at in range(0, len(dates), self._occasion)]
            names = tuple(f"o{number}" for number in range(1, len(spans) + 1))
            effort = table("effort", ("Station", *names))
            history = table("detection_history", ("Species", "Station", *names))
            occasions = table("occasions", ("Occasion", "Start", "End"))
            for name, span in zip(names, spans, strict=True):
                occasions.add((name, span[0].isoformat(), span[-1].isoformat()))
            for station in sorted(active):
                worked = active[station]
                operation.add((station, *(_number(worked.get(day)) for day in dates)))
                effort.add((station, *(_number(_sum(worked, span)) for span in spans)))
                operation.flush()  # rows may be wide: a clock that was wrong once makes decades of days
            for kind in sorted(self._seen):
                history.flush()
                for station in sorted(active):
                    seen, worked = self._seen[kind].get(station, set()), active[station]
                    history.add(
                        (
                            *(kind, station),
                            *(
                                MISSING if _sum(worked, span) is None else int(not seen.isdisjoint(span))
                                for span in spans
                            ),
                        )
                    )

    def _camera_row(self, stay: Stay) -> tuple[Any, ...]:
        noted = stay.noted
        effort = self._services.exporting.effort.get(stay.id) if noted else None
        failed = [gap for gap in effort.gaps if gap.kind == "failed"] if effort else []
        problem = [local(each, stay.timezone)[:10] for each in (failed[0].start, failed[0].end)] if failed else ["", ""]
        until = local(self._stays.end_of(stay), stay.timezone)[:10]
        place = (_of(stay.latitude), _of(stay.longitude))
        began = local(stay.start, stay.timezone)[:10]
        return (stay.station, _camera(stay), *place, began, until, *problem, stay.id, stay.timezone)

    def _active_days(self) -> dict[str, dict[date, float]]:
        """Station → day → the share of it in which a camera worked; days that are missing were not looked at."""
        active: dict[str, dict[date, float]] = {}
        for stay in self._stays:
            mine = active.setdefault(stay.station, {})
            effort = self._services.exporting.effort.get(stay.id) if stay.noted else None
            gaps = [(gap.start, gap.end) for gap in effort.gaps] if effort else []
            end = effort.end if effort else self._stays.end_of(stay)
            for day, share in _shares(stay.start, end, gaps, stay.timezone):
                mine[day] = min(1.0, mine.get(day, 0.0) + share)
        for station, days in self._days.items():
            for day in days:  # a camera that took a picture worked
                if not active.setdefault(station, {}).get(day):
                    active[station][day] = 1.0
        return active


def _surest(outcome: Outcome, kind: str) -> tuple[Category | str, str, float, float]:
    """(category, rank, score, seconds into the clip) of the surest detection of a kind on a frame."""
    best: tuple[float, Category | str, str, float] = (-1.0, "", "", 0.0)
    for picture in outcome.pictures:
        for each in picture.detections:
            score = each.answer.score if each.answer else each.score
            if kind_of(each) == kind and score > best[0]:
                best = (score, each.category, each.answer.taxon.rank if each.answer else "", picture.time_s)
    return best[1], best[2], round(best[0], 4), best[3]


def _shares(
    start: datetime, end: datetime, gaps: list[tuple[datetime, datetime]], timezone: str
) -> Iterator[tuple[date, float]]:
    """(local day, share of it in start … end without the gaps) of each day that has any time in it."""
    zone = ZoneInfo(timezone)
    day = start.astimezone(zone).date()
    while (begin := datetime(day.year, day.month, day.day, tzinfo=zone)) <= end:
        after = day + DAY
        until = datetime(after.year, after.month, after.day, tzinfo=zone)
        seconds = _overlap(begin, until, start, end)
        lost = sum(_overlap(max(begin, start), min(until, end), *gap) for gap in gaps)
        whole = until.timestamp() - begin.timestamp()
        yield day, max(0.0, seconds - lost) / whole
        day = after


def _overlap(begin: datetime, until: datetime, start: datetime, end: datetime) -> float:
    """Seconds that two spans share; by the clock of the world, as days with a change of the hour have 23 or 25 h."""
    return max(0.0, min(until.timestamp(), end.timestamp()) - max(begin.timestamp(), start.timestamp()))


def _sum(worked: Mapping[date, float], span: tuple[date, ...]) -> float | None:
    """Days of work in an occasion; None when the station worked on none of its days."""
    total = sum(worked.get(day, 0.0) for day in span)
    return total or None


def _range(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def _number(share: float | None) -> float | int | str:
    if share is None:
        return MISSING
    rounded = round(share, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def _camera(stay: Stay) -> str:
    return stay.noted.camera_id if stay.noted else ""


def _of(value: float | None) -> float | str:
    return MISSING if value is None else value


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A zip or folder that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_bundle(path, "matrices") as folder:
        with (folder / "record_table.csv").open("wb") as file:
            records = Table(file, RECORDS)
            writer = MatrixWriter(records, services)
            yield writer
            records.flush()
        writer.finish(folder)


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `matrices`."""
    options = (
        ExportOption("occasion_days", "1", r"[1-9][0-9]{0,2}", mark("how many days an occasion has")),
        ExportOption(
            "independent_minutes",
            "0",
            r"[0-9]{1,5}",
            mark("the record table leaves out what was seen so shortly before"),
        ),
    )
    about = mark("record table, effort and detection histories for camtrapR and unmarked: a zip or a folder")
    return [
        ExporterSpec(
            "matrices", ".zip", open_export, about, folder=True, raw_classes=False, counted=True, options=options
        )
    ]
