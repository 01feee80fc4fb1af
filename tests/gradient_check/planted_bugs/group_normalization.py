"""Group normalization."""

import numpy as np

from minires.ops.group_normalization import GroupNorm
from planted_bugs.planting import planted


def group_gradients(op, grad_y, mean_term=1.0, x_hat_term=1.0, weight_outside=False, groups=None, eps=None):
    """The right gradients, from which each planted bug takes something away."""
    x, weight, _ = [tensor.data for tensor in op.inputs]
    N, C = x.shape[:2]
    shape = (N, groups or op.num_groups, -1)
    per_channel = weight.reshape(-1, *(1,) * (x.ndim - 2))
    rows = x.reshape(shape)
    centred = rows - rows.mean(axis=2, keepdims=True)
    inv_std = 1 / np.sqrt(rows.var(axis=2, keepdims=True) + (op.eps if eps is None else eps))
    x_hat = centred * inv_std
    grad = (grad_y if weight_outside else grad_y * per_channel).reshape(shape)
    inner = grad - mean_term * grad.mean(axis=2, keepdims=True)
    inner = inner - x_hat_term * x_hat * (grad * x_hat).mean(axis=2, keepdims=True)
    grad_x = (inner * inv_std).reshape(x.shape)
    axes = (0, *range(2, x.ndim))
    grad_weight = (grad_y * x_hat.reshape(x.shape)).sum(axis=axes)
    return grad_x * per_channel if weight_outside else grad_x, grad_weight, grad_y.sum(axis=axes)


@planted(GroupNorm, "group_norm, images", says="with respect to x")
def group_mean_term_dropped(self, grad_y):
    return group_gradients(self, grad_y, mean_term=0)


@planted(GroupNorm, "group_norm, images", says="with respect to x")
def group_x_hat_term_dropped(self, grad_y):
    return group_gradients(self, grad_y, x_hat_term=0)


@planted(GroupNorm, "group_norm, images", says="with respect to x")
def weight_outside_the_sums_as_in_batch_norm(self, grad_y):
    return group_gradients(self, grad_y, weight_outside=True)


@planted(GroupNorm, "group_norm, images", says="with respect to x")
def one_group_of_all_channels(self, grad_y):
    return group_gradients(self, grad_y, groups=1)


@planted(GroupNorm, "group_norm, rows", says="with respect to x")
def group_eps_forgotten(self, grad_y):
    return group_gradients(self, grad_y, eps=0)


@planted(GroupNorm, "group_norm, images", says="with respect to x")
def sums_divided_by_the_size_of_a_group_minus_one(self, grad_y):
    return group_gradients(self, grad_y, mean_term=40 / 39, x_hat_term=40 / 39)


@planted(GroupNorm, "group_norm, images", says="right with respect to: x, bias")
def group_weight_gradient_from_x(self, grad_y):
    grad_x, _, grad_bias = group_gradients(self, grad_y)
    return grad_x, (grad_y * self.x).sum(axis=(0, 2, 3)), grad_bias


@planted(GroupNorm, "group_norm, images", says="with respect to bias")
def group_bias_averaged(self, grad_y):
    grad_x, grad_weight, grad_bias = group_gradients(self, grad_y)
    return grad_x, grad_weight, grad_bias / len(grad_y)
