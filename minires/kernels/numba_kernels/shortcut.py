"""Option A, the shortcut without parameters: every stride-th pixel, between zero channels (He et al. 2015, §4.2).

    y's pixel   0 … 0 │ x's pixel, C numbers │ 0 … 0        ⌊(F − C)/2⌋ zeros before, the rest behind

Why it is fast: one pass, pixels copied whole, threads over images.
"""

import numpy as np

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.numba_kernels.layout import flat, nhwc_empty
from minires.kernels.numba_kernels.machine.compilation import COMPILED, kernel
from minires.kernels.numba_kernels.machine.processor import HAS_SIMD
from minires.kernels.numba_kernels.machine.simd import LANES, load, splat, store
from minires.kernels.numba_kernels.machine.threads import CHUNKS, claim


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
                pixel, wide = x[source : source + C], y[target : target + F]
                for f in range(F):
                    wide[f] = zero
                middle = wide[front : front + C]
                for c in range(C):
                    middle[c] = pixel[c]
        n = claim(counter)


@kernel("void(real[::1], real[::1], int64, int64, int64, int64, int64, int64, boolean, int64[::1])")
def widen_backward(grad_y, grad_x, N, C, H, W, F, stride, accumulate, counter):
    """Write the middle of grad_y's pixels to every stride-th pixel of grad_x, 0 to the others; or add it to what is
    there."""
    front, I, J = (F - C) // 2, -(-H // stride), -(-W // stride)
    zero = grad_y.dtype.type(0)
    n = claim(counter)
    while n < N:
        image = grad_x[n * H * W * C : (n + 1) * H * W * C]
        if not accumulate:
            for at in range(image.size):
                image[at] = zero
        for i in range(I):
            for j in range(J):
                target = (i * stride * W + j * stride) * C
                source = ((n * I + i) * J + j) * F + front
                pixel, middle = image[target : target + C], grad_y[source : source + C]
                for c in range(C):
                    pixel[c] += middle[c]
        n = claim(counter)


@kernel("void(float32[::1], float32[::1], int64, int64, int64, int64, int64, int64, int64[::1])", dtypes=("float32",))
def widen_by_16(x, y, N, C, H, W, F, stride, counter):
    """The same as `widen`, C and F multiples of 16, in vectors."""
    front, I, J, zero = (F - C) // 2, -(-H // stride), -(-W // stride), splat(np.float32(0))
    n = claim(counter)
    while n < N:
        target = n * I * J * F
        for i in range(I):
            source = (n * H + i * stride) * W * C
            for _ in range(J):
                for f in range(0, F, LANES):
                    store(y, target + f, zero)
                for c in range(0, C, LANES):
                    store(y, target + front + c, load(x, source + c))
                target += F
                source += stride * C
        n = claim(counter)


@kernel("void(float32[::1], float32[::1], int64, int64, int64, int64, int64, int64, int64[::1])", dtypes=("float32",))
def add_narrow_by_16(grad_y, grad_x, N, C, H, W, F, stride, counter):
    """Add the middle of grad_y's pixels to every stride-th pixel of grad_x, C a multiple of 16, in vectors."""
    front, I, J = (F - C) // 2, -(-H // stride), -(-W // stride)
    n = claim(counter)
    while n < N:
        source = n * I * J * F + front
        for i in range(I):
            target = (n * H + i * stride) * W * C
            for _ in range(J):
                for c in range(0, C, LANES):
                    store(grad_x, target + c, load(grad_x, target + c) + load(grad_y, source + c))
                target += stride * C
                source += F
        n = claim(counter)


@kernel("void(real[::1], real[::1], int64[::1])")
def add_in_place(x, more, counter):
    """x += more: where the shortcut's gradient and the branch's meet."""
    chunk = claim(counter)
    while chunk < CHUNKS:
        v = x[chunk * x.size // CHUNKS : (chunk + 1) * x.size // CHUNKS]
        m = more[chunk * x.size // CHUNKS : (chunk + 1) * x.size // CHUNKS]
        for i in range(v.size):
            v[i] += m[i]
        chunk = claim(counter)


def option_a_forward(x: Array, out_channels: int, stride: int) -> Array:
    """Return (N, F, ⌈H/stride⌉, ⌈W/stride⌉) with x's channels in the middle, ⌊(F−C)/2⌋ zero channels before them."""
    if x.dtype.char not in COMPILED:
        return numpy_kernels.option_a_forward(x, out_channels, stride)
    checks.check_option_a("option_a_forward", x.shape, out_channels, stride)
    stride = min(stride, max(1, *x.shape[2:]))
    N, C, H, W = x.shape
    y = nhwc_empty(N, out_channels, -(-H // stride), -(-W // stride), x.dtype)
    by_16 = HAS_SIMD and x.dtype == np.float32 and C % LANES == 0 and out_channels % LANES == 0
    (widen_by_16 if by_16 else widen)(flat(x), flat(y), N, C, H, W, out_channels, stride)
    return y


def every(x: Array, stride: tuple[int, int]) -> Array:
    """Return every stride-th pixel of x: what a 1×1 filter sees of it."""
    N, C, H, W = x.shape
    SH, SW = stride
    if SH == SW and x.dtype == np.float32 and HAS_SIMD and C % LANES == 0:
        y = nhwc_empty(N, C, -(-H // SH), -(-W // SW), x.dtype)
        widen_by_16(flat(x), flat(y), N, C, H, W, C, SH)
        return y
    return np.ascontiguousarray(x[:, :, ::SH, ::SW].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def option_a_backward(grad_y: Array, x_shape: tuple[int, ...], stride: int) -> Array:
    """Return dL/dx: dy where x was kept, 0 elsewhere."""
    if grad_y.dtype.char not in COMPILED:
        return numpy_kernels.option_a_backward(grad_y, x_shape, stride)
    checks.check_option_a_gradient("option_a_backward", grad_y, x_shape, stride)
    stride = min(stride, max(1, *x_shape[2:]))
    N, C, H, W = x_shape
    grad_x = nhwc_empty(N, C, H, W, grad_y.dtype)
    widen_backward(flat(grad_y), flat(grad_x), N, C, H, W, grad_y.shape[1], stride, False)
    return grad_x


def add_option_a_gradient(grad_x: Array, grad_y: Array, stride: int) -> None:
    """grad_x += dL/dx of option A, in place; both lie channels-last, in a dtype that is compiled."""
    checks.check_option_a_gradient("add_option_a_gradient", grad_y, grad_x.shape, stride)
    stride = min(stride, max(1, *grad_x.shape[2:]))
    if HAS_SIMD and grad_y.dtype == np.float32 and grad_x.shape[1] % LANES == 0:
        add_narrow_by_16(flat(grad_y), flat(grad_x), *grad_x.shape, grad_y.shape[1], stride)
    else:
        widen_backward(flat(grad_y), flat(grad_x), *grad_x.shape, grad_y.shape[1], stride, True)
