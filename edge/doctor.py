"""What is installed, what is missing, and what to do about it: one Finding a line."""

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from .compute.probe import probe_devices
from .config import Plan
from .errors import EdgeError
from .foreign import foreign
from .i18n import _, decimal
from .models.installed import InstalledModels
from .paths import models_dir
from .registry import Registry

Verdict = Literal["good", "warn", "bad"]
OUR_PACKAGES = ("edge", "plugins", "raspberry_pi", "server")
LOW_DISK_BYTES = 2_000_000_000  # some thousand stills: a day of a busy station
CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. verdict "bad": the daemon could not run. next_step: "" when all is well."""

    what: str
    verdict: Verdict
    says: str
    next_step: str = ""


def examine(plan: Plan | None, registry: Registry) -> Iterator[Finding]:
    """Look at everything the daemon needs; with a site, also at what that site names."""
    yield Finding(_("program"), "good", f"tigrillo {metadata.version('tigrillo')}, Python {platform.python_version()}")
    yield from _packages()
    yield from _plugins(registry)
    yield from _devices()
    yield from _models(plan)
    if plan is None:
        yield Finding(
            _("site"), "warn", _("no site given"), _("tigrillo doctor SITE.yaml looks at broker and folders too")
        )
        return
    yield Finding(_("site"), "good", str(plan.path))
    yield from _folders(plan)
    yield from _servers(plan)


def _packages() -> Iterator[Finding]:
    for name in ("numpy", "opencv-python-headless", "onnxruntime", "av", "paho-mqtt", "SQLAlchemy"):
        try:
            yield Finding(_("package"), "good", f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            yield Finding(_("package"), "bad", _("{name} is missing").format(name=name), "pip install tigrillo")
    owners = metadata.packages_distributions()
    for package in OUR_PACKAGES:
        foreign = sorted(set(owners.get(package, [])) - {"tigrillo"})
        if foreign:
            says = _("package {package!r} also belongs to {others}").format(package=package, others=", ".join(foreign))
            yield Finding(_("names"), "bad", says, _("install tigrillo into a virtual environment of its own"))


def _plugins(registry: Registry) -> Iterator[Finding]:
    count = sum(len(specs) for specs in registry.kinds().values())
    yield Finding(_("plugins"), "good", _("{count} names from plugins").format(count=count))
    for plugin, reason in registry.failures.items():
        yield Finding(_("plugins"), "warn", f"{plugin}: {reason}", _("mend or uninstall that plugin"))


def _devices() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    yield Finding(_("device"), "good", _("CPU, {cores} cores, ONNX Runtime").format(cores=cores))
    probe = probe_devices()
    for broken in (each for each in probe.found if each.broken):
        yield Finding(_("device"), "warn", f"{broken.label}: {broken.broken}", _("mend or remove that driver"))
    names = [each.label for each in probe.found if not each.broken]
    if names:
        says = _("OpenCL: {names}; models run on the CPU in this version").format(names=", ".join(names))
    else:
        reason = probe.problem or _("no device that works")
        says = _("OpenCL: none ({reason}); models run on the CPU").format(reason=reason)
    yield Finding(_("device"), "good", says)


def _models(plan: Plan | None) -> Iterator[Finding]:
    installed = InstalledModels(models_dir())
    wanted = (
        [str(config.model) for _spec, config in plan.stages if hasattr(config, "model")] if plan else installed.names()
    )
    for name in dict.fromkeys(wanted):
        try:
            installed.verify(name)
            card = installed.card(name)
        except EdgeError as exc:
            yield Finding(_("model"), "bad", str(exc), f"tigrillo models pull {name}")
            continue
        note = f"; {_(card.note)}" if card.note else ""
        yield Finding(_("model"), "good", f"{name}: {card.task}, {_(card.licence)}{note}")
    if not wanted and not plan:
        yield Finding(_("model"), "warn", _("none in {folder}").format(folder=models_dir()), "tigrillo models pull")


def _folders(plan: Plan) -> Iterator[Finding]:
    yield _writable(_("state folder"), plan.state_dir)
    free = shutil.disk_usage(_nearest(plan.state_dir)).free
    low = free < LOW_DISK_BYTES
    says = _("{free} GB free").format(free=decimal(free / 1e9))
    yield Finding(_("disk"), "warn" if low else "good", says, _("free some space, or move `state_dir`") if low else "")
    for spec, config in plan.sources:
        folder = getattr(config, "folder", None)
        if isinstance(folder, Path):
            good = folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)
            step = "" if good else _("make the folder and let this user read it")
            yield Finding(spec.name, "good" if good else "bad", str(folder), step)


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def _writable(what: str, folder: Path) -> Finding:
    there = _nearest(folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding(what, "good", str(folder))
    return Finding(what, "bad", _("{folder} can't be written").format(folder=folder), _("chown it to this user"))


def _servers(plan: Plan) -> Iterator[Finding]:
    for spec, config in plan.sources:
        if hasattr(config, "host"):
            yield _reachable(spec.name, config, "bad", _("start the broker, or mend host and port"))
    for name, (_spec, config) in plan.channels.items():
        if hasattr(config, "host"):
            yield _reachable(name, config, "warn", _("alerts wait until it answers"))


def _reachable(what: str, config: Any, otherwise: Verdict, next_step: str) -> Finding:
    address = f"{config.host}:{config.port}"
    try:
        with socket.create_connection((config.host, config.port), timeout=CONNECT_S):
            return Finding(what, "good", _("{address} answers").format(address=address))
    except OSError as exc:
        reason = foreign(exc.strerror or exc)
        return Finding(
            what, otherwise, _("{address} does not answer ({reason})").format(address=address, reason=reason), next_step
        )
