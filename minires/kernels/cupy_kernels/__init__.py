"""The kernels on NVIDIA GPUs: CUDA C++ in `minires/kernels/cuda/*.cu`, compiled on first use and launched with CuPy.

The same functions and signatures as the NumPy kernels, for CuPy arrays of float32 or float64 on the GPU in use.
Nothing here waits for the GPU, and no result depends on the order in which its threads run.
"""

import cupy as xp

from minires.kernels.cupy_kernels.activation import relu_backward, relu_forward
from minires.kernels.cupy_kernels.chain import chain_backward, chain_forward
from minires.kernels.cupy_kernels.convolution import (
    col2im,
    conv2d_forward,
    conv2d_grad_input,
    conv2d_grad_weight,
    im2col,
)
from minires.kernels.cupy_kernels.grouped_convolution import (
    grouped_conv2d_forward,
    grouped_conv2d_grad_input,
    grouped_conv2d_grad_weight,
)
from minires.kernels.cupy_kernels.loss import cross_entropy_backward, cross_entropy_forward
from minires.kernels.cupy_kernels.normalization import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
    batch_norm_track,
)
from minires.kernels.cupy_kernels.optimizers import adam_step, sgd_step
from minires.kernels.cupy_kernels.pooling import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from minires.kernels.cupy_kernels.shortcut import option_a_backward, option_a_forward

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
