"""The site's YAML → a Plan: everything checked, every plugin's own settings read, nothing built yet.

Every fault is reported at once, each with the place and what would be right.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from .alerts.heartbeat import HeartbeatConfig
from .alerts.people import Directory, directory
from .alerts.rules import Rule
from .errors import ConfigError
from .foreign import foreign
from .hookspecs import NotifierSpec, SourceSpec, StageSpec
from .i18n import _
from .registry import Registry
from .services import Station
from .settings import as_model
from .site_alerts import (
    Scope,
    check_names,
    check_recipients,
    check_ways,
    check_whom,
    own_addressees,
    recipient_from,
    resolved_rule,
    taxonomies,
    ways_in,
    ways_to,
)
from .site_database import database_url
from .site_file import Channel, SiteFile, Use, did_you_mean, expandable
from .yaml_marks import Document, Path, parse

ALERTS_PART = ("rules", "groups", "zones", "recipients", "alerts")
OF_A_CHANNEL = set(Channel.model_fields)  # what is not the plugin's own
DECODED_PICTURE = "picture"  # what every stage may read: the runner decodes before the first stage


@dataclass(frozen=True, slots=True)
class Plan:
    """A site that can be run: each plugin's spec beside its checked settings, in YAML order."""

    path: FilePath
    file: SiteFile
    state_dir: FilePath
    sources: tuple[tuple[SourceSpec[Any], BaseModel], ...]
    stages: tuple[tuple[StageSpec[Any], BaseModel], ...]
    channels: Mapping[str, tuple[NotifierSpec[Any], BaseModel]]
    rules: tuple[Rule, ...]
    directory: Directory
    stations: Mapping[str, Station]

    @property
    def database_url(self) -> str:
        """SQLAlchemy address of the site's database, with its password. Raises ConfigError when that is not there."""
        return database_url(self.file.database, self.path, self.state_dir)


def load_plan(path: FilePath, registry: Registry) -> Plan:
    """Read and check a site. Raises ConfigError with one line for every fault."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(_("{path}: can't be read: {reason}").format(path=path, reason=foreign(exc))) from exc
    return plan_from(text, path, registry)


def load_general(path: FilePath) -> tuple[SiteFile, FilePath]:
    """(the file, its state folder), plugins' own settings not looked at. Raises ConfigError for a fault elsewhere."""
    try:
        document = parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(_("{path}: can't be read: {reason}").format(path=path, reason=foreign(exc))) from exc
    file = as_model(SiteFile, document.data or {}, (), document)
    if document.faults or file is None:
        raise ConfigError(format_faults(path, document))
    return file, path.resolve().parent / FilePath(file.state_dir).expanduser()


def check_complete(plan: Plan) -> None:
    """Raise ConfigError when nothing would come in, or nothing would look at it: all would pass for blank."""
    comes_by_page = plan.file.web is not None  # the source `upload`
    for section, is_empty in (("sources", not plan.sources and not comes_by_page), ("stages", not plan.stages)):
        if is_empty:
            message = _("nothing is named: a daemon needs some; `tigrillo init DIR` writes a site to start from")
            raise ConfigError(f"{plan.path}:1:1 {section}: {message}")


def check_logins(path: FilePath, text: str, registry: Registry) -> None:
    """Raise ConfigError for ways to log in that no plugin has, or whose settings are wrong. text: a good site's.

    Apart from the rest, for those who write a site: a daemon starts without them, and the password opens the page.
    """
    document = parse(text)
    page = document.data.get("web") if isinstance(document.data, dict) else None
    logins = page.get("logins") if isinstance(page, dict) else None
    for name, settings in (logins or {}).items():
        where: Path = ("web", "logins", name)
        if (spec := registry.logins.get(name)) is None:
            document.fault(where, _unknown(name, registry.logins, registry))
        else:
            as_model(spec.config, settings, where, document)
    if document.faults:
        raise ConfigError(format_faults(path, document))


def plan_with(path: FilePath, other: FilePath, registry: Registry) -> Plan:
    """A site with the alerts' part of another file in the place of its own. Raises ConfigError; each fault is placed.

    other: any of `rules:`, `groups:`, `zones:`, `recipients:` and `alerts:`.
    """
    texts = []
    for each in (path, other):
        try:
            texts.append(each.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(_("{path}: can't be read: {reason}").format(path=each, reason=foreign(exc))) from exc
    document, changes = (parse(text) for text in texts)
    found = changes.data if isinstance(changes.data, dict) else {}
    if not isinstance(changes.data, dict) and not changes.faults:
        changes.fault((), _("no rules in it: write `rules:` and below it a list, as in a site"))
    for key in found:
        if key not in ALERTS_PART:
            known = ", ".join(ALERTS_PART)
            changes.fault((key,), _("nothing is called {key!r} here").format(key=key) + f"; {known}")
    if changes.faults:
        raise ConfigError(format_faults(other, changes))
    if isinstance(document.data, dict):
        document.data |= found
        document.marks = {where: mark for where, mark in document.marks.items() if not where or where[0] not in found}
        document.marks |= {where: mark for where, mark in changes.marks.items() if where}
    return _plan_of(document, path, registry, others=dict.fromkeys(map(str, found), other))


def plan_from(text: str, path: FilePath, registry: Registry) -> Plan:
    """Check the text of a site that stands at `path` (relative folders start there)."""
    return _plan_of(parse(text), path, registry)


def _plan_of(
    document: Document, path: FilePath, registry: Registry, *, others: Mapping[str, FilePath] | None = None
) -> Plan:
    """others: section → the file it stands in, where that is not `path`."""
    if document.data is None and not document.faults:
        document.fault((), _("the file is empty: `tigrillo init DIR` writes one to start from"))
    file = as_model(SiteFile, document.data, (), document) if isinstance(document.data, dict) else None
    if document.data is not None and not isinstance(document.data, dict):
        document.fault((), _("a site is a mapping of keys such as `sources:` and `stages:`"))
    plan = None
    if file:
        plan = _plan(file, path, document, registry)
    else:
        _check_rest(document, registry)
    if document.faults or plan is None:
        raise ConfigError(format_faults(path, document, others=others))
    return plan


def format_faults(path: FilePath, document: Document, *, others: Mapping[str, FilePath] | None = None) -> str:
    """One line a fault, in the order of the file. others: section → the file it stands in, where that is not `path`."""
    lines = []
    for fault in sorted(document.faults, key=lambda fault: (fault.line, fault.col)):
        section = re.split(r"[.\[]", fault.path, maxsplit=1)[0]
        file = (others or {}).get(section, path)
        lines.append(f"{file}:{fault.line}:{fault.col} {fault.path}: {fault.message}")
    return "\n".join(lines)


def _plan(file: SiteFile, path: FilePath, document: Document, registry: Registry) -> Plan | None:
    base = path.resolve().parent
    sources = _resolve("sources", file.sources, registry.sources, document, registry, skip={"use"})
    stages = _resolve("stages", file.stages, registry.stages, document, registry, skip={"use"})
    resolved = _resolve_each("channels", file.channels, registry.notifiers, document, registry, skip=OF_A_CHANNEL)
    channels = list(resolved.values())
    _check_order(stages, document)
    _check_unique("stations", [station.name for station in file.stations], document)
    _check_unique("channels", [channel.name for channel in file.channels], document)
    _check_unique("rules", [rule.name for rule in file.rules], document)
    _check_unique("recipients", [recipient.name for recipient in file.recipients], document)
    known = {file.channels[index].name: found for index, found in resolved.items()}
    names = [channel.name for channel in file.channels]
    recipients = check_recipients(dict(enumerate(file.recipients)), known, names, document)
    stations = {
        each.name: Station(
            each.name, each.timezone or file.site.timezone, each.latitude, each.longitude, each.species_list
        )
        for each in file.stations
    }
    stages = [(spec, _anchor(config, base)) for spec, config in stages]
    if len(stages) == len(file.stages):
        _check_files(stages, stations, document)
    told: list[tuple[Path, Rule | HeartbeatConfig]] = [
        (("rules", index), rule) for index, rule in enumerate(file.rules)
    ]
    told += [(("alerts", "heartbeat"), file.alerts.heartbeat)] if file.alerts.heartbeat is not None else []
    for place, whom in told:
        check_whom(place, whom, known, names, document)
        check_ways(place, whom, ways_to(file.recipients), document)
    rules = file.rules
    if len(stages) == len(file.stages):  # else a misspelt stage would make every taxon unknown
        scope = Scope(taxonomies(stages), file.groups, file.zones, stations)
        check_names(scope, document)
        rules = tuple(resolved_rule(index, rule, scope, document) for index, rule in enumerate(file.rules))
    if document.faults:
        return None
    return Plan(
        path=path,
        file=file.model_copy(update={"web": file.web and _anchor(file.web, base)}),
        state_dir=base / FilePath(file.state_dir).expanduser(),
        sources=tuple((spec, _anchor(config, base)) for spec, config in sources),
        stages=tuple(stages),
        channels={
            channel.name: (spec, _anchor(config, base))
            for channel, (spec, config) in zip(file.channels, channels, strict=True)
        },
        rules=rules,
        directory=directory(
            recipients,
            [own_addressees(each, *found) for each, found in zip(file.channels, channels, strict=True)],
            language=file.site.language,
            timezone=file.site.timezone,
            digest=file.alerts.digest,
        ),
        stations=stations,
    )


def _check_rest(document: Document, registry: Registry) -> None:
    """With a fault in the general part, still look at plugins' settings, recipients and rules: one run shows all."""
    if not isinstance(document.data, dict):
        return
    resolved: dict[str, dict[int, tuple[Any, BaseModel]]] = {}
    for section, specs, skip in (
        ("sources", registry.sources, {"use"}),
        ("stages", registry.stages, {"use"}),
        ("channels", registry.notifiers, OF_A_CHANNEL),
    ):
        uses = [
            Use(**each) if isinstance(each, dict) and isinstance(each.get("use"), str) else None
            for each in _entries(document, section)
        ]
        resolved[section] = _resolve_each(section, uses, specs, document, registry, skip=skip)
    entries = _entries(document, "channels")
    channels = [str(each.get("name")) for each in entries if isinstance(each, dict)]
    known = {str(entries[index].get("name")): found for index, found in resolved["channels"].items()}
    people = dict(enumerate(_entries(document, "recipients")))
    check_recipients(
        {index: each for index, entry in people.items() if (each := recipient_from(entry))}, known, channels, document
    )
    complete = len(resolved["stages"]) == len(_entries(document, "stages"))
    for index, entry in enumerate(_entries(document, "rules")):
        if rule := _known_part(entry):
            check_whom(("rules", index), rule, known, channels, document)
            check_ways(("rules", index), rule, ways_in(people.values()), document)
            if complete:
                scope = Scope(taxonomies(list(resolved["stages"].values())), None, None, {})
                resolved_rule(index, rule, scope, document)


def _entries(document: Document, section: str) -> list[Any]:
    entries = document.data.get(section)
    return entries if isinstance(entries, list) else []


def _known_part(entry: Any) -> Rule | None:
    """The rule that an entry with a misspelt key or the like would be; None when too little of it is right."""
    if not isinstance(entry, dict):
        return None
    try:
        names = [info.alias or name for name, info in Rule.model_fields.items()]
        return Rule.model_validate({name: entry[name] for name in names if entry.get(name) is not None})
    except ValidationError:
        return None


def _resolve(
    section: str,
    uses: Iterable[Use | None],
    specs: Mapping[str, Any],
    document: Document,
    registry: Registry,
    *,
    skip: set[str],
) -> list[tuple[Any, BaseModel]]:
    """Each entry's spec and its own checked settings; faults go to the document."""
    return list(_resolve_each(section, uses, specs, document, registry, skip=skip).values())


def _resolve_each(
    section: str,
    uses: Iterable[Use | None],
    specs: Mapping[str, Any],
    document: Document,
    registry: Registry,
    *,
    skip: set[str],
) -> dict[int, tuple[Any, BaseModel]]:
    """The same by the entry's number; those with a fault are left out."""
    resolved: dict[int, tuple[Any, BaseModel]] = {}
    for index, use in enumerate(uses):
        if use is None:
            continue
        where: Path = (section, index)
        spec = specs.get(use.use)
        if spec is None:
            document.fault((*where, "use"), _unknown(use.use, specs, registry))
            continue
        settings = {key: value for key, value in (use.model_extra or {}).items() if key not in skip}
        config = as_model(spec.config, settings, where, document)
        if config is not None:
            _check_homes(config, where, document)
            resolved[index] = (spec, config)
    return resolved


def _check_homes(config: BaseModel, where: Path, document: Document) -> None:
    """A folder such as `~nobody/inbox`, which `_anchor` could not place, is a fault."""
    for name, value in config:
        if isinstance(value, BaseModel):
            _check_homes(value, (*where, name), document)
        elif isinstance(value, FilePath):
            try:
                expandable(str(value))
            except ValueError as exc:
                document.fault((*where, name), str(exc))


def _unknown(name: str, specs: Mapping[str, Any], registry: Registry) -> str:
    close = difflib.get_close_matches(name, specs, 1)
    text = _("no plugin is called {name!r}{hint}").format(name=name, hint=did_you_mean(close))
    text += "; " + _("there are: {names}").format(names=", ".join(specs) or "–")
    for plugin, reason in registry.failures.items():
        text += "; " + _("plugin {plugin} could not be imported ({reason})").format(plugin=plugin, reason=reason)
    return text


def _check_order(stages: Sequence[tuple[StageSpec[Any], BaseModel]], document: Document) -> None:
    known = {DECODED_PICTURE}
    for index, (spec, _config) in enumerate(stages):
        if missing := sorted(spec.reads - known):
            document.fault(
                ("stages", index, "use"),
                _("{stage} needs {fields}, which no stage before it gives: move it down or add that stage").format(
                    stage=spec.name, fields=", ".join(missing)
                ),
            )
        known |= spec.writes


def _check_files(
    stages: Sequence[tuple[StageSpec[Any], BaseModel]], stations: Mapping[str, Station], document: Document
) -> None:
    """Faults of files that stages name, such as a species list; each at the key that names the file."""
    for index, (spec, config) in enumerate(stages):
        for key, fault in spec.check(config, stations):
            document.fault(("stages", index, *([key] if key else [])), fault)


def _check_unique(section: str, names: Sequence[str], document: Document) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            document.fault((section, index, "name"), _("{name!r} is there twice: rename one").format(name=name))


def _anchor(config: BaseModel, base: FilePath) -> BaseModel:
    """The same settings with relative folders and files starting at the site's own folder, not where one stands."""
    moved: dict[str, Any] = {name: base / value.expanduser() for name, value in config if isinstance(value, FilePath)}
    # settings inside settings, such as `password: {file: mail-password}`
    moved |= {name: _anchor(value, base) for name, value in config if isinstance(value, BaseModel)}
    return config.model_copy(update=moved) if moved else config
