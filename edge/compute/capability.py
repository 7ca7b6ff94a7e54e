"""What a planner must know of an OpenCL device, as plain data, so that one can plan for a card one does not have."""

from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["gpu", "cpu"]  # which of the two kernel families suits the device


@dataclass(frozen=True, slots=True)
class Capability:
    """One device. local_bytes: local memory of one work-group. wave: work-items that step together (1 on a CPU).

    driver: platform and driver version, part of every cache key. max_alloc_bytes: the largest single buffer.
    """

    name: str
    vendor: str
    driver: str
    family: Family
    compute_units: int
    wave: int
    local_bytes: int
    global_bytes: int
    max_alloc_bytes: int
    max_group: int = 256
    vector_floats: int = 4  # floats in the widest vector register, for the CPU family


# Polaris 20 XTX, AMD's data sheet; local memory as its OpenCL drivers give it to one group (a unit has 64 KB).
RX580_8GB: Final = Capability(
    name="gfx803",
    vendor="AMD",
    driver="offline",
    family="gpu",
    compute_units=36,
    wave=64,
    local_bytes=32 * 1024,
    global_bytes=8 * 1024**3,
    max_alloc_bytes=4 * 1024**3,
)
