"""`tigrillo video`: the command around edge.video."""

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..i18n import _, decimal, user_language
from .process import DEFAULT_SITE, EXIT_INTERRUPTED, _progress, _stopped_by_ctrl_c

if TYPE_CHECKING:
    from ..model import Outcome
    from ..process import Failure

SUMMARY = "tracks.json"


def video(
    paths: Annotated[list[Path], typer.Argument(help=_("Clips and folders of them."))],
    out: Annotated[Path, typer.Option(help=_("Folder for the summary and all that is written."))],
    clips: Annotated[bool, typer.Option("--clips", help=_("Cut each track out, as a clip of its own."))] = False,
    annotated: Annotated[bool, typer.Option("--annotated", help=_("Write a copy with boxes and names."))] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help=_("Write a contact sheet: each track's best crops."))] = False,
    pre: Annotated[float, typer.Option(min=0, max=600, help=_("Seconds kept before a track."))] = 2.0,
    post: Annotated[float, typer.Option(min=0, max=600, help=_("Seconds kept after a track."))] = 2.0,
    show_people: Annotated[bool, typer.Option("--show-people", help=_("Do not blur people."))] = False,
    site: Annotated[Path | None, typer.Option(help=_("Take stages and models from this site."))] = None,
    fps: Annotated[float | None, typer.Option(min=0, help=_("Pictures a second of a clip; 0 for all."))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the summary as JSON."))] = False,
) -> None:
    """Say who is in clips, animal by animal, with times; cut each one out."""
    from ..clock import SystemClock
    from ..config import load_plan, plan_from
    from ..daemon import open_runner, open_services
    from ..errors import FatalError
    from ..logs import make_log
    from ..pipeline.tally import Tally
    from ..process import Failure, find_items, look_at_all
    from ..registry import load_registry
    from ..video import Wishes, summary_of, write_parts

    registry = load_registry()
    plan = load_plan(site, registry) if site else plan_from(DEFAULT_SITE, Path("(default)"), registry)
    items = [item for item in find_items(paths) if item.kind == "clip"]
    if not items:
        raise FatalError(_("{paths}: no clips in there").format(paths=", ".join(map(str, paths))))
    language = plan.file.site.language if site else user_language()
    wishes = Wishes(out, clips, annotated, sheet, pre, post, show_people, language)
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    stop, started = threading.Event(), time.monotonic()
    console = Console(stderr=True)
    with (
        open_services(
            plan,
            registry,
            log=make_log(json_lines=False, level="warning"),
            clock=SystemClock(),
            tally=Tally(),
            sample_fps=fps,
        ) as services,
        open_runner(plan, services) as runner,
        _progress(console) as bar,
        _stopped_by_ctrl_c(stop),
    ):
        task = bar.add_task("", total=len(items), rate="")

        def done(result: "Outcome | Failure") -> None:
            if isinstance(result, Failure):
                found[result.name] = {"file": result.name, "failed": result.reason}
            else:
                told = summary_of(result, language=language)
                found[result.spooled.name] = told | write_parts(result, wishes, services.media)
            bar.update(task, advance=1)

        # one at a time: a clip's pictures come one after the other, and decoder and models have threads of their own
        look_at_all(items, runner=runner, services=services, workers=1, stop=stop, done=done)
    summary = {
        "out": str(out / SUMMARY),
        "clips": [found[item.name] for item in items if item.name in found],
        "seconds": round(time.monotonic() - started, 2),
        "complete": len(found) == len(items),
    }
    (out / SUMMARY).write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", "utf-8")
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _print(console, summary)
    if not summary["complete"]:
        raise typer.Exit(EXIT_INTERRUPTED)


def _print(console: Console, summary: dict[str, Any]) -> None:
    from ..video import clock

    table = Table(_("clip"), _("track"), _("from"), _("to"), _("what"), _("score"), _("best picture"), box=None)
    for clip in summary["clips"]:
        for line in _faults_of(clip):
            console.print(f"[red]✗[/] {escape(line)}", highlight=False, soft_wrap=True)
        for each in clip.get("tracks", ()):
            times = [clock(each[key]) for key in ("start_s", "end_s")]
            best = clock(each["best"]["time_s"])
            table.add_row(
                clip["file"], str(each["track"]), *times, each["name"], decimal(each["score"], digits=2), best
            )
    if table.row_count:
        Console(markup=False, highlight=False).print(table)
    clips = summary["clips"]
    text = _("{files} clips, {failed} failed, {tracks} tracks in {seconds} s → {out}")
    typer.echo(
        text.format(
            files=len(clips),
            failed=sum("failed" in each for each in clips),
            tracks=sum(len(each.get("tracks", ())) for each in clips),
            seconds=decimal(summary["seconds"]),
            out=summary["out"],
        )
    )
    encoded = [each for clip in clips for each in clip.get("clips", ()) if each.get("why") and each["file"]]
    if encoded:
        whys = ", ".join(sorted({each["why"] for each in encoded}))
        typer.echo(_("{count} cut clips were encoded anew, not copied: {whys}").format(count=len(encoded), whys=whys))
    if not summary["complete"]:
        typer.echo(_("interrupted: not all clips were looked at"))


def _faults_of(clip: dict[str, Any]) -> list[str]:
    """What went wrong with a clip, one line each."""
    parts = [clip, *clip.get("clips", ()), clip.get("annotated", {}), clip.get("sheet", {})]
    reasons = [str(part["failed"]) for part in parts if part.get("failed")]
    return [reason if reason.startswith(Path(clip["file"]).name) else f"{clip['file']}: {reason}" for reason in reasons]
