"""A plan on a device: buffers filled, kernels built, arguments set once; a run is writes, launches, reads."""

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from ...compute.device import Device
from ...compute.driver import cl
from ...compute.kernel import Kernel
from .launch import Array, Launch, Tensor
from .plan import Plan, Storage

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Constants:
    """Weights on one device, each content once, however many plans of a model use it."""

    device: Device
    kept: dict[bytes, Any] = field(default_factory=dict)

    def buffer(self, array: Array) -> Any:
        """The buffer that holds this array. Raises DeviceBusy when there is no room."""
        key = _key_of(array)
        if key not in self.kept:
            self.kept[key] = self.device.upload(np.ascontiguousarray(array))
        return self.kept[key]

    def holds(self, array: Array) -> bool:
        """Whether this array is there already and takes no more room."""
        return bool(self.kept) and _key_of(array) in self.kept

    def free(self, *, but: Container[bytes] = ()) -> None:
        """Give back all of them, or all `but` those of some keys."""
        for key in [each for each in self.kept if each not in but]:
            self.device.free(self.kept.pop(key))


def _key_of(array: Array) -> bytes:
    dense = np.ascontiguousarray(array)
    content = hashlib.blake2b(dense.data.cast("B") if dense.size else b"", digest_size=16).digest()
    return content + str((dense.dtype, dense.size)).encode()


@dataclass(frozen=True, slots=True)
class Call:
    """One launch, ready. uploads: streamed constants that must be in the arena before it: (array, byte offset)."""

    kernel: Any
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    uploads: tuple[tuple[Array, int], ...] = ()


@dataclass(slots=True)
class Bound:
    """A plan with its memory and kernels; use it with `with`, from the thread that owns the device."""

    device: Device
    plan: Plan
    buffers: list[Any]
    arena: Any
    own: list[Any]
    calls: tuple[Call, ...] = ()
    # pyopencl waits when the event of a copy is dropped, so that its host memory lives long enough: kept until a read
    copies: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()

    def free(self) -> None:
        """Give memory and kernels back; the constants stay, they are the session's."""
        self.calls = ()
        for buffer in self.own:
            self.device.free(buffer)
        self.own.clear()
        self.buffers.clear()

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Outputs in the model's order, each a new array. inputs: by name, of the planned shapes and types.

        Raises DeviceBusy, DeviceLost.
        """
        for name, tensor in self.plan.inputs.items():
            self.write(tensor, inputs[name])
        self.launch()
        return [self.read(tensor) for tensor in self.plan.outputs.values()]

    def write(self, tensor: Tensor, array: Array) -> None:
        """Send an input's elements; `array` must stay as it is until the next read."""
        dense = np.ascontiguousarray(array, dtype=tensor.dtype)
        if dense.size:
            with self.device.guard("write"):
                buffer = self.buffers[tensor.storage]
                self.copies.append(cl.enqueue_copy(self.device.queue, buffer, dense, is_blocking=False))

    def launch(self) -> None:
        """Enqueue every kernel, in order."""
        queue, enqueue = self.device.queue, cl.enqueue_nd_range_kernel
        with self.device.guard(f"run {self.plan.name!r}"):
            for call in self.calls:
                if call.uploads:
                    self._stream(call)
                enqueue(queue, call.kernel, call.global_size, call.local_size)

    def timed(self) -> list[float]:
        """Run once; milliseconds that each launch took on the device, which must have been opened to profile."""
        events = []
        with self.device.guard(f"profile {self.plan.name!r}"):
            for call in self.calls:
                self._stream(call)
                events.append(
                    cl.enqueue_nd_range_kernel(self.device.queue, call.kernel, call.global_size, call.local_size)
                )
            self.device.queue.finish()
            self.copies.clear()
        return [(event.profile.end - event.profile.start) * 1e-6 for event in events]

    def read(self, tensor: Tensor) -> Array:
        """The content of a dense output, once all that was enqueued is done."""
        out = self.device.read(self.buffers[tensor.storage], np.empty(tensor.shape, tensor.dtype))
        self.copies.clear()
        return out

    def _stream(self, call: Call) -> None:
        """Send the streamed constants that a launch is the first to read."""
        for array, offset in call.uploads:
            copy = cl.enqueue_copy(self.device.queue, self.arena, array, dst_offset=offset, is_blocking=False)
            self.copies.append(copy)


def bind(
    plan: Plan, device: Device, *, constants: Constants | None = None, on_progress: Progress | None = None
) -> Bound:
    """Build what the plan needs, allocate and upload.

    constants: shared with other plans of the model. on_progress: kernels built, of how many. Raises DeviceBusy when
    memory runs out (nothing stays allocated then), KernelBuildError, DeviceLost.
    """
    device.programs.prebuild(kernels_of(plan), on_progress)
    shared = constants or Constants(device)
    before = frozenset(shared.kept)
    bound = Bound(device, plan, [], None, [])
    try:
        bound.arena = _own(bound, max(plan.arena_bytes, 4))
        for storage in plan.storages:
            bound.buffers.append(_buffer(bound, storage, shared))
        bound.calls = tuple(_calls(bound))
    except BaseException:
        bound.free()
        shared.free(but=before)
        raise
    return bound


def kernels_of(plan: Plan) -> list[Kernel]:
    """Every kernel that the plan launches, once."""
    return list(dict.fromkeys(launch.kernel for launch in plan.launches))


def _own(bound: Bound, nbytes: int) -> Any:
    buffer = bound.device.alloc(nbytes)
    bound.own.append(buffer)
    return buffer


def _buffer(bound: Bound, storage: Storage, constants: Constants) -> Any:
    if storage.in_arena:
        return bound.arena
    if storage.array is not None:
        return constants.buffer(storage.array)
    return _own(bound, storage.nbytes)


def _calls(bound: Bound) -> list[Call]:
    calls: list[Call] = []
    sent: set[int] = set()
    for launch in bound.plan.launches:
        kernel = bound.device.programs.kernel(launch.kernel)
        with bound.device.guard(launch.kernel.entry):
            kernel.set_args(*_arguments(bound, launch.args))
        calls.append(Call(kernel, launch.global_size, launch.local_size, tuple(_uploads(bound, launch, sent))))
    return calls


def _uploads(bound: Bound, launch: Launch, sent: set[int]) -> list[tuple[Array, int]]:
    """Streamed constants that this launch is the first to read."""
    found: list[tuple[Array, int]] = []
    for tensor in launch.reads:
        storage = bound.plan.storages[tensor.storage]
        if storage.kind == "streamed" and storage.array is not None and tensor.storage not in sent:
            sent.add(tensor.storage)
            found.append((np.ascontiguousarray(storage.array), storage.offset))
    return found


def _arguments(bound: Bound, args: Sequence[Tensor | np.int32 | np.float32]) -> list[Any]:
    """What a kernel is given: for each tensor its buffer and its offset in elements, for each number itself."""
    found: list[Any] = []
    for arg in args:
        if isinstance(arg, Tensor):
            storage = bound.plan.storages[arg.storage]
            inside = storage.offset // np.dtype(storage.dtype).itemsize if storage.in_arena else 0
            found += [bound.buffers[arg.storage], np.int32(inside + arg.offset)]
        else:
            found.append(arg)
    return found
