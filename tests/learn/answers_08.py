"""Chapter 8: right and typical wrong answers."""

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


def with_terms(mean_term, var_term, scale=True, gamma=True):
    """A backward whose dL/dx subtracts the two sums times these numbers of 1/M, times N, M and so on."""

    def backward(grad_y, x, weight, mean, var, eps):
        _, grad_weight, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
        inv_std = spread(1 / np.sqrt(var + eps))
        x_hat = (x - spread(mean)) * inv_std
        N, M = x.shape[0], x.size // x.shape[1]
        grad_x = grad_y - spread(grad_bias) * mean_term(N, M) - x_hat * spread(grad_weight) * var_term(N, M)
        if scale:
            grad_x = grad_x * inv_std
        if gamma:
            grad_x = grad_x * spread(weight)
        return grad_x, grad_weight, grad_bias

    return backward


def none(N, M):
    return 0.0


def right(N, M):
    return 1.0 / M


def by_images(N, M):
    return 1.0 / N


def whole_sum(N, M):
    return 1.0


def unbiased(N, M):
    return 1.0 / (M - 1)


def x_for_x_hat(grad_y, x, weight, mean, var, eps):
    grad_x, _, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, (grad_y * x).sum(axis=AXES), grad_bias


def eps_forgotten(grad_y, x, weight, mean, var, eps):
    return batch_norm_backward(grad_y, x, weight, mean, var, 0.0)


def mean_for_sum(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, grad_weight, grad_bias / (x.size // x.shape[1])


def wrong_sign(grad_y, x, weight, mean, var, eps):
    grad_x, grad_weight, grad_bias = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    return grad_x, -grad_weight, grad_bias


def writes_into_grad_y(grad_y, x, weight, mean, var, eps):
    grads = batch_norm_backward(grad_y, x, weight, mean, var, eps)
    grad_y -= spread(grad_y.mean(axis=AXES))
    return grads


def grad_x_alone(grad_y, x, weight, mean, var, eps):
    return batch_norm_backward(grad_y, x, weight, mean, var, eps)[0]


RIGHT = {"batch_norm_backward": batch_norm_backward}

WRONG = [
    ({"batch_norm_backward": answer}, says)
    for answer, says in [
        (with_terms(none, right), "through the batch's mean is missing"),
        (with_terms(right, none), "through the batch's variance is missing"),
        (with_terms(none, none), "mean and variance are taken for constants"),
        (with_terms(right, right, gamma=False), "the factor weight is missing"),
        (with_terms(right, right, scale=False), r"the factor 1/√\(var \+ eps\) is missing"),
        (with_terms(by_images, by_images), "divided by the number of images"),
        (with_terms(whole_sum, whole_sum), "the sums are not divided by M"),
        (with_terms(unbiased, unbiased), "divided by M − 1"),
        (x_for_x_hat, "dL/dweight: x is taken for x̂"),
        (eps_forgotten, "dL/dweight: eps is missing"),
        (mean_for_sum, r"dL/dbias(.|\n)*1/24 of the gradient: a factor 24 is missing"),
        (wrong_sign, r"dL/dweight(.|\n)*the sign is wrong"),
        (writes_into_grad_y, "writes into the gradient it was handed"),
        (grad_x_alone, "gives back three gradients"),
    ]
]
