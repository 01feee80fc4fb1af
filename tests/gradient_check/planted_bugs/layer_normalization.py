"""Layer normalization."""

import numpy as np

from minires.ops.layer_normalization import LayerNorm
from planted_bugs.planting import planted


def layer_gradients(op, grad_y, mean_term=1.0, x_hat_term=1.0, weight_outside=False, axes=None, eps=None):
    """The right gradients, from which each planted bug takes something away."""
    x, weight, _ = [tensor.data for tensor in op.inputs]
    axes = axes or tuple(range(x.ndim - op.ndim, x.ndim))
    inv_std = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + (op.eps if eps is None else eps))
    x_hat = (x - x.mean(axis=axes, keepdims=True)) * inv_std
    grad = grad_y if weight_outside else grad_y * weight
    inner = grad - mean_term * grad.mean(axis=axes, keepdims=True)
    grad_x = inv_std * (inner - x_hat_term * x_hat * (grad * x_hat).mean(axis=axes, keepdims=True))
    images = tuple(range(x.ndim - op.ndim))
    return grad_x * weight if weight_outside else grad_x, (grad_y * x_hat).sum(axis=images), grad_y.sum(axis=images)


@planted(LayerNorm, "layer_norm, images", says="with respect to x")
def layer_mean_term_dropped(self, grad_y):
    return layer_gradients(self, grad_y, mean_term=0)


@planted(LayerNorm, "layer_norm, images", says="with respect to x")
def layer_x_hat_term_dropped(self, grad_y):
    return layer_gradients(self, grad_y, x_hat_term=0)


@planted(LayerNorm, "layer_norm, rows", says="with respect to x")
def weight_outside_the_sums(self, grad_y):
    return layer_gradients(self, grad_y, weight_outside=True)


@planted(LayerNorm, "layer_norm, images", says="with respect to x")
def over_the_last_axis_alone(self, grad_y):
    return layer_gradients(self, grad_y, axes=(3,))


@planted(LayerNorm, "layer_norm, rows", says="with respect to x")
def layer_eps_forgotten(self, grad_y):
    return layer_gradients(self, grad_y, eps=0)


@planted(LayerNorm, "layer_norm, rows", says="with respect to weight")
def layer_weight_gradient_from_x(self, grad_y):
    grad_x, _, grad_bias = layer_gradients(self, grad_y)
    return grad_x, (grad_y * self.x).sum(axis=0), grad_bias
