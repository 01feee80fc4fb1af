"""Batch norm layers: the op, and the running statistics it needs when there is no batch to speak of."""

from typing import Self

import numpy as np

from minires import ops
from minires.engine import Tensor
from minires.kernels import Array, kernels_for
from minires.kernels.devices import described, device_of, read_only
from minires.nn.module import Module, Parameter, check_sizes
from minires.ops.shape import number

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class BatchNorm2d(Module):
    """y = weight · (x - mean) / √(var + eps) + bias, per channel, for x (N, C, H, W). Ioffe, Szegedy, 2015.

    In training mean and var are the batch's, over N, H and W, and differentiated; the running statistics follow them,
    running ← (1 - momentum) · running + momentum · batch, the variance unbiased: n/(n-1) times the batch's. In
    evaluation the running statistics are used, as constants. ValueError in training for one value per channel, whose
    variance says nothing.
    A frozen layer does in training what it does in evaluation: see `freeze`.
    """

    buffer_names = ("running_mean", "running_var")
    frozen = False
    ndim = 4
    expected = "(N, C, H, W)"

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        check_sizes(type(self).__name__, num_features=num_features)
        name = type(self).__name__
        self.eps, self.momentum = number(name, "eps", eps), number(name, "momentum", momentum)
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.running_mean = np.zeros(num_features, np.float32)
        self.running_var = np.ones(num_features, np.float32)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        if self.frozen or not self.training:
            y, _, _ = ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.eps)
            return y
        y, mean, var = ops.batch_norm(x, self.weight, self.bias, eps=self.eps)
        self.track(x.size // self.weight.size, mean, var)
        return y

    def check(self, x: Tensor) -> None:
        """ValueError where x does not fit the layer."""
        C = self.weight.size
        if x.ndim != self.ndim or x.shape[1] != C:
            raise ValueError(f"{type(self).__name__}: expected x {self.expected} with C = {C}, got {x.shape}")
        self.check_statistics(x.data)

    def check_statistics(self, like: Array) -> None:
        """ValueError where a running statistic, which anyone may replace, is not (C,) in the dtype of x, on its device.

        In training it must be an array that can be written to.
        """
        C = self.weight.size
        for name in self.buffer_names:
            found = getattr(self, name)
            fits = type(found) is type(like) and found.shape == (C,) and found.dtype == like.dtype
            if not fits or device_of(found) != device_of(like) or (self.training and read_only(found)):
                raise ValueError(
                    f"{type(self).__name__}: {name} is {described(found)}{', read-only' * read_only(found)}, where the "
                    f"layer needs ({C},) {like.dtype} on {device_of(like)}; replace it with such an array, or make a "
                    "new layer"
                )

    def track(self, M: int, mean: Array, var: Array) -> None:
        """Let the running statistics follow those of a batch, of M numbers per channel."""
        self.check_statistics(mean)  # a block of fused layers comes here without `check`
        kernels = kernels_for(mean)
        kernels.batch_norm_track(self.running_mean, self.running_var, mean, var, M, self.momentum)

    def freeze(self, frozen: bool = True) -> Self:
        """Use the running statistics, and leave them as they are, also in training: `train()` does not thaw the layer.

        Gradients still pass through it, and weight and bias still get theirs. For fine-tuning on few images, whose
        batches say little about mean and variance. Returns the layer.
        """
        self.frozen = frozen
        return self


class BatchNorm1d(BatchNorm2d):
    """Batch norm for x (N, C): the statistics of each column, over N. Otherwise as `BatchNorm2d`."""

    ndim = 2
    expected = "(N, C)"
