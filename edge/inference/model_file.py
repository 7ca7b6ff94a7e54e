"""A model's file, whichever device runs it."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..foreign import foreign
from ..i18n import _
from ..model import Card

if TYPE_CHECKING:
    import onnx


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


def load_onnx(path: Path) -> "onnx.ModelProto":
    """The ONNX model of a file, with the weights that lie in files beside it.

    Raises ModelError when it is none, is cut off, or misses such a file.
    """
    import onnx  # noqa: PLC0415  # because whoever only checks a sum needs not load it
    from google.protobuf.message import DecodeError  # noqa: PLC0415  # as above

    try:
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            onnx.numpy_helper.to_array(tensor)
    except (OSError, DecodeError, onnx.checker.ValidationError, KeyError, TypeError, ValueError) as exc:
        reason = foreign(" ".join(str(exc).split())[:300])
        raise ModelError(_("{path} is no ONNX model: {reason}").format(path=path, reason=reason)) from exc
    return model
