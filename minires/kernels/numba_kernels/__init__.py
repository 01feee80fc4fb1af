"""The kernels compiled by Numba: the same functions as in `numpy_kernels`, for speed instead of reading.

    convolution.py     which way each convolution takes: winograd.py with winograd_transforms.py, or direct.py
    normalization.py   batch norm, by normalization_passes.py and gradient_sums.py
    chain.py           convolution, batch norm, add and relu in one call, also several layers: layer_forward.py and
                       layer_backward.py, with what is done before a convolution (prologue.py) and behind it
                       (epilogue.py) while it is in the cache
    activation.py, pooling.py, shortcut.py, loss.py, optimizers.py
    grouped_convolution.py   convolution with groups and dilation, in plain loops
    padding.py         windows of images in the cache
    layout.py          memory order: channels-last
    machine/           what makes them fast: the matrix product (tile.py) in vectors (simd.py), as the processor has
                       them (processor.py), threads, compilation, and freed memory that is kept

Loading it compiles nothing. ImportError where Numba is missing or the cache folder cannot be written.
"""

import numba
import numpy as xp

from minires.kernels.numba_kernels import convolution
from minires.kernels.numba_kernels.activation import relu_backward, relu_forward
from minires.kernels.numba_kernels.chain import chain_backward, chain_forward
from minires.kernels.numba_kernels.convolution import (
    col2im,
    conv2d_forward,
    conv2d_grad_input,
    conv2d_grad_weight,
    im2col,
)
from minires.kernels.numba_kernels.grouped_convolution import (
    grouped_conv2d_forward,
    grouped_conv2d_grad_input,
    grouped_conv2d_grad_weight,
)
from minires.kernels.numba_kernels.loss import cross_entropy_backward, cross_entropy_forward
from minires.kernels.numba_kernels.machine import processor, threads
from minires.kernels.numba_kernels.machine.memory import keep_freed_memory
from minires.kernels.numba_kernels.normalization import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
)
from minires.kernels.numba_kernels.optimizers import adam_step, sgd_step
from minires.kernels.numba_kernels.pooling import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from minires.kernels.numba_kernels.shortcut import option_a_backward, option_a_forward
from minires.kernels.numpy_kernels import batch_norm_track  # a few numbers per channel: nothing to compile

__all__ = [
    "adam_step",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "batch_norm_track",
    "chain_backward",
    "chain_forward",
    "col2im",
    "configure",
    "conv2d_forward",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "grouped_conv2d_forward",
    "grouped_conv2d_grad_input",
    "grouped_conv2d_grad_weight",
    "im2col",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "option_a_backward",
    "option_a_forward",
    "relu_backward",
    "relu_forward",
    "sgd_step",
    "xp",
]

keep_freed_memory()


def configure(**options: bool) -> dict[str, bool]:
    """Set options and return the values they replace.

    winograd: whether 3×3 convolutions may take Winograd's way, faster and a little less exact. ValueError for others.
    """
    if not set(options) <= {"winograd"}:
        raise ValueError(f"kernels.use: the numba kernels have the option winograd, got {', '.join(options)}")
    replaced = {"winograd": convolution.use_winograd} if options else {}
    convolution.use_winograd = bool(options.get("winograd", convolution.use_winograd))
    return replaced


def settings() -> dict[str, str | int | bool]:
    """Say what the last digits depend on, and how many threads there are, on which they do not."""
    return {
        "numba": numba.__version__,
        "vectors": processor.vectors(),
        "winograd": convolution.use_winograd,
        "numba threads": threads.get_num_threads(),
    }
