"""Chips on the I2C bus that measure battery and solar panel, and boards that carry one.

A sensor is one function: bus, address and settings in, measured values out. Others are found through the entry-point
group `tigrillo.sensors`, under the name that `use:` gives; docs/agent-hardware.md has one to copy.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from edge.i18n import _

from .. import needs
from ..hardware_config import SensorSettings
from ..needs import HardwareError

GROUP = "tigrillo.sensors"
Values = dict[str, float]
Read = Callable[[Any, int, SensorSettings], Values]


@dataclass(frozen=True, slots=True)
class Kind:
    """address: the one that boards are sold with. read(bus, address, settings): what it measures now."""

    address: int
    read: Read


def _word(bus: Any, address: int, register: int) -> int:
    """A 16-bit register, high byte first, as TI's chips send it."""
    high, low = bus.read_i2c_block_data(address, register, 2)
    return int(high) << 8 | int(low)


def _signed(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value


def ina219(bus: Any, address: int, settings: SensorSettings) -> Values:
    """Volts, amperes and watts of an INA219 as it is after power-up, which needs no programming.

    Source: TI SBOS448G, sections 8.5.3 and 8.6.3: shunt 10 µV a step, bus voltage in bits 15 to 3 with 4 mV a step.
    """
    shunt_v = _signed(_word(bus, address, 0x01)) * 10e-6
    volts = (_word(bus, address, 0x02) >> 3) * 4e-3
    return _power(volts, shunt_v / settings.shunt_ohm)


def ina226(bus: Any, address: int, settings: SensorSettings) -> Values:
    """Volts, amperes and watts of an INA226 as it is after power-up.

    Source: TI SBOS547B, sections 6.5.3 and 7.1: shunt 2.5 µV a step, bus voltage 1.25 mV a step.
    """
    shunt_v = _signed(_word(bus, address, 0x01)) * 2.5e-6
    return _power(_word(bus, address, 0x02) * 1.25e-3, shunt_v / settings.shunt_ohm)


def pijuice(bus: Any, address: int, settings: SensorSettings) -> Values:
    """Charge, volts and amperes of a PiJuice's battery; each answer ends with a check byte.

    Source: PiJuice's own software (github.com/PiSupply/PiJuice, Software/Source/pijuice.py): commands 0x41, 0x49, 0x4b.
    """
    del settings
    charge = _pijuice(bus, address, 0x41, 1)
    volts = _pijuice(bus, address, 0x49, 2) / 1000
    amps = _signed(_pijuice(bus, address, 0x4B, 2)) / 1000
    return {"percent": float(charge), **_power(volts, amps)}


def _pijuice(bus: Any, address: int, command: int, length: int) -> int:
    *body, check = bus.read_i2c_block_data(address, command, length + 1)
    expected = 0xFF
    for byte in body:
        expected ^= byte
    if check != expected:
        raise OSError(f"PiJuice: wrong check byte for command {command:#04x}")
    return int.from_bytes(bytes(body), "little")


def ups_hat_e(bus: Any, address: int, settings: SensorSettings) -> Values:
    """Charge, volts and amperes of the Waveshare UPS HAT (E); amperes are positive while it charges.

    Source: waveshare.com/wiki/UPS_HAT_(E)_Register: registers 0x20 to 0x25, low byte first.
    """
    del settings
    found = bytes(bus.read_i2c_block_data(address, 0x20, 6))
    volts, amps, percent = (int.from_bytes(found[at : at + 2], "little") for at in (0, 2, 4))
    return {"percent": float(percent), **_power(volts / 1000, _signed(amps) / 1000)}


def _power(volts: float, amps: float) -> Values:
    return {"volts": round(volts, 3), "amps": round(amps, 4), "watts": round(volts * amps, 3)}


KINDS: Mapping[str, Kind] = {
    "ina219": Kind(0x40, ina219),
    "ina226": Kind(0x40, ina226),
    "pijuice": Kind(0x14, pijuice),
    "ups_hat_e": Kind(0x2D, ups_hat_e),
}


class Sensor:
    """One chip. It is opened for each reading, so that a bus that was stuck is no matter for the next one."""

    def __init__(self, settings: SensorSettings) -> None:
        """Raises HardwareError when nobody knows `use`, or without smbus2."""
        self.name = settings.name
        self._settings = settings
        self._kind = _kind_of(settings.use)
        self._smbus: Any = needs.load("smbus2", wanted_by="health.sensors")

    def read(self) -> Values:
        """What it measures now. Raises OSError when it does not answer."""
        address = self._settings.address if self._settings.address is not None else self._kind.address
        with self._smbus.SMBus(self._settings.bus) as bus:
            found = self._kind.read(bus, address, self._settings)
        if not all(math.isfinite(value) for value in found.values()):
            raise OSError(f"{self._settings.use}: no number")
        return found


def _kind_of(use: str) -> Kind:
    if use in KINDS:
        return KINDS[use]
    plugins = entry_points(group=GROUP)
    if use in plugins.names:
        found = plugins[use].load()
        if isinstance(found, Kind):
            return found
    known = ", ".join([*KINDS, *plugins.names])
    raise HardwareError(_("health.sensors: {use!r} is unknown; known: {names}").format(use=use, names=known))
