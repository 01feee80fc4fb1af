"""Chapter 8: a right answer."""

import numpy as np


def norm_backward(grad_x_hat, x, eps):
    """Return dL/dx and x̂ where the numbers along the last axis share a mean and a variance."""
    inv_std = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=-1, keepdims=True)) * inv_std
    through_mean = grad_x_hat.mean(axis=-1, keepdims=True)
    through_var = x_hat * (grad_x_hat * x_hat).mean(axis=-1, keepdims=True)
    return inv_std * (grad_x_hat - through_mean - through_var), x_hat


def layer_norm_backward(grad_y, x, weight, eps):
    grad_x, x_hat = norm_backward(grad_y * weight, x, eps)
    return grad_x, (grad_y * x_hat).sum(axis=0), grad_y.sum(axis=0)


def group_norm_backward(grad_y, x, weight, groups, eps):
    grouped = (len(x), groups, -1)
    grad_x_hat = (grad_y * weight[:, None, None]).reshape(grouped)
    grad_x, x_hat = norm_backward(grad_x_hat, x.reshape(grouped), eps)
    grad_weight = (grad_y * x_hat.reshape(x.shape)).sum(axis=(0, 2, 3))
    return grad_x.reshape(x.shape), grad_weight, grad_y.sum(axis=(0, 2, 3))
