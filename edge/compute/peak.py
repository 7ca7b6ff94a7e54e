"""What a device can do at most, measured in about a second: the limits that `tigrillo bench` holds models against."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..clock import Clock, SystemClock
from ..model import F32
from .device import Device
from .driver import cl
from .kernel import Kernel, defines_of

FILE: Final = "peak.cl"
CHAINS: Final = 8
ENOUGH_S: Final = 0.03  # a figure is taken from runs that take at least this long
REPEATS: Final = 3  # the best counts: others may have used the machine meanwhile
LAUNCHES: Final = 200
# Far more than any cache holds, as far as the card has it: Polaris has 2 MB, H100 50 MB, servers' CPUs some 100 MB.
GPU_BYTES, CPU_BYTES = 256 * 2**20, 128 * 2**20


@dataclass(frozen=True, slots=True)
class Peak:
    """Limits as measured, the best of a few runs.

    gflops: fp32 multiply-add, each two operations, 10⁹ a second. read_gb_s, copy_gb_s: global memory, 10⁹ bytes a
    second; a copied byte counts twice. launch_us: one of many empty launches in a row. round_trip_us: one empty launch
    until the host knows that it is done. upload_gb_s, download_gb_s: host to device and back, from pageable memory.
    """

    gflops: float
    read_gb_s: float
    copy_gb_s: float
    launch_us: float
    round_trip_us: float
    upload_gb_s: float
    download_gb_s: float


def measure_peak(device: Device, *, clock: Clock | None = None) -> Peak:
    """Measure a device that does nothing else meanwhile, in ≤ 2 s beside the build of four kernels.

    Takes up to 512 MB of it. Raises as Device does.
    """
    return _Meter(device, clock or SystemClock()).measure()


def chains(items: int, rounds: int, a: float, b: float, *, width: int) -> F32:
    """What kernel `flops` computes, float32 (items, width)."""
    start = np.arange(items, dtype=np.float32)[:, None] + np.arange(width, dtype=np.float32) / np.float32(16)
    values = start[None] + np.arange(CHAINS, dtype=np.float32)[:, None, None]
    for _round in range(rounds):
        values = values * np.float32(a) + np.float32(b)
    total: F32 = values.sum(axis=0, dtype=np.float32)
    return total


class _Meter:
    def __init__(self, device: Device, clock: Clock) -> None:
        self.device, self.clock = device, clock
        on_gpu = device.capability.family == "gpu"
        room = min(device.capability.max_alloc_bytes, device.capability.global_bytes // 8)
        self.nbytes = 1 << int(math.log2(min(GPU_BYTES if on_gpu else CPU_BYTES, room)))
        self.width = 4 if on_gpu else 16
        self.defines = defines_of(WIDTH=self.width, IN_ROWS=not on_gpu)
        self.group = (min(256 if on_gpu else 64, device.capability.max_group),)
        # 32 groups a compute unit fill every SIMD of a GPU; a CPU has nothing to fill
        self.items = self.group[0] * device.capability.compute_units * (32 if on_gpu else 8)

    def measure(self) -> Peak:
        device = self.device
        x, y = device.alloc(self.nbytes), device.alloc(self.nbytes)
        try:
            self._fill(x)  # memory that nobody wrote to may be one page of zeros, which lies in the cache
            self._fill(y)
            return Peak(
                gflops=self._gflops(y) / 1e9,
                read_gb_s=self._read(x, y) / 1e9,
                copy_gb_s=self._copy(x, y) / 1e9,
                launch_us=self._launch(y) * 1e6,
                round_trip_us=self._round_trip(y) * 1e6,
                upload_gb_s=self._upload(x) / 1e9,
                download_gb_s=self._download(x) / 1e9,
            )
        finally:
            device.free(x)
            device.free(y)

    def _kernel(self, entry: str, *args: cl.Buffer | np.int32 | np.float32) -> cl.Kernel:
        made = self.device.programs.kernel(Kernel(FILE, entry, self.defines))
        with self.device.guard(entry):
            made.set_args(*args)
        return made

    def _fill(self, buffer: cl.Buffer) -> None:
        with self.device.guard("peak"):
            cl.enqueue_fill_buffer(self.device.queue, buffer, np.full(1, 0.5, np.float32), 0, self.nbytes)

    def _gflops(self, y: cl.Buffer) -> float:
        kernel = self._kernel("flops", y, np.int32(64), np.float32(0.999), np.float32(0.001))
        rounds = 64
        while True:
            kernel.set_arg(1, np.int32(rounds))
            seconds = self._best(lambda: self._launched(kernel, self.items))
            if seconds >= ENOUGH_S or rounds >= 2**24:
                return self.items * rounds * CHAINS * self.width * 2 / seconds
            rounds *= min(64, max(2, math.ceil(1.2 * ENOUGH_S / seconds)))

    def _read(self, x: cl.Buffer, y: cl.Buffer) -> float:
        steps = self.nbytes // (4 * self.width * self.items)
        kernel = self._kernel("read_all", x, y, np.int32(steps))
        return steps * self.items * 4 * self.width / self._best(lambda: self._launched(kernel, self.items))

    def _copy(self, x: cl.Buffer, y: cl.Buffer) -> float:
        kernel = self._kernel("copy", x, y)
        return 2 * self.nbytes / self._best(lambda: self._launched(kernel, self.nbytes // (4 * self.width)))

    def _launch(self, y: cl.Buffer) -> float:
        kernel, queue = self._kernel("nothing", y), self.device.queue

        def many() -> None:
            for _launch in range(LAUNCHES):
                cl.enqueue_nd_range_kernel(queue, kernel, (1,), (1,))

        return self._best(many) / LAUNCHES

    def _round_trip(self, y: cl.Buffer) -> float:
        kernel = self._kernel("nothing", y)

        def many() -> None:
            for _launch in range(LAUNCHES // 4):
                cl.enqueue_nd_range_kernel(self.device.queue, kernel, (1,), (1,))
                self.device.queue.finish()

        return self._best(many) / (LAUNCHES // 4)

    def _upload(self, x: cl.Buffer) -> float:
        host = np.ones(self.nbytes // 4, np.uint8)
        return len(host) / self._best(lambda: self.device.write(x, host))

    def _download(self, x: cl.Buffer) -> float:
        host = np.ones(self.nbytes // 4, np.uint8)
        return len(host) / self._best(lambda: self.device.read(x, host))

    def _launched(self, kernel: cl.Kernel, items: int) -> None:
        self.device.launch(kernel, (items,), self.group)

    def _best(self, work: Callable[[], object]) -> float:
        """Seconds of the fastest of a few runs, the first of which only warms up."""
        seconds: list[float] = []
        for _repeat in range(1 + REPEATS):
            self.device.finish()
            began = self.clock.monotonic_s()
            with self.device.guard("peak"):
                work()
            self.device.finish()
            seconds.append(self.clock.monotonic_s() - began)
        return max(min(seconds[1:]), 1e-9)
