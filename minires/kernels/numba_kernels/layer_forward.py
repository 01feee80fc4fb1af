"""A layer's forward pass as one kernel: 3×3 convolution, batch norm, the residual add and relu, in phases.

    phase           what threads claim                                       memory
    U = G g Gᵀ      panels of filters (winograd.py)                          stays in the cache
    z = conv(x)     groups of tiles, each with its statistics (epilogue.py)  reads x, writes z
    mean, scale     nothing: each thread merges the statistics for itself
    y               chunks, from the last to the first (normalization.py)    reads z [, shortcut], writes y

A block of two layers is one kernel too. Its first activation is not stored: the second convolution makes it from z as
it reads (prologue.py), and so does backward.

Why it is fast: between phases no thread sleeps and no Python runs, and much of z is still in a cache when y is made.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from minires.kernels.numba_kernels.epilogue import STATISTICS, merge_statistics
from minires.kernels.numba_kernels.machine.compilation import FLOATS, array_helper, helper, kernel, record, section
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.threads import phase, wait
from minires.kernels.numba_kernels.normalization_passes import normalize_chunks
from minires.kernels.numba_kernels.padding import copy_numbers
from minires.kernels.numba_kernels.winograd import SIZES, Operands, convolve_groups, transform_all_filters


class ForwardLayer(NamedTuple):
    """The arrays of a layer: its filters, for whole panels; U, z (N, I, J, F), statistics (groups, 1 + 2·F), mean and
    var, which are written; and the norm's own two."""

    filters: np.ndarray
    u: np.ndarray
    z: np.ndarray
    statistics: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


@kernel(
    types.void(
        *[FLOATS] * 3, *[record(ForwardLayer, FLOATS)] * 2, SIZES, types.UniTuple(types.float64, 2), types.int64,
        types.boolean, types.boolean, types.int64[::1],
    ),
    dtypes=("float32",),
)  # fmt: skip
def winograd_layers_forward(x, shortcut, y, first, second, sizes, eps, block, both_layers, add_shortcut, counter):
    """Write what the two layers' records say, and y; of the second layer alone where `both_layers` is false.

    Of two layers both have the same sizes. block: how many pixels are normalized together.
    """
    source, input_norm = x, x[:0]
    for number in range(0 if both_layers else 1, 2):
        layer = first if number == 0 else second
        convolve_with_statistics(source, input_norm, layer, sizes, number, counter)
        if number == 0:
            source, input_norm = first.z, activation_of(first.mean, first.var, first.weight, first.bias, eps[0])
    F = sizes.F
    activation = activation_of(second.mean, second.var, second.weight, second.bias, eps[1])
    mean, scale, bias = activation[:F], activation[F : 2 * F], activation[2 * F :]
    pixels = sizes.N * sizes.I * sizes.J
    normalize_chunks(second.z, shortcut, y, mean, scale, bias, pixels, block, add_shortcut, True, phase(counter, 5))


@section
def convolve_with_statistics(x, input_norm, layer, sizes, number, counter):
    """Write U, z, its mean and its var; return when all of them are there."""
    panels = (sizes.F + LANES - 1) // LANES
    transforming, convolving = phase(counter, 3 * number), phase(counter, 3 * number + 1)
    transform_all_filters(layer.filters, layer.u, panels * LANES, sizes.C, False, transforming)
    wait(transforming, panels)
    operands = Operands(x, input_norm, layer.filters, layer.u, layer.z, input_norm, input_norm, layer.statistics)
    convolve_groups(operands, sizes, False, STATISTICS, convolving)
    wait(convolving, (sizes.N * ((sizes.I + 3) // 4) + sizes.group - 1) // sizes.group)
    merge_statistics(layer.statistics, layer.mean, layer.var)  # every thread writes the same numbers


@array_helper
def activation_of(mean, var, weight, bias, eps):
    """Return what norm and relu need, F numbers each: mean, scale and bias."""
    F = mean.size
    constants = np.empty(3 * F, np.float32)
    copy_numbers(mean, 0, constants, 0, F)
    scale_of(weight, var, eps, constants[F : 2 * F])
    copy_numbers(bias, 0, constants, 2 * F, F)
    return constants


@helper
def scale_of(weight, var, eps, scale):
    """Write weight / √(var + eps), computed in float64, so that forward and backward round it alike."""
    for f in range(weight.size):
        scale[f] = weight[f] / np.sqrt(np.float64(var[f]) + eps)
