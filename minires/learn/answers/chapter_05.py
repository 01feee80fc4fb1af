"""Chapter 5: a right answer."""

import numpy as np


def cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N


def nesterov_step(w, grad, v, lr, momentum, weight_decay):
    grad = grad + weight_decay * w
    v = momentum * v + grad
    return w - lr * (momentum * v + grad), v
