"""All that the trap can tell of itself, as the values of a health message (edge/messages.py).

What can't be measured is null, and the reason stands in the log once, until it can be measured again.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..hardware_config import HealthSettings
from . import board
from .board import Unknown
from .sensors import Sensor

log = logging.getLogger(__name__)
T = TypeVar("T")
Scalar = str | int | float | bool | None
Value = Scalar | dict[str, Scalar]


class HealthReport:
    """Collects. Opened once; `collect` never raises for something that does not answer."""

    def __init__(self, settings: HealthSettings, *, disk: Path, root: Path = board.ROOT) -> None:
        """disk: a folder on the disk to look at. Raises HardwareError for a sensor that nobody knows."""
        self._sensors = [Sensor(each) for each in settings.sensors]
        self._disk = disk
        self._root = root
        self._silent: set[str] = set()

    def collect(self) -> dict[str, Value]:
        """temperature_c, supply_low, supply_was_low, disk_free_bytes, disk_bytes, and each sensor by its name."""
        supply = self._ask("supply", lambda: board.supply(self._root))
        disk = self._ask("disk", lambda: board.disk_bytes(self._disk))
        values: dict[str, Value] = {
            "temperature_c": self._ask("temperature", lambda: board.temperature_c(self._root)),
            "supply_low": supply.low if supply else None,
            "supply_was_low": supply.was_low if supply else None,
            "disk_free_bytes": disk[0] if disk else None,
            "disk_bytes": disk[1] if disk else None,
        }
        for sensor in self._sensors:
            found = self._ask(sensor.name, sensor.read)
            values[sensor.name] = dict(found) if found else None
        return values

    def _ask(self, name: str, read: Callable[[], T]) -> T | None:
        try:
            found = read()
        except (Unknown, OSError, ValueError) as exc:
            if name not in self._silent:
                log.warning("health.unknown what=%s reason=%r; said once", name, str(exc))
            self._silent.add(name)
            return None
        self._silent.discard(name)
        return found
