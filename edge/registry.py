"""Find plugins, built in or installed beside us, and give each name to exactly one of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar

import pluggy

from . import hookspecs
from .errors import PluginLoadError
from .hookspecs import PROJECT, DecoderSpec, ExporterSpec, LoginSpec, NotifierSpec, SourceSpec, StageSpec
from .i18n import _

GROUP = "tigrillo.plugins"


class Named(Protocol):
    """Anything a plugin names."""

    @property
    def name(self) -> str:
        """The name used in the site's YAML."""


N = TypeVar("N", bound=Named)


@dataclass(frozen=True, slots=True)
class Registry:
    """All that plugins offer, by kind and name. failures: plugin → why it could not be imported."""

    manager: pluggy.PluginManager
    sources: Mapping[str, SourceSpec[Any]]
    stages: Mapping[str, StageSpec[Any]]
    notifiers: Mapping[str, NotifierSpec[Any]]
    exporters: Mapping[str, ExporterSpec]
    decoders: Mapping[str, DecoderSpec]
    failures: Mapping[str, str] = field(default_factory=dict)
    logins: Mapping[str, LoginSpec[Any]] = field(default_factory=dict)

    def kinds(self) -> dict[str, Mapping[str, Named]]:
        """Every kind of thing with its names, in the order a frame meets them."""
        return {
            "sources": self.sources,
            "stages": self.stages,
            "decoders": self.decoders,
            "notifiers": self.notifiers,
            "exporters": self.exporters,
            "logins": self.logins,
        }


def load_registry(found: Iterable[EntryPoint] | None = None) -> Registry:
    """Import the plugins of entry-point group `tigrillo.plugins` and collect what they name.

    found: entry points to use instead of the installed ones. A plugin that can't be imported is kept in `failures` and
    stops nobody who doesn't use it. Raises PluginLoadError when two plugins claim one name.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    failures: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP) if found is None else found, key=lambda each: each.name):
        try:
            manager.register(point.load(), name=f"{point.name} ({point.value})")
        except (Exception, SystemExit) as exc:  # noqa: BLE001  # because a plugin's import may raise anything, and must stop nobody else
            failures[point.name] = f"{point.value}: {type(exc).__name__}: {exc}"
    hook = manager.hook
    return Registry(
        manager,
        sources=_by_name("source", hook.tigrillo_sources, failures),
        stages=_by_name("stage", hook.tigrillo_stages, failures),
        notifiers=_by_name("notifier", hook.tigrillo_notifiers, failures),
        exporters=_by_name("exporter", hook.tigrillo_exporters, failures),
        decoders=_by_name("decoder", hook.tigrillo_decoders, failures),
        logins=_by_name("login", hook.tigrillo_logins, failures),
        failures=failures,
    )


def _by_name(kind: str, hook: pluggy.HookCaller, failures: dict[str, str]) -> dict[str, Any]:
    specs: dict[str, Named] = {}
    owners: dict[str, str] = {}
    for implementation in hook.get_hookimpls():
        owner = implementation.plugin_name
        try:
            named = list(_call(implementation.function))
        except (Exception, SystemExit) as exc:  # noqa: BLE001  # because a plugin's hook may raise anything, like its import
            failures[owner.split(" ")[0]] = f"tigrillo_{kind}s: {type(exc).__name__}: {exc}"
            continue
        for spec in named:
            if spec.name in specs:
                raise PluginLoadError(
                    _("{kind} {name!r} is named by two plugins, {first} and {second}: uninstall one").format(
                        kind=kind, name=spec.name, first=owners[spec.name], second=owner
                    )
                )
            specs[spec.name] = spec
            owners[spec.name] = owner
    return dict(sorted(specs.items()))


def _call(function: Callable[..., object]) -> Iterable[Named]:
    specs: Iterable[Named] = function()  # type: ignore[assignment]  # because pluggy types implementations as object
    return specs
