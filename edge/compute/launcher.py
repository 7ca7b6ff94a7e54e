"""Kernels that are launched again and again: built once, arguments set anew only when they change."""

from typing import Any

import numpy as np

from .device import Device
from .kernel import Kernel


class Launcher:
    """Launches on one device; for the thread that owns it.

    A kernel object keeps its arguments, and OpenCL retains none of the buffers: the last arguments stay referred to.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._made: dict[Kernel, tuple[Any, tuple[Any, ...]]] = {}
        self.count = 0  # launches so far

    def __call__(
        self, kernel: Kernel, global_size: tuple[int, ...], local_size: tuple[int, ...] | None, *args: Any
    ) -> None:
        """Enqueue one launch. args: buffers, np.int32, np.float32. Raises KernelBuildError, DeviceBusy, DeviceLost."""
        made, last = self._made.get(kernel, (None, ()))
        if made is None:
            made = self._device.programs.kernel(kernel)
        if not _are_same(args, last):
            with self._device.guard(kernel.entry):
                made.set_args(*args)
            self._made[kernel] = made, args
        self._device.launch(made, global_size, local_size)
        self.count += 1

    def over(self, *sides: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Global and local size of an item an element, (columns, rows[, layers]): groups of 64 columns."""
        across, down = 64, max(1, min(4, self._device.capability.max_group // 64))
        local = (across, down, *(1 for _ in sides[2:]))
        return tuple(-(-side // step) * step for side, step in zip(sides, local, strict=True)), local


def _are_same(args: tuple[Any, ...], last: tuple[Any, ...]) -> bool:
    """Whether nothing need be set anew. A buffer equals one that was released when it got the same address: so `is`."""
    pairs = zip(args, last, strict=False)
    return len(args) == len(last) and all(a is b or (isinstance(a, np.generic) and a == b) for a, b in pairs)


def numbers(*values: float) -> tuple[np.int32 | np.float32, ...]:
    """Kernel arguments: int becomes np.int32, float np.float32."""
    return tuple(np.float32(value) if isinstance(value, float) else np.int32(value) for value in values)
