"""Chapter 11: a right answer."""

import numpy as np


def residual_add_backward(grad_y):
    return grad_y, grad_y


def block_backward(grad_y, x, w1, w2):
    a = np.maximum(x @ w1, 0)
    grad_sum = grad_y * (x + a @ w2 > 0)
    grad_z = (grad_sum @ w2.T) * (a > 0)
    return grad_sum + grad_z @ w1.T, x.T @ grad_z, a.T @ grad_sum


def option_a_backward(grad_y, x_shape, stride):
    C = x_shape[1]
    front = (grad_y.shape[1] - C) // 2
    grad_x = np.zeros(x_shape, grad_y.dtype)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, front : front + C]
    return grad_x
