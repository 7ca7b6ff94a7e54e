"""The part of the probe that a bad driver may crash: `python -m edge.compute.probe_child [PLATFORM NUMBER]`.

Without arguments it prints one JSON document of all devices, with them it builds and runs a small kernel on one device.
The document is {"found": [FoundDevice as a dict], "problem": ""}, or {"broken": ""} for a device that was tried.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ..i18n import _
from .icd import icd_problem

TRIAL = "__kernel void trial(__global int *x) { x[get_global_id(0)] = (int)get_global_id(0) * 3 + 1; }"
TRIAL_ITEMS = 64


def main(arguments: Sequence[str]) -> None:
    """Print what was found; whatever drivers print meanwhile goes to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    answer = _try_device(*map(int, arguments)) if arguments else _list_devices()
    with os.fdopen(out, "w", encoding="utf-8") as file:
        json.dump(answer, file)


def _list_devices() -> dict[str, object]:
    try:
        from .driver import cl  # noqa: PLC0415  # because it is an extra, and its import loads the drivers
        from .listing import list_here  # noqa: PLC0415
    except ImportError as exc:
        text = _("pyopencl can't be imported ({reason}): pip install 'tigrillo[opencl]'")
        return {"found": [], "problem": text.format(reason=exc)}
    try:
        found = [asdict(each) for each, _device in list_here()]
    except cl.Error as exc:
        none = exc.code == cl.status_code.PLATFORM_NOT_FOUND_KHR
        return {"found": [], "problem": icd_problem() if none else str(exc)}
    return {"found": found, "problem": "" if found else icd_problem()}


def _try_device(platform_number: int, number: int) -> dict[str, str]:
    from .driver import cl  # noqa: PLC0415  # because it loads the drivers

    try:
        device = cl.get_platforms()[platform_number].get_devices()[number]
        context = cl.Context([device])
        queue = cl.CommandQueue(context)
        values = np.zeros(TRIAL_ITEMS, np.int32)
        buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE, values.nbytes)
        kernel = cl.Kernel(cl.Program(context, TRIAL).build(["-cl-std=CL1.2"]), "trial")
        kernel.set_arg(0, buffer)
        cl.enqueue_nd_range_kernel(queue, kernel, (TRIAL_ITEMS,), None)
        cl.enqueue_copy(queue, values, buffer)
    except (cl.Error, IndexError) as exc:
        return {"broken": " ".join(str(exc).split())[:500]}
    right = np.array_equal(values, np.arange(TRIAL_ITEMS) * 3 + 1)
    return {"broken": "" if right else _("a small kernel gives wrong numbers")}


if __name__ == "__main__":
    main(sys.argv[1:])
