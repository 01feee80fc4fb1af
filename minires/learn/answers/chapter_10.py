"""Chapter 10: a right answer."""

import numpy as np


def widen(w1, w2, copies):
    shared = w2 / np.array(copies, w2.dtype)[:, None]
    return np.repeat(w1, copies, axis=1), np.repeat(shared, copies, axis=0)


def fold_batch_norm(weight, gamma, beta, mean, var, eps):
    scale = gamma / np.sqrt(var + eps)
    return weight * scale[:, None, None, None], beta - mean * scale
