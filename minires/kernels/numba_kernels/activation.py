"""ReLU, y = max(x, 0), and its gradient: one pass each, in whatever memory order the numbers come.

x   │ chunk 0    │ chunk 1    │ …      memory as one row; what is at one place in x is at the same place in y
"""

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.numba_kernels.layout import empty_like, flat
from minires.kernels.numba_kernels.machine.compilation import COMPILED, kernel
from minires.kernels.numba_kernels.machine.threads import CHUNKS, claim


@kernel("void(real[::1], real[::1], int64[::1])")
def rectify(x, y, counter):
    """Write max(x, 0); NaN stays NaN."""
    zero = x.dtype.type(0)
    chunk = claim(counter)
    while chunk < CHUNKS:
        v = x[chunk * x.size // CHUNKS : (chunk + 1) * x.size // CHUNKS]
        o = y[chunk * x.size // CHUNKS : (chunk + 1) * x.size // CHUNKS]
        for i in range(v.size):
            o[i] = zero if v[i] <= zero else v[i]
        chunk = claim(counter)


@kernel("void(real[::1], real[::1], real[::1], int64[::1])")
def pass_where_positive(grad_y, y, grad_x, counter):
    """Write grad_y, and 0 where y ≤ 0."""
    zero = y.dtype.type(0)
    chunk = claim(counter)
    while chunk < CHUNKS:
        o = y[chunk * y.size // CHUNKS : (chunk + 1) * y.size // CHUNKS]
        g = grad_y[chunk * y.size // CHUNKS : (chunk + 1) * y.size // CHUNKS]
        d = grad_x[chunk * y.size // CHUNKS : (chunk + 1) * y.size // CHUNKS]
        for i in range(o.size):
            d[i] = zero if o[i] <= zero else g[i]
        chunk = claim(counter)


def relu_forward(x: Array) -> Array:
    """Return max(x, 0), elementwise; NaN stays NaN."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.relu_forward(x)
    y = empty_like(x)
    rectify(flat(x), flat(y))
    return y


def relu_backward(grad_y: Array, y: Array) -> Array:
    """Return dL/dx: 0 where y ≤ 0, else dy, whatever either is. So dy passes where y is NaN, as in PyTorch."""
    if y.dtype.char not in COMPILED:
        return numpy_kernels.relu_backward(grad_y, y)
    checks.check_shape("relu_backward", "grad_y", grad_y, y.shape)
    grad_x = empty_like(y)
    pass_where_positive(flat(grad_y), flat(y), flat(grad_x))
    return grad_x
