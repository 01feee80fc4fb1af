"""Finite differences against backward: the checker of chapter 4."""

import numpy as np

from .tensor import Tensor

# Chapter 4: a checker that a wrong gradient cannot pass
# ------------------------------------------------------


def numeric_gradient(function, x, grad_y, h=1e-5):
    """Return the gradient of Σ grad_y · function(x) with x, by central differences, one element after the other."""
    # gap: move each element of a copy of x by h up and down; divide what grad_y · function changes by 2 h
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for step in (h, -h):
            moved = x.copy()
            moved[index] += step
            ends.append(function(moved))
        grad[index] = np.sum(grad_y * (ends[0] - ends[1])) / (2 * h)
    return grad
    # end of gap


def gradcheck(function, *arrays, seed=0):
    """Return the largest error of backward among the gradients of all arrays (float64), relative to their size.

    function: takes tensors, gives a tensor.
    """
    tensors = [Tensor(array) for array in arrays]
    y = function(*tensors)
    # gap: make grad_y, of y's shape, such that no mistake can hide behind it
    grad_y = np.random.default_rng(seed).standard_normal(y.shape)
    # end of gap
    y.backward(grad_y)
    errors = []
    for i, tensor in enumerate(tensors):

        def of_one(moved, i=i):
            others = [*arrays[:i], moved, *arrays[i + 1 :]]
            return function(*[Tensor(array) for array in others]).data

        numeric = numeric_gradient(of_one, arrays[i], grad_y)
        # gap: append the largest |backward − numeric|, divided by the largest of both; no sign may cancel another
        size = max(np.abs(numeric).max(), np.abs(tensor.grad).max(), 1e-12)
        errors.append(np.abs(tensor.grad - numeric).max() / size)
        # end of gap
    return max(errors)
