"""Optimizer steps, all parameters in one launch (`cuda/optimizers.cu`). Parameters and state are written in place."""

import math
from itertools import accumulate
from typing import Any

import cupy
import numpy as np

from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import blocks_for, contiguous, ints, launch, pointer

CHUNK = 4096  # numbers that a block updates, as in the source


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
    numbers = float(lr), float(momentum), float(weight_decay), *ints(nesterov)
    update("sgd_step", params, grads, [momentum_buffers], numbers)


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
    """m ← β₁m + (1−β₁)g; s ← β₂s + (1−β₂)g²; w ← w − lr · m̂ / (√ŝ + eps), hats divided by 1 − βᵗ (Kingma & Ba 2015).

    Weight decay is added to g, or, decoupled, taken from w itself (Loshchilov & Hutter 2019). step counts from 1.
    """
    grads = checks.checked_updates("adam_step", params, grads, exp_avg=means, exp_avg_sq=squares)
    rate, correction2 = float(lr / (1 - beta1**step)), math.sqrt(1 - beta2**step)
    decay, shrink = (0.0, 1 - float(lr * weight_decay)) if decoupled else (float(weight_decay), 1.0)
    numbers = rate, correction2, float(beta1), float(beta2), float(eps), decay, shrink
    update("adam_step", params, grads, [means, squares], numbers)


def update(
    name: str, params: list[Array], grads: list[Array], state: list[list[Array]], numbers: tuple[Any, ...]
) -> None:
    """Launch the step once for each dtype among the parameters; ValueError where one is not contiguous."""
    for array in [*params, *[array for arrays in state for array in arrays]]:
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: parameters and state must be contiguous, got {array.shape} with strides "
                             f"{array.strides}; cupy.ascontiguousarray it")  # fmt: skip
    for dtype in {param.dtype for param in params}:
        chosen = [place for place, param in enumerate(params) if param.dtype == dtype]
        table, blocks, kept = address_table(
            [params[place] for place in chosen],
            [contiguous(grads[place], dtype) for place in chosen],
            [[arrays[place] for place in chosen] for arrays in state],
        )
        launch("optimizers", name, dtype, (blocks,), table, *ints(len(chosen)), *numbers)
        del kept  # copies of gradients had to live until here


def address_table(
    params: list[Array], grads: list[Array], state: list[list[Array]]
) -> tuple[Array, int, list[list[Array]]]:
    """Return the table that the kernel reads (see the source), on the GPU, the number of blocks, the arrays in it."""
    arrays = [params, grads, *state]
    sizes = [param.size for param in params]
    first_blocks = list(accumulate([blocks_for(size, CHUNK) for size in sizes], initial=0))
    addresses = [pointer(array) for listed in arrays for array in listed]
    table = cupy.asarray(np.array([*addresses, *sizes, *first_blocks], np.int64))
    return table, first_blocks[-1], arrays
