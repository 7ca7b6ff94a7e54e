"""Which OpenCL devices this machine has. pyopencl is an extra: without it there are none."""


def opencl_devices() -> tuple[list[str], str]:
    """Names of the OpenCL devices, and why there are none ("" when there are).

    Loads the drivers into this process: for `tigrillo doctor`, not for the daemon.
    """
    try:
        import pyopencl  # noqa: PLC0415  # because it is an extra, and its import loads the drivers
    except ImportError:
        return [], "pyopencl is not installed"
    try:
        names = [str(device.name) for platform in pyopencl.get_platforms() for device in platform.get_devices()]
    except pyopencl.Error as exc:
        return [], str(exc)
    return names, "" if names else "no driver offers a device"
