"""The models that are installed: folders with card.toml and model.onnx."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from ..i18n import _
from ..model import Card
from ..paths import is_safe_name
from .card import FILE_NAME, read_card


@dataclass(frozen=True, slots=True)
class InstalledModels:
    """The models in one folder; implements edge.services.Models."""

    folder: Path

    def names(self) -> list[str]:
        """Names of the installed models, sorted; also of those whose card is wrong."""
        if not self.folder.is_dir():
            return []
        return sorted(each.parent.name for each in self.folder.glob(f"*/{FILE_NAME}") if is_safe_name(each.parent.name))

    def card(self, name: str) -> Card:
        """The card of a model. Raises ModelError, naming `tigrillo models pull`, when it is not there."""
        if not is_safe_name(name):
            raise ModelError(
                _("model {name!r}: letters, digits, '_', '-' and '.' only, no dot in front").format(name=name[:80])
            )
        folder = self.folder / name
        if not (folder / FILE_NAME).is_file():
            raise ModelError(
                _("model {name!r} is not installed in {folder}; run: tigrillo models pull {name}").format(
                    name=name, folder=self.folder
                )
            )
        card = read_card(folder)
        if card.name != name:
            raise ModelError(
                _("{path}: name: must be {name!r} like its folder, got {found!r}").format(
                    path=folder / FILE_NAME, name=name, found=card.name
                )
            )
        if not card.onnx_path.is_file():
            raise ModelError(
                _("{path} is missing; run: tigrillo models pull {name}").format(path=card.onnx_path, name=name)
            )
        return card

    def verify(self, name: str) -> Card:
        """The card, after comparing the model's SHA-256 with it. Raises ModelError when they differ."""
        card = self.card(name)
        found = sha256_of(card.onnx_path)
        if found != card.sha256:
            raise ModelError(
                _(
                    "{path}: sha256 is {found}, its card says {expected}; the file was changed or is broken: remove "
                    "{folder} and pull or import it again"
                ).format(path=card.onnx_path, found=found, expected=card.sha256, folder=card.folder)
            )
        return card


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
