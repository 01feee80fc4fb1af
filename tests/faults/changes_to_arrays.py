"""What anyone may do to an array between two phases: write into it, or put another in its place.

A change is drawn from a random generator alone, so that the same one comes to two networks alike. Each function takes
the generators (`draw` for choices, `numbers` for values) and an array, and returns what is to stand in its place: the
array itself where it was written into.
"""

import numpy as np

FLOATS = ("float32", "float64", "float16", ">f8", "longdouble")
WHOLES = ("int64", "int32", "uint8", "int8", "uint64", "bool", ">i8")


def written(draw, numbers, array):
    """Write other numbers into the array itself, some of them outside any range."""
    if not isinstance(array, np.ndarray) or not array.flags.writeable or array.size == 0:
        return array
    if array.dtype.kind == "f":
        array[...] = numbers.standard_normal(array.shape)
    elif array.dtype.kind in "iu":
        highest = min(draw.choice((4, 9, 10, 300, 1 << 40)), np.iinfo(array.dtype).max)
        lowest = max(draw.choice((0, 0, -1, -100, -(1 << 40))), np.iinfo(array.dtype).min)
        array[...] = numbers.integers(lowest, highest, array.shape, endpoint=True)
    return array


def one_written(draw, numbers, array):
    """Write one number: a wild one."""
    if isinstance(array, np.ndarray) and array.flags.writeable and array.size:
        place = tuple(draw.randrange(size) for size in array.shape)
        if array.dtype.kind == "f":
            array[place] = draw.choice((np.nan, np.inf, -np.inf, 1e4, 0.0))
        elif array.dtype.kind in "iu":
            wild = (-1, 10, 127, -101, 1 << 20, -(1 << 31), (1 << 62))
            limits = np.iinfo(array.dtype)
            array[place] = min(max(draw.choice(wild), limits.min), limits.max)
    return array


def resized(draw, numbers, array):
    """Another shape: axes longer, shorter, more, fewer, exchanged."""
    shape = list(array.shape)
    kind = draw.choice(("longer", "shorter", "more", "fewer", "flat", "exchanged", "empty", "single", "one number"))
    axis = draw.randrange(len(shape)) if shape else 0
    if kind == "longer" and shape:
        shape[axis] += draw.choice((1, 3, 64))
    elif kind == "shorter" and shape:
        shape[axis] = max(1, shape[axis] // 2)
    elif kind == "more":
        shape.insert(axis, draw.choice((1, 2)))
    elif kind == "fewer" and shape:
        shape.pop(axis)
    elif kind == "flat":
        shape = [array.size]
    elif kind == "exchanged":
        shape.reverse()
    elif kind == "empty" and shape:
        shape[axis] = 0
    elif kind == "single" and shape:
        shape[axis] = 1
    elif kind == "one number":
        shape = []
    return values(numbers, array, tuple(shape))


def retyped(draw, numbers, array):
    """Another dtype, or no array at all."""
    name = draw.choice((*FLOATS, *WHOLES, "list", "None", "object"))
    if name == "list":
        return array.tolist()
    if name == "None":
        return None
    with np.errstate(all="ignore"):
        return array.astype(name)


def replaced(draw, numbers, array):
    """Another array of the same shape and dtype."""
    return values(numbers, array, array.shape)


def rearranged(draw, numbers, array):
    """The same numbers in another order of memory, not aligned, not to be written to, or one number all over."""
    kind = draw.choice(("F", "gaps", "backwards", "shifted", "read-only", "broadcast", "channels last"))
    if kind == "F":
        return np.asfortranarray(array)
    if kind == "gaps":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]) if array.ndim else (2,), array.dtype)
        gaps = wide[..., ::2].reshape(array.shape) if array.ndim == 0 else wide[..., ::2]
        gaps[...] = array
        return gaps
    if kind == "backwards":
        return np.ascontiguousarray(array[::-1])[::-1] if array.ndim else array
    if kind == "shifted":
        memory = np.zeros(array.nbytes + 1, np.uint8)
        shifted = memory[1:].view(array.dtype).reshape(array.shape)
        shifted[...] = array
        return shifted
    if kind == "read-only":
        copy = array.copy()
        copy.flags.writeable = False
        return copy
    if kind == "broadcast":
        return np.broadcast_to(array.reshape(-1)[:1].reshape(()) if array.size else array, array.shape)
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array.copy()


def values(numbers, array, shape):
    """Return random values like those of an array, in its dtype."""
    if array.dtype.kind == "f":
        return numbers.standard_normal(shape).astype(array.dtype)
    return numbers.integers(0, 10, shape).astype(array.dtype)


CHANGES = (written, one_written, resized, retyped, replaced, rearranged)


def change(draw, numbers, array):
    """Draw a change and make it; what is no array is left as it is."""
    kind = draw.choice(CHANGES)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        return "left", array
    return kind.__name__, kind(draw, numbers, array)
