"""Which device runs the models: the site's `compute.device` → a Compute.

Today that is ONNX Runtime on the CPU; an OpenCL device takes its place here once it has passed the parity check.
"""

from contextlib import AbstractContextManager

from ..errors import NoDeviceError
from ..i18n import _
from .ort import OrtCompute


def open_compute(device: str, *, threads: int, jobs: int) -> AbstractContextManager[OrtCompute]:
    """The compute part of a site. device: "auto" or "cpu". threads: 0 for all cores. jobs: most model runs at once.

    Raises NoDeviceError when the device is not there.
    """
    if device not in {"auto", "cpu"}:
        text = _("compute.device {device!r} is not there: use auto or cpu (see tigrillo doctor)")
        raise NoDeviceError(text.format(device=device))
    return OrtCompute(threads=threads, jobs=jobs)
