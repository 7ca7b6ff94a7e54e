"""`python -m edge.lifeline PARENT MODULE ARGUMENT…`: run a module that ends when its parent does, also after kill -9.

Linux only (prctl(2), PR_SET_PDEATHSIG): the kernel kills us when the thread that started us ends, so a module that
hangs holds no port of a daemon that starts again. Set here and not between fork and exec, where a daemon with threads
may run no Python.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie_to(parent: int) -> bool:
    """Have the kernel kill this process when `parent` ends; False when that has happened already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return os.getppid() == parent  # between the start and the line above it may have died


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then be the module."""
    parent, module, *rest = arguments
    if tie_to(int(parent)):
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
