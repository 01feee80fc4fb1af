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

import numpy as np

from minires.kernels.numba_kernels.epilogue import STATISTICS, merge_statistics
from minires.kernels.numba_kernels.machine.compilation import array_helper, helper, kernel, section
from minires.kernels.numba_kernels.machine.simd import LANES
from minires.kernels.numba_kernels.machine.threads import phase, wait
from minires.kernels.numba_kernels.normalization_passes import normalize_chunks
from minires.kernels.numba_kernels.padding import copy_numbers
from minires.kernels.numba_kernels.winograd import convolve_groups, transform_all_filters

ARRAYS = "float32[::1], float32[::1], float32[::1], float32[::1]"


@kernel(
    f"void({ARRAYS}, {ARRAYS}, {ARRAYS}, {ARRAYS}, {ARRAYS}, float64, float64, UniTuple(int64, 11), "
    "UniTuple(int64, 11), boolean, boolean, int64[::1])",
    dtypes=("float32",),
)
def winograd_layers_forward(
    x, shortcut, y, empty, filters1, u1, z1, statistics1, mean1, var1, weight1, bias1,
    filters2, u2, z2, statistics2, mean2, var2, weight2, bias2,
    eps1, eps2, sizes1, sizes2, both_layers, add_shortcut, counter,
):  # fmt: skip
    """Write z (N, I, J, F) of two layers, their statistics, and y; of the second alone where `both_layers` is false.

    filters: for whole panels; statistics: (groups, 1 + 2·F). empty: an empty array.
    """
    source, input_norm = x, empty
    for layer in range(0 if both_layers else 1, 2):
        filters, u, z, statistics, mean, var, sizes = filters2, u2, z2, statistics2, mean2, var2, sizes2
        if layer == 0:
            filters, u, z, statistics, mean, var, sizes = filters1, u1, z1, statistics1, mean1, var1, sizes1
        panels, transforming = (sizes[4] + LANES - 1) // LANES, phase(counter, 3 * layer)
        transform_all_filters(filters, u, panels * LANES, sizes[3], False, transforming)
        wait(transforming, panels)
        convolve_with_statistics(
            source, input_norm, filters, u, z, statistics, mean, var, sizes, phase(counter, 3 * layer + 1)
        )
        if layer == 0:
            source, input_norm = z1, activation_of(mean1, var1, weight1, bias1, eps1)
    N, _, _, _, F, I, J, _, _, _, block = sizes2
    activation = activation_of(mean2, var2, weight2, bias2, eps2)
    mean, scale, bias = activation[:F], activation[F : 2 * F], activation[2 * F :]
    normalize_chunks(z2, shortcut, y, mean, scale, bias, N * I * J, block, add_shortcut, True, phase(counter, 5))


@array_helper
def activation_of(mean, var, weight, bias, eps):
    """Return what norm and relu need, F numbers each: mean, scale and bias."""
    F = mean.size
    constants = np.empty(3 * F, np.float32)
    copy_numbers(mean, 0, constants, 0, F)
    scale_of(weight, var, eps, constants[F : 2 * F])
    copy_numbers(bias, 0, constants, 2 * F, F)
    return constants


@section
def convolve_with_statistics(x, input_norm, filters, u, z, statistics, mean, var, sizes, counter):
    """Write z, its mean and its var; return when all of them are there."""
    N, H, W, C, F, I, J, P, Q, group, _ = sizes
    convolve_groups(
        x, input_norm, filters, u, z, input_norm, input_norm, statistics,
        N, H, W, C, F, I, J, P, Q, group, 1, False, STATISTICS, counter,
    )  # fmt: skip
    wait(counter, (N * ((I + 3) // 4) + group - 1) // group)
    merge_statistics(statistics, mean, var)  # every thread writes the same numbers


@helper
def scale_of(weight, var, eps, scale):
    """Write weight / √(var + eps), computed in float64, so that forward and backward round it alike."""
    for f in range(weight.size):
        scale[f] = weight[f] / np.sqrt(np.float64(var[f]) + eps)
