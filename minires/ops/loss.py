"""Losses.

cross-entropy  L = −Σₙ Σ_k q[n,k] · log p[n,k] / N     p = softmax(logits), q = the label's one-hot
               dL/dlogits = (p − q) / N
               label smoothing s: q = (1 − s)·one-hot + s/classes (Szegedy et al. 2016, §7)
               N counts the labels that are not ignored; the ignored get no gradient
squared error  L = Σ (prediction − target)² / size     dL/dprediction = 2(prediction − target) / size
"""

from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array
from minires.kernels.devices import device_of
from minires.ops.arithmetic import as_tensor

__all__ = ["cross_entropy", "mse_loss"]


class CrossEntropy(Op):
    def __init__(self, labels: Array, label_smoothing: float, ignore_index: int) -> None:
        self.labels, self.label_smoothing, self.ignore_index = labels, label_smoothing, ignore_index

    def forward(self, logits: Array) -> Array:
        loss, self.probabilities = self.kernels.cross_entropy_forward(
            logits, self.labels, self.label_smoothing, self.ignore_index
        )
        return loss

    def backward(self, grad_loss: Array) -> tuple[Array]:
        options = self.label_smoothing, self.ignore_index
        grad_logits = self.kernels.cross_entropy_backward(grad_loss, self.probabilities, self.labels, *options)
        return (grad_logits,)


class MSELoss(Op):
    def forward(self, prediction: Array, target: Array) -> Array:
        self.difference = prediction - target
        return (self.difference * self.difference).mean()

    def backward(self, grad_loss: Array) -> tuple[Array | None, Array | None]:
        grad_prediction = grad_loss * (2 / self.difference.size) * self.difference
        return grad_prediction, -grad_prediction if self.needs_grad[1] else None


def cross_entropy(logits: Tensor, labels: Array, label_smoothing: float = 0.0, ignore_index: int = -100) -> Tensor:
    """Return the mean cross-entropy of logits (N, classes) and labels, an integer array (N,) of class numbers.

    label_smoothing: from 0 (none) to 1. Labels equal to ignore_index do not count. The labels are copied.
    ValueError for labels out of range, of another number, all ignored or none at all; TypeError for labels that are not
    integers.
    """
    if logits.ndim != 2:
        raise ValueError(f"cross_entropy: logits {logits.shape} must be (N, classes)")
    if isinstance(labels, Tensor) or not hasattr(labels, "dtype") or labels.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy: labels must be an array of integers, got {getattr(labels, 'dtype', type(labels).__name__)}"
        )
    N, classes = logits.shape
    if labels.shape != (N,):
        raise ValueError(f"cross_entropy: labels {labels.shape} must be ({N},), one per row of logits {logits.shape}")
    if N == 0:
        raise ValueError(f"cross_entropy: logits {logits.shape} are of no image, and the loss is a mean over images")
    if device_of(labels) != logits.device:
        raise TypeError(f"cross_entropy: logits are on {logits.device}, labels on {device_of(labels)}; move the labels")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing}")
    labels = labels.copy()  # which nobody changes before backward
    if logits.device == "cpu":  # on a GPU, looking at the labels would make the CPU wait for them
        kept = labels[labels != ignore_index]
        if kept.size == 0:
            raise ValueError(f"cross_entropy: no label to learn from, all {N} are ignore_index {ignore_index}")
        if kept.min() < 0 or kept.max() >= classes:
            raise ValueError(
                f"cross_entropy: labels run from {kept.min()} to {kept.max()}, logits {logits.shape} have classes "
                f"0 to {classes - 1}"
            )
    return CrossEntropy(labels, label_smoothing, ignore_index)(logits)


def mse_loss(prediction: Tensor, target: Any) -> Tensor:
    """Return the mean of (prediction − target)²; both of one shape, of at least one number."""
    target = as_tensor(target, like=prediction)
    if prediction.shape != target.shape:
        raise ValueError(f"mse_loss: prediction {prediction.shape} and target {target.shape} must have one shape")
    if prediction.size == 0:
        raise ValueError(f"mse_loss: prediction {prediction.shape} has no numbers, and the loss is a mean over them")
    return MSELoss()(prediction, target)
