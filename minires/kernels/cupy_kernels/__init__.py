"""The kernels on NVIDIA GPUs: CUDA C++ in `minires/kernels/cuda/*.cu`, compiled on first use and launched with CuPy.

The same functions and signatures as the NumPy kernels, for CuPy arrays of float32 or float64 on the GPU in use.
Nothing here waits for the GPU, and no result depends on the order in which its threads run.
"""

import cupy as xp

from minires.kernels.cupy_kernels.activation import relu_backward, relu_forward
from minires.kernels.cupy_kernels.convolution import (
    col2im,
    conv2d_forward,
    conv2d_grad_input,
    conv2d_grad_weight,
    im2col,
)
from minires.kernels.cupy_kernels.fused import (
    conv2d_batch_norm_relu_backward,
    conv2d_batch_norm_relu_forward,
    conv2d_batch_norm_relu_inference,
    residual_block_backward,
    residual_block_forward,
)
from minires.kernels.cupy_kernels.loss import cross_entropy_backward, cross_entropy_forward
from minires.kernels.cupy_kernels.normalization import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
    batch_norm_relu_backward,
    batch_norm_relu_forward,
    batch_norm_relu_inference,
    batch_norm_track,
)
from minires.kernels.cupy_kernels.optimizers import adam_step, sgd_step
from minires.kernels.cupy_kernels.pooling import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from minires.kernels.cupy_kernels.shortcut import add_option_a_backward, option_a_backward, option_a_forward

__all__ = [
    "adam_step",
    "add_option_a_backward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "batch_norm_relu_backward",
    "batch_norm_relu_forward",
    "batch_norm_relu_inference",
    "batch_norm_track",
    "col2im",
    "conv2d_batch_norm_relu_backward",
    "conv2d_batch_norm_relu_forward",
    "conv2d_batch_norm_relu_inference",
    "conv2d_forward",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "im2col",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "option_a_backward",
    "option_a_forward",
    "relu_backward",
    "relu_forward",
    "residual_block_backward",
    "residual_block_forward",
    "sgd_step",
    "xp",
]
