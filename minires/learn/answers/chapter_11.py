"""Chapter 11: a right answer."""

import numpy as np


def highway_backward(grad_y, x, w, w_gate):
    h = np.maximum(x @ w, 0)
    g = 1 / (1 + np.exp(-(x @ w_gate)))
    grad_z = grad_y * g * (h > 0)
    grad_gate = grad_y * (h - x) * g * (1 - g)
    grad_x = grad_y * (1 - g) + grad_z @ w.T + grad_gate @ w_gate.T
    return grad_x, x.T @ grad_z, x.T @ grad_gate


def mean_shortcut_backward(grad_y, x_shape):
    C = x_shape[1]
    front = (grad_y.shape[1] - C) // 2
    share = grad_y[:, front : front + C] / 4
    return share.repeat(2, axis=2).repeat(2, axis=3)
