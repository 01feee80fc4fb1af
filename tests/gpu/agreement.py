"""A GPU kernel and its NumPy twin, called with the same numbers."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from minires.kernels import numpy_kernels
from minires.kernels.chain import Layer, SavedLayer

# Of the largest number, or of 1 where that is less: what is given is about 1, and relu may leave only what nearly all
# cancelled out.
TOLERANCE = {"float32": 3e-6, "float64": 1e-13}
DTYPES = list(TOLERANCE)
seeds = st.integers(0, 2**32 - 1)


def on_gpu(gpu, value):
    """Move arrays to the GPU, also those in lists, tuples and records; leave the rest."""
    if isinstance(value, Layer | SavedLayer):
        return type(value)(*[on_gpu(gpu, one) for one in fields_of(value)])
    if isinstance(value, list | tuple):
        return type(value)([on_gpu(gpu, one) for one in value])
    return gpu.asarray(value) if isinstance(value, np.ndarray) else value


def close(got, expected, tolerance):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    size = np.abs(expected).max(initial=1, where=np.isfinite(expected))
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * size)


def listed(value):
    """List what a kernel returned, out of all tuples, lists and records."""
    value = fields_of(value) if isinstance(value, SavedLayer) else value
    return [one for each in value for one in listed(each)] if isinstance(value, list | tuple) else [value]


def fields_of(record):
    return list(record) if isinstance(record, Layer) else [getattr(record, f.name) for f in dataclasses.fields(record)]


def agree(gpu, cupy_kernels, name, *arguments, looser=1):
    """Call both kernels with the same numbers and compare all that they return; return the NumPy kernel's."""
    expected = getattr(numpy_kernels, name)(*arguments)
    got = getattr(cupy_kernels, name)(*[on_gpu(gpu, argument) for argument in arguments])
    first = next(argument for argument in arguments if isinstance(argument, np.ndarray))
    for one, other in zip(listed(got), listed(expected), strict=True):
        if other is None:
            assert one is None
            continue
        assert isinstance(one, gpu.ndarray)
        close(one.get(), np.asarray(other), looser * TOLERANCE[first.dtype.name])
    return expected


def normal(rng, *shape, dtype="float32"):
    return rng.standard_normal(shape).astype(dtype)
