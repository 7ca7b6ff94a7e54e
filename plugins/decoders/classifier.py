"""The head of a classifier: (n, classes), a score for each class.

`activation` in the card's options: "softmax" (the default) for a model that ends in logits, "none" for one that gives
probabilities itself.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from edge.api import (
    F32,
    Card,
    DecoderSpec,
    ModelError,
    Session,
    _,
    check_head,
    check_numbers,
    first_of_rank,
    hookimpl,
    softmax,
)

ACTIVATIONS = ("softmax", "none")


def check(session: Session) -> None:
    """Raise ModelError unless the first output with two axes is (n, classes) and the activation is known."""
    card = session.card
    check_head(session, shape=("n", len(card.classes)))
    if activation(card) not in ACTIVATIONS:
        raise ModelError(
            _("model {name!r}: options.activation is {activation!r} in {path}: known are {names}").format(
                name=card.name,
                activation=activation(card),
                path=card.folder / "card.toml",
                names=", ".join(ACTIVATIONS),
            )
        )


def decode(outputs: Sequence[F32], card: Card) -> F32:
    """Probabilities, float32 (n, classes). Raises StageError when the model gave no numbers."""
    scores = first_of_rank(outputs, 2)
    check_numbers(scores)
    return softmax(scores) if activation(card) == "softmax" else np.clip(scores, 0.0, 1.0)


def activation(card: Card) -> str:
    """What turns the model's output into probabilities."""
    return str(card.options.get("activation", "softmax"))


@hookimpl
def tigrillo_decoders() -> Iterable[DecoderSpec]:
    """The decoder `classifier`."""
    return [DecoderSpec("classifier", "classify", check, decode)]
