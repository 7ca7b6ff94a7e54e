"""What a site does with originals that show people or vehicles: the section `people:` of its YAML."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from ..i18n import _
from ..model import Card, Category

PEOPLE: frozenset[Category] = frozenset({"person", "vehicle"})
DAYS = re.compile(r"([1-9][0-9]{0,3})d")
AUTO, NOBODY = "auto", "nobody"


def _originals(text: str) -> str:
    if text not in {"keep", "delete"} and not DAYS.fullmatch(text):
        raise ValueError(_("{text!r}: write keep, delete, or days such as 30d").format(text=text[:80]))
    return text


class PeopleConfig(BaseModel):
    """The section. originals: keep leaves them where they are; 30d withholds them for so long, then deletes; delete.

    look_with: the model that looks for people where the stage's detector knows none: an installed detector's name,
    auto for the smallest one that knows people, nobody for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    originals: Annotated[str, AfterValidator(_originals)] = "keep"
    look_with: str = AUTO

    @property
    def withheld_for(self) -> timedelta | None:
        """How long they are withheld; None when they are kept as they are, or deleted at once."""
        days = DAYS.fullmatch(self.originals)
        return timedelta(days=int(days[1])) if days else None


def people_known(card: Card) -> frozenset[Category]:
    """Which of person and vehicle a detector can find."""
    return PEOPLE & frozenset(card.categories.values())


def second_look(config: PeopleConfig, first: Card, installed: Iterable[Card]) -> Card | None:
    """The detector that looks for people beside `first`; None when that finds them itself, or nobody can.

    installed: those to be preferred first.
    """
    if "person" in people_known(first) or config.look_with == NOBODY:
        return None
    able = [card for card in installed if card.task == "detect" and "person" in people_known(card)]
    wanted = (card for card in able if config.look_with in {AUTO, card.name})
    return next(wanted, None)
