"""All that the system page shows, gathered: status, rates, depths, disk, models, figures, versions."""

import contextlib
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fastapi import Request

from edge import __version__
from edge.errors import EdgeError
from edge.models.installed import InstalledModels
from edge.paths import cache_dir, models_dir

from ..web import Web
from .queries import Depths, depths
from .status import History, Status, read_status

PACKAGES = ("onnxruntime", "av", "opencv-python-headless", "SQLAlchemy", "fastapi", "paho-mqtt")
MOST_VERDICTS = 20
LOW_DISK_BYTES = 2_000_000_000  # as `tigrillo doctor` has it


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the site uses. task: "detect", "classify", "people". where: what runs it, "" while nothing does.

    fault: why it can't be used, "" when it can.
    """

    task: str
    name: str
    licence: str
    where: str
    fault: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What `tigrillo bench` and the check of the device left. ms: one picture, None where not measured."""

    model: str
    device: str
    ms_opencl: float | None
    ms_onnxruntime: float | None
    at: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """The page's values. rates: verb → a minute, None while unknown. spool_limit, disk_…: bytes."""

    status: Status
    rates: Mapping[str, float | None]
    depths: Depths
    spool_limit: int
    workers: int
    disk_free: int
    disk_total: int
    device: str
    models: tuple[Model, ...]
    measured: tuple[Measured, ...]
    versions: Mapping[str, str]

    @property
    def disk_is_low(self) -> bool:
        """Whether the disk of the state folder is nearly full."""
        return self.disk_free < LOW_DISK_BYTES


def history_of(request: Request) -> History:
    """This process's looks at the status file."""
    state = request.app.state
    if not hasattr(state, "system_history"):
        state.system_history = History()
    history: History = state.system_history
    return history


def look(web: Web, history: History) -> System:
    """The system as it is now. Raises StoreBusy."""
    status = read_status(web.state_dir)
    history.add(status)
    with web.readers.read() as connection:
        found = depths(connection)
    disk = shutil.disk_usage(web.state_dir)
    file = web.plan.file
    return System(
        status=status,
        rates=history.rates(),
        depths=found,
        spool_limit=int(file.limits.spool_bytes),
        workers=file.limits.inbox_frames,
        disk_free=disk.free,
        disk_total=disk.total,
        device=file.compute.device,
        models=_models(web, status),
        measured=tuple(_measured(cache_dir())),
        versions=_versions(),
    )


def _models(web: Web, status: Status) -> tuple[Model, ...]:
    """Those of the site's stages, and what the daemon says it uses beside them; cards are read, nothing is loaded."""
    used = {spec.name: str(config.model) for spec, config in web.plan.stages if hasattr(config, "model")}
    installed, found = InstalledModels(models_dir()), []
    for task, name in (used | dict(status.models)).items():
        try:
            found.append(Model(task, name, installed.card(name).licence, status.runs.get(name, ""), ""))
        except EdgeError as exc:
            found.append(Model(task, name, "", "", str(exc)))
    return tuple(found)


def _measured(cache: Path) -> list[Measured]:
    """What lies in the cache; a file that can't be read is passed over."""
    found = []
    bench = _json(cache / "bench.json")
    for row in bench.get("models") or []:
        if isinstance(row, dict) and row.get("batch") == 1 and isinstance(row.get("name"), str):
            device = str(bench.get("device", ""))
            figures = (_ms(row.get("ms_opencl")), _ms(row.get("ms_onnxruntime")))
            found.append(Measured(row["name"], device, *figures, at=str(bench.get("at", ""))))
    with contextlib.suppress(OSError):
        for path in sorted((cache / "verdicts").glob("*.json"))[:MOST_VERDICTS]:
            row = _json(path)
            if isinstance(row.get("model"), str) and row["model"] not in {each.model for each in found}:
                figures = (_ms(row.get("ms_opencl")), _ms(row.get("ms_onnxruntime")))
                found.append(Measured(row["model"], str(row.get("device", "")), *figures))
    return found


def _json(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        said = json.loads(path.read_bytes())
        return said if isinstance(said, dict) else {}
    return {}


def _ms(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _versions() -> dict[str, str]:
    found = {"tigrillo": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
