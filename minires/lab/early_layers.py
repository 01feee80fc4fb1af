"""What the early layers of a network say of images: whether they still tell them apart, and with how many numbers."""

import copy
from typing import Any

import numpy as np

from minires.engine import Tensor
from minires.kernels import Array
from minires.lab.gradient_norms import block_outputs
from minires.nn import Module
from minires.ops import cross_entropy


def outputs_of(model: Module, images: Array, labels: Array) -> dict[str, Array]:
    """Return the outputs (N, C, H, W) of the stem and of every block, in training mode and float64, on a copy."""
    model = copy.deepcopy(model).to("float64").train()
    loss = cross_entropy(model(Tensor(images.astype(np.float64))), labels)
    return {name: h.data for name, h in block_outputs(model, loss).items()}


def describe(h: Array) -> dict[str, Any]:
    """Return what the outputs h (N, …) of one layer for N images are like.

    differing   the share of the signal that is not the same for all images: mean (h - h̄)² / mean h², h̄ their mean
    likeness    the mean cosine of two images' outputs
    rank        how many directions the N outputs fill, their mean taken off: (Σ s)² / Σ s², s the squares of the
                singular values; at most N - 1
    positive    the share of numbers above 0, behind a relu the share of units that are on
    fixed       the share of units that are on for all images, or off for all: a relu that is no kink any more
    """
    N = len(h)
    rows = h.reshape(N, -1)
    lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    unit = rows / np.maximum(lengths, np.finfo(rows.dtype).tiny)
    cosines = unit @ unit.T
    centred = rows - rows.mean(axis=0)
    squares = np.linalg.eigvalsh(centred @ centred.T).clip(0)
    signal = (rows**2).mean()
    on = rows > 0
    return {
        "differing": float((centred**2).mean() / signal) if signal > 0 else None,
        "likeness": float((cosines.sum() - np.trace(cosines)) / (N * (N - 1))),
        "rank": float(squares.sum() ** 2 / (squares**2).sum()) if squares.any() else 0.0,
        "positive": float(on.mean()),
        "fixed": float((on.all(axis=0) | ~on.any(axis=0)).mean()),
    }


def flipped(before: Array, after: Array) -> float:
    """Return the share of units, image by image, that are on in one of two outputs and off in the other."""
    return float(((before > 0) != (after > 0)).mean())
