"""Chapter 14: a right answer."""

import numpy as np


def log10_mean(ratios):
    return float(np.mean(np.log10(ratios)))


def scaled_blocks_backward(grad_y, x, weights, scale):
    inputs = [x]
    for weight in weights:
        h = inputs[-1]
        inputs.append(h + scale * (np.maximum(h, 0) @ weight))
    grad = grad_y
    for h, weight in reversed(list(zip(inputs, weights, strict=False))):
        grad = grad + scale * (grad @ weight.T) * (h > 0)
    return grad
