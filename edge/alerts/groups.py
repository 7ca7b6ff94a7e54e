"""Groups: names for several kinds of things at once, built in or the site's own.

A group's members are categories, other groups and taxa, read in this order. Case and accents don't count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..model import Category


@dataclass(frozen=True, slots=True)
class Members:
    """What a group comes to. taxa: scientific names, each meaning all below it too."""

    categories: frozenset[Category] = frozenset()
    taxa: frozenset[str] = frozenset()


_CATS = Members(taxa=frozenset({"Felidae"}))
_POACHERS = Members(frozenset({"person", "vehicle"}), frozenset({"Canis familiaris"}))
BUILT_IN: Mapping[str, Members] = MappingProxyType(
    {"felinos": _CATS, "cats": _CATS, "cazadores": _POACHERS, "poachers": _POACHERS}
)
