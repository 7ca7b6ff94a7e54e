"""Exporter `report`: one HTML file to read and to print: species, activity, effort; in English or Spanish.

It needs no network and no other file. Pictures with people are never in it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from edge.api import Exporter, ExporterSpec, ExportOption, Outcome, Services, hookimpl, mark, open_atomically

from .report_page import write_page
from .report_tally import Tally

LANGUAGE = ExportOption("language", "", "en|es|", mark("language of the report, en or es; the site's when left out"))
GAP = ExportOption(
    "independent_minutes", "30", r"\d{1,5}", mark("the pause in minutes after which a capture is a new one")
)
PICTURES = ExportOption(
    "pictures", "yes", "yes|no", mark("whether the best picture of each kind stands in it: yes, no")
)


class ReportWriter:
    """Counts frames."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame."""
        self._tally.add(outcome)

    def fail(self, _name: str, _reason: str) -> None:
        """Take one file that could not be processed."""
        self._tally.fail()


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A file that takes the place of `path` when the context is left without an error. Raises OSError."""
    options = services.exporting.options
    chosen = {each.name: options.get(each.name, each.default) for each in (LANGUAGE, GAP, PICTURES)}
    gap_min = int(chosen[GAP.name])
    language = chosen[LANGUAGE.name] or services.language
    tally = Tally(services, timedelta(minutes=gap_min), pictures=chosen[PICTURES.name] == "yes")
    with open_atomically(path) as file:
        yield ReportWriter(tally)
        tally.finish()
        for piece in write_page(tally, services, language=language, gap_min=gap_min):
            file.write(piece.encode("utf-8", "replace"))


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `report`."""
    about = mark("one HTML file to read and to print: species, activity, effort")
    return [
        ExporterSpec(
            "report", ".html", open_export, about, raw_classes=False, counted=True, options=(LANGUAGE, GAP, PICTURES)
        )
    ]
