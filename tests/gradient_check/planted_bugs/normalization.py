"""Batch normalization, by its own statistics and by given ones."""

import numpy as np

from minires.kernels import numpy_kernels
from minires.ops.normalization import BatchNorm, BatchNormInference
from planted_bugs.planting import planted


def norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=1.0, x_hat_term=1.0):
    """The right gradients, from which each planted bug takes something away."""
    axes, spread = numpy_kernels.channel_axes(x)
    M = x.size // x.shape[1]
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = (x - mean.reshape(spread)) * inv_std.reshape(spread)
    grad_bias = grad_y.sum(axis=axes)
    grad_weight = (grad_y * x_hat).sum(axis=axes)
    inner = (
        grad_y - mean_term * (grad_bias / M).reshape(spread) - x_hat_term * x_hat * (grad_weight / M).reshape(spread)
    )
    return inner * (weight * inv_std).reshape(spread), grad_weight, grad_bias


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="the mean's term .* is missing")
def mean_term_dropped(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=0)


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="the variance's term .* is missing")
def x_hat_term_dropped(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, x_hat_term=0)


@planted(
    BatchNorm,
    "batch_norm, rows",
    kernel="batch_norm_backward",
    says="mean's term .* and the variance's term .* are missing",
)
def evaluation_formula_in_training(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=0, x_hat_term=0)


@planted(BatchNorm, "batch_norm, rows", kernel="batch_norm_backward", says="divided by M − 1 where it should be M")
def sums_divided_by_m_minus_one(grad_y, x, weight, mean, var, eps):
    M = x.size // x.shape[1]
    return norm_gradients(grad_y, x, weight, mean, var, eps, mean_term=M / (M - 1), x_hat_term=M / (M - 1))


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="with respect to weight")
def unbiased_variance(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var * 40 / 39, eps)


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="the factor weight is missing")
def weight_forgotten(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return grad_x / weight.reshape(1, -1, 1, 1), grad_weight, grad_bias


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="eps is missing under the root")
def eps_forgotten(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, 0)


@planted(
    BatchNorm,
    "batch_norm, images",
    kernel="batch_norm_backward",
    says="x is taken for x̂.*(\n.*)*right with respect to: x, bias",
)
def weight_gradient_from_x(grad_y, x, weight, mean, var, eps):
    grad_x, _, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return grad_x, (grad_y * x).sum(axis=(0, 2, 3)), grad_bias


@planted(BatchNorm, "batch_norm, images", kernel="batch_norm_backward", says="it is 0 everywhere: nothing comes back")
def no_gradient_to_x(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return 0 * grad_x, grad_weight, grad_bias


@planted(
    BatchNormInference,
    "batch_norm, given statistics",
    kernel="batch_norm_inference_backward",
    says="this is training's formula",
)
def training_formula_in_evaluation(grad_y, x, weight, mean, var, eps):
    return norm_gradients(grad_y, x, weight, mean, var, eps)


@planted(
    BatchNormInference,
    "batch_norm, given statistics",
    kernel="batch_norm_inference_backward",
    says=r"the factor 1/√\(var \+ eps\) is missing",
)
def deviation_forgotten(grad_y, x, weight, mean, var, eps):
    _, grad_weight, grad_bias = norm_gradients(grad_y, x, weight, mean, var, eps)
    return grad_y * weight.reshape(1, -1, 1, 1), grad_weight, grad_bias
