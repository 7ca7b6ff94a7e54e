"""Fewer heaps for a process of many threads.

glibc gives each thread a heap of its own, eight a core at most, and none gives back what others could use. Two hold
what the daemon's threads need; Python's lock lets one of them allocate at a time anyway. Measured with 32 agents
(benchmarks/delivery.py --only load): 4 MB less, as many frames a second.
"""

import ctypes

M_ARENA_MAX = -8  # malloc.h of glibc
ARENAS = 2


def keep_few() -> None:
    """Let all threads that are started from here on share the heaps; where the C library has no such thing, nothing."""
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    except (AttributeError, OSError):  # musl, macOS
        return
