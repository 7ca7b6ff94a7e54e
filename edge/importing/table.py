"""The formats of `tigrillo import`, by name. A new one: a module beside this one, and a line here."""

from collections.abc import Mapping

from ..i18n import mark
from .imported import ImportFormat
from .megadetector import import_results

IMPORTS: Mapping[str, ImportFormat] = {
    "megadetector": ImportFormat(import_results, mark("MegaDetector results 1.0 to 1.6, one JSON file")),
}
