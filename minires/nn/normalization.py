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

    affine=False: weight and bias are None, and count as 1 and 0. momentum=None: the running statistics are the mean of
    those of all batches so far, momentum = 1/n for the n-th; n is kept with them, as `num_batches_tracked`.
    track_running_stats=False: they are None, and evaluation takes the batch's statistics as training does.
    """

    buffer_names: tuple[str, ...] = ("running_mean", "running_var")
    frozen = False
    ndim = 4
    expected = "(N, C, H, W)"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        check_sizes(type(self).__name__, num_features=num_features)
        name = type(self).__name__
        self.num_features = int(num_features)
        self.eps = number(name, "eps", eps)
        self.momentum = None if momentum is None else number(name, "momentum", momentum)
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.running_mean = np.zeros(num_features, np.float32) if track_running_stats else None
        self.running_var = np.ones(num_features, np.float32) if track_running_stats else None
        if not track_running_stats:
            self.buffer_names = ()
        elif momentum is None:
            self.count_batches()

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        weight, bias = self.scale_and_shift(x)
        if (self.frozen or not self.training) and self.running_mean is not None:
            y, _, _ = ops.batch_norm(x, weight, bias, self.running_mean, self.running_var, self.eps)
            return y
        y, mean, var = ops.batch_norm(x, weight, bias, eps=self.eps)
        self.track(x.size // self.num_features, mean, var)
        return y

    def scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight and bias; constants 1 and 0 where there are none."""
        if self.weight is not None and self.bias is not None:
            return self.weight, self.bias
        xp = kernels_for(x.data).xp
        return Tensor(xp.ones(self.num_features, x.dtype)), Tensor(xp.zeros(self.num_features, x.dtype))

    def check(self, x: Tensor) -> None:
        """ValueError where x does not fit the layer."""
        C = self.num_features
        if x.ndim != self.ndim or x.shape[1] != C:
            raise ValueError(f"{type(self).__name__}: expected x {self.expected} with C = {C}, got {x.shape}")
        self.check_statistics(x.data)

    def check_statistics(self, like: Array) -> None:
        """ValueError where a running statistic, which anyone may replace, is not (C,) in the dtype of x, on its device.

        In training it must be an array that can be written to.
        """
        C = self.num_features
        for name in self.buffer_names[:2]:
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
        if self.running_mean is None:
            return
        momentum = self.momentum
        if momentum is None:
            if "num_batches_tracked" not in self.buffer_names:  # someone took the momentum away
                self.count_batches()
            self.num_batches_tracked[...] = self.num_batches_tracked + 1
            momentum = 1 / float(self.num_batches_tracked)
        kernels = kernels_for(mean)
        kernels.batch_norm_track(self.running_mean, self.running_var, mean, var, M, momentum)

    def count_batches(self) -> None:
        """Begin to count batches, in a buffer: a float, since `to` converts buffers and an EMA averages them."""
        self.buffer_names = ("running_mean", "running_var", "num_batches_tracked")
        self.num_batches_tracked = np.zeros((), np.float32)

    def freeze(self, frozen: bool = True) -> Self:
        """Use the running statistics, and leave them as they are, also in training: `train()` does not thaw the layer.

        Gradients still pass through it, and weight and bias still get theirs. For fine-tuning on few images, whose
        batches say little about mean and variance. Returns the layer.
        """
        self.frozen = frozen
        return self


class BatchNorm1d(BatchNorm2d):
    """Batch norm for x (N, C), over N, or sequences (N, C, L), over N and L. Otherwise as `BatchNorm2d`."""

    ndim = 2
    expected = "(N, C) or (N, C, L)"

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[1] != self.num_features:
            return super().forward(x)
        N, C, L = x.shape
        rows = ops.reshape(ops.transpose(x, 0, 2, 1), N * L, C)
        y = super().forward(rows)
        return ops.transpose(ops.reshape(y, N, L, C), 0, 2, 1)
