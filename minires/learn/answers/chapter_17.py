"""Chapter 17: a right answer."""

import math

import numpy as np


def path_shares(blocks, factor):
    logs = [
        math.lgamma(blocks + 1) - math.lgamma(i + 1) - math.lgamma(blocks - i + 1) + i * math.log(factor)
        for i in range(blocks + 1)
    ]
    weights = np.exp(np.array(logs) - max(logs))
    return weights / weights.sum()


def skipinit_backward(grad_y, x, w1, w2, alpha):
    z = x @ w1
    a = np.maximum(z, 0)
    grad_alpha = np.sum(grad_y * (a @ w2)).reshape(1)
    grad_f = alpha * grad_y
    grad_z = (grad_f @ w2.T) * (z > 0)
    return grad_y + grad_z @ w1.T, x.T @ grad_z, a.T @ grad_f, grad_alpha


def curvature(grad_ahead, grad_behind, direction, eps):
    product = (grad_ahead - grad_behind) / (2 * eps)
    return np.sum(direction * product) / np.sum(direction * direction)
