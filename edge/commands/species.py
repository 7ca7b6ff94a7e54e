"""`tigrillo species`: look at species lists, and at what the classifier can tell; the work is in edge.species."""

import csv
import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..errors import ConfigError, FatalError
from ..i18n import _
from .station import JsonOption
from .words import Command, Group

app = typer.Typer(no_args_is_help=True, cls=Group)
command = partial(app.command, cls=Command)

TaxonomyOption = Annotated[
    str, typer.Option(help=_("The classifier's taxonomy: a table such as imagenet, or an installed model."))
]


@command(
    "check",
    short_help=_("Check a species list; print every fault with its line. Exit 78 when there is one."),
    help=_(
        "Check a species list (CSV) without using it.\n\n"
        "Every fault goes to standard error with its line and the names that may have been meant. What is right is "
        "printed with the finest answer that the classifier can give for it. Exit 78 when there is a fault.\n\n"
        "Columns, in English or Spanish: scientific_name, english, spanish; one is enough. For animals that are not "
        "known here genus, family, order or class. Lines that begin with # do not count."
    ),
)
def check(
    file: Annotated[Path, typer.Argument(metavar="LIST.csv", help=_("The list."))],
    taxonomy: TaxonomyOption = "imagenet",
    as_json: JsonOption = False,
) -> None:
    """Print the list's rows, or its faults."""
    from ..species.lists import look_at_list

    answers = _taxonomy(taxonomy)
    species, faults = look_at_list(file)
    rows = [
        {
            "line": row.line,
            "written": row.written,
            "taxon": row.taxon.scientific_name,
            "rank": row.taxon.rank,
            "known": row.known,
            "answer": answers.finest_answer(row.taxon).scientific_name,
        }
        for row in (species.rows if species else ())
    ]
    if as_json:
        said = [{"line": each.line, "message": each.message} for each in faults]
        typer.echo(json.dumps({"file": str(file), "rows": rows, "faults": said}, ensure_ascii=False))
        if faults:
            raise typer.Exit(ConfigError.exit_code)
        return
    if faults:
        raise ConfigError("\n".join(f"{file}:{each.line}: {each.message}" for each in faults))
    table = Table(_("line"), _("name"), _("taxon"), _("finest answer"), box=None)
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("line", "written", "taxon", "answer")))
    Console(markup=False, highlight=False).print(table)
    own = sum(row["answer"] == row["taxon"] for row in rows)
    text = _("{file}: good. {count} lines; the classifier can name {own} of them itself")
    typer.echo(text.format(file=file, count=len(rows), own=own))


@command(
    "list",
    short_help=_("List the animals that are known here, in two languages; --csv to begin a list of your own."),
    help=_(
        "List the animals that are known here: scientific name, rank, English and Spanish name, and the finest answer "
        "that the classifier can give.\n\n"
        "tigrillo species list --under Carnivora --csv > list.csv begins a list of your own: take out what does not "
        "live there, then `tigrillo species check list.csv`, then name it in the site under the stage rollup: "
        "species_list: list.csv."
    ),
)
def list_taxa(
    under: Annotated[str, typer.Option(help=_("Only this taxon and what is below it; any name."))] = "",
    rank: Annotated[
        str, typer.Option(help=_("Only this rank: species, genus, family, order, class or kingdom."))
    ] = "species",
    taxonomy: TaxonomyOption = "imagenet",
    as_csv: Annotated[bool, typer.Option("--csv", help=_("Print as CSV, as a species list has it."))] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the taxa of one rank."""
    from ..model import RANKS
    from ..models.taxa import all_taxa

    if rank not in RANKS:
        raise FatalError(_("no rank {rank!r}: there are {ranks}").format(rank=rank, ranks=", ".join(RANKS)))
    answers, top = _taxonomy(taxonomy), _under(under)
    found: list[dict[str, Any]] = [
        {
            "scientific_name": taxon.scientific_name,
            "rank": taxon.rank,
            "english": taxon.english,
            "spanish": taxon.spanish,
            "answer": answers.finest_answer(taxon).scientific_name,
        }
        for taxon in all_taxa().values()
        if taxon.rank == rank and top in taxon.lineage
    ]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    if as_csv:
        names = ("scientific_name", "english", "spanish")
        writer = csv.DictWriter(sys.stdout, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
        return
    table = Table(_("scientific name"), _("English"), _("Spanish"), _("finest answer"), box=None)
    for each in found:
        table.add_row(*(each[key] for key in ("scientific_name", "english", "spanish", "answer")))
    Console(markup=False, highlight=False).print(table)
    typer.echo(_("{count} taxa").format(count=len(found)))


def _taxonomy(name: str) -> Any:
    from ..models.taxonomy import load_taxonomy

    try:
        return load_taxonomy(name)
    except ValueError as exc:
        raise FatalError(str(exc)) from exc


def _under(name: str) -> str:
    from ..models.taxa import taxon_named
    from ..species.lists import hint_for

    if not name:
        return "Animalia"
    taxon = taxon_named(name)
    if taxon is None:
        raise FatalError(hint_for(name))
    return taxon.scientific_name
