"""The web page and its API: a process of its own that reads the record and writes what people decide on the page."""

from pathlib import Path

from edge.i18n import add_catalogue

CATALOGUE = Path(__file__).resolve().parent / "locale" / "es.po"
if CATALOGUE.exists():
    add_catalogue(CATALOGUE)
