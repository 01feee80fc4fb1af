"""Initial weights: chapter 9."""

import numpy as np

from .layers import Module

# Chapter 9: weights that neither blow up nor fade
# ------------------------------------------------


def he_weight(shape, rng):
    """Return float32 filters (F, C, K, K) drawn from a normal distribution, for a relu network (He et al. 2015).

    The variance counts the ways back, fan-out: each number of x reaches F·K·K numbers of y.
    """
    F, C, K, _ = shape
    # gap: the standard deviation, and the draw
    std = (2 / (F * K * K)) ** 0.5
    return (std * rng.standard_normal(shape)).astype(np.float32)
    # end of gap


def initialize(model: Module, seed=0):
    """Draw all filters of a model anew."""
    rng = np.random.default_rng(seed)
    for weight in model.parameters():
        if weight.data.ndim == 4:
            weight.data = he_weight(weight.shape, rng)
