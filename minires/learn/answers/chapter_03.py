"""Chapter 3: a right answer."""

import numpy as np


def relu_backward(grad_r, r):
    return grad_r * (r > 0)


def block_backward(grad_y, x, w1, w2):
    r = np.maximum(x @ w1, 0)
    grad_r = grad_y @ w2.T
    grad_w2 = r.T @ grad_y
    grad_h = relu_backward(grad_r, r)
    grad_w1 = x.T @ grad_h
    return grad_y + grad_h @ w1.T, grad_w1, grad_w2
