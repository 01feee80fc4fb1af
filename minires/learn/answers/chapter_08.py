"""Chapter 8: a right answer."""

import numpy as np

AXES = (0, 2, 3)


def spread(values):
    return values.reshape(1, -1, 1, 1)


def batch_norm_backward(grad_y, x, weight, mean, var, eps):
    M = x.size // x.shape[1]
    inv_std = spread(1 / np.sqrt(var + eps))
    x_hat = (x - spread(mean)) * inv_std
    grad_bias = grad_y.sum(axis=AXES)
    grad_weight = (grad_y * x_hat).sum(axis=AXES)
    grad_x = spread(weight) * inv_std * (grad_y - spread(grad_bias) / M - x_hat * spread(grad_weight) / M)
    return grad_x, grad_weight, grad_bias
