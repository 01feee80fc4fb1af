"""A residual block as the chain of its layers: what every kernel module does where it has nothing faster.

A layer is a convolution, batch norm and relu. The last one adds the shortcut before its relu: the block's input as it
is or, where shapes change, by option A. Each function is handed a module's own kernels, for a layer and for option A.
"""

import math
from collections.abc import Callable
from typing import Any

from minires.kernels import Array

Layer = tuple[Array, Array, Array]  # filters (F, C, KH, KW), and batch norm's weight and bias (F,)
Saved = tuple[Array | None, Array, Array | None, Array, Array]  # output, z, input, z's mean and var


def same_padding(filters: tuple[int, ...]) -> tuple[int, int]:
    """Return the padding with which filters (F, C, KH, KW) keep the size of images."""
    return filters[2] // 2, filters[3] // 2


def block_forward(
    layer_forward: Callable[..., Any],
    option_a_forward: Callable[..., Any],
    x: Array,
    layers: list[Layer],
    strides: tuple[int, ...],
    eps: tuple[float, ...],
) -> tuple[Array, list[Saved]]:
    """Return the block's output, and what backward needs of each layer."""
    saved: list[Saved] = []
    y, last = x, len(layers) - 1
    for i in range(len(layers)):
        before, window = y, ((strides[i], strides[i]), same_padding(layers[i][0].shape))
        shortcut = None
        if i == last:
            F = layers[i][0].shape[0]
            shortcut = x if is_identity(x, F, strides) else option_a_forward(x, F, math.prod(strides))
        y, z, mean, var = layer_forward(before, *layers[i], shortcut, *window, eps[i])
        saved.append((y, z, before, mean, var))
    return y, saved


def block_backward(
    layer_backward: Callable[..., Any],
    add_option_a_backward: Callable[..., Any],
    grad_y: Array,
    saved: list[Saved],
    layers: list[Layer],
    strides: tuple[int, ...],
    eps: tuple[float, ...],
    with_x: bool,
) -> tuple[Array | None, list[Layer]]:
    """Return dL/dx, what comes through the chain and the shortcut together, and the gradients of each layer."""
    x, last = saved[0][2], len(layers) - 1
    assert x is not None
    identity = is_identity(x, layers[last][0].shape[0], strides)
    grads: list[Layer] = []
    grad: Array | None = grad_y
    grad_shortcut = None
    for i in range(last, -1, -1):
        y, z, before, mean, var = saved[i]
        window = (strides[i], strides[i]), same_padding(layers[i][0].shape)
        wanted = i > 0 or with_x, i == last, grad_shortcut if i == 0 and identity else None
        found = layer_backward(grad, y, z, before, *layers[i], mean, var, *window, eps[i], *wanted)
        grad, filters_and_norm, of_shortcut = found[0], found[1:4], found[4]
        grads.insert(0, filters_and_norm)
        grad_shortcut = of_shortcut if i == last else grad_shortcut
    if grad is not None and not identity:
        add_option_a_backward(grad, grad_shortcut, math.prod(strides))
    elif grad is not None and last == 0:  # too late for the chain: it came with the only layer's own
        grad = grad + grad_shortcut
    return grad, grads


def is_identity(x: Array, F: int, strides: tuple[int, ...]) -> bool:
    """Say whether the block's output has the shape of x, and its shortcut needs no option A."""
    return x.shape[1] == F and math.prod(strides) == 1
