"""The norm of arrays: what gradients are clipped, watched and compared by."""

import math

import numpy as np

from minires.kernels import Array, kernels_for


def norm(*arrays: Array) -> float:
    """Return √Σx² over all elements of all arrays, as of one vector; NaN or infinity where an element is.

    The squares are summed in float64, which holds those of any float32. Where those of a float64 leave its range, all
    is measured in units of the largest element.
    """
    with np.errstate(over="ignore"):
        squares = [kernels_for(array).xp.square(array, dtype="float64").sum() for array in arrays]
    square = sum([float(each) for each in squares])  # on a GPU, float waits; so all are begun before
    if 1e-280 < square < math.inf or math.isnan(square):
        return math.sqrt(square)
    largest = max([float(abs(array).max()) for array in arrays if array.size], default=0.0)
    if largest in (0.0, math.inf):
        return largest
    return largest * math.sqrt(sum([float(((array / largest) ** 2).sum()) for array in arrays]))
