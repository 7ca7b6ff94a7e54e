"""`tigrillo calibrate`: reviewed boxes → calibration.toml and a reliability plot; the work is in edge.species."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import FatalError
from ..i18n import _, decimal
from .process import DEFAULT_SITE
from .station import JsonOption, site_path

if TYPE_CHECKING:
    from ..config import Plan
    from ..model import Detection, Frame
    from ..models.taxonomy import Taxonomy
    from ..registry import Registry
    from ..species.calibration import Reviewed


@dataclass(frozen=True, slots=True)
class Collect:
    """A stage behind the classifier: keeps each file's surest classified box with all its classes."""

    best: "dict[str, Detection]" = field(default_factory=dict)

    def __call__(self, frame: "Frame") -> "Frame":
        """The frame as it came."""
        for detection in frame.detections:
            known = self.best.get(frame.spooled.name)
            if detection.classifications and (known is None or detection.score > known.score):
                self.best[frame.spooled.name] = detection
        return frame


def calibrate(
    labels: Annotated[
        Path | None, typer.Option("--from", metavar="LABELS.csv", help=_("Labels of files, which are looked at now."))
    ] = None,
    reviews: Annotated[
        bool, typer.Option("--reviews", help=_("Take what people said of the site's recorded frames."))
    ] = False,
    out: Annotated[Path, typer.Option(help=_("The calibration to write."))] = Path("calibration.toml"),
    plot: Annotated[
        Path | None, typer.Option(help=_("The reliability plot to write (SVG); beside --out when left out."))
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help=_("Take stages and models, and the record, from this site."))
    ] = None,
    target: Annotated[
        float, typer.Option(min=0.5, max=0.999, help=_("Share of a taxon's answers that shall be right."))
    ] = 0.9,
    as_json: JsonOption = False,
) -> None:
    """Fit a temperature and thresholds of taxa to reviewed boxes."""
    from ..config import load_plan, plan_from
    from ..registry import load_registry
    from ..species.calibration import fit, said_and_right, write_calibration
    from ..species.reliability import bins_of, reliability_svg

    if (labels is None) == (not reviews):
        raise FatalError(_("say what to learn from: --from LABELS.csv or --reviews"))
    registry = load_registry()
    if reviews or site:
        plan = load_plan(site_path(site), registry)
    else:
        plan = plan_from(DEFAULT_SITE, Path("(default)"), registry)
    taxonomy, (model, sha256) = _taxonomy_of(plan), _classifier_of(plan)
    boxes = list(_from_files(labels, plan, registry) if labels else _from_reviews(plan))
    made_of = f"{labels.name}" if labels else "reviews"
    found = fit(boxes, taxonomy, target=target, model=model, model_sha256=sha256, made_of=made_of)
    write_calibration(found, out)
    plot = plot or out.with_suffix(".svg")
    usable = [each for each in boxes if each.classes]
    before = bins_of(said_and_right(usable, taxonomy))
    after = bins_of(said_and_right([replace(each, classes=found.heat(each.classes)) for each in usable], taxonomy))
    plot.write_text(reliability_svg([(_("as the classifier says"), before), (_("calibrated"), after)]), "utf-8")
    if as_json:
        summary = {
            "out": str(out), "plot": str(plot), "boxes": found.boxes, "temperature": found.temperature,
            "error_before": found.error_before, "error_after": found.error_after, "thresholds": dict(found.thresholds),
        }  # fmt: skip
        typer.echo(json.dumps(summary, ensure_ascii=False))
        return
    text = _(
        "{boxes} boxes: temperature {temperature}, calibration error {before} → {after}, thresholds of {taxa} taxa"
    )
    numbers = {
        "temperature": decimal(found.temperature, digits=2),
        "before": decimal(found.error_before, digits=3),
        "after": decimal(found.error_after, digits=3),
    }
    typer.echo(text.format(boxes=found.boxes, taxa=len(found.thresholds), **numbers))
    typer.echo(
        _("{out} and {plot} written; in the site, under `use: rollup`: calibration: {out}").format(out=out, plot=plot)
    )


def _taxonomy_of(plan: "Plan") -> "Taxonomy":
    from ..models.taxonomy import load_taxonomy

    named = [str(config.taxonomy) for _spec, config in plan.stages if hasattr(config, "taxonomy")]
    if not named:
        raise FatalError(_("{path}: no stage `rollup`, which names the taxonomy").format(path=plan.path))
    return load_taxonomy(named[0])


def _classifier_of(plan: "Plan") -> tuple[str, str]:
    """(name, SHA-256) of the site's classifier. Raises FatalError without one."""
    from ..models.installed import InstalledModels
    from ..paths import models_dir

    named = [str(config.model) for spec, config in plan.stages if spec.name == "classify" and hasattr(config, "model")]
    if not named:
        raise FatalError(_("{path}: no stage `classify`: there is nothing to calibrate").format(path=plan.path))
    return named[0], InstalledModels(models_dir()).card(named[0]).sha256


def _from_files(labels: Path, plan: "Plan", registry: "Registry") -> "Iterator[Reviewed]":
    """The surest box of each labelled file, looked at by the site's stages up to the classifier.

    Raises ConfigError for a wrong table, FatalError for files that are not there.
    """
    import threading

    from ..clock import SystemClock
    from ..daemon import open_runner, open_services
    from ..logs import make_log
    from ..pipeline.runner import Runner
    from ..pipeline.tally import Tally
    from ..process import find_items, look_at_all
    from ..species.calibration import Reviewed
    from ..species.labels import read_labels

    rows = {str(labels.parent / each.file): each for each in read_labels(labels)}
    items = {str(path): replace(item, name=str(path)) for path in map(Path, rows) for item in find_items([path])}
    until = next(number for number, (spec, _config) in enumerate(plan.stages) if spec.name == "classify")
    plan, collect = replace(plan, stages=plan.stages[: until + 1]), Collect()
    log = make_log(json_lines=False, level="warning")
    with (
        open_services(plan, registry, log=log, clock=SystemClock(), tally=Tally()) as services,
        open_runner(plan, services) as runner,
    ):
        look_at_all(
            list(items.values()),
            runner=Runner(runner.media, [*runner.stages, ("collect", collect)], runner.looking_at),
            services=services,
            workers=plan.file.limits.inbox_frames,
            stop=threading.Event(),
            done=lambda _result: None,
        )
    for name, label in rows.items():
        found = collect.best.get(name)
        if found and label.shows != "unknown" and (label.shows != "animal" or label.taxon):
            yield Reviewed(found.classifications, label.taxon)


def _from_reviews(plan: "Plan") -> "Iterator[Reviewed]":
    from ..export import open_store
    from ..species.calibration import Reviewed
    from ..species.labels import taxon_of
    from ..store.reviewed import reviewed_boxes

    with open_store(plan) as store:
        for box in reviewed_boxes(store):
            truth = taxon_of(box.taxon) if box.kind == "animal" else None
            if box.kind != "unknown" and (box.kind != "animal" or truth):
                yield Reviewed(box.detection.classifications, truth)
