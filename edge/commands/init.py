"""`tigrillo init`: a starter site with comments a person can read."""

from pathlib import Path
from typing import Annotated

import typer

from ..i18n import LANGUAGES, _, user_language


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=_("The folder to make; nothing in it is overwritten."))],
    lang: Annotated[str | None, typer.Option(help=_("Language of the comments: en or es."))] = None,
) -> None:
    """Write site.yaml, agent.yaml, an inbox folder for SD cards, and the stations' authority."""
    from ..clock import SystemClock
    from ..config import load_general
    from ..errors import FatalError
    from ..paths import data_dir
    from ..station_site import site_desk

    language = lang or user_language()
    if language not in LANGUAGES:
        raise FatalError(_("{lang!r}: the languages are en and es").format(lang=lang))
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("site.yaml", "agent.yaml"):
        target = folder / name
        if target.exists():
            raise FatalError(_("{path}: is there already, and is left as it is").format(path=target))
        target.write_text((data_dir("configs") / language / name).read_text("utf-8"), "utf-8")
    (folder / "inbox").mkdir(exist_ok=True)
    file, state_dir = load_general(folder / "site.yaml")
    site_desk(file, state_dir, SystemClock())  # makes the authority, and leaves one that is there as it is
    typer.echo(_("{folder}: a site to start from. Next: edit {folder}/site.yaml, then").format(folder=folder))
    typer.echo(f"  tigrillo models pull\n  tigrillo check {folder}/site.yaml\n  tigrillo run {folder}/site.yaml")
