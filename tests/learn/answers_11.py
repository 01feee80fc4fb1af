"""Chapter 11: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_11 import highway_backward, mean_shortcut_backward


def highway(
    carry=lambda dy, x, h, g: dy * (1 - g),
    inner=lambda dy, x, h, g: dy * g * (h > 0),
    gate=lambda dy, x, h, g: dy * (h - x) * g * (1 - g),
    turned=np.transpose,
):
    def backward(grad_y, x, w, w_gate):
        h, g = np.maximum(x @ w, 0), 1 / (1 + np.exp(-(x @ w_gate)))
        parts = [part(grad_y, x, h, g) for part in (carry, inner, gate)]
        grad_x = parts[0] + parts[1] @ turned(w) + parts[2] @ turned(w_gate)
        return grad_x, x.T @ parts[1], x.T @ parts[2]

    return backward


def nothing(dy, x, h, g):
    return 0 * dy


def only_in_x(backward):
    """Wrong in the gradient of x alone."""
    return lambda *arguments: (backward(*arguments)[0], *highway_backward(*arguments)[1:])


def exchanged(grad_y, x, w, w_gate):
    grad_x, grad_w, grad_w_gate = highway_backward(grad_y, x, w, w_gate)
    return grad_x, grad_w_gate, grad_w


def residual_block_pasted(grad_y, x, w, w_gate):
    """The chapter's block, with the gate's weights for the second layer's."""
    a = np.maximum(x @ w, 0)
    grad_sum = grad_y * (x + a @ w_gate > 0)
    grad_z = (grad_sum @ w_gate.T) * (a > 0)
    return grad_sum + grad_z @ w.T, x.T @ grad_z, a.T @ grad_sum


def only_x(grad_y, x, w, w_gate):
    return highway_backward(grad_y, x, w, w_gate)[0]


def writes_into_its_gradient(grad_y, x, w, w_gate):
    grads = highway_backward(grad_y, x, w, w_gate)
    grad_y *= 1 - 1 / (1 + np.exp(-(x @ w_gate)))
    return grads


def option_a_pasted(grad_y, x_shape):
    C = x_shape[1]
    front = (grad_y.shape[1] - C) // 2
    grad_x = np.zeros(x_shape, grad_y.dtype)
    grad_x[:, :, ::2, ::2] = grad_y[:, front : front + C]
    return grad_x


def shortcut(share=0.25, front=lambda F, C: (F - C) // 2):
    def backward(grad_y, x_shape):
        first = front(grad_y.shape[1], x_shape[1])
        return (grad_y[:, first : first + x_shape[1]] * share).repeat(2, axis=2).repeat(2, axis=3)

    return backward


def tiled(grad_y, x_shape):
    front = (grad_y.shape[1] - x_shape[1]) // 2
    return np.tile(grad_y[:, front : front + x_shape[1]] / 4, (1, 1, 2, 2))


def quarter_for_the_first(grad_y, x_shape):
    return option_a_pasted(grad_y, x_shape) / 4


def channels_kept(grad_y, x_shape):
    return (grad_y / 4).repeat(2, axis=2).repeat(2, axis=3)


def way_by_way(grad_y, x, w, w_gate):
    """A list, with the sigmoid as a tanh."""
    g = (1 + np.tanh(x @ w_gate / 2)) / 2
    h = np.where(x @ w > 0, x @ w, 0)
    to_h, to_g = g * grad_y, grad_y * h - grad_y * x
    to_h = np.where(x @ w > 0, to_h, 0)
    to_g = to_g * (g - g * g)
    grad_x = (w @ to_h.T + w_gate @ to_g.T).T + grad_y - g * grad_y
    return [grad_x, (to_h.T @ x).T, (to_g.T @ x).T]


def pixel_by_pixel(grad_y, x_shape):
    C = x_shape[1]
    front = (grad_y.shape[1] - C) // 2
    grad_x = np.zeros(x_shape, grad_y.dtype, order="F")
    for i in (0, 1):
        for j in (0, 1):
            grad_x[:, :, i::2, j::2] = 0.25 * grad_y[:, front : front + C]
    return grad_x


RIGHT = {"highway_backward": highway_backward, "mean_shortcut_backward": mean_shortcut_backward}

ALSO_RIGHT = [{"highway_backward": way_by_way}, {"mean_shortcut_backward": pixel_by_pixel}]

WRONG = [
    ({"highway_backward": highway(carry=nothing)}, "gradient of x: what comes through the carried x is missing"),
    ({"highway_backward": only_in_x(highway(inner=nothing))}, "gradient of x: what comes through the ReLU is missing"),
    ({"highway_backward": only_in_x(highway(gate=nothing))}, "gradient of x: what comes through the gate is missing"),
    ({"highway_backward": highway(carry=lambda dy, x, h, g: dy)}, "all of it comes back through the carried x"),
    ({"highway_backward": highway(carry=lambda dy, x, h, g: dy * g)}, "what is carried is multiplied by g"),
    ({"highway_backward": highway(inner=lambda dy, x, h, g: dy * (h > 0))}, "into the branch is not multiplied by the"),
    ({"highway_backward": highway(inner=lambda dy, x, h, g: dy * g)}, "the ReLU is left out"),
    ({"highway_backward": highway(gate=lambda dy, x, h, g: dy * h * g * (1 - g))}, "and here h alone is"),
    ({"highway_backward": highway(gate=lambda dy, x, h, g: dy * (h - x))}, "the slope of the sigmoid, .* is missing"),
    ({"highway_backward": highway(gate=lambda dy, x, h, g: dy * (h - x) * g)}, "g stands where the slope"),
    ({"highway_backward": highway(turned=np.array)}, "the weights are taken as they stand"),
    ({"highway_backward": exchanged}, "the gradients of w and w_gate are exchanged"),
    ({"highway_backward": residual_block_pasted}, r"highway_backward\n  the gradient of x, .* is wrong"),
    ({"highway_backward": only_x}, "this is one gradient"),
    ({"highway_backward": writes_into_its_gradient}, "writes into the gradient it was handed"),
    ({"mean_shortcut_backward": option_a_pasted}, "3 → 8 channels: this is option A's"),
    ({"mean_shortcut_backward": quarter_for_the_first}, "only the first pixel of each window gets its quarter"),
    ({"mean_shortcut_backward": shortcut(share=1.0)}, "every pixel of a window gets all"),
    ({"mean_shortcut_backward": shortcut(share=0.5)}, "it is divided by 2"),
    ({"mean_shortcut_backward": tiled}, "the picture is put side by side"),
    ({"mean_shortcut_backward": shortcut(front=lambda F, C: 0)}, "the wrong channels: the first C"),
    ({"mean_shortcut_backward": shortcut(front=lambda F, C: F - C)}, "the wrong channels: the last C"),
    ({"mean_shortcut_backward": shortcut(front=lambda F, C: (F - C + 1) // 2)}, "the channels are one too far behind"),
    ({"mean_shortcut_backward": channels_kept}, r"has shape \(\d, 8, \d, \d\), and should have \(\d, 3, "),
]
