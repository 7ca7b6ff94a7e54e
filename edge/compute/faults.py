"""OpenCL's error codes → the error tree, where the class says what follows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..errors import DeviceBusy, DeviceLost, EdgeError, FatalError
from .driver import cl

_STATUS = cl.status_code
# CL_INVALID_BUFFER_SIZE: the buffer is larger than the device ever gives.
FULL: Final = frozenset(
    {
        _STATUS.MEM_OBJECT_ALLOCATION_FAILURE,
        _STATUS.OUT_OF_RESOURCES,
        _STATUS.OUT_OF_HOST_MEMORY,
        _STATUS.INVALID_BUFFER_SIZE,
    }
)
# -9999 is no code of OpenCL: NVIDIA's driver says so after a kernel has touched memory that it does not own.
GONE: Final = frozenset({_STATUS.DEVICE_NOT_AVAILABLE, _STATUS.INVALID_COMMAND_QUEUE, _STATUS.INVALID_CONTEXT, -9999})

FULL_TEXT: Final = "device out of memory"


@contextmanager
def translated(doing: str, *, waiting: bool = False) -> Iterator[None]:
    """Let no pyopencl error out of the context: DeviceBusy, DeviceLost or, for a call that is wrong, FatalError.

    doing: what was tried, device included, for the message. waiting: whether the device is waited for; out of resources
    then means that it hung or broke down, not that there is no room.
    """
    try:
        yield
    except MemoryError as exc:
        raise DeviceBusy(f"host out of memory: {doing}") from exc
    except cl.Error as exc:
        raise fault(exc, doing, waiting=waiting) from exc


def fault(exc: cl.Error, doing: str, *, waiting: bool = False) -> EdgeError:
    """The error to raise in place of pyopencl's; see `translated`."""
    code = exc.code
    if code in GONE or (waiting and code == _STATUS.OUT_OF_RESOURCES):
        return DeviceLost(f"device lost: {doing}: {exc}")
    if code in FULL or isinstance(exc, cl.MemoryError):
        return DeviceBusy(f"{FULL_TEXT}: {doing}: {exc}")
    return FatalError(f"{doing}: {exc}")
