"""The alerts' part of a site: whether rules, recipients and channels fit together; see config.py."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from .alerts.groups import NamesTaxa, check_groups
from .alerts.heartbeat import HeartbeatConfig
from .alerts.people import OwnAddressees, Recipient
from .alerts.resolve import resolve
from .alerts.rules import Rule
from .alerts.zones import Zone
from .hookspecs import NotifierSpec, StageSpec
from .i18n import _
from .models.taxonomy import load_taxonomy
from .services import Station
from .site_file import Channel, did_you_mean, known_zone
from .yaml_marks import Document, Path

Known = Mapping[str, tuple[NotifierSpec[Any], BaseModel]]  # channel → its spec and its settings


def check_whom(
    where: Path,
    whom: Rule | HeartbeatConfig,
    known: Known,
    channels: Sequence[str],
    document: Document,
) -> None:
    """Faults of the `channels:` of a rule or the heartbeat, which stands at `where`.

    known: those whose own settings are right. channels: the names of all.
    """
    for position, channel in enumerate(whom.channels):
        place: Path = (*where, "channels", position)
        if channel not in channels:
            close = difflib.get_close_matches(channel, channels, 1)
            hint = did_you_mean(close) or "; " + _("channels are: {names}").format(names=", ".join(channels) or "–")
            document.fault(place, _("no channel is called {name!r}{hint}").format(name=channel, hint=hint))
        elif channel in known and not known[channel][0].has_own(known[channel][1]):
            text = _("channel {name!r} has no addressees of its own: give it some, or name recipients under `to:`")
            document.fault(place, text.format(name=channel))


def ways_to(recipients: Sequence[Recipient]) -> list[str]:
    """What rules may call them: `ana`, `ana/sms`."""
    return [each.name for each in recipients] + [f"{each.name}/{way}" for each in recipients for way in each.reach]


def ways_in(entries: Iterable[Any]) -> list[str]:
    """The same of entries that need not be right."""
    named = [each for each in entries if isinstance(each, dict) and "name" in each]
    reach = [(each["name"], each.get("reach")) for each in named]
    return [str(each["name"]) for each in named] + [
        f"{name}/{way}" for name, ways in reach if isinstance(ways, dict) for way in ways
    ]


def recipient_from(entry: Any) -> Recipient | None:
    """The recipient of one entry; None when that is wrong, which is told elsewhere."""
    try:
        return Recipient.model_validate(entry)
    except ValidationError:
        return None


def check_ways(where: Path, whom: Rule | HeartbeatConfig, ways: Sequence[str], document: Document) -> None:
    """Faults of the `to:` of a rule or the heartbeat, and of escalations: recipients, or ways, that there are not."""
    places: list[tuple[Path, str]] = [((*where, "to", number), name) for number, name in enumerate(whom.to)]
    for step, escalation in enumerate(whom.escalate if isinstance(whom, Rule) else ()):
        places += [((*where, "escalate", step, "to", number), name) for number, name in enumerate(escalation.to)]
    for place, name in places:
        if name not in ways:
            hint = did_you_mean(difflib.get_close_matches(name, ways, 1))
            hint = hint or "; " + _("there are: {names}").format(names=", ".join(ways) or "–")
            document.fault(place, _("no recipient is called {name!r}{hint}").format(name=name, hint=hint))


def check_recipients(
    recipients: Mapping[int, Recipient],
    known: Known,
    channels: Sequence[str],
    document: Document,
) -> list[Recipient]:
    """The recipients, by their number, with tidy addresses. known, channels: see `check_whom`."""
    tidy = []
    for index, recipient in recipients.items():
        place: Path = ("recipients", index)
        reach = {}
        for channel, address in recipient.reach.items():
            reach[channel] = _tidy_address(channel, address, known, channels, (*place, "reach", channel), document)
        if recipient.digest_channel is not None and recipient.digest_channel not in reach:
            text = _("{name!r} is none of the channels in `reach:` of {person}")
            fault = text.format(name=recipient.digest_channel, person=recipient.name)
            document.fault((*place, "digest_channel"), fault)
        if recipient.timezone is not None:
            try:
                known_zone(recipient.timezone)
            except ValueError as exc:
                document.fault((*place, "timezone"), str(exc))
        tidy.append(recipient.model_copy(update={"reach": reach}))
    return tidy


def _tidy_address(
    channel: str,
    address: str,
    known: Known,
    channels: Sequence[str],
    place: Path,
    document: Document,
) -> str:
    if channel not in channels:
        hint = did_you_mean(difflib.get_close_matches(channel, channels, 1))
        hint = hint or "; " + _("channels are: {names}").format(names=", ".join(channels) or "–")
        document.fault(place, _("no channel is called {name!r}{hint}").format(name=channel, hint=hint))
        return address
    if channel not in known:
        return address
    check = known[channel][0].address
    if check is None:
        text = _("channel {name!r} takes no addresses: name it under a rule's `channels:`")
        document.fault(place, text.format(name=channel))
        return address
    try:
        return check(address)
    except ValueError as exc:
        document.fault(place, str(exc))
        return address


def check_names(scope: "Scope", document: Document) -> None:
    """Faults of the site's `groups:` themselves.

    What a zone lists need not be known: a station may be the name of an SD card's folder, or be added later.
    """
    for place, message in check_groups(scope.groups or {}, scope.taxonomies):
        document.fault(("groups", *place), message)


def own_addressees(channel: Channel, spec: NotifierSpec[Any], config: BaseModel) -> OwnAddressees:
    """What a channel's settings say of its own addressees: `language` and `recipients`, where it has these."""
    tidy = spec.address or str
    addresses = tuple(tidy(str(each)) for each in getattr(config, "recipients", ()))
    return OwnAddressees(channel.name, getattr(config, "language", None), channel.sees_people, addresses)


@dataclass(frozen=True, slots=True)
class Scope:
    """What names in rules may mean. groups, zones: None while the general part of the site is wrong."""

    taxonomies: Sequence[NamesTaxa]
    groups: Mapping[str, Sequence[str]] | None
    zones: Mapping[str, Zone] | None
    stations: Mapping[str, Station]


def taxonomies(stages: Sequence[tuple[StageSpec[Any], BaseModel]]) -> list[NamesTaxa]:
    """The taxonomies of the site's stages."""
    names = dict.fromkeys(str(config.taxonomy) for _spec, config in stages if hasattr(config, "taxonomy"))
    return [load_taxonomy(name) for name in names]


def resolved_rule(index: int, rule: Rule, scope: Scope, document: Document) -> Rule:
    """The rule with its names looked up; a name that nothing bears is a fault."""
    groups, zones = scope.groups or {}, scope.zones or {}
    found, faults = resolve(rule, taxonomies=scope.taxonomies, groups=groups, zones=zones, stations=scope.stations)
    for place, message in faults:
        if scope.groups is not None or not {"group", "zones"} & set(place):
            document.fault(("rules", index, *place), message)
    return found
