"""glibc's allocator, told once to keep the memory of large arrays that are freed instead of giving it back.

A training step makes and frees the same large arrays again and again. By default each comes fresh from the kernel, page
by page, each page zeroed and mapped at its first touch: for 24 arrays of 8 MB more than all else done to them.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MMAP_LIMIT = 32 << 20  # bytes; glibc takes no more: larger arrays still come and go by themselves
TRIM_LIMIT = 1 << 30  # bytes that may lie free at the heap's end


def keep_freed_memory() -> bool:
    """Raise the thresholds; False where the allocator is not glibc's."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MMAP_LIMIT)) and bool(mallopt(M_TRIM_THRESHOLD, TRIM_LIMIT))
