"""Chapter 3: right and typical wrong answers."""

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


def slope_alone(grad_r, r):
    return (r > 0).astype(r.dtype)


def cut_by_itself(grad_r, r):
    return np.maximum(grad_r, 0)


def let_all_through(grad_r, r):
    return grad_r


def skip_forgotten(grad_y, x, w1, w2):
    grad_x, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    return grad_x - grad_y, grad_w1, grad_w2


def branch_forgotten(grad_y, x, w1, w2):
    return grad_y, *block_backward(grad_y, x, w1, w2)[1:]


def relu_forgotten(grad_y, x, w1, w2):
    grad_h = grad_y @ w2.T
    return grad_y + grad_h @ w1.T, x.T @ grad_h, np.maximum(x @ w1, 0).T @ grad_y


def h_for_r(grad_y, x, w1, w2):
    return *block_backward(grad_y, x, w1, w2)[:2], (x @ w1).T @ grad_y


def hasty(grad_y, x, w1, w2):
    grad_x, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    grad_y += grad_x - grad_y
    return grad_y, grad_w1, grad_w2


def skip_twice(grad_y, x, w1, w2):
    grad_x, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    return grad_x + grad_y, grad_w1, grad_w2


def transposed(grad_y, x, w1, w2):
    grad_x, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    return grad_x, grad_w1.T, grad_w2


RIGHT = {"relu_backward": relu_backward, "block_backward": block_backward}

WRONG = [
    ({"relu_backward": slope_alone}, "relu_backward: this is 1 or 0"),
    ({"relu_backward": cut_by_itself}, "relu_backward: what arrives is cut off where it is negative itself"),
    ({"relu_backward": let_all_through}, "relu_backward: all gets through"),
    ({"block_backward": skip_forgotten}, "block_backward: what comes through the skip is missing"),
    ({"block_backward": branch_forgotten}, "block_backward: what comes through the branch is missing"),
    ({"block_backward": relu_forgotten}, "block_backward: the gradient goes back through the relu as if"),
    ({"block_backward": h_for_r}, "block_backward: the gradient of w2 takes h"),
    ({"block_backward": hasty}, "block_backward: the function writes into the gradient it was handed"),
    (
        {"block_backward": skip_twice},
        r"block_backward\n +the gradient of x, shape \(4, 5\), is wrong(.|\n)*the gradient of w1 is right",
    ),
    ({"block_backward": transposed}, r"the gradient of w1 has shape \(3, 5\), and should have \(5, 3\)"),
]
