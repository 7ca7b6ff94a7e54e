"""One opened OpenCL device: context, one in-order queue, programs and buffers.

Use it from one thread (edge.compute.worker), but for `programs.prebuild`, which any thread may call.
"""

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ..errors import NoDeviceError
from ..i18n import _
from ..services import Log
from .buffers import BufferPool
from .capability import Capability
from .choice import FoundDevice, match, parse_choice
from .driver import cl
from .faults import translated
from .kernel import Kernel
from .listing import list_here
from .program import Programs
from .program_cache import ProgramCache

Array = npt.NDArray[Any]
PROFILING: Final = cl.command_queue_properties.PROFILING_ENABLE


class Device:
    """An opened device; use it with `with`: what lies on it is gone when it is left.

    queue: in order, so that a launch sees what the one before it wrote; no events are needed between them.
    """

    def __init__(
        self, device: cl.Device, capability: Capability, *, cache_dir: Path, profile: bool, log: Log | None
    ) -> None:
        self.capability = capability
        self.profile = profile
        with self.guard("open"):
            self.context = cl.Context([device])
            make = partial(cl.CommandQueue, self.context)
            self.queue = make(properties=PROFILING) if profile else make()
        self.buffers = BufferPool(self.context, capability)
        cache = ProgramCache(cache_dir / "programs")
        self.programs = Programs(self.context, capability, cache=cache, logs=cache_dir / "refused", log=log)

    @classmethod
    def open(cls, which: FoundDevice | str, *, cache_dir: Path, profile: bool = False, log: Log | None = None) -> Self:
        """Open a device that the probe found, or the one that a choice names ("opencl", "opencl:0/1").

        cache_dir: folder for built programs; made when needed. profile: events then know when they began and ended,
        which costs some microseconds a launch. Raises NoDeviceError when it is not there (any more), DeviceBusy or
        DeviceLost when the driver does not give it.
        """
        found, device = _handle(which) if isinstance(which, FoundDevice) else _look_up(which)
        return cls(device, found.capability, cache_dir=cache_dir, profile=profile, log=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.buffers.trim()

    def guard(self, doing: str, *, waiting: bool = False) -> AbstractContextManager[None]:
        """Context in which pyopencl's errors become DeviceBusy, DeviceLost or FatalError; see faults.translated."""
        return translated(f"{doing} on {self.capability.name}", waiting=waiting)

    def alloc(self, nbytes: int) -> cl.Buffer:
        """A buffer of at least `nbytes` with undefined content. Raises DeviceBusy when there is no room."""
        return self.buffers.take(nbytes)

    def free(self, buffer: cl.Buffer) -> None:
        """Give a buffer back for reuse. Launches enqueued before still see it, since the queue is in order."""
        self.buffers.give(buffer)

    def upload(self, array: Array) -> cl.Buffer:
        """A new buffer with the array's elements, row-major; at least 1 byte. Raises DeviceBusy."""
        buffer = self.alloc(max(1, array.nbytes))
        self.write(buffer, array)
        return buffer

    def write(self, buffer: cl.Buffer, array: Array, offset: int = 0) -> None:
        """Copy an array's elements, row-major, to `offset` bytes into the buffer; the array may change afterwards."""
        if array.nbytes:
            with self.guard("write"):
                cl.enqueue_copy(self.queue, buffer, np.ascontiguousarray(array), dst_offset=offset, is_blocking=True)

    def read(self, buffer: cl.Buffer, out: Array, offset: int = 0) -> Array:
        """Fill `out`, which must be row-major, from `offset` bytes into the buffer, once all that was enqueued is done.

        Returns `out`. Raises DeviceLost when the device broke down meanwhile.
        """
        if out.nbytes:
            with self.guard("read", waiting=True):
                cl.enqueue_copy(self.queue, out, buffer, src_offset=offset, is_blocking=True)
        return out

    def launch(self, kernel: cl.Kernel, global_size: tuple[int, ...], local_size: tuple[int, ...] | None) -> cl.Event:
        """Enqueue a kernel whose arguments are set. Raises DeviceBusy when the device has no resources for it."""
        with self.guard(kernel.function_name):
            return cl.enqueue_nd_range_kernel(self.queue, kernel, global_size, local_size)

    def run(
        self,
        kernel: Kernel,
        global_size: tuple[int, ...],
        local_size: tuple[int, ...] | None,
        *args: cl.Buffer | np.number[Any],
    ) -> cl.Event:
        """Set all arguments of a kernel and enqueue it once: for tests and one-off work, not for a plan's launches."""
        made = self.programs.kernel(kernel)
        with self.guard(kernel.entry):
            made.set_args(*args)
        return self.launch(made, global_size, local_size)

    def finish(self) -> None:
        """Wait until all that was enqueued is done. Raises DeviceLost when the device broke down meanwhile."""
        with self.guard("finish", waiting=True):
            self.queue.finish()


def _listed() -> tuple[list[tuple[FoundDevice, cl.Device]], str]:
    try:
        return list(list_here()), ""
    except cl.Error as exc:
        return [], str(exc)


def _look_up(text: str) -> tuple[FoundDevice, cl.Device]:
    listed, problem = _listed()
    wanted = match(parse_choice(text), (found for found, _device in listed), problem=problem)
    return next(each for each in listed if each[0] == wanted)


def _handle(wanted: FoundDevice) -> tuple[FoundDevice, cl.Device]:
    """The device that was found: of those with its names the one at its place, if the order is still the same."""
    listed, problem = _listed()
    same = [each for each in listed if _names(each[0]) == _names(wanted)]
    if not same:
        text = _("device {address} ({label}) is not there any more{reason}: see tigrillo doctor")
        reason = f" ({problem})" if problem else ""
        raise NoDeviceError(text.format(address=wanted.address, label=wanted.label, reason=reason))
    return next((each for each in same if each[0].address == wanted.address), same[0])


def _names(found: FoundDevice) -> tuple[str, str]:
    return found.platform, found.capability.name
