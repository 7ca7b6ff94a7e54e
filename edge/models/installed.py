"""The models that are installed: folders with card.toml and model.onnx."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
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
            raise ModelError(f"model {name[:80]!r}: letters, digits, '_', '-' and '.' only, no dot in front")
        folder = self.folder / name
        if not (folder / FILE_NAME).is_file():
            raise ModelError(f"model {name!r} is not installed in {self.folder}; run: tigrillo models pull {name}")
        card = read_card(folder)
        if card.name != name:
            raise ModelError(f"{folder / FILE_NAME}: name: must be {name!r} like its folder, got {card.name!r}")
        if not card.onnx_path.is_file():
            raise ModelError(f"{card.onnx_path} is missing; run: tigrillo models pull {name}")
        return card

    def verify(self, name: str) -> Card:
        """The card, after comparing the model's SHA-256 with it. Raises ModelError when they differ."""
        card = self.card(name)
        found = sha256_of(card.onnx_path)
        if found != card.sha256:
            raise ModelError(
                f"{card.onnx_path}: sha256 is {found}, its card says {card.sha256}; the file was changed or is broken: "
                f"remove {card.folder} and pull or import it again"
            )
        return card


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
