"""Convolution as implicit matrix products (`cuda/implicit_gemm.cuh`), and the choice of their tiles."""

import functools
from typing import Any

import cupy
import numpy as np

from minires import kernels
from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import blocks_for, contiguous, ints, launch, launch_over, or_null
from minires.kernels.numpy_kernels import Pair, Shape, output_size

# Fewer blocks than this leave multiprocessors of a large GPU idle. It is not read off the GPU: the blocks decide the
# order of sums, and the same shapes are to give the same bits everywhere.
ENOUGH_BLOCKS = 512
FEWEST_PIXELS = 256  # that a block of the weight gradient adds up


def conv2d_forward(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair) -> Array:
    """Return y (N, F, I, J) = bias[f] + Σ_{c,u,v} weight[f,c,u,v] · padded_x[n, c, i·stride+u, j·stride+v]."""
    checks.check_conv2d("conv2d_forward", x.shape, weight.shape, stride, padding, None, bias)
    stride = checks.stride_within(x.shape, stride, padding)
    x, weight = contiguous(x, x.dtype), contiguous(weight, x.dtype)
    N, F = x.shape[0], weight.shape[0]
    I, J = output_size(x.shape, weight.shape[2:], stride, padding)
    y = cupy.empty((N, F, I, J), x.dtype)
    rows, columns = tile(F, N * I * J)
    grid = blocks_for(N * I * J, columns), blocks_for(F, rows)
    sizes = convolution_sizes(x.shape, weight.shape, stride, padding)
    arrays = x, weight, or_null(bias, x.dtype), y
    launch(file_for(x), f"conv2d_forward_{rows}x{columns}", x.dtype, grid, *arrays, *sizes)
    return y


def conv2d_grad_input(grad_y: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dx (N, C, H, W): a convolution of dL/dy with the filters transposed and flipped.

    With a stride there is one for each of the stride·stride kinds of pixels, which see different taps.
    """
    checks.check_conv2d("conv2d_grad_input", x_shape, weight.shape, stride, padding, grad_y)
    stride = checks.stride_within(x_shape, stride, padding)
    grad_y, weight = contiguous(grad_y, grad_y.dtype), contiguous(weight, grad_y.dtype)
    N, C, H, W = x_shape
    grad_x = cupy.empty(x_shape, grad_y.dtype)
    pixels = N * blocks_for(H, stride[0]) * blocks_for(W, stride[1])  # of the most numerous kind
    rows, columns = tile(C, pixels * stride[0] * stride[1])
    grid = blocks_for(pixels, columns), blocks_for(C, rows), stride[0] * stride[1]
    sizes = convolution_sizes(x_shape, weight.shape, stride, padding)
    name = f"conv2d_grad_input_{rows}x{columns}"
    launch(file_for(grad_y), name, grad_y.dtype, grid, grad_y, weight, grad_x, *sizes)
    return grad_x


def conv2d_grad_weight(grad_y: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair) -> Array:
    """Return dL/dweight (F, C, KH, KW), in parts over the pixels of the batch, which are then added in their order."""
    checks.check_conv2d("conv2d_grad_weight", x.shape, weight_shape, stride, padding, grad_y)
    stride = checks.stride_within(x.shape, stride, padding)
    grad_y, x = contiguous(grad_y, grad_y.dtype), contiguous(x, grad_y.dtype)
    N, F, I, J = grad_y.shape
    pixels, filter_size = N * I * J, weight_shape[1] * weight_shape[2] * weight_shape[3]
    rows, columns = 16 if F <= 16 else 32 if F <= 32 else 64, 64
    tiles = blocks_for(filter_size, columns), blocks_for(F, rows)
    wanted = min(blocks_for(ENOUGH_BLOCKS, max(1, tiles[0] * tiles[1])), blocks_for(pixels, FEWEST_PIXELS))
    per_part = max(1, blocks_for(pixels, max(1, wanted)))
    parts = max(1, blocks_for(pixels, per_part))
    grad_weight = cupy.empty(weight_shape, grad_y.dtype)
    partial = grad_weight if parts == 1 else cupy.empty((parts, *weight_shape), grad_y.dtype)
    sizes = convolution_sizes(x.shape, weight_shape, stride, padding)
    name = f"conv2d_grad_weight_{rows}x{columns}"
    launch(file_for(x), name, x.dtype, (*tiles, parts), grad_y, x, partial, *ints(per_part), *sizes)
    if parts > 1:
        size = grad_weight.size
        launch_over(size, "convolution", "add_parts", x.dtype, partial, grad_weight, *ints(parts), np.int64(size))
    return grad_weight


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Copy each patch of x (N, C, H, W) into a column: (N, C·KH·KW, I·J)."""
    x = contiguous(x, x.dtype)
    N, C, H, W = x.shape
    I, J = output_size(x.shape, kernel_size, stride, padding)
    cols = cupy.empty((N, C * kernel_size[0] * kernel_size[1], I * J), x.dtype)
    sizes = ints(C, H, W, *kernel_size, I, J, *stride, *padding)
    launch_over(cols.size, "columns", "im2col", x.dtype, x, cols, np.int64(cols.size), *sizes)
    return cols


def col2im(cols: Array, x_shape: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Add each column back to where im2col copied it from, its transpose: (N, C·KH·KW, I·J) to (N, C, H, W)."""
    checks.check_columns("col2im", cols, x_shape, kernel_size, stride, padding)
    cols = contiguous(cols, cols.dtype)
    N, C, H, W = x_shape
    I, J = output_size(x_shape, kernel_size, stride, padding)
    x = cupy.empty(x_shape, cols.dtype)
    sizes = ints(C, H, W, *kernel_size, I, J, *stride, *padding)
    launch_over(x.size, "columns", "col2im", cols.dtype, cols, x, np.int64(x.size), *sizes)
    return x


def tile(rows: int, pixels: int) -> Pair:
    """Return the rows and pixels of a block's tile: no more rows than there are, and enough blocks."""
    if rows <= 16:
        return 16, 256
    if rows <= 32:
        return 32, 128
    return (64, 128) if blocks_for(rows, 64) * blocks_for(pixels, 128) >= ENOUGH_BLOCKS else (64, 64)


def file_for(array: Any) -> str:
    """Return the file of the tensor cores' kernels where they are wanted and there, else of the plain ones."""
    tensor_cores = kernels.tf32 and array.dtype == np.float32 and has_tf32(array.device.id)
    return "convolution_tf32" if tensor_cores else "convolution"


@functools.cache
def has_tf32(device: int) -> bool:
    return int(cupy.cuda.Device(device).compute_capability) >= 80


def convolution_sizes(x_shape: Shape, weight_shape: Shape, stride: Pair, padding: Pair) -> tuple[np.int32, ...]:
    """Return N, C, H, W, F, KH, KW, I, J, stride and padding, as the kernels take them."""
    F, _, KH, KW = weight_shape
    return ints(*x_shape, F, KH, KW, *output_size(x_shape, (KH, KW), stride, padding), *stride, *padding)
