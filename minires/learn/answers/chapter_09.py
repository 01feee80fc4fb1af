"""Chapter 9: a right answer."""

import numpy as np


def prelu_backward(grad_y, x, slope):
    grad_x = np.where(x > 0, grad_y, slope[:, None, None] * grad_y)
    grad_slope = np.where(x > 0, 0, grad_y * x).sum(axis=(0, 2, 3))
    return grad_x, grad_slope


def size(array):
    return np.sqrt(np.mean(array * array))


def equalized(x, weights):
    h, made = x, []
    for weight in weights:
        y = np.maximum(h @ weight, 0)
        factor = size(x) / size(y)
        made.append(weight * factor)
        h = y * factor
    return made
