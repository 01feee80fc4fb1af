"""Chapter 20: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_20 import frozen_batch_norm_backward, integrated_gradients


def norm(inv_std=None, x_grad=None, centred=True, weight_grad=None):
    def mistaken(grad_y, x, weight, mean, var, eps):
        spread = (1, -1, 1, 1)
        factor = (inv_std(var, eps) if inv_std else 1 / np.sqrt(var + eps)).reshape(spread)
        x_hat = (x - mean.reshape(spread) * centred) * factor
        grad_x = grad_y * weight.reshape(spread) * factor
        if x_grad:
            grad_x = x_grad(grad_y, weight.reshape(spread), factor, x_hat)
        grad_weight = (grad_y * x_hat).sum(axis=(0, 2, 3))
        return grad_x, weight_grad(grad_weight, x) if weight_grad else grad_weight, grad_y.sum(axis=(0, 2, 3))

    return mistaken


def as_in_training(grad_y, weight, inv_std, x_hat):
    axes = (0, 2, 3)
    means = grad_y.mean(axes, keepdims=True) + x_hat * (grad_y * x_hat).mean(axes, keepdims=True)
    return weight * inv_std * (grad_y - means)


def only_x(*arguments):
    return frozen_batch_norm_backward(*arguments)[0]


def path(at=lambda k: k + 0.5, factor=lambda x, baseline: x - baseline, mean=True, begin=lambda baseline: baseline):
    def mistaken(grad_of, x, baseline, steps):
        start, total = begin(baseline), np.zeros_like(x)
        for k in range(steps):
            total = total + grad_of(start + at(k) / steps * (x - start))
        return factor(x, baseline) * total / (steps if mean else 1)

    return mistaken


def at_x_alone(grad_of, x, baseline, steps):
    return (x - baseline) * grad_of(x)


RIGHT = {"frozen_batch_norm_backward": frozen_batch_norm_backward, "integrated_gradients": integrated_gradients}

WRONG = [
    ({"frozen_batch_norm_backward": norm(x_grad=as_in_training)}, "these are the three terms of training"),
    ({"frozen_batch_norm_backward": norm(lambda var, eps: 1 / np.sqrt(var))}, "of x and weight: eps is forgotten"),
    ({"frozen_batch_norm_backward": norm(lambda var, eps: 1 / (var + eps))}, "of x and weight: there is no root"),
    ({"frozen_batch_norm_backward": norm(lambda var, eps: 1 / (np.sqrt(var) + eps))}, "eps is added to the root"),
    (
        {"frozen_batch_norm_backward": norm(x_grad=lambda grad_y, weight, inv_std, x_hat: grad_y * inv_std)},
        "the norm's weight is missing",
    ),
    ({"frozen_batch_norm_backward": norm(centred=False)}, "the mean is still in x̂"),
    (
        {"frozen_batch_norm_backward": norm(weight_grad=lambda grad, x: grad / len(x))},
        "gradient of weight: divided by N once too often",
    ),
    ({"frozen_batch_norm_backward": only_x}, "gives back three gradients"),
    ({"integrated_gradients": path(factor=lambda x, baseline: 1)}, r"the factor \(x − baseline\) is missing"),
    ({"integrated_gradients": path(factor=lambda x, baseline: x)}, "it is multiplied by x, and should be"),
    ({"integrated_gradients": path(at=lambda k: k)}, "where each stretch begins"),
    ({"integrated_gradients": path(at=lambda k: k + 1)}, "where each stretch ends"),
    ({"integrated_gradients": path(mean=False)}, "integrated_gradients: not divided by steps"),
    ({"integrated_gradients": path(begin=np.zeros_like)}, "the way begins at 0"),
    ({"integrated_gradients": path(factor=lambda x, baseline: baseline - x)}, "the sign is wrong"),
    ({"integrated_gradients": at_x_alone}, "only the gradient at x is taken"),
]
