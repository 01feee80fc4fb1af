"""What a convolution does with outputs that are still in the cache: statistics for batch norm, or all that follows.

    y     pixel 0: f₀ f₁ f₂ …   pixel 1: f₀ f₁ f₂ …   …        some whole rows of outputs, channels last
          ├ 16 ┤ →              ├ 16 ┤ →                       sixteen channels at a time, pixel after pixel

NOTHING      the outputs are what was asked for
STATISTICS   each channel's mean and sum of squared deviations over these pixels, for the batch's mean and variance
BIAS         y + bias
RELU         y = max(y + bias, 0): in inference batch norm's scale is a part of the filters
ADD_RELU     y = max(y + bias + shortcut, 0)

Why it is fast: done later, it would read everything from memory once more.
"""

import numpy as np

from minires.kernels.numba_kernels.machine.compilation import array_helper, helper, kernel
from minires.kernels.numba_kernels.machine.simd import LANES, load, positive, splat, store

NOTHING, STATISTICS, BIAS, RELU, ADD_RELU = range(5)


@helper
def finish_outputs(then, y, y0, y1, F, f0, f1, shortcut, bias, statistics, group):
    """Do what is asked for with channels f0 … f1 of y[y0 : y1]; statistics: (groups, 1 + 2·F)."""
    if then == STATISTICS:
        channel_statistics(y, y0, (y1 - y0) // F, F, f0, f1, statistics, group * (1 + 2 * F))
    elif then != NOTHING:
        add_and_rectify(y, y0, y1, F, f0, f1, bias, shortcut, then)


@helper
def channel_statistics(y, y0, pixels, F, f0, f1, out, o):
    """Write to out[o …] the number of pixels, and for each channel its mean and its sum of (y − mean)².

    Sums are of y less its first pixel, so that a mean far from 0 takes no digits from the deviations.
    """
    out[o] = pixels
    f = f0
    while f + LANES <= f1:
        pivot = load(y, y0 + f)
        sum0, square0 = splat(np.float32(0)), splat(np.float32(0))
        sum1, square1 = sum0, square0  # two, since an addition is four steps of the clock behind
        i = y0 + f
        for _ in range(pixels // 2):
            left, right = load(y, i) - pivot, load(y, i + F) - pivot
            sum0, square0 = sum0 + left, square0 + left * left
            sum1, square1 = sum1 + right, square1 + right * right
            i += 2 * F
        if pixels % 2 == 1:
            left = load(y, i) - pivot
            sum0, square0 = sum0 + left, square0 + left * left
        total = sum0 + sum1
        mean = total * splat(np.float32(1 / pixels))
        store(out, o + 1 + f, pivot + mean)
        store(out, o + 1 + F + f, square0 + square1 - total * mean)
        f += LANES
    while f < f1:
        pivot_f, total_f, square_f = y[y0 + f], np.float32(0), np.float32(0)
        for pixel in range(pixels):
            deviation = y[y0 + pixel * F + f] - pivot_f
            total_f += deviation
            square_f += deviation * deviation
        mean_f = total_f / np.float32(pixels)
        out[o + 1 + f] = pivot_f + mean_f
        out[o + 1 + F + f] = square_f - total_f * mean_f
        f += 1


@helper
def add_and_rectify(y, y0, y1, F, f0, f1, bias, shortcut, then):
    """y + bias, max(y + bias, 0) or max(y + bias + shortcut, 0); NaN stays NaN. Pixel after pixel, as memory lies."""
    for pixel in range(y0, y1, F):
        f = f0
        while f + LANES <= f1:
            v = load(y, pixel + f) + load(bias, f)
            if then == ADD_RELU:
                v = v + load(shortcut, pixel + f)
            store(y, pixel + f, v if then == BIAS else positive(v, v))
            f += LANES
        while f < f1:
            n = y[pixel + f] + bias[f]
            if then == ADD_RELU:
                n += shortcut[pixel + f]
            y[pixel + f] = np.float32(0) if n <= 0 and then != BIAS else n
            f += 1


@kernel("void(float32[::1], float32[::1], float32[::1])", dtypes=("float32",), threads_from=None)
def finish_group_statistics(statistics, mean, var):
    """Write the batch's mean and var from the statistics of all groups, (groups, 1 + 2·F)."""
    merge_statistics(statistics, mean, var)


@array_helper
def merge_statistics(statistics, mean, var):
    """The batch's mean and biased variance from those of its groups of pixels: the deviations inside the groups, and
    those of the groups' means (Chan, Golub, LeVeque 1983, "Algorithms for Computing the Sample Variance")."""
    F = mean.size
    row = 1 + 2 * F
    groups = statistics.size // row
    pixels, centre, deviations = 0.0, np.zeros(F, np.float64), np.zeros(F, np.float64)
    for group in range(groups):
        of_group = statistics[group * row : group * row + row]
        count = np.float64(of_group[0])
        pixels += count
        for f in range(F):
            centre[f] += count * of_group[1 + f]
    for f in range(F):
        centre[f] /= pixels
    for group in range(groups):
        of_group = statistics[group * row : group * row + row]
        count, means, squares = of_group[0], of_group[1 : 1 + F], of_group[1 + F :]
        for f in range(F):
            off = means[f] - centre[f]
            deviations[f] += squares[f] + count * off * off
    for f in range(F):
        mean[f] = centre[f]
        var[f] = 0.0 if deviations[f] < 0.0 else deviations[f] / pixels  # NaN stays
