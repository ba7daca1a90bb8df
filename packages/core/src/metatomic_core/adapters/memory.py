"""Keeping freed memory in the process, for programs that evaluate a model again and again.

glibc, the C library of most Linux systems, gives large blocks back to the system when they are freed.  A step of
molecular dynamics frees and asks for the same blocks every time; the system then maps every page anew and fills it with
zeros.  See ``mallopt(3)``.
"""

import ctypes
import os
import sys

# Parameters of mallopt, from the header malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_SETTINGS = {
    # large blocks come from the heap as well, not each one from the system
    _M_MMAP_MAX: 0,
    # the free top of the heap is never given back
    _M_TRIM_THRESHOLD: -1,
    # bytes by which the heap grows at once; a page costs nothing before it is written to
    _M_TOP_PAD: 64 << 20,
}
# What users set to tune the memory themselves.
_OF_THE_USER = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, rather than give it back to the system each time.

    For processes that are our own, such as a client of i-PI: it holds for all of the process and can not be undone, and
    the process keeps what it needed at its peak.  Nothing happens without glibc, or if the user has tuned memory with
    ``GLIBC_TUNABLES=glibc.malloc...`` or variables such as ``MALLOC_TRIM_THRESHOLD_``.

    Returns
    -------
    bool
        Whether memory is kept from now on.
    """
    tuned = any(name in os.environ for name in _OF_THE_USER) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if tuned or not _has_glibc():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    # all of them, also after one that failed: each helps by itself
    return all([mallopt(parameter, value) == 1 for parameter, value in _SETTINGS.items()])  # noqa: C419


def _has_glibc() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        return "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (OSError, ValueError):
        return False
