"""`tigrillo process`: the command around edge.process."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..i18n import _, decimal

if TYPE_CHECKING:
    from ..model import Outcome
    from ..process import Failure

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

DEFAULT_SITE = """
stages:
  - {use: detect, model: megadetector-lite}
  - {use: classify, model: efficientnet-lite0}
  - {use: rollup}
"""


def process(
    paths: Annotated[list[Path], typer.Argument(help=_("Stills, clips and folders of them."))],
    site: Annotated[Path | None, typer.Option(help=_("Take stages and models from this site."))] = None,
    out: Annotated[Path, typer.Option(help=_("Where the results go (MegaDetector 1.6)."))] = Path("results.json"),
    annotate: Annotated[Path | None, typer.Option(help=_("Write pictures with their boxes into this folder."))] = None,
    resume: Annotated[bool, typer.Option("--resume", help=_("Go on where an interrupted run stopped."))] = False,
    fps: Annotated[float | None, typer.Option(min=0, help=_("Pictures a second of a clip; 0 for all."))] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help=_("Files in work at once."))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the summary as JSON."))] = False,
) -> None:
    """Find animals in files and folders, once; write MegaDetector results 1.6.

    Ctrl-C leaves a valid file; --resume continues it.
    """
    from ..clock import SystemClock
    from ..config import load_plan, plan_from
    from ..daemon import open_runner, open_services
    from ..logs import make_log
    from ..media.evidence import write_annotated
    from ..pipeline.tally import Tally
    from ..process import (
        Failure,
        Journal,
        common_folder,
        find_items,
        fingerprint_of,
        look_at_all,
        write_results,
    )
    from ..registry import load_registry

    registry = load_registry()
    plan = load_plan(site, registry) if site else plan_from(DEFAULT_SITE, Path("(default)"), registry)
    items = find_items(paths)
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
    ):
        models = {str(getattr(config, "model")) for _spec, config in plan.stages if hasattr(config, "model")}  # noqa: B009  # because only some stages have a model
        settings = [(spec.name, config.model_dump_json()) for spec, config in plan.stages]
        settings += [("media", plan.file.media.model_dump_json()), ("fps", str(fps))]
        hashes = [services.models.card(name).sha256 for name in sorted(models)]
        journal = Journal(out, fingerprint_of(common_folder(paths), settings, hashes), resume=resume)
        todo = [item for item in items if item.name not in journal]
        stop, started = threading.Event(), time.monotonic()
        with _progress(console) as bar, _stopped_by_ctrl_c(stop):
            task = bar.add_task("", total=len(items), completed=len(items) - len(todo), rate="")
            finished = 0

            def done(result: "Outcome | Failure") -> None:
                nonlocal finished
                finished += 1
                journal.add(result)
                rate = finished / max(time.monotonic() - started, 1e-6)
                bar.update(task, advance=1, rate=_("{rate} frames/s").format(rate=decimal(rate)))

            look_at_all(
                todo,
                runner=runner,
                services=services,
                workers=workers or plan.file.limits.inbox_frames,
                stop=stop,
                done=done,
            )
        seconds = time.monotonic() - started
        write_results(out, items, journal, exporter=registry.exporters["megadetector"], services=services)
        complete = all(item.name in journal for item in items)
        failures: list[Failure] = []
        categories: Counter[str] = Counter()
        for result in journal.results(items):
            if isinstance(result, Failure):
                failures.append(result)
                continue
            categories.update({str(detection.category) for detection in result.detections()} or {"blank"})
            # after Ctrl-C nobody wants to wait until all files were read again; the run that completes it draws them
            if annotate and complete:
                write_annotated(annotate, result, services)
        journal.close(finished=complete)
    summary = {
        "out": str(out),
        "files": len(items),
        "finished": sum(item.name in journal for item in items),
        "looked_at": finished,
        "failed": len(failures),
        "with": dict(sorted(categories.items())),
        "seconds": round(seconds, 2),
        "frames_per_s": round(finished / max(seconds, 1e-6), 2),
        "complete": complete,
    }
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        _print_summary(console, summary, failures, resumable=not complete)
    if not complete:
        raise typer.Exit(EXIT_INTERRUPTED)


def _progress(console: Console) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn(_("left")),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


class _stopped_by_ctrl_c:  # noqa: N801  # because it reads as the context it is
    """While inside, Ctrl-C and SIGTERM set the event instead of breaking off."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        def handle(_number: int, _frame: FrameType | None) -> None:
            self._stop.set()

        self._before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _print_summary(
    console: Console, summary: Mapping[str, Any], failures: "Sequence[Failure]", *, resumable: bool
) -> None:
    for failure in failures:
        console.print(f"[red]✗[/] {escape(f'{failure.name}: {failure.reason}')}", highlight=False)
    text = _("{finished} of {files} files in {seconds} s ({frames_per_s} frames/s), {failed} failed → {out}")
    rates = {key: decimal(summary[key], digits=2) for key in ("seconds", "frames_per_s")}
    typer.echo(text.format(**{**summary, **rates}))
    if resumable:
        typer.echo(_("interrupted: the same command with --resume goes on from here"))
