"""Cross-entropy of softmax: the loss with its probabilities, and the gradient.

    logits[n]  z₀ z₁ z₂ …   →   largest  →  Σ exp(z − largest)  →  p₀ p₁ p₂ …  and  −Σ q · log p

q is the label's one-hot, smoothed. Why it is fast: one row at a time, in the nearest cache, no intermediate arrays.
Rows are few and short, so one thread does them.
"""

import math

import numpy as np

from minires.kernels import Array, checks, numpy_kernels
from minires.kernels.numba_kernels.layout import contiguous
from minires.kernels.numba_kernels.machine.compilation import COMPILED, kernel


@kernel("void(real[::1], real[::1], int64[::1], real[::1], float64, int64)", threads_from=None)
def losses_of(logits, probabilities, labels, loss, label_smoothing, ignore_index):
    """Write the probabilities of all rows, and the mean loss of those that are not ignored."""
    classes = logits.size // labels.size
    total = 0.0
    kept = 0
    for n in range(labels.size):
        z = logits[n * classes : (n + 1) * classes]
        p = probabilities[n * classes : (n + 1) * classes]
        largest = z[0]
        for k in range(classes):
            largest = largest if z[k] <= largest else z[k]  # NaN wins
        exp_sum = 0.0
        shifted_sum = 0.0
        for k in range(classes):
            p[k] = math.exp(z[k] - largest)
            exp_sum += p[k]
            shifted_sum += z[k] - largest
        for k in range(classes):
            p[k] /= exp_sum
        if labels[n] != ignore_index:
            log_sum = math.log(exp_sum)
            kept += 1
            if label_smoothing < 1:  # 0 · log 0 is 0
                total -= (1 - label_smoothing) * (z[labels[n]] - largest - log_sum)
            if label_smoothing > 0:
                total -= label_smoothing / classes * (shifted_sum - classes * log_sum)
    loss[0] = total / kept


@kernel("void(real[::1], real[::1], int64[::1], float64, float64, int64)", threads_from=None)
def gradient_of_logits(probabilities, grad_logits, labels, grad_loss, label_smoothing, ignore_index):
    """Write dL/dlogits = grad_loss · (p − q) / labels kept, and 0 for the ignored."""
    classes = probabilities.size // labels.size
    kept = 0
    for n in range(labels.size):
        kept += labels[n] != ignore_index
    for n in range(labels.size):
        p = probabilities[n * classes : (n + 1) * classes]
        g = grad_logits[n * classes : (n + 1) * classes]
        if labels[n] == ignore_index:
            g[:] = 0
        else:
            scale = grad_loss / kept
            for k in range(classes):
                g[k] = (p[k] - label_smoothing / classes) * scale
            g[labels[n]] = (p[labels[n]] - label_smoothing / classes - (1 - label_smoothing)) * scale


def cross_entropy_forward(
    logits: Array, labels: Array, label_smoothing: float, ignore_index: int
) -> tuple[Array, Array]:
    """Return the mean loss over the labels not ignored, and the probabilities p = softmax(logits) (N, classes)."""
    if logits.dtype.char not in COMPILED:
        return numpy_kernels.cross_entropy_forward(logits, labels, label_smoothing, ignore_index)
    numbers = checks.checked_labels("cross_entropy_forward", logits.shape, labels, ignore_index)
    probabilities, loss = np.empty(logits.shape, logits.dtype), np.empty(1, logits.dtype)
    losses_of(contiguous(logits), probabilities.reshape(-1), numbers, loss, label_smoothing, ignore_index)
    return loss[0], probabilities


def cross_entropy_backward(
    grad_loss: Array, probabilities: Array, labels: Array, label_smoothing: float, ignore_index: int
) -> Array:
    """Return dL/dlogits = (p − q) / labelled images, and 0 for the ignored."""
    checks.check_shape("cross_entropy_backward", "grad_loss", grad_loss, ())
    if probabilities.dtype.char not in COMPILED:
        return numpy_kernels.cross_entropy_backward(grad_loss, probabilities, labels, label_smoothing, ignore_index)
    numbers = checks.checked_labels("cross_entropy_backward", probabilities.shape, labels, ignore_index)
    grad_logits = np.empty(probabilities.shape, probabilities.dtype)
    options = float(grad_loss), label_smoothing, ignore_index
    gradient_of_logits(contiguous(probabilities), grad_logits.reshape(-1), numbers, *options)
    return grad_logits
