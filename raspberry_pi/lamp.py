"""The infrared lamp: on only while pictures are taken, and never longer than it may."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import needs
from .hardware_config import LampSettings
from .needs import HardwareError

log = logging.getLogger(__name__)


class Lamp:
    """A pin that switches a lamp. It is off from the moment it is opened."""

    def __init__(self, settings: LampSettings) -> None:
        self._settings = settings
        gpiozero = needs.load("gpiozero", wanted_by="lamp")
        try:
            self._pin: Any = gpiozero.DigitalOutputDevice(
                settings.pin, active_high=settings.active_high, initial_value=False
            )
        except (gpiozero.GPIOZeroError, OSError) as exc:
            raise HardwareError(f"lamp: GPIO{settings.pin}: {exc}") from exc

    @contextmanager
    def lit(self, *, night: bool) -> Iterator[None]:
        """Light while the context lasts, if it is night or the lamp is for always; `max_on_s` at most."""
        if not night and self._settings.when == "night":
            yield
            return
        limit = threading.Timer(self._settings.max_on_s, self._too_long)
        limit.daemon = True
        self._pin.on()
        limit.start()
        try:
            time.sleep(self._settings.settle_s)
            yield
        finally:
            limit.cancel()
            self._pin.off()

    def close(self) -> None:
        """Off, and the pin given back."""
        self._pin.off()
        self._pin.close()

    def _too_long(self) -> None:
        self._pin.off()
        log.warning("lamp.max_on_s reached after %s s; off", self._settings.max_on_s)
