"""Chapter 1: right and typical wrong answers."""

import numpy as np

from minires.learn.answers.chapter_01 import numeric_gradient


def over_h(f, x, h=1e-5):
    return 2 * numeric_gradient(f, x, h)


def one_sided(f, x, h=1e-5):
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ahead = x.copy()
        ahead[index] += h
        grad[index] = (f(ahead) - f(x)) / h
    return grad


def never_put_back(f, x, h=1e-5):
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        x[index] += h
        ahead = f(x)
        x[index] -= 2 * h
        grad[index] = (ahead - f(x)) / (2 * h)
    return grad


def all_together(f, x, h=1e-5):
    return np.full_like(x, (f(x + h) - f(x - h)) / (2 * h))


def one_number(f, x, h=1e-5):
    return (f(x + h) - f(x - h)) / (2 * h)


def backwards(f, x, h=1e-5):
    return -numeric_gradient(f, x, h)


def own_step(f, x, h=1e-5):
    return numeric_gradient(f, x)


def first_axis_only(f, x, h=1e-5):
    grad = np.zeros_like(x)
    for i in range(len(x)):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += h
        behind[i] -= h
        grad[i] = (f(ahead) - f(behind)) / (2 * h)
    return grad


def nothing(f, x, h=1e-5):
    return None


def columns(f, x, h=1e-5):
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[..., index[-1]] = h
        grad[index] = (f(x + move) - f(x - move)) / (2 * h)
    return grad


def ever_further(f, x, h=1e-5):
    grad, ahead, behind = np.zeros_like(x), x.copy(), x.copy()
    for index in np.ndindex(x.shape):
        ahead[index] += h
        behind[index] -= h
        grad[index] = (f(ahead) - f(behind)) / (2 * h)
    return grad


def not_divided(f, x, h=1e-5):
    return 2 * h * numeric_gradient(f, x, h)


def over_4h(f, x, h=1e-5):
    return numeric_gradient(f, x, h) / 2


def relative_step(f, x, h=1e-5):
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = h * x[index]
        grad[index] = (f(x + move) - f(x - move)) / (2 * move[index])
    return grad


def half_a_step(f, x, h=1e-5):
    return one_sided(f, x, h) / 2


def flattened(f, x, h=1e-5):
    flat, grad = x.ravel(), np.zeros(x.size)
    for i in range(x.size):
        move = np.zeros(x.size)
        move[i] = h
        grad[i] = (f(flat + move) - f(flat - move)) / (2 * h)
    return grad.reshape(x.shape)


def as_float32(f, x, h=1e-5):
    return numeric_gradient(f, x, h).astype(np.float32)


def through_a_flat_copy(f, x, h=1e-5):
    """Right, through one axis; the result in another order of memory."""
    slopes = []
    for move in h * np.eye(x.size):
        move = move.reshape(x.shape)
        slopes.append((f(x + move) - f(x - move)) / (2 * h))
    return np.asfortranarray(np.array(slopes).reshape(x.shape))


def as_fraction_of_the_step_taken(f, x, h=1e-5):
    """Right: divided by the distance that rounding has left of 2h, and put back each time."""
    x, grad = x.copy(), np.empty(x.shape)
    for index, kept in np.ndenumerate(x.copy()):
        x[index] = kept + h
        ahead, there = f(x), x[index]
        x[index] = kept - h
        grad[index] = (ahead - f(x)) / (there - x[index])
        x[index] = kept
    return grad


RIGHT = {"numeric_gradient": numeric_gradient}
ALSO_RIGHT = [{"numeric_gradient": through_a_flat_copy}, {"numeric_gradient": as_fraction_of_the_step_taken}]

WRONG = [
    ({"numeric_gradient": nothing}, "there is nothing yet"),
    ({"numeric_gradient": over_h}, "the quotient is over h"),
    ({"numeric_gradient": one_sided}, "this is the one-sided quotient"),
    ({"numeric_gradient": never_put_back}, "x is not what it was"),
    ({"numeric_gradient": all_together}, "all elements move together"),
    ({"numeric_gradient": one_number}, "this is one number"),
    ({"numeric_gradient": backwards}, "the sign is wrong"),
    ({"numeric_gradient": own_step}, "does not depend on h"),
    ({"numeric_gradient": first_axis_only}, r"array \(3, 4\): whole rows are moved"),
    ({"numeric_gradient": columns}, "whole columns are moved"),
    ({"numeric_gradient": ever_further}, "stay moved for those that come after"),
    ({"numeric_gradient": not_divided}, "the difference is not divided by 2h"),
    ({"numeric_gradient": over_4h}, "the distance of the two points is 2h, not 4h"),
    ({"numeric_gradient": relative_step}, "the step is h times the element"),
    ({"numeric_gradient": half_a_step}, "this is half of the one-sided quotient"),
    ({"numeric_gradient": flattened}, r"f is called with an array \(12,\)"),
    ({"numeric_gradient": as_float32}, "holds float32"),
]
