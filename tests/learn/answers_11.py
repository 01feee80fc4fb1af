"""Chapter 11: right and typical wrong answers."""

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


def halves(grad_y):
    return grad_y / 2, grad_y / 2


def one_side(grad_y):
    return grad_y, np.zeros_like(grad_y)


def no_skip(grad_y, x, w1, w2):
    a = np.maximum(x @ w1, 0)
    grad_sum = grad_y * (x + a @ w2 > 0)
    grad_z = (grad_sum @ w2.T) * (a > 0)
    return grad_z @ w1.T, x.T @ grad_z, a.T @ grad_sum


def no_branch(grad_y, x, w1, w2):
    _, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    return grad_y * (x + np.maximum(x @ w1, 0) @ w2 > 0), grad_w1, grad_w2


def no_last_relu(grad_y, x, w1, w2):
    a = np.maximum(x @ w1, 0)
    grad_z = (grad_y @ w2.T) * (a > 0)
    return grad_y + grad_z @ w1.T, x.T @ grad_z, a.T @ grad_y


def skip_around_the_relu(grad_y, x, w1, w2):
    through_branch, grad_w1, grad_w2 = no_skip(grad_y, x, w1, w2)
    return grad_y + through_branch, grad_w1, grad_w2


def no_inner_relu(grad_y, x, w1, w2):
    a = np.maximum(x @ w1, 0)
    grad_sum = grad_y * (x + a @ w2 > 0)
    grad_z = grad_sum @ w2.T
    return grad_sum + grad_z @ w1.T, x.T @ grad_z, a.T @ grad_sum


def writes_into_its_gradient(grad_y, x, w1, w2):
    grad_y *= x + np.maximum(x @ w1, 0) @ w2 > 0
    return block_backward(grad_y, x, w1, w2)


def only_x(grad_y, x, w1, w2):
    return block_backward(grad_y, x, w1, w2)[0]


def first_channels(grad_y, x_shape, stride):
    grad_x = np.zeros(x_shape, grad_y.dtype)
    grad_x[:, :, ::stride, ::stride] = grad_y[:, : x_shape[1]]
    return grad_x


def spread(grad_y, x_shape, stride):
    front = (grad_y.shape[1] - x_shape[1]) // 2
    kept = grad_y[:, front : front + x_shape[1]]
    return np.kron(kept, np.ones((stride, stride)))[:, :, : x_shape[2], : x_shape[3]]


RIGHT = {
    "residual_add_backward": residual_add_backward,
    "block_backward": block_backward,
    "option_a_backward": option_a_backward,
}

WRONG = [
    ({"residual_add_backward": halves}, "residual_add_backward: each side gets half"),
    ({"residual_add_backward": one_side}, r"residual_add_backward(.|\n)*gradient of branch(.|\n)*is wrong"),
    ({"block_backward": no_skip}, "through the skip is missing"),
    ({"block_backward": no_branch}, "through the branch is missing"),
    ({"block_backward": no_last_relu}, "ReLU after the addition is left out"),
    ({"block_backward": skip_around_the_relu}, "skip's part has not passed the ReLU"),
    ({"block_backward": no_inner_relu}, "ReLU inside the branch is left out"),
    ({"block_backward": writes_into_its_gradient}, "writes into the gradient it was handed"),
    ({"block_backward": only_x}, "this is one gradient"),
    ({"option_a_backward": first_channels}, r"4 → 8 channels, stride 1: these are the wrong channels"),
    ({"option_a_backward": spread}, r"stride 2: pixels that were never copied get a gradient"),
]
