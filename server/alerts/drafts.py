"""Changes of rules that somebody prepares: the site's YAML as it would be, its diff, and a simulation of it.

Kept in memory for as long as the page's process runs: nothing is written before it is saved, and then by the daemon.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from edge.configuring.editing import add_item, remove_item, replace_item
from edge.configuring.proposal import Proposal, propose, read_site
from edge.errors import ConfigError
from edge.i18n import mark
from edge.yaml_marks import parse

from ..web import Web
from .trials import Trial

KEPT = 50
MOST_LEVELS = 40  # of lists and mappings, a level of conditions takes four; eight levels of those are allowed


@dataclass(slots=True)
class Draft:
    """One change. rule: its new name, "" for one that is removed. proposal: the whole text, checked."""

    id: str
    owner: str
    title: str
    rule: str
    proposal: Proposal
    trial: Trial | None = field(default=None, compare=False)


class Drafts:
    """Those of an application, the last 50."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Draft] = OrderedDict()

    def add(self, owner: str, title: str, rule: str, proposal: Proposal) -> Draft:
        """Keep one; the oldest goes."""
        draft = Draft(secrets.token_urlsafe(12), owner, title, rule, proposal)
        with self._lock:
            self._kept[draft.id] = draft
            while len(self._kept) > KEPT:
                _id, gone = self._kept.popitem(last=False)
                if gone.trial is not None:
                    gone.trial.stop()
        return draft

    def get(self, draft_id: str, owner: str) -> Draft | None:
        """One of somebody's own."""
        with self._lock:
            found = self._kept.get(draft_id)
        return found if found is not None and found.owner == owner else None


_opening = threading.Lock()


def drafts_of(request: Request) -> Drafts:
    """The application's."""
    state = request.app.state
    with _opening:
        if not hasattr(state, "rule_drafts"):
            state.rule_drafts = Drafts()
        found: Drafts = state.rule_drafts
        return found


@dataclass(frozen=True, slots=True)
class SiteText:
    """The site's YAML as it is now, and the rules in it as they are written. base: SHA-256 of the text."""

    text: str
    base: str
    rules: tuple[Mapping[str, Any], ...]

    def index(self, name: str) -> int | None:
        """Which rule is called so."""
        return next((number for number, rule in enumerate(self.rules) if str(rule.get("name")) == name), None)

    def rule(self, name: str) -> Mapping[str, Any] | None:
        """The rule of this name as it is written."""
        index = self.index(name)
        return None if index is None else self.rules[index]


def site_text(web: Web) -> SiteText:
    """Read it. Raises ConfigError when it can't be."""
    text, base = read_site(web.plan.path)
    data = parse(text).data
    entries = data.get("rules") if isinstance(data, dict) else None
    rules = [each if isinstance(each, dict) else {} for each in entries] if isinstance(entries, list) else []
    return SiteText(text, base, tuple(rules))


def changed(web: Web, site: SiteText, name: str, entry: Mapping[str, Any] | None) -> Proposal:
    """The site with a rule of another content, a new one (name ""), or without it (entry None). Raises ConfigError."""
    _check_storable(entry)
    index = site.index(name) if name else None
    if name and index is None:
        raise ConfigError(mark("this rule is not there any more: load the page again"))
    if entry is None:
        text = remove_item(site.text, ("rules", index or 0))
    elif index is None:
        text = add_item(site.text, ("rules",), dict(entry))
    else:
        text = replace_item(site.text, ("rules", index), dict(entry))
    return propose(web.plan.path, text, web.registry, base=site.base)


def _check_storable(value: Any, levels: int = MOST_LEVELS) -> None:
    """Raise ConfigError for what no file can hold: half a surrogate pair, or values in values without end."""
    if levels < 0:
        raise ConfigError(mark("brackets within brackets, too deep to read: write it flat"))
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ConfigError(mark("a text has characters that no file can hold")) from exc
    for each in value.items() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        _check_storable(each, levels - 1)
