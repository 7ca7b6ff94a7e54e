"""`tigrillo replay`: look at one recorded frame again, stage by stage."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _, decimal

if TYPE_CHECKING:
    from ..hookspecs import Stage
    from ..model import Detection, Frame, Outcome


@dataclass(slots=True)
class Step:
    """What one stage did to one picture."""

    number: int
    stage: str
    ms: float
    says: str


@dataclass(slots=True)
class Tracer:
    """Wraps a stage and notes what it changes and how long it takes."""

    name: str
    stage: "Stage"
    steps: list[Step] = field(default_factory=list)

    def __call__(self, frame: "Frame") -> "Frame":
        """Pass the frame on, and take the time."""
        from time import perf_counter

        started = perf_counter()
        after = self.stage(frame)
        self.steps.append(Step(frame.number, self.name, (perf_counter() - started) * 1000, _changes(frame, after)))
        return after


def replay(
    frame_id: Annotated[str, typer.Argument(help=_("The frame's id, as alerts and the log give it."))],
    site: Annotated[Path, typer.Option(help=_("The site's YAML file."))] = Path("site.yaml"),
    station: Annotated[str | None, typer.Option(help=_("Needed when two stations have this id."))] = None,
    trace: Annotated[bool, typer.Option("--trace", help=_("Tell stage by stage what happens."))] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print as JSON."))] = False,
) -> None:
    """Look at one recorded frame again with the site's stages and compare with what was recorded. Writes nothing."""
    from ..clock import SystemClock
    from ..config import load_plan
    from ..daemon import open_runner, open_services
    from ..logs import make_log
    from ..pipeline.runner import Runner
    from ..pipeline.tally import Tally
    from ..registry import load_registry
    from ..store.sql import Store

    registry = load_registry()
    plan = load_plan(site, registry)
    log = make_log(json_lines=False, level="warning")
    with (
        Store(plan.database_url, read_only=True) as store,
        open_services(plan, registry, log=log, clock=SystemClock(), tally=Tally()) as services,
        open_runner(plan, services) as runner,
    ):
        spooled = pick_frame(store.find_frames(frame_id), frame_id, station)
        steps: list[Step] = []
        stages = [(name, Tracer(name, stage, steps)) for name, stage in runner.stages]
        traced = Runner(runner.media, stages, answering=runner.answering)
        outcome = traced.look_at(spooled)
        recorded = store.outcome(spooled.pk)
    result = {
        "frame": spooled.id,
        "station": spooled.station,
        "path": str(spooled.path),
        "decode_ms": round(outcome.stage_ms["decode"], 1),
        "trace": [{"picture": s.number, "stage": s.stage, "ms": round(s.ms, 1), "says": s.says} for s in steps],
        "now": _described(outcome),
        "recorded": _described(recorded) if recorded else None,
    }
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        _print(result, trace=trace)


def pick_frame(found: list[Any], frame_id: str, station: str | None) -> Any:
    """The frame that is meant. Raises FatalError when there is none, or when it is not clear which."""
    from ..errors import FatalError

    matching = [frame for frame in found if station in {None, frame.station}]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise FatalError(_("{frame_id}: no such frame in this site's database").format(frame_id=frame_id))
    stations = ", ".join(frame.station for frame in matching)
    raise FatalError(
        _("{frame_id}: several stations have it: add --station, one of {stations}").format(
            frame_id=frame_id, stations=stations
        )
    )


def _changes(before: "Frame", after: "Frame") -> str:
    if after.rejected:
        return _("ends here: {reason}").format(reason=after.rejected)
    if after.moving is not before.moving:
        return _("{count} boxes moved").format(count=len(after.moving or ()))
    if after.detections != before.detections:
        return "; ".join(map(_say, after.detections)) or _("nothing found")
    return _("nothing changed")


def _say(detection: "Detection") -> str:
    text = f"{_(detection.category)} {detection.score:.2f}"
    if detection.answer:
        return f"{text} = {detection.answer.taxon.scientific_name} {detection.answer.score:.2f}"
    if detection.classifications:
        best = detection.classifications[0]
        return f"{text} ~ {best.label} {best.score:.2f}"
    return text


def _described(outcome: "Outcome") -> list[str]:
    return [_say(detection) for detection in outcome.detections()]


def _print(result: dict[str, Any], *, trace: bool) -> None:
    console = Console()
    console.print(f"{result['station']}/{result['frame']}  {result['path']}", highlight=False)
    if trace:
        table = Table(_("picture"), _("stage"), "ms", _("says"), box=None)
        table.add_row("", _("decode"), decimal(result["decode_ms"]), "")
        for step in result["trace"]:
            table.add_row(str(step["picture"]), step["stage"], decimal(step["ms"]), step["says"])
        console.print(table)
    none = _("nothing found")
    console.print(_("now:      {found}").format(found="; ".join(result["now"]) or none), highlight=False)
    before = _("not recorded") if result["recorded"] is None else "; ".join(result["recorded"]) or none
    console.print(_("recorded: {found}").format(found=before), highlight=False)
