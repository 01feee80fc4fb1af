"""Option A, the shortcut without parameters: every stride-th pixel, between zero channels (He et al. 2015, §4.2).

    y's pixel   0 … 0 │ x's pixel, C numbers │ 0 … 0        ⌊(F − C)/2⌋ zeros before, the rest behind

Why it is fast: one pass, pixels copied whole, threads over images.
"""

from minires.kernels import Array, numpy_kernels
from minires.kernels.numba_kernels.compilation import COMPILED, kernel
from minires.kernels.numba_kernels.layout import flat, nhwc_empty
from minires.kernels.numba_kernels.threads import claim


@kernel("void(real[::1], real[::1], int64, int64, int64, int64, int64, int64, int64[::1])")
def widen(x, y, N, C, H, W, F, stride, counter):
    """Write every stride-th pixel of x into the middle of y's pixels."""
    front, I, J = (F - C) // 2, -(-H // stride), -(-W // stride)
    zero = x.dtype.type(0)
    n = claim(counter)
    while n < N:
        for i in range(I):
            for j in range(J):
                source = ((n * H + i * stride) * W + j * stride) * C
                target = ((n * I + i) * J + j) * F
                for f in range(front):
                    y[target + f] = zero
                for c in range(C):
                    y[target + front + c] = x[source + c]
                for f in range(front + C, F):
                    y[target + f] = zero
        n = claim(counter)


@kernel("void(real[::1], real[::1], int64, int64, int64, int64, int64, int64, int64[::1])")
def widen_backward(grad_y, grad_x, N, C, H, W, F, stride, counter):
    """Write the middle of grad_y's pixels to every stride-th pixel of grad_x, 0 to the others."""
    front, I, J = (F - C) // 2, -(-H // stride), -(-W // stride)
    zero = grad_y.dtype.type(0)
    n = claim(counter)
    while n < N:
        for at in range(n * H * W * C, (n + 1) * H * W * C):
            grad_x[at] = zero
        for i in range(I):
            for j in range(J):
                target = ((n * H + i * stride) * W + j * stride) * C
                source = ((n * I + i) * J + j) * F + front
                for c in range(C):
                    grad_x[target + c] = grad_y[source + c]
        n = claim(counter)


def option_a_forward(x: Array, out_channels: int, stride: int) -> Array:
    """Return (N, F, ⌈H/stride⌉, ⌈W/stride⌉) with x's channels in the middle, ⌊(F−C)/2⌋ zero channels before them."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.option_a_forward(x, out_channels, stride)
    N, C, H, W = x.shape
    y = nhwc_empty(N, out_channels, -(-H // stride), -(-W // stride), x.dtype)
    widen(flat(x), flat(y), N, C, H, W, out_channels, stride)
    return y


def option_a_backward(grad_y: Array, x_shape: tuple[int, ...], stride: int) -> Array:
    """Return dL/dx: dy where x was kept, 0 elsewhere."""
    if grad_y.dtype.char not in COMPILED:
        return numpy_kernels.option_a_backward(grad_y, x_shape, stride)
    N, C, H, W = x_shape
    grad_x = nhwc_empty(N, C, H, W, grad_y.dtype)
    widen_backward(flat(grad_y), flat(grad_x), N, C, H, W, grad_y.shape[1], stride)
    return grad_x
