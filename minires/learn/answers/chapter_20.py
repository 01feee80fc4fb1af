"""Chapter 20: a right answer."""

import numpy as np


def frozen_batch_norm_backward(grad_y, x, weight, mean, var, eps):
    spread = (1, -1, 1, 1)
    inv_std = (1 / np.sqrt(var + eps)).reshape(spread)
    x_hat = (x - mean.reshape(spread)) * inv_std
    grad_weight, grad_bias = (grad_y * x_hat).sum(axis=(0, 2, 3)), grad_y.sum(axis=(0, 2, 3))
    return grad_y * weight.reshape(spread) * inv_std, grad_weight, grad_bias


def integrated_gradients(grad_of, x, baseline, steps):
    total = np.zeros_like(x)
    for k in range(steps):
        total = total + grad_of(baseline + (k + 0.5) / steps * (x - baseline))
    return (x - baseline) * total / steps
