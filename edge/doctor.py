"""What is installed, what is missing, and what to do about it: one Finding a line."""

import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .compute.choice import FoundDevice, match, parse_choice
from .compute.probe import probe_devices
from .config import Plan
from .daemon import is_running
from .errors import EdgeError, FatalError, NoDeviceError
from .foreign import foreign
from .hookspecs import ChecksOnline
from .i18n import _, decimal
from .models.installed import InstalledModels
from .paths import cache_dir, models_dir
from .pipeline.built import built
from .pipeline.runner import Failed, attempt
from .privacy.policy import AUTO, NOBODY, people_known
from .privacy.second import second_detector
from .registry import Registry
from .services import Services
from .site_web import risks_of, tls_fault
from .stations.broker import find_mosquitto
from .store.dialects import refuse_unfit
from .store.engines import name_of
from .store.readers import Readers

if TYPE_CHECKING:
    from .inference.opencl.check import Verdict as Checked

Verdict = Literal["good", "warn", "bad"]
Tell = Callable[[str], None]
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


def examine(
    plan: Plan | None, registry: Registry, *, tell: Tell = lambda _text: None, services: Services | None = None
) -> Iterator[Finding]:
    """Look at everything the daemon needs; with a site, also at what that site names. tell: what takes its time.

    services: to ask the channels themselves whether they would work, over the network; None leaves that out.
    """
    yield Finding(_("program"), "good", f"tigrillo {metadata.version('tigrillo')}, Python {platform.python_version()}")
    yield from _packages()
    yield from _plugins(registry)
    yield from _devices(plan, tell)
    yield from _models(plan)
    if plan is None:
        yield Finding(
            _("site"), "warn", _("no site given"), _("tigrillo doctor SITE.yaml looks at broker and folders too")
        )
        return
    yield Finding(_("site"), "good", str(plan.path))
    yield from _people(plan)
    yield from _folders(plan)
    yield from _database(plan)
    yield from _servers(plan)
    yield from _page(plan)
    if services is not None:
        yield from _channels(plan, services)


def _channels(plan: Plan, services: Services) -> Iterator[Finding]:
    """Ask each channel that can tell: credentials, rights, reach. Nothing is sent."""
    for name, (spec, config) in plan.channels.items():
        with ExitStack() as stack:
            opened = attempt(partial(stack.enter_context, built(name, spec.build, config, services)))
            if isinstance(opened, Failed):
                yield Finding(name, "bad", opened.reason, _("mend this channel's settings"))
            elif isinstance(opened.value, ChecksOnline):
                said = attempt(opened.value.check)
                if isinstance(said, Failed):
                    step = _("mend this channel's settings") if said.reaction == "quarantine" else ""
                    yield Finding(
                        name, "bad" if step else "warn", said.reason, step or _("alerts wait until it answers")
                    )
                else:
                    yield Finding(name, "good", said.value)


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


def _devices(plan: Plan | None, tell: Tell) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    yield Finding(_("device"), "good", _("CPU, {cores} cores, ONNX Runtime").format(cores=cores))
    probe = probe_devices()
    if probe.found and probe.problem:
        yield Finding(_("device"), "warn", probe.problem, _("docs/hardware.md lists the drivers that work"))
    for each in probe.found:
        yield _described(each)
    choice = parse_choice(plan.file.compute.device if plan else "auto")
    if choice.kind == "cpu":
        return
    try:
        found = match(choice, probe.found, problem=probe.problem)
    except NoDeviceError as exc:
        if choice.kind == "opencl":
            step = _("mend that driver, or set compute.device to what is listed here, to auto or to cpu")
            yield Finding(_("device"), "bad", str(exc), step)
        elif not probe.found:
            reason = probe.problem or _("no driver offers a device")
            says = _("OpenCL: none ({reason}); models run on the CPU").format(reason=reason)
            yield Finding(_("device"), "good", says)
        return
    yield from _verdicts(found, plan, tell)


def _described(device: FoundDevice) -> Finding:
    if device.broken:
        return Finding(_("device"), "warn", f"{device.label}: {device.broken}", _("mend or remove that driver"))
    if device.capability.family == "cpu":
        text = _("{address}: {label}, OpenCL on the CPU, which auto leaves to ONNX Runtime")
    else:
        text = _("{address}: {label}, OpenCL")
    return Finding(_("device"), "good", text.format(address=device.address, label=device.label))


def _verdicts(found: FoundDevice, plan: Plan | None, tell: Tell) -> Iterator[Finding]:
    """Does each model run right on the device, and no slower than on the CPU? Checked now when nobody has yet."""
    from .inference.opencl.verdicts import Verdicts  # noqa: PLC0415  # because it needs pyopencl, which may be missing

    must = plan is not None and parse_choice(plan.file.compute.device).kind == "opencl"
    installed = InstalledModels(models_dir())
    with Verdicts(found, cache_dir(), threads=plan.file.compute.threads if plan else 0) as verdicts:
        for name in _wanted(plan, installed):
            try:
                card = installed.verify(name)
            except EdgeError:
                continue  # which its own line says
            verdict = verdicts.kept(card)
            note = ""
            if verdict is None:
                tell(_("checking {model} on {device}, which takes some seconds").format(model=name, device=found.label))
                verdict = verdicts.check(card)
                note = _(" (checked just now)")
            yield _judged(verdict, note, must=must)


def _judged(verdict: "Checked", note: str, *, must: bool) -> Finding:
    what = _("model on device")
    if verdict.is_right and verdict.is_fast:
        return Finding(what, "good", verdict.says + note)
    if not verdict.is_right:
        step = _("it runs on the CPU; tell us device and driver, or try another driver")
        if must:
            step = _("set compute.device to auto or cpu: with {device} this model is not to be trusted")
        # a device that must be used and answers wrongly, or not at all, is no device to run a station with
        return Finding(what, "bad" if must else "warn", verdict.says + note, step.format(device=verdict.device))
    step = _("tigrillo bench {model} --device opencl --tune looks for faster kernels")
    return Finding(what, "warn", verdict.says + note, step.format(model=verdict.model))


def _wanted(plan: Plan | None, installed: InstalledModels) -> list[str]:
    """The models that the site names; without a site those that are installed."""
    if plan is None:
        return installed.names()
    named = (str(config.model) for _spec, config in plan.stages if hasattr(config, "model"))
    return list(dict.fromkeys(named))


def _models(plan: Plan | None) -> Iterator[Finding]:
    installed = InstalledModels(models_dir())
    wanted = _wanted(plan, installed)
    for name in wanted:
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


def _people(plan: Plan) -> Iterator[Finding]:
    """Who looks for people? Where nobody does, they pass for animals and no picture hides them."""
    what, installed = _("people"), InstalledModels(models_dir())
    detectors = [
        str(config.model) for spec, config in plan.stages if spec.name == "detect" and hasattr(config, "model")
    ]
    config = plan.file.people
    for name in detectors:
        try:
            known = people_known(installed.card(name))
        except EdgeError:
            continue  # which its own line says
        second = second_detector(config, name, installed)
        if "person" in known:
            yield Finding(what, "good", _("{model} looks for people").format(model=name))
        elif second is not None:
            yield Finding(
                what, "good", _("{second} looks for people beside {model}").format(second=second.name, model=name)
            )
        elif config.look_with == NOBODY:
            yield Finding(what, "good", _("nobody looks for people, as the site says"))
        else:
            says = _("nobody looks for people: {model} knows none, so they pass for animals and are not blurred")
            if config.look_with != AUTO:
                says = _("nobody looks for people: people.look_with names {second!r}, no installed detector of people")
            step = _(
                "install a detector with people (`tigrillo models list`), or write `look_with: nobody` under `people:`"
            )
            yield Finding(what, "warn", says.format(model=name, second=config.look_with), step)


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


def _database(plan: Plan) -> Iterator[Finding]:
    """The record's server; SQLite's file lies in a folder that is looked at."""
    if not plan.file.database.url:
        return
    try:
        with Readers(plan.database_url, most=1) as readers, readers.read() as connection:
            refuse_unfit(connection)
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
    except EdgeError as exc:
        yield Finding(_("database"), "bad", str(exc), _("mend `database:` in the site, or the server"))
        return
    yield Finding(_("database"), "good", f"PostgreSQL {version}, {name_of(plan.database_url)}")


def _servers(plan: Plan) -> Iterator[Finding]:
    broker = plan.file.broker
    own = broker.port if broker is not None and broker.run else None
    if own is not None:
        yield _mosquitto()
    for spec, config in plan.sources:
        if hasattr(config, "host") and getattr(config, "port", None) != own:  # ours runs with the daemon only
            yield _reachable(spec.name, config, "bad", _("start the broker, or mend host and port"))
    for name, (_spec, config) in plan.channels.items():
        if hasattr(config, "host"):
            yield _reachable(name, config, "warn", _("alerts wait until it answers"))


def _page(plan: Plan) -> Iterator[Finding]:
    """The web page: does it answer, or could it, and are its certificate and key there?"""
    web = plan.file.web
    if web is None:
        return
    what, address = _("web page"), f"{web.listen}:{web.port}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(web.listen, web.listen)  # noqa: S104  # because it is what a site says, not what we listen on
    try:
        with socket.create_connection((host, web.port), timeout=CONNECT_S):
            answers = True
    except OSError:
        answers = False
    if is_running(plan.state_dir):
        says = _("{address} answers") if answers else _("{address} does not answer, though tigrillo runs")
        step = "" if answers else _("its log says why: journalctl -u tigrillo")
        yield Finding(what, "good" if answers else "warn", says.format(address=address), step)
    elif answers:
        says = _("{address}: another program listens there").format(address=address)
        yield Finding(what, "bad", says, _("write another `port` under `web:`, or end that program"))
    else:
        yield Finding(what, "good", _("{address} is free").format(address=address))
    yield from (Finding(what, "warn", says, step) for says, step in risks_of(web))
    if fault := tls_fault(web.tls):
        yield Finding(what, "bad", fault, _("mend `web.tls`, or let this user read it"))


def _mosquitto() -> Finding:
    try:
        return Finding("broker", "good", find_mosquitto())
    except FatalError as exc:
        return Finding("broker", "bad", str(exc), _("apt install mosquitto, or leave broker.run out"))


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
