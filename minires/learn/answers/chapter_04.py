"""Chapter 4: a right answer."""

import numpy as np


def slopes(forward, grad_y, x, h=1e-5):
    behind, ahead, y = np.zeros_like(x), np.zeros_like(x), forward(x)
    for index in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[index] = h
        behind[index] = np.sum(grad_y * (y - forward(x - move))) / h
        ahead[index] = np.sum(grad_y * (forward(x + move) - y)) / h
    return behind, ahead


def gradient_is_right(forward, backward, x):
    grad_y = np.random.default_rng(0).standard_normal(forward(x).shape)
    behind, ahead = slopes(forward, grad_y, x)
    size = np.maximum(np.abs(behind), np.abs(ahead))
    kink = np.abs(ahead - behind) > 1e-2 * size + 1e-6
    right = np.isclose(backward(grad_y, x), (behind + ahead) / 2, rtol=1e-6, atol=1e-8)
    return bool(np.all(right | kink))
