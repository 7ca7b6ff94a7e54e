"""Device memory: who has how much of it, and a pool of what was given back.

Drivers reserve memory at first use, long after they have said yes; so the limit is kept here, in bytes.
"""

import threading
import weakref
from dataclasses import dataclass
from typing import Final

from ..errors import DeviceBusy
from .capability import Capability
from .driver import cl
from .faults import FULL_TEXT, translated

SHARE: Final = 0.9  # of the device's memory; the rest is the driver's and the display's
SLACK: Final = 1.25  # a pooled buffer may be so much larger than what is asked for


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes. used: in callers' hands. pooled: given back, ready for the next. peak: most of both together so far."""

    used: int
    pooled: int
    peak: int
    limit: int


class PooledBuffer(cl.Buffer):
    """A cl.Buffer that can be referred to weakly, so that a forgotten one is counted as free again."""


class BufferPool:
    """The buffers of one context, counted; may be used from several threads.

    reserved: bytes to leave alone beside SHARE. limit_bytes: instead of what the capability gives, for tests.
    """

    def __init__(
        self, context: cl.Context, capability: Capability, *, reserved: int = 0, limit_bytes: int | None = None
    ) -> None:
        self._context, self._capability = context, capability
        self.limit = limit_bytes or max(0, int(capability.global_bytes * SHARE) - reserved)
        self._lock = threading.RLock()  # a finalizer may run inside any of the methods
        self._idle: list[PooledBuffer] = []
        self._finalizers: dict[int, weakref.finalize[[int, int], PooledBuffer]] = {}
        self._used = self._pooled = self._peak = 0

    @property
    def usage(self) -> Usage:
        """What is in use now."""
        with self._lock:
            return Usage(self._used, self._pooled, self._peak, self.limit)

    def take(self, nbytes: int) -> cl.Buffer:
        """A buffer of at least `nbytes`, its content undefined; freed when it is given back or forgotten.

        Raises DeviceBusy when it does not fit, with the figures. Raises ValueError below one byte.
        """
        if nbytes < 1:
            raise ValueError(f"a buffer takes at least 1 byte, got {nbytes}")
        if nbytes > self._capability.max_alloc_bytes:
            most = self._capability.max_alloc_bytes
            raise DeviceBusy(f"{FULL_TEXT}: {self._what(nbytes)}: it gives at most {_megabytes(most)} in one piece")
        with self._lock:
            buffer = self._from_pool(nbytes) or self._new(nbytes)
            self._used += buffer.size
            self._peak = max(self._peak, self._used + self._pooled)
            finalizer = weakref.finalize(buffer, self._forgotten, id(buffer), buffer.size)
            finalizer.atexit = False
            self._finalizers[id(buffer)] = finalizer
            return buffer

    def give(self, buffer: cl.Buffer) -> None:
        """Take a buffer back for the next that asks. Raises ValueError when it is not one in use."""
        with self._lock:
            finalizer = self._finalizers.pop(id(buffer), None)
            if finalizer is None or not isinstance(buffer, PooledBuffer):
                raise ValueError("this buffer is not in use")
            finalizer.detach()
            self._used -= buffer.size
            self._pooled += buffer.size
            self._idle.append(buffer)

    def trim(self) -> None:
        """Hand all pooled buffers back to the driver. Raises DeviceLost or FatalError when it refuses one."""
        with self._lock, translated(f"free memory of {self._capability.name}"):
            idle, self._idle, self._pooled = self._idle, [], 0
            for buffer in idle:
                buffer.release()

    def _from_pool(self, nbytes: int) -> PooledBuffer | None:
        fitting = [each for each in self._idle if nbytes <= each.size <= nbytes * SLACK]
        if not fitting:
            return None
        best = min(fitting, key=_size)
        self._idle = [each for each in self._idle if each is not best]
        self._pooled -= best.size
        return best

    def _new(self, nbytes: int) -> PooledBuffer:
        if self._used + self._pooled + nbytes > self.limit:
            self.trim()
        if self._used + nbytes > self.limit:
            in_use = f"{_megabytes(self._used)} of {_megabytes(self.limit)} are in use"
            raise DeviceBusy(f"{FULL_TEXT}: {self._what(nbytes)}: {in_use}")
        try:
            return self._allocate(nbytes)
        except DeviceBusy:
            self.trim()
            return self._allocate(nbytes)

    def _allocate(self, nbytes: int) -> PooledBuffer:
        with translated(self._what(nbytes)):
            return PooledBuffer(self._context, cl.mem_flags.READ_WRITE, nbytes)

    def _what(self, nbytes: int) -> str:
        return f"{_megabytes(nbytes)} on {self._capability.name}"

    def _forgotten(self, number: int, nbytes: int) -> None:
        with self._lock:
            if self._finalizers.pop(number, None):
                self._used -= nbytes


def _size(buffer: PooledBuffer) -> int:
    return int(buffer.size)


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:.1f} MB"
