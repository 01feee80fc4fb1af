"""Convolution by im2col: chapters 6 and 7. N images, C to F channels, H×W pixels, K×K filters, I×J places."""

import numpy as np

from .layers import Module
from .tensor import Op, Tensor

# Chapter 6: windows in columns, and one product
# ----------------------------------------------


def output_size(size, K, stride, padding):
    """Return in how many places a filter of K pixels fits along an axis of so many pixels."""
    # gap: one line
    return (size + 2 * padding - K) // stride + 1
    # end of gap


def window(u, v, I, J, stride):
    """Return the index of the pixels (I, J) that lie under pixel (u, v) of the filter, for all its places."""
    return np.s_[:, :, u : u + stride * I : stride, v : v + stride * J : stride]


def im2col(x, K, stride, padding):
    """Return all windows of x (N, C, H, W) as an array (N, C, K, K, I, J)."""
    N, C, H, W = x.shape
    I, J = output_size(H, K, stride, padding), output_size(W, K, stride, padding)
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    cols = np.empty((N, C, K, K, I, J), x.dtype)
    for u in range(K):
        for v in range(K):
            # gap: copy the pixels under filter pixel (u, v); window(...) above is their index
            cols[:, :, u, v] = padded[window(u, v, I, J, stride)]
            # end of gap
    return cols


def conv2d_forward(x, weight, stride, padding):
    """Return y (N, F, I, J) for a weight (F, C, K, K), and the windows, which backward will need."""
    F, C, K, _ = weight.shape
    cols = im2col(x, K, stride, padding)
    N, *_, I, J = cols.shape
    # gap: y, by one matrix product for each image: weight as (F, C·K·K), its windows as (C·K·K, I·J)
    y = weight.reshape(F, C * K * K) @ cols.reshape(N, C * K * K, I * J)
    return y.reshape(N, F, I, J), cols
    # end of gap


# Chapter 7: the way back
# -----------------------


def col2im(cols, x_shape, stride, padding):
    """Return what arrives at x (N, C, H, W) where each of its pixels sends itself to all the windows it lies in."""
    N, C, H, W = x_shape
    _, _, K, _, I, J = cols.shape
    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding), cols.dtype)
    for u in range(K):
        for v in range(K):
            # gap: im2col's copy, the other way round; where windows overlap, used twice means added
            padded[window(u, v, I, J, stride)] += cols[:, :, u, v]
            # end of gap
    return padded[:, :, padding : padding + H, padding : padding + W]


class Convolution(Op):
    """y = conv2d(x, weight)"""

    def __init__(self, stride, padding):
        self.stride, self.padding = stride, padding

    def forward(self, x, weight):
        self.x_shape, self.weight = x.shape, weight
        y, self.cols = conv2d_forward(x, weight, self.stride, self.padding)
        return y

    def backward(self, grad_y):
        F, C, K, _ = self.weight.shape
        N, _, I, J = grad_y.shape
        weight = self.weight.reshape(F, C * K * K)
        cols = self.cols.reshape(N, C * K * K, I * J)
        grad_y = grad_y.reshape(N, F, I * J)
        # gap: dL/dweight (F, C·K·K), summed over the images, and dL/dcols (N, C·K·K, I·J): the products of chapter 3
        grad_weight = (grad_y @ cols.transpose(0, 2, 1)).sum(axis=0)
        grad_cols = weight.T @ grad_y
        # end of gap
        grad_x = col2im(grad_cols.reshape(self.cols.shape), self.x_shape, self.stride, self.padding)
        return grad_x, grad_weight.reshape(self.weight.shape)


class Conv2d(Module):
    """K×K filters without a bias: the norm behind it would take the bias away."""

    def __init__(self, C, F, K, rng, stride=1):
        self.stride, self.padding = stride, K // 2
        self.weight = Tensor((rng.standard_normal((F, C, K, K)) / (C * K * K) ** 0.5).astype(np.float32))

    def __call__(self, x):
        return Convolution(self.stride, self.padding)(x, self.weight)


class GlobalAvgPool(Op):
    """y (N, C) = the mean of each channel's pixels, for x (N, C, H, W)."""

    def forward(self, x):
        self.x_shape = x.shape
        return x.mean(axis=(2, 3))

    def backward(self, grad_y):
        # gap: dL/dx (N, C, H, W), a tuple of one; each pixel has its share of the mean
        N, C, H, W = self.x_shape
        return (np.broadcast_to(grad_y[:, :, None, None] / (H * W), self.x_shape),)
        # end of gap


class Pool(Module):
    def __call__(self, x):
        return GlobalAvgPool()(x)
