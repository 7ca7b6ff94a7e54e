"""A model's file, whichever device runs it."""

import hashlib

from ..errors import ModelError
from ..foreign import foreign
from ..i18n import _
from ..model import Card


def check_hash(card: Card) -> None:
    """Raise ModelError when the model's file is missing or has not the SHA-256 of its card ("" is not checked)."""
    try:
        with card.onnx_path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ModelError(
            _("model {name!r}: {path} can't be read ({reason}): run `tigrillo models pull {name}`").format(
                name=card.name, path=card.onnx_path, reason=foreign(exc.strerror)
            )
        ) from exc
    if card.sha256 and found != card.sha256:
        raise ModelError(
            _(
                "model {name!r}: {path} has SHA-256 {found}…, its card says {expected}…: run `tigrillo models "
                "pull {name}` again"
            ).format(name=card.name, path=card.onnx_path, found=found[:12], expected=card.sha256[:12])
        )
