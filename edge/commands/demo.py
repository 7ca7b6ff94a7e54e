"""`tigrillo demo`: show the whole way of a frame, and hold the counts together at the end."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..i18n import _

if TYPE_CHECKING:
    from ..demo.show import Ended


SETTLE_S = 30  # of the time given: to start, and to look at the last frames


def demo(
    seconds: Annotated[float, typer.Option(min=5, help=_("End after this long in any case."))] = 85.0,
    media: Annotated[Path | None, typer.Option(help=_("Use the stills and clips of this folder."))] = None,
    keep: Annotated[Path | None, typer.Option(help=_("Put everything into this folder (it must be empty)."))] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help=_("Frames; by default each file once, if time allows."))
    ] = None,
    every: Annotated[float, typer.Option(min=0.01, help=_("Seconds between two frames."))] = 0.5,
) -> None:
    """Start a broker, an agent with a camera that replays stills, the daemon and a mailbox; show the eight verbs live.

    Needs no camera and no network once the models are there. Exit 1 when the counts don't agree in the end.
    """
    from ..demo.show import run_show
    from ..errors import FatalError
    from ..wire import kind_of

    if keep and keep.exists() and any(keep.iterdir()):
        raise FatalError(_("{folder}: is not empty: name another folder for --keep").format(folder=keep))
    folder = (keep or Path(tempfile.mkdtemp(prefix="tigrillo-demo-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    stills = media.absolute() if media else _footage(folder, console)
    found = sum(1 for path in stills.rglob("*") if path.is_file() and kind_of(path.name) and path.name[0] != ".")
    if not found:
        raise FatalError(_("{folder}: no stills or clips in there").format(folder=stills))
    count = frames or min(found, max(1, int((seconds - SETTLE_S) / every)))
    given = (lambda card: _put_on_card(stills, card)) if media is None else (lambda _card: 0)
    ended = run_show(folder, stills, frames=count, sd_card=given, every_s=every, limit_s=seconds, console=console)
    _tell(console, folder, ended, expected=count + ended.counts.given)


def _footage(folder: Path, console: Console) -> Path:
    from ..demo.footage import fetch_pictures, make_footage
    from ..paths import models_dir

    pictures = models_dir().parent / "demo"
    console.print(_("making the footage: a cat on grass, by day and in infrared light"))
    fetch_pictures(pictures)
    make_footage(pictures, folder / "footage")
    return folder / "footage"


def _put_on_card(stills: Path, card: Path) -> int:
    """What a person copies from an SD card: a clip of the walk by day."""
    from ..demo.footage import make_clip

    make_clip(sorted(stills.glob("day_*.jpg")), stills.parent / "walk.mp4")
    shutil.copy(stills.parent / "walk.mp4", card / "walk.mp4")
    return 1


def _tell(console: Console, folder: Path, ended: "Ended", *, expected: int) -> None:
    counts = ended.counts
    captured = counts.captured + counts.given
    agree = captured == counts.received == counts.recorded + counts.quarantined == expected
    delivered = counts.sent == counts.alerts == ended.mails
    console.print(
        _(
            "frames: {captured} captured = {received} received = {recorded} recorded; "
            "{observations} animals found; {sent} of {alerts} alerts delivered; {seconds:.0f} s"
        ).format(
            captured=captured,
            received=counts.received,
            recorded=counts.recorded,
            observations=counts.observations,
            sent=counts.sent,
            alerts=counts.alerts,
            seconds=ended.spent_s,
        ),
        highlight=False,
        soft_wrap=True,
    )
    if counts.quarantined:
        console.print(_("{count} could not be read and are in quarantine").format(count=counts.quarantined))
    if ended.restarts:
        console.print(_("{restarts} processes had to be started again").format(restarts=ended.restarts))
    for what, place in (
        (_("{count} annotated pictures").format(count=ended.pictures), folder / "annotated"),
        (_("results (MegaDetector 1.6)"), folder / "results.json"),
        (_("{count} mails").format(count=ended.mails), folder / "mail"),
        (_("all of it on the web page"), f"tigrillo web {folder / 'site.yaml'}"),
    ):
        console.print(f"  {what}: {place}", highlight=False, soft_wrap=True)
    if not agree or not delivered or ended.shown != counts.recorded:
        console.print(_("the counts don't agree: look into {folder}/daemon.log").format(folder=folder), style="red")
        raise typer.Exit(1)
