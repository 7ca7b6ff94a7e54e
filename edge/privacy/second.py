"""Which installed detector looks for people beside the site's own."""

from ..errors import EdgeError
from ..model import Card
from ..models.installed import InstalledModels
from .policy import AUTO, NOBODY, PeopleConfig, people_known, second_look


def second_detector(config: PeopleConfig, first: str, installed: InstalledModels) -> Card | None:
    """The detector that looks for people where `first` knows none; None when there is none, or it needs none.

    Cards that can't be read are passed over: the stage that names them, or `tigrillo doctor`, says why.
    """
    try:
        card = installed.card(first)
    except EdgeError:
        return None
    return second_look(config, card, _cards(installed))


def second_name(config: PeopleConfig, first: str, installed: InstalledModels) -> str:
    """The name of that detector, "" when there is none; one that the site names stands, so that its absence is said."""
    found = second_detector(config, first, installed)
    if found is not None:
        return found.name
    try:
        needed = "person" not in people_known(installed.card(first))
    except EdgeError:
        return ""
    return config.look_with if needed and config.look_with not in {AUTO, NOBODY} else ""


def _cards(installed: InstalledModels) -> list[Card]:
    """The smallest first: a second look should cost little."""
    found = []
    for name in installed.names():
        try:
            found.append(installed.card(name))
        except EdgeError:
            continue
    return sorted(found, key=lambda card: card.onnx_path.stat().st_size)
