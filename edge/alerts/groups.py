"""Groups: names for several kinds of things at once, built in or the site's own.

A member is a group of the site, a category, a built-in group or a taxon, looked for in this order; case and accents
don't count. The site may redefine a built-in group.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, get_args

from ..i18n import _
from ..model import Category, Taxon
from ..models.taxa import fold

Faults = list[tuple[tuple[str | int, ...], str]]  # (where it stands, what is wrong and what would be right)

CATEGORIES: tuple[Category, ...] = get_args(Category)


class NamesTaxa(Protocol):
    """What is asked of a taxonomy here."""

    def find(self, name: str) -> Taxon | None:
        """The taxon of a scientific or common name, in any case; None when there is none."""

    def suggest(self, name: str) -> Sequence[str]:
        """Names near to this one, nearest first."""


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


def find_taxon(name: str, taxonomies: Iterable[NamesTaxa]) -> Taxon | None:
    """The taxon that the first taxonomy to know this name gives it."""
    return next(filter(None, (each.find(name) for each in taxonomies)), None)


def unknown_taxon(name: str, taxonomies: Sequence[NamesTaxa]) -> str:
    """What is wrong with a name that `find_taxon` finds nothing for, with the nearest names."""
    if not taxonomies:
        return _("no model of this site names species: add a classifier with a taxonomy and the stage `rollup`")
    close = dict.fromkeys(suggestion for each in taxonomies for suggestion in each.suggest(name))
    return _("no model of this site knows a taxon {name!r}").format(name=name) + did_you_mean(list(close)[:3])


def did_you_mean(close: Sequence[str]) -> str:
    """`; did you mean 'Felidae'?`, or nothing where no name is near."""
    return _("; did you mean {names}?").format(names=", ".join(map(repr, close))) if close else ""


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """At most three of these names that are near, nearest first."""
    by_fold = {fold(each): each for each in names}
    return [by_fold[each] for each in difflib.get_close_matches(fold(name), by_fold, n=3)]


def group_members(
    name: str, groups: Mapping[str, Sequence[str]], taxonomies: Sequence[NamesTaxa]
) -> tuple[Members, Faults]:
    """What a group comes to, and its faults, each with the path (group, index) of the member.

    Raises KeyError when there is no such group. Of a built-in group, members that no model can name are left out; it is
    a fault when nothing is left.
    """
    own = {fold(each): each for each in groups}
    faults: Faults = []
    found = _expand(name, groups, own, taxonomies, (), faults)
    return found, faults


def check_groups(groups: Mapping[str, Sequence[str]], taxonomies: Sequence[NamesTaxa]) -> Faults:
    """What is wrong with the site's `groups:`, each fault once; paths begin with the group's name."""
    faults: Faults = [
        ((name,), _("a group needs a member at least")) for name, members in groups.items() if not members
    ]
    seen: dict[str, str] = {}
    for name in groups:
        if (key := fold(name)) in seen:
            faults.append(((name,), _("{name!r} is there twice: rename one").format(name=seen[key])))
        seen[key] = name
    for name in groups:
        faults += [each for each in group_members(name, groups, taxonomies)[1] if each not in faults]
    return faults


def _expand(
    name: str,
    groups: Mapping[str, Sequence[str]],
    own: Mapping[str, str],
    taxonomies: Sequence[NamesTaxa],
    above: tuple[str, ...],
    faults: Faults,
) -> Members:
    key = fold(name)
    if key not in own:
        return _built_in(key, above, taxonomies, faults)
    here = own[key]
    categories: set[Category] = set()
    taxa: set[str] = set()
    for index, member in enumerate(groups[here]):
        inner = fold(member)
        if inner in {fold(each) for each in (*above, here)}:
            circle = " → ".join((*above, here, member))
            faults.append(((here, index), _("a group that contains itself: {circle}").format(circle=circle)))
        elif inner in own:
            found = _expand(member, groups, own, taxonomies, (*above, here), faults)
            categories |= found.categories
            taxa |= found.taxa
        elif inner in CATEGORIES:
            categories |= {each for each in CATEGORIES if each == inner}
        elif inner in BUILT_IN:
            found = _built_in(inner, (here, index), taxonomies, faults)
            categories |= found.categories
            taxa |= found.taxa
        elif taxon := find_taxon(member, taxonomies):
            taxa.add(taxon.scientific_name)
        else:
            faults.append(((here, index), _unknown_member(member, own, taxonomies)))
    return Members(frozenset(categories), frozenset(taxa))


def _built_in(key: str, where: tuple[str | int, ...], taxonomies: Sequence[NamesTaxa], faults: Faults) -> Members:
    whole = BUILT_IN[key]
    left = Members(whole.categories, frozenset(each for each in whole.taxa if find_taxon(each, taxonomies)))
    if not left.categories and not left.taxa:
        faults.append((where, unknown_taxon(min(whole.taxa), taxonomies)))
    return left


def _unknown_member(name: str, own: Mapping[str, str], taxonomies: Sequence[NamesTaxa]) -> str:
    if close := nearest(name, (*own.values(), *CATEGORIES, *BUILT_IN)):
        text = _("{name!r} is no taxon, category or group").format(name=name)
        return text + did_you_mean(close)
    return unknown_taxon(name, taxonomies)
