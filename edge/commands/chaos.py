"""`tigrillo chaos`: kill everything, again and again, and see whether a frame is missing; thin, it is in edge.chaos."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..i18n import _

if TYPE_CHECKING:
    from ..chaos.run import Ended, Progress

TELL_S = 5.0  # between two lines where nobody watches


def chaos(
    kills: Annotated[int, typer.Option(min=0, help=_("How many kills and stops."))] = 200,
    frames: Annotated[int, typer.Option(min=1, help=_("Frames, over all agents."))] = 5000,
    agents: Annotated[int, typer.Option(min=1, max=32, help=_("Agents, each a process."))] = 3,
    seed: Annotated[
        int, typer.Option(help=_("Of chance: who is killed, after how long; no two runs are quite the same."))
    ] = 1,
    seconds: Annotated[float, typer.Option(min=10, help=_("Give up after this long."))] = 900.0,
    keep: Annotated[Path | None, typer.Option(help=_("Put everything into this folder (it must be empty)."))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print as JSON."))] = False,
) -> None:
    """Run it; exit 1 when anything is not as it must be."""
    from ..chaos.run import Chaos, Wish
    from ..chaos.run import as_json as to_json
    from ..errors import FatalError

    if keep and keep.exists() and any(keep.iterdir()):
        raise FatalError(_("{folder}: is not empty: name another folder for --keep").format(folder=keep))
    folder = (keep or Path(tempfile.mkdtemp(prefix="tigrillo-chaos-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    wish = Wish(kills, min(frames, 999_999), min(agents, frames), seed, seconds)
    ended = Chaos(folder, wish, _Teller(wish.kills, wish.frames)).run()
    if as_json:
        typer.echo(to_json(ended))
    else:
        _show(Console(), ended)
    if ended.faults:
        typer.echo(_("everything is kept in {folder}").format(folder=folder), err=True)
        raise typer.Exit(1)
    if not keep:
        shutil.rmtree(folder)


class _Teller:
    """Progress to standard error: one line that changes in a terminal, a line now and then elsewhere."""

    def __init__(self, kills: int, frames: int) -> None:
        self._kills = kills
        self._frames = frames
        self._console = Console(stderr=True)
        self._told_s = -TELL_S

    def __call__(self, at: "Progress") -> None:
        left = "?" if at.eta_s is None else f"{at.eta_s:.0f}"
        line = _(
            "{spent:.0f} s: {kills} of {of_kills} kills; of {frames} frames {captured} captured, {received} received, "
            "{done} done; about {left} s left"
        ).format(
            spent=at.spent_s,
            kills=at.kills,
            of_kills=self._kills,
            frames=self._frames,
            captured=at.captured,
            received=at.received,
            done=at.done,
            left=left,
        )
        if self._console.is_terminal:
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if at.done >= self._frames else ""))
            sys.stderr.flush()
        elif at.spent_s - self._told_s >= TELL_S:
            self._told_s = at.spent_s
            typer.echo(line, err=True)


def _show(console: Console, ended: "Ended") -> None:
    verdict = ended.verdict
    table = Table(_("what"), _("found"), _("must be"), title=_("{kills} kills").format(kills=ended.kills))
    for what, found, goal in (
        (_("frames on the server"), verdict.rows, verdict.frames),
        (_("lost"), verdict.lost, 0),
        (_("recorded twice"), verdict.doubled, 0),
        (_("hash does not match"), verdict.mismatched, 0),
        (_("other faults"), len(ended.faults) - len(verdict.faults), 0),
    ):
        table.add_row(what, str(found), str(goal), style=None if found == goal else "red")
    console.print(table)
    stops = sum(ended.stopped.values())
    for line in (
        _("killed from outside: {agent} agents, {broker} broker, {server} server").format(
            **{"agent": 0, "broker": 0, "server": 0} | ended.killed
        ),
        _("stopped at a point: {stops}, at {points} different ones").format(stops=stops, points=len(ended.stopped)),
        *([_("not reached: {points}").format(points=", ".join(ended.untried))] if ended.untried else []),
        _("{seconds:.0f} s, the last {drained:.0f} without a kill; {quarantined} frames in quarantine").format(
            seconds=ended.spent_s, drained=ended.drained_s, quarantined=verdict.quarantined
        ),
    ):
        console.print(line, highlight=False, soft_wrap=True)
    for fault in ended.faults:
        console.print(fault, style="red", highlight=False, soft_wrap=True)
