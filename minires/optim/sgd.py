"""Stochastic gradient descent, with momentum as PyTorch defines it (Sutskever et al. 2013, without the lr inside)."""

from typing import Any

from minires.engine import Tensor
from minires.kernels import kernels_for
from minires.optim.optimizer import Optimizer, Params

__all__ = ["SGD"]


class SGD(Optimizer):
    """Step against the gradient, or against its decaying sum v.

        g = grad + weight_decay · w
        v = momentum · v + g
        w = w - lr · v                      (nesterov: w - lr · (g + momentum · v))

    ValueError for a negative option, and for nesterov without momentum.
    """

    def __init__(
        self, params: Params, lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov})

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        self.check_range(group, "momentum")
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError("SGD: nesterov needs momentum above 0")

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        kernels = kernels_for(params[0].data)
        kernels.sgd_step(
            [param.data for param in params],
            [param.grad for param in params],
            [self.buffer(param, "momentum_buffer") for param in params],
            float(group["lr"]),  # float: a NumPy scalar would turn float32 into float64
            float(group["momentum"]),
            float(group["weight_decay"]),
            bool(group["nesterov"]),
        )
