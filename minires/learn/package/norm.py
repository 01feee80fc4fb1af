"""Batch norm: chapter 8."""

import numpy as np

from .layers import Module
from .tensor import Op, Tensor

# Chapter 8: batch norm
# ---------------------
# Every channel has a mean and a variance over M = N·H·W numbers. Arrays (C,) are written [:, None, None] to meet
# arrays (N, C, H, W).


class BatchNorm(Op):
    """y = x̂ · weight + bias, where x̂ = (x − mean) / √(var + eps)."""

    def __init__(self, eps=1e-5):
        self.eps = eps

    def forward(self, x, weight, bias):
        self.mean, self.var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        self.inv_std = 1 / np.sqrt(self.var + x.dtype.type(self.eps))
        self.weight = weight
        self.x_hat = (x - self.mean[:, None, None]) * self.inv_std[:, None, None]
        return self.x_hat * weight[:, None, None] + bias[:, None, None]

    def backward(self, grad_y):
        # gap: dL/dx (N, C, H, W), dL/dweight (C,) and dL/dbias (C,). The mean and the variance are made of x, too
        grad_bias = grad_y.sum(axis=(0, 2, 3))
        grad_weight = (grad_y * self.x_hat).sum(axis=(0, 2, 3))
        M = grad_y.size // len(grad_bias)
        mean_part, var_part = (grad_bias / M)[:, None, None], (grad_weight / M)[:, None, None]
        grad_x = (self.weight * self.inv_std)[:, None, None] * (grad_y - mean_part - self.x_hat * var_part)
        return grad_x, grad_weight, grad_bias
        # end of gap


class BatchNorm2d(Module):
    """Batch norm, and running averages of mean and variance for the time after training."""

    def __init__(self, C, eps=1e-5, momentum=0.1):
        self.weight, self.bias = Tensor(np.ones(C, np.float32)), Tensor(np.zeros(C, np.float32))
        self.running_mean, self.running_var = np.zeros(C, np.float32), np.ones(C, np.float32)
        self.eps, self.momentum = eps, momentum

    def __call__(self, x):
        if not self.training:
            return self.with_running_averages(x)
        norm = BatchNorm(self.eps)
        y = norm(x, self.weight, self.bias)
        M = x.data.size // len(norm.mean)
        unbiased = norm.var * M / (M - 1)
        # gap: move both running averages towards norm.mean and unbiased by the share self.momentum
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * norm.mean
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * unbiased
        # end of gap
        return y

    def with_running_averages(self, x):
        scale = self.weight.data / np.sqrt(self.running_var + self.weight.data.dtype.type(self.eps))
        shift = self.bias.data - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]
