"""Arrays with a wall before or behind them: whoever reads or writes one number beyond the end is stopped by the system.

    ┌──────────┬──────────────────────┬──────────┐
    │ no entry │      … the array     │ no entry │        pages; PROT_NONE on both sides
    └──────────┴──────────────────────┴──────────┘

An array fills its pages rarely, so that it can lie at one of the two walls only.
"""

import ctypes
import mmap

import numpy as np

PROT_NONE = 0


def guarded(array, at_end=True):
    """Return a copy of an array, C-contiguous, that ends (or begins) where no one may read; an empty one as it is."""
    if array.nbytes == 0 or array.dtype.hasobject:
        return array
    pages = -(-array.nbytes // mmap.PAGESIZE)
    region = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(region))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (0, pages + 1):
        start = ctypes.c_void_p(address + page * mmap.PAGESIZE)
        if protect(start, ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = mmap.PAGESIZE + (pages * mmap.PAGESIZE - array.nbytes if at_end else 0)
    copy = np.frombuffer(region, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    return copy
