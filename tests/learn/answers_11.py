"""Chapter 11: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_11 import block_backward, option_a_backward, residual_add_backward


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


def with_mask(mask):
    def mistaken(grad_y, x, w1, w2):
        a = np.maximum(x @ w1, 0)
        grad_sum = grad_y * mask(x, a @ w2)
        grad_z = (grad_sum @ w2.T) * (a > 0)
        return grad_sum + grad_z @ w1.T, x.T @ grad_z, a.T @ grad_sum

    return mistaken


mask_of_the_branch = with_mask(lambda x, branch: branch > 0)
mask_of_x = with_mask(lambda x, branch: x > 0)


def h_for_a(grad_y, x, w1, w2):
    grad_x, grad_w1, _ = block_backward(grad_y, x, w1, w2)
    return grad_x, grad_w1, (x @ w1).T @ (grad_y * (x + np.maximum(x @ w1, 0) @ w2 > 0))


def option_a(front, first):
    def mistaken(grad_y, x_shape, stride):
        C, begin = x_shape[1], front(grad_y.shape[1], x_shape[1])
        grad_x = np.zeros(x_shape, grad_y.dtype)
        place = grad_x[:, :, first(stride) :: stride, first(stride) :: stride]
        place[...] = grad_y[:, begin : begin + C, : place.shape[2], : place.shape[3]]
        return grad_x

    return mistaken


last_channels = option_a(lambda F, C: F - C, lambda stride: 0)
odd_rest_in_front = option_a(lambda F, C: (F - C + 1) // 2, lambda stride: 0)
last_pixels = option_a(lambda F, C: (F - C) // 2, lambda stride: stride - 1)


RIGHT = {
    "residual_add_backward": residual_add_backward,
    "block_backward": block_backward,
    "option_a_backward": option_a_backward,
}

WRONG = [
    ({"residual_add_backward": halves}, "residual_add_backward: each side gets half"),
    ({"residual_add_backward": one_side}, "residual_add_backward: the gradient of branch: it is 0 everywhere"),
    ({"block_backward": no_skip}, "gradient of x: what comes through the skip is missing"),
    ({"block_backward": no_branch}, "gradient of x: what comes through the branch is missing"),
    ({"block_backward": no_last_relu}, "ReLU after the addition is left out"),
    ({"block_backward": skip_around_the_relu}, "skip's part has not passed the ReLU"),
    ({"block_backward": no_inner_relu}, "ReLU inside the branch is left out"),
    ({"block_backward": writes_into_its_gradient}, "writes into the gradient it was handed"),
    ({"block_backward": only_x}, "this is one gradient"),
    ({"option_a_backward": first_channels}, r"4 → 8 channels, stride 1: these are the wrong channels: .*all behind"),
    ({"block_backward": mask_of_the_branch}, "the mask of the last ReLU is taken from the branch alone"),
    ({"block_backward": mask_of_x}, "the mask of the last ReLU is taken from x alone"),
    ({"block_backward": h_for_a}, "gradient of w2: it takes x @ w1 before the ReLU"),
    ({"option_a_backward": last_channels}, r"4 → 8 channels, stride 1: these are the wrong channels: .*all in front"),
    ({"option_a_backward": odd_rest_in_front}, "the channels are one too far behind"),
    ({"option_a_backward": last_pixels}, "the pixels are shifted: the first one"),
    ({"option_a_backward": spread}, "pixels that were never copied get a gradient: only"),
]
