"""Cross-entropy of softmax (`cuda/loss.cu`).

A label that is no class makes the loss NaN, and its row of the gradient; nobody waits to look.
"""

import cupy
import numpy as np

from minires.kernels import Array, checks
from minires.kernels.cupy_kernels.launching import contiguous, ints, launch


def cross_entropy_forward(
    logits: Array, labels: Array, label_smoothing: float, ignore_index: int
) -> tuple[Array, Array]:
    """Return the mean loss over the labels not ignored, and the probabilities p = softmax(logits) (N, classes)."""
    checks.check_logits("cross_entropy_forward", logits.shape, labels)
    dtype = logits.dtype
    logits, labels = contiguous(logits, dtype), contiguous(labels, np.dtype(np.int64))
    N, classes = logits.shape
    probabilities, losses, loss = cupy.empty(logits.shape, dtype), cupy.empty(N, dtype), cupy.empty((), dtype)
    smoothing, ignored = float(label_smoothing), np.int64(ignore_index)
    arrays = logits, labels, probabilities, losses
    launch("loss", "cross_entropy_rows", dtype, (N,), *arrays, *ints(classes), smoothing, ignored)
    launch("loss", "cross_entropy_mean", dtype, (1,), losses, labels, loss, *ints(N), ignored)
    return loss, probabilities


def cross_entropy_backward(
    grad_loss: Array, probabilities: Array, labels: Array, label_smoothing: float, ignore_index: int
) -> Array:
    """Return dL/dlogits = (p − q) / labelled images, and 0 for the ignored."""
    checks.check_shape("cross_entropy_backward", "grad_loss", grad_loss, ())
    checks.check_logits("cross_entropy_backward", probabilities.shape, labels)
    dtype = probabilities.dtype
    probabilities = contiguous(probabilities, dtype)
    labels, grad_loss = contiguous(labels, np.dtype(np.int64)), contiguous(grad_loss, dtype)
    grad_logits = cupy.empty(probabilities.shape, dtype)
    arrays = grad_loss, probabilities, labels, grad_logits
    numbers = *ints(*probabilities.shape), float(label_smoothing), np.int64(ignore_index)
    launch("loss", "cross_entropy_backward", dtype, probabilities.shape[:1], *arrays, *numbers)
    return grad_logits
