"""From a kernel's name to a launch: compile once, hand over arrays and numbers, count.

A kernel takes arrays as addresses, so they must be contiguous and of the dtype it was compiled for; whole numbers as
np.int32 (C's int), np.int64 (long long) where they count the numbers of an array, and Python floats (double).
"""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from minires.kernels import Array, cuda

THREADS = cuda.THREADS
MOST_BLOCKS = 1 << 16  # of kernels whose threads go on to further numbers

NULL = np.intp(0)  # the address of an array that is left out

launches: Counter[str] = Counter()  # of our kernels, by name, in this process; CuPy's own are not in it


def launch(file: str, name: str, dtype: np.dtype[Any], grid: tuple[int, ...], *arguments: Any) -> None:
    """Start kernel `name` of `file`.cu, compiled for dtype, on a grid of blocks. It runs when the GPU gets to it."""
    if 0 in grid:  # CUDA refuses an empty grid
        return
    launches[name] += 1
    kernel(file, name, dtype)(grid, (THREADS,), arguments)


def launch_over(size: int, file: str, name: str, dtype: np.dtype[Any], *arguments: Any) -> None:
    """Start a kernel whose threads share out `size` numbers among themselves."""
    launch(file, name, dtype, (min(blocks_for(size, THREADS), MOST_BLOCKS),), *arguments)


@functools.cache
def kernel(file: str, name: str, dtype: np.dtype[Any]) -> Callable[..., None]:
    return module(file, dtype).get_function(name)


@functools.cache
def module(file: str, dtype: np.dtype[Any]) -> Any:
    if dtype.name not in cuda.REAL:
        raise TypeError(
            f"the GPU kernels compute in {' and '.join(cuda.REAL)}, not in {dtype}; convert: model.to('float32'), "
            "x.astype('float32')"
        )
    return cupy.RawModule(code=cuda.source(file), options=cuda.options(dtype.name))


@functools.lru_cache(maxsize=4096)
def ints(*numbers: int) -> tuple[np.int32, ...]:
    """Return the numbers as C's int; a step asks for the same few sizes over and over."""
    return tuple([np.int32(number) for number in numbers])


def contiguous(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return the array if its numbers lie side by side and have this dtype, else such a copy."""
    if array.flags.c_contiguous and array.dtype == dtype:
        return array
    return cupy.ascontiguousarray(array, dtype=dtype)


def blocks_for(size: int, per_block: int) -> int:
    return -(-size // per_block)


def or_null(array: Array | None, dtype: np.dtype[Any]) -> Any:
    """Return the array, contiguous, or the address NULL for None."""
    return NULL if array is None else contiguous(array, dtype)


def pointer(array: Any) -> int:
    """Return where the array's numbers begin in the GPU's memory."""
    return int(array.data.ptr)
