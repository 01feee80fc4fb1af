"""Optimizer steps: each array of parameters, with its gradient and state, in one pass.

    w  ───┐
    grad ─┼─→  v and w        chunk by chunk, read and written once; NumPy's expressions read and write them six times
    v  ───┘

Arrays that are not contiguous, or of other dtypes than float32 and float64, take the NumPy kernels.
"""

import math

import numpy as np

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.numba_kernels.layout import contiguous
from minires.kernels.numba_kernels.machine.compilation import COMPILED, kernel
from minires.kernels.numba_kernels.machine.threads import CHUNKS, claim


@kernel("void(real[::1], real[::1], real[::1], float64, float64, float64, boolean, int64[::1])")
def sgd(w, grad, v, lr, momentum, weight_decay, nesterov, counter):
    """g = grad + decay·w; v ← momentum·v + g; w ← w − lr·v, or w − lr·(g + momentum·v) for Nesterov's."""
    rate, decay, keep = w.dtype.type(lr), w.dtype.type(weight_decay), w.dtype.type(momentum)
    chunk = claim(counter)
    while chunk < CHUNKS:
        start, end = chunk * w.size // CHUNKS, (chunk + 1) * w.size // CHUNKS
        ws, gs, vs = w[start:end], grad[start:end], v[start:end]
        for i in range(ws.size):
            g = gs[i] + decay * ws[i] if weight_decay != 0 else gs[i]
            new = keep * vs[i] + g
            vs[i] = new
            ws[i] -= rate * (g + keep * new) if nesterov else rate * new
        chunk = claim(counter)


@kernel(
    "void(real[::1], real[::1], real[::1], real[::1], float64, float64, float64, float64, float64, float64, float64, "
    "int64[::1])"
)
def adam(w, grad, m, s, rate, beta1, beta2, eps, correction, added, shrink, counter):
    """m ← β₁m + (1−β₁)g; s ← β₂s + (1−β₂)g²; w ← shrink·w − rate · m / (√s / correction + eps); g = grad + added·w."""
    real = w.dtype.type
    b1, b2, c1, c2 = real(beta1), real(beta2), real(1 - beta1), real(1 - beta2)
    step, small, divisor, decay, kept = real(rate), real(eps), real(correction), real(added), real(shrink)
    chunk = claim(counter)
    while chunk < CHUNKS:
        start, end = chunk * w.size // CHUNKS, (chunk + 1) * w.size // CHUNKS
        ws, gs, ms, ss = w[start:end], grad[start:end], m[start:end], s[start:end]
        for i in range(ws.size):
            g = gs[i] + decay * ws[i] if added != 0 else gs[i]
            mean = b1 * ms[i] + c1 * g
            square = b2 * ss[i] + c2 * g * g
            ms[i] = mean
            ss[i] = square
            ws[i] = kept * ws[i] - step * mean / (np.sqrt(square) / divisor + small)
        chunk = claim(counter)


def in_place(*arrays: Array) -> bool:
    """Return whether the compiled kernels can write into these arrays."""
    return all(array.flags.c_contiguous and array.flags.behaved and array.dtype.char in COMPILED for array in arrays)


def sgd_step(
    params: list[Array],
    grads: list[Array],
    momentum_buffers: list[Array],
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """g = grad + decay·w; v ← momentum·v + g; w ← w − lr·v, or w − lr·(g + momentum·v) for Nesterov's."""
    grads = checks.checked_updates("sgd_step", params, grads, momentum_buffer=momentum_buffers)
    for w, grad, v in zip(params, grads, momentum_buffers, strict=True):
        if in_place(w, v):
            sgd(w.reshape(-1), contiguous(grad), v.reshape(-1), lr, momentum, weight_decay, nesterov)
        else:
            numpy_kernels.sgd_step([w], [grad], [v], lr, momentum, weight_decay, nesterov)


def adam_step(
    params: list[Array],
    grads: list[Array],
    means: list[Array],
    squares: list[Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """m ← β₁m + (1−β₁)g; s ← β₂s + (1−β₂)g²; w ← w − lr · m̂ / (√ŝ + eps), hats divided by 1 − βᵗ.

    Weight decay is added to g, or, decoupled, taken from w itself. step counts from 1.
    """
    grads = checks.checked_updates("adam_step", params, grads, exp_avg=means, exp_avg_sq=squares)
    rate, correction = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    added, shrink = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    for w, grad, m, s in zip(params, grads, means, squares, strict=True):
        if in_place(w, m, s):
            flats = w.reshape(-1), contiguous(grad), m.reshape(-1), s.reshape(-1)
            adam(*flats, rate, beta1, beta2, eps, correction, added, shrink)
        else:
            options = step, lr, beta1, beta2, eps, weight_decay, decoupled
            numpy_kernels.adam_step([w], [grad], [m], [s], *options)
