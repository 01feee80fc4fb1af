"""Chapter 10: a right answer."""

import numpy as np


def identity_filter(channels, kernel_size):
    weight = np.zeros((channels, channels, kernel_size, kernel_size))
    weight[range(channels), range(channels), kernel_size // 2, kernel_size // 2] = 1
    return weight


def plain_backward(grad_h, x, weights):
    hs = [x]
    for weight in weights:
        hs.append(np.maximum(hs[-1] @ weight, 0))
    grads = [grad_h]
    for weight, h in zip(weights[::-1], hs[:0:-1], strict=True):
        grads.append((grads[-1] * (h > 0)) @ weight.T)
    return grads[::-1]
