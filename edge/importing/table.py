"""The formats of `tigrillo import`, by name. A new one: a module beside this one, and a line here."""

from collections.abc import Mapping

from ..i18n import mark
from .camtrap import import_package
from .imported import ImportFormat
from .megadetector import import_results

IMPORTS: Mapping[str, ImportFormat] = {
    "camtrap-dp": ImportFormat(import_package, mark("Camera Trap Data Package 1.0: a folder or a zip")),
    "megadetector": ImportFormat(import_results, mark("MegaDetector results 1.0 to 1.6, one JSON file")),
}
