"""A plan on a device: buffers filled, kernels built, arguments set once; a run is writes, launches, reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyopencl as cl

from ...compute.device import Device
from .launch import Array, Launch, Tensor
from .plan import Plan


@dataclass(slots=True)
class Bound:
    """A plan with its memory and kernels. Use it with `with`; buffers go when it is left. One thread at a time."""

    device: Device
    plan: Plan
    buffers: list[Any] = field(default_factory=list)
    calls: list[tuple[Any, tuple[int, ...], tuple[int, ...] | None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.calls.clear()
        for buffer in {id(each): each for each in self.buffers if each is not None}.values():
            buffer.release()
        self.buffers.clear()

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Outputs in the model's order. inputs: by name, of the planned shapes."""
        for name, tensor in self.plan.inputs.items():
            array = np.ascontiguousarray(inputs[name], dtype=tensor.dtype)
            if array.size:
                cl.enqueue_copy(self.device.queue, self.buffers[tensor.storage], array, is_blocking=False)
        self.launch()
        return [self.read(tensor) for tensor in self.plan.outputs.values()]

    def launch(self) -> None:
        """Enqueue every kernel."""
        queue, enqueue = self.device.queue, cl.enqueue_nd_range_kernel
        for kernel, global_size, local_size in self.calls:
            enqueue(queue, kernel, global_size, local_size)

    def read(self, tensor: Tensor) -> Array:
        """A dense row-major tensor's content, after all that was enqueued."""
        out = np.empty(tensor.shape, tensor.dtype)
        if out.size:
            cl.enqueue_copy(self.device.queue, out, self.buffers[tensor.storage])
        return out


def bind(plan: Plan, device: Device) -> Bound:
    """Build what the plan needs, allocate and upload. Raises DeviceBusy when memory runs out, KernelBuildError."""
    device.programs.prebuild([launch.kernel for launch in plan.launches])
    bound = Bound(device, plan)
    arena = device.alloc(max(plan.arena_bytes, 4))
    for storage in plan.storages:
        if storage.kind == "arena":
            bound.buffers.append(arena)
        elif storage.array is not None and storage.array.size:
            bound.buffers.append(device.upload(np.ascontiguousarray(storage.array)))
        else:
            bound.buffers.append(device.alloc(storage.nbytes))
    bound.calls = [_call(bound, launch) for launch in plan.launches]
    return bound


def _call(bound: Bound, launch: Launch) -> tuple[Any, tuple[int, ...], tuple[int, ...] | None]:
    kernel = bound.device.programs.kernel(launch.kernel)
    kernel.set_args(*kernel_args(bound, launch.args))
    return kernel, launch.global_size, launch.local_size


def kernel_args(bound: Bound, args: Sequence[Tensor | np.int32 | np.float32]) -> list[Any]:
    """What a kernel is given: for each tensor its buffer and its offset in elements, for each number itself."""
    found: list[Any] = []
    for arg in args:
        if isinstance(arg, Tensor):
            storage = bound.plan.storages[arg.storage]
            inside = storage.offset // np.dtype(storage.dtype).itemsize if storage.kind == "arena" else 0
            found += [bound.buffers[arg.storage], np.int32(inside + arg.offset)]
        else:
            found.append(arg)
    return found
