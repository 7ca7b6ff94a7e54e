"""A passive infrared movement sensor on a pin, by gpiozero."""

import threading
from collections.abc import Callable
from typing import Any

from .. import needs
from ..hardware_config import PirSettings
from ..needs import HardwareError
from .base import Now


class Pir:
    """Fires when the sensor's output has been on for `debounce_s`, and again after `hold_off_s` while it stays on.

    The pulses themselves are counted, also those within the hold-off: they say how busy the place is. Nothing is
    counted in the first `warm_up_s` after the Pi was switched on, as such sensors fire by themselves then.
    """

    name = "pir"

    def __init__(self, settings: PirSettings, *, steady_s: Callable[[], float]) -> None:
        self.active = settings.active
        self.pulses = 0
        self._settings = settings
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._device: Any = None
        self._wake: Callable[[], None] = lambda: None
        self._on_since: float | None = None
        self._counted = False  # the pulse that is on
        self._pending = False
        self._fired_at: float | None = None

    def start(self, wake: Callable[[], None]) -> None:
        """Listen to the pin. Raises HardwareError without gpiozero or without pins."""
        self._wake = wake
        gpiozero = needs.load("gpiozero", wanted_by="triggers: pir")
        try:
            # pull towards "no movement": a wire that came off is no animal
            self._device = gpiozero.DigitalInputDevice(self._settings.pin, pull_up=not self._settings.active_high)
        except (gpiozero.GPIOZeroError, OSError) as exc:
            raise HardwareError(f"triggers: pir: GPIO{self._settings.pin}: {exc}") from exc
        self._device.when_activated = self._rose
        self._device.when_deactivated = self._fell
        if self._device.is_active:
            self._rose()

    def poll(self, now: Now) -> bool:
        """Whether there is movement that was not answered yet; see Trigger."""
        with self._lock:
            self._count(now.steady_s)
            still_on = self._on_since is not None and self._counted
            if not (self._pending or still_on):
                return False
            if self._fired_at is not None and now.steady_s - self._fired_at < self._settings.hold_off_s:
                self._pending = False
                return False
            self._pending, self._fired_at = False, now.steady_s
            return True

    def wait_s(self, now: Now) -> float | None:
        """Until the debounce or the hold-off is over; None while the sensor is off."""
        with self._lock:
            if self._on_since is None:
                return None
            if not self._counted:
                start = max(self._on_since, self._settings.warm_up_s)
                return max(0.0, start + self._settings.debounce_s - now.steady_s)
            held = (self._fired_at or 0.0) + self._settings.hold_off_s - now.steady_s
            return max(0.05, held)

    def captured(self) -> None:
        """The sensor sees what it sees."""

    def close(self) -> None:
        """Give the pin back."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def _rose(self) -> None:
        with self._lock:
            self._on_since, self._counted = self._steady_s(), False
        self._wake()

    def _fell(self) -> None:
        with self._lock:
            self._count(self._steady_s())
            self._on_since = None
        self._wake()

    def _count(self, now_s: float) -> None:
        """Count the pulse that is on, once it is long enough. Called with the lock held."""
        if self._on_since is None or self._counted:
            return
        start = max(self._on_since, self._settings.warm_up_s)
        if now_s - start >= self._settings.debounce_s:
            self._counted = self._pending = True
            self.pulses += 1
