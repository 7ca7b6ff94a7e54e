"""`tigrillo models`: list, show, pull, verify and import; thin, the work is in edge.models."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from ..errors import ModelError
from ..i18n import _
from ..model import Card, Category
from ..paths import models_dir
from .words import Command, Group

if TYPE_CHECKING:
    from ..models.catalog import Entry

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)
SENTENCES = {
    "summary",
    "licence",
    "note",
    "not_yet",
    "accept",
}  # what a card and the catalogue say in words, not in names

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help=_("Where models are installed, instead of $TIGRILLO_MODELS."))
]
JsonOption = Annotated[bool, typer.Option("--json", help=_("Print as JSON."))]


@command(
    "list",
    short_help=_("List the models that are installed and those that can be pulled."),
    help=_(
        "List the models that are installed and those that can be pulled, with licence and summary.\n\n"
        "Those of the catalogue: `tigrillo models pull NAME`. Your own: `tigrillo models import FILE.onnx`.\n\n"
        "They lie in $TIGRILLO_MODELS, else in tigrillo/models in your data folder."
    ),
)
def list_models(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Print one line a model."""
    from ..models.catalog import read_catalogue
    from ..models.installed import InstalledModels

    models = InstalledModels(folder or models_dir())
    catalogue = read_catalogue()
    installed = models.names()
    rows = [_row(name, catalogue.get(name), models, installed) for name in dict.fromkeys((*installed, *catalogue))]
    if as_json:
        typer.echo(json.dumps({"folder": str(models.folder), "models": rows}))
        return
    table = Table(_("model"), _("installed"), _("licence"), _("what it is"), box=None)
    for row in rows:
        table.add_row(row["name"], _("yes") if row["installed"] else "", _(row["licence"]), _(row["summary"]))
    console = Console(markup=False, highlight=False)
    console.print(table)
    console.print(_("Folder: {folder}").format(folder=models.folder), soft_wrap=True)


def _row(name: str, entry: "Entry | None", models: Any, installed: Sequence[str]) -> dict[str, Any]:
    """A line of the list. A card that is wrong is shown as such, and does not hide the others."""
    row = {
        "name": name,
        "installed": name in installed,
        "in_catalogue": entry is not None,
        "licence": "",
        "summary": "",
    }
    if entry:
        row |= {"licence": entry.licence, "summary": entry.summary, "default": entry.default}
    elif name in installed:
        try:
            card = models.card(name)
        except ModelError as exc:
            return row | {"summary": str(exc)}
        row |= {"licence": card.licence, "summary": f"{card.task}, {card.decoder}, {card.source}"}
    return row


@command(
    "show",
    short_help=_("Show the card of an installed model, or the catalogue's entry of one that is not."),
    help=_(
        "Show the card of an installed model, or the catalogue's entry of one that is not.\n\n"
        "The card (card.toml beside model.onnx) says how the model is used: size and colours of its input, decoder, "
        "classes, thresholds, licence and where it comes from."
    ),
)
def show(
    name: Annotated[str, typer.Argument(help=_("The model's name."))],
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what is known of one model."""
    from ..models.catalog import find_entry, read_catalogue
    from ..models.installed import InstalledModels

    models = InstalledModels(folder or models_dir())
    if name in models.names():
        values = _card_values(models.card(name))
    else:
        entry = find_entry(name, read_catalogue())
        values = {key: value for key, value in asdict(entry).items() if value not in ("", None, {}, False)}
        values["installed"] = False
    if as_json:
        typer.echo(json.dumps(values))
        return
    table = Table(box=None, show_header=False)
    for key, value in values.items():
        table.add_row(key, _(value) if key in SENTENCES else _shortened(value))
    Console(markup=False, highlight=False).print(table)


@command(
    "pull",
    short_help=_("Fetch models of the catalogue, check their hash, convert and install them."),
    help=_(
        "Fetch models of the catalogue, check their SHA-256, convert them to ONNX and install them.\n\n"
        "Without a name: the default detector and classifier. A broken download goes on where it stopped when the "
        "command is given again; a file with a wrong hash is refused and nothing of it stays. Nothing that a "
        "downloaded file contains is run."
    ),
)
def pull_models(
    names: Annotated[
        list[str] | None, typer.Argument(help=_("Models to fetch; without a name the default two."))
    ] = None,
    folder: FolderOption = None,
    trust_first_use: Annotated[
        bool,
        typer.Option(
            "--trust-first-use",
            help=_("Accept a file whose publisher gives no hash; the hash of what comes is recorded for later pulls."),
        ),
    ] = False,
    accept_licence: Annotated[
        bool,
        typer.Option("--accept-licence", help=_("Agree to what a model's licence asks for; without it that is shown.")),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Install models; one that is there with the right hash is left as it is."""
    from ..models.catalog import read_catalogue
    from ..models.pull import pull

    chosen = names or [entry.name for entry in read_catalogue().values() if entry.default]
    pulled = []
    with _progress() as progress:
        for name in chosen:
            result = pull(
                name,
                folder or models_dir(),
                progress=progress,
                trust_first_use=trust_first_use,
                accept_licence=accept_licence,
            )
            pulled.append({"name": name, "fresh": result.fresh, "folder": str(result.card.folder)})
            if not as_json:
                text = _("{name}: installed in {folder}") if result.fresh else _("{name}: is there already, hash right")
                typer.echo(text.format(name=name, folder=result.card.folder))
                if result.fresh and result.card.note:
                    typer.echo(f"{name}: {_(result.card.note)}")
    if as_json:
        typer.echo(json.dumps(pulled))


@command(
    "verify",
    short_help=_("Compare installed models with the hash in their card. Exit 78 when one differs."),
    help=_(
        "Compare installed models with the SHA-256 in their card.\n\n"
        "Every model is checked before the command ends. Exit 78 when one differs: remove it and pull it again."
    ),
)
def verify(
    names: Annotated[list[str] | None, typer.Argument(help=_("Models to check; without a name all."))] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every model before complaining about the first."""
    from ..models.installed import InstalledModels

    models = InstalledModels(folder or models_dir())
    faults: dict[str, str] = {}
    chosen = names or models.names()
    for name in chosen:
        try:
            models.verify(name)
        except ModelError as exc:
            faults[name] = str(exc)
    if as_json:
        typer.echo(
            json.dumps([{"name": name, "ok": name not in faults, "fault": faults.get(name, "")} for name in chosen])
        )
    else:
        for name in chosen:
            typer.echo(faults.get(name) or _("{name}: right").format(name=name), err=name in faults)
        if not chosen:
            typer.echo(_("No model is installed in {folder}").format(folder=models.folder), err=True)
    if faults:
        raise typer.Exit(ModelError.exit_code)


@command(
    "import",
    short_help=_("Install your own ONNX file: its card is made from what the file says."),
    help=_(
        "Install your own ONNX file: its card is made from what the file says.\n\n"
        "Detectors with a YOLOv5, YOLOX or YOLOv8 head and classifiers are recognised by their output. What the file "
        "does not say, such as class names or which of them are animals, is asked for; what was guessed wrong is "
        "corrected in card.toml. The file is copied and the original stays.\n\n"
        "With the name of a model that the catalogue knows and can't convert, as --name speciesnet, what the catalogue "
        "says of it goes into the card."
    ),
)
def import_onnx(  # because typer makes an option of each
    file: Annotated[Path, typer.Argument(help=_("The .onnx file; it is copied."))],
    name: Annotated[str, typer.Option(help=_("Name of the model; the file's name by default."))] = "",
    decoder: Annotated[
        str, typer.Option(help=_("Head: yolov5, yolox, yolov8 or classifier; told from the output by default."))
    ] = "",
    task: Annotated[
        Literal["detect", "classify", ""], typer.Option(help=_("What it does; told from the output by default."))
    ] = "",
    classes: Annotated[
        str,
        typer.Option(help=_("File with one class name a line, or: coco, imagenet. Default: the names in the file.")),
    ] = "",
    category: Annotated[
        list[str] | None,
        typer.Option(help=_("CLASS=animal, =person or =vehicle; '*=animal' for all others. Several times.")),
    ] = None,
    size: Annotated[str, typer.Option(help=_("Input pixels, 640 or HEIGHTxWIDTH, if the model takes any."))] = "",
    taxonomy: Annotated[str, typer.Option(help=_("Taxonomy table that knows the classes, as imagenet."))] = "",
    licence: Annotated[str, typer.Option(help=_("Licence of the weights, noted in the card."))] = "",
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Install an ONNX file of one's own."""
    from ..models.class_names import read_class_names
    from ..models.importing import Wishes, import_model
    from ..models.pull import catalogued

    known = catalogued(name)
    settings = {key: value for key, value in known.settings.items() if key != "taxonomy" or not taxonomy}
    wishes = Wishes(
        decoder=decoder or known.decoder,
        task=task or known.task,
        classes=read_class_names(classes) if classes else known.classes,
        categories=dict(_category(each) for each in category or []),
        input_hw=_size(size),
        taxonomy=taxonomy or ("imagenet" if classes == "imagenet" else ""),
        licence=licence or known.licence,
        settings=settings,
    )
    card = import_model(file, folder or models_dir(), name=name, wishes=wishes)
    if as_json:
        typer.echo(json.dumps(_card_values(card)))
        return
    typer.echo(_("{name}: installed in {folder}").format(name=card.name, folder=card.folder))
    typer.echo(
        _("{decoder} head, input {height}×{width}, {count} classes; see and correct {path}").format(
            decoder=card.decoder,
            height=card.input_hw[0],
            width=card.input_hw[1],
            count=len(card.classes),
            path=card.folder / "card.toml",
        )
    )
    if card.note:
        typer.echo(_(card.note))


def _category(text: str) -> tuple[str, Category]:
    name, _equals, value = text.rpartition("=")
    for category in get_args(Category):
        if name and value == category:
            return name, category
    raise ModelError(_("--category {text!r}: write CLASS=animal, CLASS=person or CLASS=vehicle").format(text=text[:80]))


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and len(side) <= 5 for side in sides):
        raise ModelError(
            _("--size {text!r}: write pixels as 640, or height and width as 480x640").format(text=text[:40])
        )
    return int(sides[0]), int(sides[-1])


def _card_values(card: Card) -> dict[str, Any]:
    return {**asdict(card), "folder": str(card.folder), "installed": True}


def _shortened(value: object) -> str:
    """A value on a line or two; a thousand class names are counted, not listed."""
    if isinstance(value, tuple | list) and len(value) > 6:
        return ", ".join(map(str, value[:6])) + f", … ({len(value)})"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return _shortened([f"{key} = {_(each) if key in SENTENCES else each}" for key, each in value.items()])
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


class _Bar:
    """A rich progress bar as edge.models.pull.Progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, visible=False)

    def step(self, text: str) -> None:
        """Print the step; on a terminal, and when standard error is a file."""
        self._progress.console.print(text, soft_wrap=True, markup=False, highlight=False)

    def received(self, done_bytes: int, total_bytes: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done_bytes, total=total_bytes or None, visible=True)


@contextmanager
def _progress() -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress)
