"""Chapter 9: right and typical wrong answers."""

import math

import numpy as np

from minires.learn.answers.chapter_09 import equalized, prelu_backward, size


def as_relu(grad_y, x, slope):
    return grad_y * (x > 0), prelu_backward(grad_y, x, slope)[1]


def value_for_slope(grad_y, x, slope):
    return grad_y * np.where(x > 0, 1, slope[:, None, None] * x), prelu_backward(grad_y, x, slope)[1]


def sides_exchanged(grad_y, x, slope):
    return grad_y * np.where(x > 0, slope[:, None, None], 1), prelu_backward(grad_y, x, slope)[1]


def first_slope(grad_y, x, slope):
    return grad_y * np.where(x > 0, 1, slope[0]), prelu_backward(grad_y, x, slope)[1]


def as_elu(grad_y, x, slope):
    return grad_y * np.where(x > 0, 1, slope[:, None, None] * np.exp(x)), prelu_backward(grad_y, x, slope)[1]


def by_grad_y(grad_y, x, slope):
    return np.where(grad_y > 0, grad_y, slope[:, None, None] * grad_y), prelu_backward(grad_y, x, slope)[1]


def wrong_sign(grad_y, x, slope):
    return grad_y * np.where(x > 0, 1, -slope[:, None, None]), prelu_backward(grad_y, x, slope)[1]


def not_summed(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0], np.where(x > 0, 0, grad_y * x)


def summed_over_images(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0], np.where(x > 0, 0, grad_y * x).sum(axis=(0, 2, 3)) / len(x)


def mean_for_sum(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0], np.where(x > 0, 0, grad_y * x).mean(axis=(0, 2, 3))


def x_forgotten(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0], np.where(x > 0, 0, grad_y).sum(axis=(0, 2, 3))


def both_sides(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0], (grad_y * x).sum(axis=(0, 2, 3))


def y_for_x(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0], slope * prelu_backward(grad_y, x, slope)[1]


def grad_x_alone(grad_y, x, slope):
    return prelu_backward(grad_y, x, slope)[0]


def scaled(of=size, relu=True, factor=lambda wanted, found: wanted / found, wanted=None, handed="new"):
    def equalized(x, weights):
        h, made = x, []
        for weight in weights:
            z = (x if handed == "x" else h) @ weight
            y = np.maximum(z, 0)
            number = factor((wanted or of)(x), of(y if relu else z))
            made.append(weight * number)
            h = y if handed == "old" else y * number
        return made

    return equalized


def he(x, weights):
    return [weight * math.sqrt(2 / len(weight)) / weight.std() for weight in weights]


def column_by_column(x, weights):
    h, made = x, []
    for weight in weights:
        y = np.maximum(h @ weight, 0)
        factor = size(x) / np.sqrt(np.mean(y * y, axis=0) + 1e-12)
        made.append(weight * factor)
        h = y * factor
    return made


def into_the_weights(x, weights):
    for weight, new in zip(weights, equalized(x, weights), strict=True):
        weight[...] = new
    return list(weights)


def factors_alone(x, weights):
    return [size(new) / size(old) for old, new in zip(weights, equalized(x, weights), strict=True)]


def in_float64(x, weights):
    return [weight.astype(np.float64) for weight in equalized(x, weights)]


def channels_last(grad_y, x, slope):
    """In another order of memory, and a list."""
    grad_y, x = (np.ascontiguousarray(array.transpose(0, 2, 3, 1)) for array in (grad_y, x))
    below = np.minimum(x, 0) * grad_y
    return [(grad_y * np.where(x > 0, 1, slope)).transpose(0, 3, 1, 2), below.sum((0, 1, 2))]


def on_x_directly(x, weights):
    """Scale a signal of size 1, and give the weights as a tuple of views."""
    h, made = x / size(x), []
    for weight in weights:
        y = np.maximum(h @ weight, 0)
        made.append((weight.T / size(y)).T)
        h = y / size(y)
    return tuple(made)


RIGHT = {"prelu_backward": prelu_backward, "equalized": equalized}

ALSO_RIGHT = [{"prelu_backward": channels_last}, {"equalized": on_x_directly}]

WRONG = [
    ({"prelu_backward": as_relu}, "the gradient of x: on the negative side nothing comes back"),
    ({"prelu_backward": value_for_slope}, "the gradient of x: on the negative side stands y, the value"),
    ({"prelu_backward": sides_exchanged}, "the gradient of x: the two sides are exchanged"),
    ({"prelu_backward": first_slope}, "the gradient of x: all channels have the first one's slope"),
    ({"prelu_backward": as_elu}, "the gradient of x: this is ELU's"),
    ({"prelu_backward": by_grad_y}, "the gradient of x: the sign of grad_y decides the side"),
    ({"prelu_backward": wrong_sign}, "the gradient of x: the side where x is below 0: the sign is wrong"),
    ({"prelu_backward": not_summed}, r"the gradient of slope has shape \(\d, \d, \d, \d\)"),
    ({"prelu_backward": summed_over_images}, "the gradient of slope: divided by N once too often"),
    ({"prelu_backward": mean_for_sum}, "the gradient of slope: divided by N·H·W once too often"),
    ({"prelu_backward": x_forgotten}, "the gradient of slope: x is missing"),
    ({"prelu_backward": both_sides}, "the gradient of slope: the positive side is counted, too"),
    ({"prelu_backward": y_for_x}, "the gradient of slope: y stands for x"),
    ({"prelu_backward": grad_x_alone}, "this is one gradient, and x and slope each have one"),
    ({"equalized": scaled(relu=False)}, "3 layers: the size is measured before the ReLU"),
    ({"equalized": scaled(of=np.std)}, "3 layers: standard deviations are compared"),
    ({"equalized": scaled(of=lambda h: np.mean(h * h))}, "3 layers: mean squares are compared"),
    ({"equalized": scaled(factor=lambda wanted, found: found / wanted)}, "3 layers: the factor is upside down"),
    ({"equalized": scaled(wanted=lambda x: 1.0)}, "3 layers: the size becomes 1"),
    ({"equalized": scaled(handed="old")}, "3 layers: each layer is handed the signal of the old weights"),
    ({"equalized": scaled(handed="x")}, "3 layers: each layer is handed x itself"),
    ({"equalized": he}, "3 layers: this is He's variance, by the formula"),
    ({"equalized": column_by_column}, "layer 1: this is not the old weight times one positive number"),
    ({"equalized": into_the_weights}, "equalized, 3 layers: the function writes into what it was handed"),
    ({"equalized": factors_alone}, r"layer 1: the shape is \(\), and should be"),
    ({"equalized": in_float64}, "float32 came in, and float64 goes out"),
]
