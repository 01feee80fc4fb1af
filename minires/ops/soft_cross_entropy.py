"""Cross-entropy of every image against any distribution over the classes, with weights.

losses[n] = −Σ_k t[n,k] · log p[n,k]          p = softmax(logits), t = weights · labels
dL/dlogits[n,k] = dL/dlosses[n] · (p[n,k] · Σ_j t[n,j] − t[n,k])

For hard labels, one weight and their mean there is `CrossEntropy`, which is a kernel. Here are the others: soft labels
(mixup), weights of classes, a loss for each image.
"""

from typing import Any

from minires.engine import Op, Tensor
from minires.kernels import Array, kernels_for


class SoftCrossEntropy(Op):
    def __init__(self, targets: Array) -> None:
        self.targets = targets

    def forward(self, logits: Array) -> Array:
        xp = self.kernels.xp
        shifted = logits - logits.max(axis=1, keepdims=True)
        exp = xp.exp(shifted)
        total = exp.sum(axis=1, keepdims=True)
        self.probabilities = exp / total
        log_probabilities = xp.where(self.targets == 0, 0, shifted - xp.log(total))  # 0 · log 0 is 0
        return -(self.targets * log_probabilities).sum(axis=1)

    def backward(self, grad_losses: Array) -> tuple[Array]:
        mass = self.targets.sum(axis=1, keepdims=True)
        return (grad_losses[:, None] * (self.probabilities * mass - self.targets),)


def targets_of(
    logits: Tensor, labels: Array, label_smoothing: float, ignore_index: int, weight: Array | None
) -> tuple[Array, Any]:
    """Return t of the formula, (N, classes), of checked labels, and what the sum of the losses is divided by.

    The mean is PyTorch's: over the weights of the labels' classes that are not ignored, and over the images where the
    labels are soft.
    """
    xp = kernels_for(logits.data).xp
    N, classes = logits.shape
    if labels.ndim == 2:
        soft = labels.astype(logits.dtype)
        count: Any = N
    else:
        kept = labels != ignore_index
        numbers = xp.where(kept, labels, 0)
        soft = (xp.arange(classes) == numbers[:, None]).astype(logits.dtype)
        count = (kept if weight is None else xp.where(kept, weight[numbers], 0)).sum()
    soft = soft * (1 - label_smoothing) + label_smoothing / classes
    if labels.ndim == 1:
        soft = xp.where(kept[:, None], soft, 0)
    if weight is not None:
        soft = soft * weight
    return soft.astype(logits.dtype, copy=False), count
