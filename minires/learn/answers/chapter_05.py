"""Chapter 5: a right answer."""

import numpy as np


def linear_backward(grad_y, x, weight):
    return grad_y @ weight, grad_y.T @ x, grad_y.sum(axis=0)


def cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing):
    N, K = probabilities.shape
    q = np.full_like(probabilities, label_smoothing / K)
    q[np.arange(N), labels] += 1 - label_smoothing
    return grad_loss * (probabilities - q) / N
