"""What the Pi says of itself: temperature, supply, disk. Files of the kernel, so no package is needed.

root: where the system's tree begins; another one in tests.
"""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
LOW_NOW = 1 << 0  # bits of get_throttled, Raspberry Pi documentation of vcgencmd
LOW_BEFORE = 1 << 16


class Unknown(Exception):
    """This machine does not say; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Supply:
    """low: the supply is under 4.63 V now. was_low: at some time since the Pi was switched on; None: not told."""

    low: bool
    was_low: bool | None


def temperature_c(root: Path = ROOT) -> float:
    """Degrees of the processor. Raises Unknown."""
    try:
        text = (root / "sys/class/thermal/thermal_zone0/temp").read_text("ascii")
        return round(int(text) / 1000, 1)
    except (OSError, ValueError) as exc:
        raise Unknown(f"/sys/class/thermal/thermal_zone0/temp: {exc}") from exc


def supply(root: Path = ROOT) -> Supply:
    """Whether the supply is too low, by the firmware (get_throttled) or by the kernel's hwmon. Raises Unknown."""
    for path in sorted(root.glob("sys/devices/platform/soc*/*firmware/get_throttled")):
        try:
            bits = int(path.read_text("ascii").strip().removeprefix("throttled="), 16)
        except (OSError, ValueError):
            continue
        return Supply(bool(bits & LOW_NOW), bool(bits & LOW_BEFORE))
    for path in sorted(root.glob("sys/class/hwmon/hwmon*/name")):
        try:
            if path.read_text("ascii").strip() == "rpi_volt":
                return Supply((path.parent / "in0_lcrit_alarm").read_text("ascii").strip() == "1", None)
        except OSError:
            continue
    raise Unknown("neither get_throttled of the firmware nor hwmon rpi_volt is here")


def disk_bytes(folder: Path) -> tuple[int, int]:
    """Bytes free for us and bytes in all of the disk that the folder lies on. Raises Unknown."""
    try:
        found = os.statvfs(folder)
    except OSError as exc:
        raise Unknown(f"{folder}: {exc.strerror}") from exc
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
