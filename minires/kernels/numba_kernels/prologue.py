"""What a convolution reads may be made on the way: an activation, from the outputs z of the convolution before it, or
in backward the gradient at z. Then neither is ever stored.

    activation   max((z − mean) · scale + bias, 0)
    gradient     factor₀ · g + factor₁ · (z − mean) + factor₂        g = dL/dy, behind relu's mask where it is asked for

Rows of pixels are made as they are copied to the window with zeros around (padding.py), C channels, a multiple of 16:

    a row of the window    0 … 0 │ pixel 0 │ pixel 1 │ …  pixel W − 1 │ 0 … 0

Why it is fast: a few instructions on what is copied anyway, in place of one pass over memory that writes and one that
reads.
"""

from minires.kernels.numba_kernels.machine.compilation import helper
from minires.kernels.numba_kernels.machine.simd import LANES, load, positive, store
from minires.kernels.numba_kernels.padding import window_of


@helper
def activation_row(sources, i, pixels, C, out, o):
    """sources: z, and its mean, scale and bias, C each."""
    z, constants = sources
    for c in range(0, C, LANES):
        mean, scale, bias = load(constants, c), load(constants, C + c), load(constants, 2 * C + c)
        for at in range(c, pixels * C, C):
            y = (load(z, i + at) - mean) * scale + bias
            store(out, o + at, positive(y, y))


@helper
def gradient_row(sources, i, pixels, C, out, o):
    """sources: g, z; the three factors, mean, scale and bias, C each; whether g is to be masked."""
    g, z, constants, masked = sources
    for c in range(0, C, LANES):
        factor0, factor1, factor2 = load(constants, c), load(constants, C + c), load(constants, 2 * C + c)
        mean, scale, bias = load(constants, 3 * C + c), load(constants, 4 * C + c), load(constants, 5 * C + c)
        for at in range(c, pixels * C, C):
            centred, grad = load(z, i + at) - mean, load(g, i + at)
            if masked:
                grad = positive(centred * scale + bias, grad)
            store(out, o + at, factor0 * grad + factor1 * centred + factor2)


activation_window, gradient_window = window_of(activation_row), window_of(gradient_row)
