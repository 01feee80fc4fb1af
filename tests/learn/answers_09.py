"""Chapter 9: right and typical wrong answers."""

import math

import numpy as np

from minires.learn.answers.chapter_09 import elu_backward, fan, he_weight


def without_relus_two(shape, generator):
    return generator.normal(0, math.sqrt(1 / fan(shape)), shape)


def variance_for_deviation(shape, generator):
    return generator.normal(0, 2 / fan(shape), shape)


def always_fan_in(shape, generator):
    return generator.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)


def taps_forgotten(shape, generator):
    return generator.normal(0, math.sqrt(2 / shape[0 if len(shape) > 2 else 1]), shape)


def uniform_to_the_deviation(shape, generator):
    bound = math.sqrt(2 / fan(shape))
    return generator.uniform(-bound, bound, shape)


def not_centred(shape, generator):
    return generator.uniform(0, math.sqrt(6 / fan(shape)), shape)


def own_generator(shape, generator):
    return he_weight(shape, np.random.default_rng(0))


def no_generator(shape, generator):
    return he_weight(shape, np.random.default_rng())


def as_relu(grad_y, x, alpha):
    return grad_y * (x > 0)


def value_for_slope(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, alpha * np.expm1(np.minimum(x, 0)))


def alpha_forgotten(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, np.exp(np.minimum(x, 0)))


def slope_alone(grad_y, x, alpha):
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def sides_exchanged(grad_y, x, alpha):
    return grad_y * np.where(x > 0, alpha * np.exp(x), 1)


def negative_side_negative(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, -alpha * np.exp(np.minimum(x, 0)))


def glorot(shape, generator):
    taps = math.prod(shape[2:])
    return generator.normal(0, math.sqrt(4 / (shape[0] * taps + shape[1] * taps)), shape)


def uniform(shape, generator):
    bound = math.sqrt(6 / fan(shape))
    return generator.uniform(-bound, bound, shape)


def leaky(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, alpha).astype(x.dtype)


def y_plus_one(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, alpha * np.expm1(np.minimum(x, 0)) + 1).astype(x.dtype)


def exponent_turned(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, alpha * np.exp(-np.minimum(x, 0))).astype(x.dtype)


def one_inside(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)) + 1).astype(x.dtype)


def by_grad_y(grad_y, x, alpha):
    return np.where(grad_y > 0, grad_y, grad_y * alpha * np.exp(x)).astype(x.dtype)


RIGHT = {"he_weight": he_weight, "elu_backward": elu_backward}

WRONG = [
    ({"he_weight": without_relus_two}, "the 2 is missing"),
    ({"he_weight": variance_for_deviation}, "the standard deviation is 2/fan"),
    ({"he_weight": always_fan_in}, "inputs are counted for a filter"),
    ({"he_weight": taps_forgotten}, "taps are not counted"),
    ({"he_weight": uniform_to_the_deviation}, "the bound of a uniform draw"),
    ({"he_weight": not_centred}, r"the mean is 0\.\d+, not 0"),
    ({"he_weight": own_generator}, "every call gives the same weights"),
    ({"he_weight": no_generator}, "generators of one seed give different weights"),
    ({"elu_backward": as_relu}, "that is ReLU's gradient"),
    ({"elu_backward": value_for_slope}, "on the negative side stands y itself"),
    ({"elu_backward": alpha_forgotten}, r"alpha 0\.7: alpha is missing$|alpha is missing\n"),
    ({"elu_backward": slope_alone}, "what arrives, grad_y, is not used"),
    ({"elu_backward": sides_exchanged}, "the two sides are exchanged"),
    ({"he_weight": glorot}, "the fan is the mean of inputs and outputs"),
    ({"he_weight": uniform}, "the distribution is not normal"),
    ({"elu_backward": leaky}, "the slope is alpha alone"),
    ({"elu_backward": y_plus_one}, r"it is y \+ 1, which is the slope for alpha = 1"),
    ({"elu_backward": exponent_turned}, "the exponent has the wrong sign"),
    ({"elu_backward": one_inside}, r"it is alpha·eˣ \+ 1"),
    ({"elu_backward": by_grad_y}, "the sign of grad_y decides"),
    ({"elu_backward": negative_side_negative}, r"alpha 0\.7: the side where x is below 0: the sign is wrong"),
]
