"""Chapter 3: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_03 import block_backward, relu_backward


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


def mask_in_w1_alone(grad_y, x, w1, w2):
    grad_x = grad_y + grad_y @ w2.T @ w1.T
    return grad_x, *block_backward(grad_y, x, w1, w2)[1:]


def mask_in_x_alone(grad_y, x, w1, w2):
    grad_x, _, grad_w2 = block_backward(grad_y, x, w1, w2)
    return grad_x, x.T @ (grad_y @ w2.T), grad_w2


def branch_subtracted(grad_y, x, w1, w2):
    grad_x, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    return 2 * grad_y - grad_x, grad_w1, grad_w2


def mask_of_y(grad_y, x, w1, w2):
    r = np.maximum(x @ w1, 0)
    grad_h = ((grad_y * (x + r @ w2 > 0)) @ w2.T) * (r > 0)
    return grad_y + grad_h @ w1.T, x.T @ grad_h, r.T @ grad_y


def exchanged_masks(grad_y, x, w1, w2):
    r = np.maximum(x @ w1, 0)
    grad_h = (grad_y @ w2.T) * (r == 0)
    return grad_y + grad_h @ w1.T, x.T @ grad_h, r.T @ grad_y


def mean_of_images(grad_y, x, w1, w2):
    grad_x, grad_w1, grad_w2 = block_backward(grad_y, x, w1, w2)
    return grad_x, grad_w1, grad_w2 / len(x)


def at_or_above(grad_r, r):
    return grad_r * np.where(r == 0, 1e-3 * (grad_r == 3), 1).astype(r.dtype)


def chosen(grad_r, r):
    return np.where(r > 0, grad_r, grad_r.dtype.type(0))


def in_another_order_of_memory(grad_y, x, w1, w2):
    """Right; its arrays are views."""
    h = x @ w1
    grad_h = np.einsum("nd,ed->ne", grad_y, w2) * (h > 0)
    return (w1 @ grad_h.T).T + grad_y, (grad_h.T @ x).T, (grad_y.T @ np.maximum(h, 0)).T


RIGHT = {"relu_backward": relu_backward, "block_backward": block_backward}
ALSO_RIGHT = [{"relu_backward": chosen}, {"block_backward": in_another_order_of_memory}]

WRONG = [
    ({"relu_backward": slope_alone}, "relu_backward: this is 1 or 0"),
    ({"relu_backward": cut_by_itself}, "relu_backward: what arrives is cut off where it is negative itself"),
    ({"relu_backward": let_all_through}, "relu_backward: all gets through"),
    ({"block_backward": skip_forgotten}, "block_backward: the gradient of x: what comes through the skip is missing"),
    (
        {"block_backward": branch_forgotten},
        "block_backward: the gradient of x: what comes through the branch is missing",
    ),
    ({"block_backward": relu_forgotten}, "block_backward: in both gradients behind it, the relu is left out"),
    ({"block_backward": h_for_r}, "block_backward: the gradient of w2: it takes h"),
    ({"block_backward": hasty}, "block_backward: the function writes into the gradient it was handed"),
    ({"block_backward": skip_twice}, "gradient of x: what comes through the skip: counted twice"),
    ({"block_backward": transposed}, r"the gradient of w1 has shape \(6, 5\), and should have \(5, 6\)"),
    ({"block_backward": mask_in_w1_alone}, "gradient of x: the relu is left out"),
    ({"block_backward": mask_in_x_alone}, "gradient of w1: the relu is left out"),
    ({"block_backward": branch_subtracted}, "what comes through the branch: the sign is wrong"),
    ({"block_backward": mask_of_y}, "in both gradients behind it, the mask of y is laid on before w2"),
    ({"block_backward": exchanged_masks}, "in both gradients behind it, the relu's mask is turned round"),
    ({"block_backward": mean_of_images}, "gradient of w2: divided by N once too often"),
    ({"relu_backward": at_or_above}, "at r = 0"),
]
