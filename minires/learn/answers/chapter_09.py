"""Chapter 9: a right answer."""

import math

import numpy as np


def fan(shape):
    return shape[1] if len(shape) == 2 else shape[0] * math.prod(shape[2:])


def he_weight(shape, generator):
    return generator.normal(0, math.sqrt(2 / fan(shape)), shape)


def elu_backward(grad_y, x, alpha):
    return grad_y * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))).astype(x.dtype)
