"""The devices that the drivers of this process offer. Loads the drivers: the daemon asks edge.compute.probe first."""

from collections.abc import Iterator
from typing import Final

from .capability import Capability
from .choice import FoundDevice
from .driver import cl

NVIDIA_WAVE: Final = 32
AMD_WAVE: Final = 64  # GCN; RDNA's drivers run OpenCL kernels in waves of 32 and say so
DEFAULT_FLOATS: Final = 4


def list_here() -> Iterator[tuple[FoundDevice, cl.Device]]:
    """Every device of every platform, in the order of the drivers. Raises cl.Error when there is no platform."""
    for platform_number, platform in enumerate(cl.get_platforms()):
        try:
            devices = platform.get_devices()
        except cl.Error:  # its card is missing; the other platforms' are not
            continue
        name = platform.name.strip()
        for number, device in enumerate(devices):
            capability, board = capability_of(device), board_of(device)
            yield FoundDevice(name, platform_number, number, capability, board=board), device


def capability_of(device: cl.Device) -> Capability:
    """The capability record of a device that is there. Raises cl.Error when the driver refuses to answer."""
    on_cpu = bool(device.type & cl.device_type.CPU)
    return Capability(
        name=device.name.strip(),
        vendor=device.vendor.strip(),
        driver=f"{device.platform.version.strip()} {device.driver_version.strip()}",
        family="cpu" if on_cpu else "gpu",
        compute_units=device.max_compute_units,
        wave=1 if on_cpu else _wave(device),
        local_bytes=device.local_mem_size,
        global_bytes=device.global_mem_size,
        max_alloc_bytes=device.max_mem_alloc_size,
        max_group=device.max_work_group_size,
        # GPUs say 1, since their registers hold one float a lane; 4 are what one load instruction fetches there
        vector_floats=max(device.native_vector_width_float, 1) if on_cpu else DEFAULT_FLOATS,
    )


def board_of(device: cl.Device) -> str:
    """What AMD calls the card ("Radeon RX 580 Series"), whose name is that of the chip ("gfx803"); "" elsewhere."""
    if "cl_amd_device_attribute_query" not in device.extensions:
        return ""
    try:
        return str(device.board_name_amd).strip()
    except cl.Error:
        return ""


def _wave(device: cl.Device) -> int:
    if "cl_nv_device_attribute_query" in device.extensions:
        return int(device.warp_size_nv)
    if "cl_amd_device_attribute_query" in device.extensions:
        return int(device.wavefront_width_amd)
    try:
        return int(device.preferred_work_group_size_multiple)  # OpenCL 3.0: rusticl
    except cl.Error:
        name = f"{device.vendor} {device.name}".lower()
        return AMD_WAVE if "amd" in name or "advanced micro" in name else NVIDIA_WAVE
