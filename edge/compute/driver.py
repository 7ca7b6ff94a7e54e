"""pyopencl, imported at one place. Whoever imports this module loads the machine's OpenCL drivers into the process.

So only device, program, buffers, faults and peak do; choice, probe and worker don't, and work without pyopencl.
"""

import os

# pyopencl's own cache knows no bound and no driver version; ours does both. It reads this once, when it is imported.
os.environ.setdefault("PYOPENCL_NO_CACHE", "1")

import pyopencl as cl


def _drop(text: str) -> None:
    """Take what a compiler says about a program that it built."""


# It would make a warning of every remark of a compiler, from any thread, and warnings.catch_warnings works in one only.
cl.compiler_output = _drop

__all__ = ["cl"]
