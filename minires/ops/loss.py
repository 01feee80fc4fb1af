"""Losses.

cross-entropy  L = −Σₙ Σ_k q[n,k] · log p[n,k] / N     p = softmax(logits), q = the label's one-hot
               dL/dlogits = (p − q) / N
               label smoothing s: q = (1 − s)·one-hot + s/classes (Szegedy et al. 2016, §7)
               N counts the labels that are not ignored; the ignored get no gradient
               soft labels, weights of classes, a loss for each image: see `soft_cross_entropy`
squared error  L = Σ (prediction − target)² / size     dL/dprediction = 2(prediction − target) / size
"""

from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for
from minires.kernels.devices import device_of
from minires.ops.arithmetic import as_tensor, divide
from minires.ops.reduction import Sum
from minires.ops.shape import number, whole
from minires.ops.soft_cross_entropy import SoftCrossEntropy, targets_of

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


def cross_entropy(
    logits: Tensor,
    labels: Array,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    weight: Array | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross-entropy of logits (N, classes) and labels: class numbers, an integer array (N,), or soft ones, a
    float array (N, classes) whose rows sum to 1.

    label_smoothing: from 0 (none) to 1. Labels equal to ignore_index do not count. The labels are copied.
    weight: an array (classes,) of how much a class counts. reduction: "mean", over those that count, by their weights;
    "sum"; or "none", a loss for each image, 0 where it is ignored. All as PyTorch has them.
    ValueError for labels out of range, of another shape or all ignored, for no labels to take a mean of, and for other
    reductions and weights; TypeError for labels that are neither integers nor soft, and options that are no numbers.
    """
    if logits.ndim != 2:
        raise ValueError(f"cross_entropy: logits {logits.shape} must be (N, classes)")
    ignore_index = whole("cross_entropy", "ignore_index", ignore_index)
    if not 0 <= number("cross_entropy", "label_smoothing", label_smoothing) <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'cross_entropy: reduction must be "mean", "sum" or "none", got {reduction!r}')
    check_labels(logits, labels, ignore_index, reduction)
    labels = labels.copy()  # which nobody changes before backward
    if weight is not None:
        weight = checked_weight(logits, weight)
    if weight is None and reduction == "mean" and labels.ndim == 1:
        return CrossEntropy(labels, label_smoothing, ignore_index)(logits)
    targets, count = targets_of(logits, labels, label_smoothing, ignore_index, weight)
    if reduction == "mean" and logits.device == "cpu" and count == 0:
        raise ValueError("cross_entropy: no label to learn from, the weight of each one's class is 0")
    losses = SoftCrossEntropy(targets)(logits)
    if reduction == "none":
        return losses
    total = Sum((0,), False)(losses)
    return total if reduction == "sum" else divide(total, count)


def check_labels(logits: Tensor, labels: Array, ignore_index: int, reduction: str) -> None:
    """Refuse labels that do not fit the logits."""
    N, classes = logits.shape
    kind = "" if isinstance(labels, Tensor) or not hasattr(labels, "dtype") else labels.dtype.kind
    soft = kind == "f" and labels.shape == (N, classes)
    if kind not in ("i", "u") and not soft:
        given = getattr(labels, "dtype", type(labels).__name__)
        raise TypeError(
            f"cross_entropy: labels must be an array of integers, got {given} {getattr(labels, 'shape', '')}; soft "
            f"labels are floats of shape {logits.shape}"
        )
    if device_of(labels) != logits.device:
        raise TypeError(f"cross_entropy: logits are on {logits.device}, labels on {device_of(labels)}; move the labels")
    if not soft and labels.shape != (N,):
        cure = ": labels[:, 0]" if labels.shape == (N, 1) else ""
        raise ValueError(
            f"cross_entropy: labels {labels.shape} must be ({N},), one per row of logits {logits.shape}{cure}"
        )
    if N == 0 and reduction == "mean":
        raise ValueError(f"cross_entropy: logits {logits.shape} are of no image, and the loss is a mean over images")
    if logits.device != "cpu":  # on a GPU, looking at the labels would make the CPU wait for them
        return
    if soft:
        sums = labels.sum(axis=1)
        if not bool((labels >= 0).all()) or not bool((abs(sums - 1) < 1e-3).all()):
            raise ValueError(
                "cross_entropy: soft labels must be at least 0 and sum to 1 in each row, got rows that sum to "
                f"{sums.min()} to {sums.max()}"
            )
        return
    kept = labels[labels != ignore_index]
    if kept.size == 0 and reduction == "mean":
        raise ValueError(f"cross_entropy: no label to learn from, all {N} are ignore_index {ignore_index}")
    if kept.size and (kept.min() < 0 or kept.max() >= classes):
        raise ValueError(
            f"cross_entropy: labels run from {kept.min()} to {kept.max()}, logits {logits.shape} have classes "
            f"0 to {classes - 1}"
        )


def checked_weight(logits: Tensor, weight: Any) -> Array:
    """Return the weights of the classes in the logits' dtype and on their device."""
    xp = kernels_for(logits.data).xp
    weight = xp.asarray(weight.data if isinstance(weight, Tensor) else weight, logits.dtype)
    if weight.shape != logits.shape[1:]:
        raise ValueError(
            f"cross_entropy: weight {weight.shape} must be {logits.shape[1:]}, one per class of logits {logits.shape}"
        )
    if logits.device == "cpu" and not bool(((weight >= 0) & (weight < float("inf"))).all()):
        raise ValueError(f"cross_entropy: weight must be at least 0 and finite, got {weight.tolist()}")
    return weight


def mse_loss(prediction: Tensor, target: Any) -> Tensor:
    """Return the mean of (prediction − target)²; both of one shape, of at least one number."""
    target = as_tensor(target, like=prediction)
    if prediction.shape != target.shape:
        raise ValueError(f"mse_loss: prediction {prediction.shape} and target {target.shape} must have one shape")
    if prediction.size == 0:
        raise ValueError(f"mse_loss: prediction {prediction.shape} has no numbers, and the loss is a mean over them")
    return MSELoss()(prediction, target)


def mass_of(labels: Array, weight: Array | None) -> float:
    """What the mean loss of labels is divided by, none of them being ignored: their number, or the sum of their
    classes' weights. Soft labels count as one each."""
    if weight is None or labels.ndim == 2:
        return len(labels)
    return float(weight[labels].sum())
