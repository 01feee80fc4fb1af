"""The kernels compiled by Numba: the same functions as in `numpy_kernels`, for speed instead of reading."""
