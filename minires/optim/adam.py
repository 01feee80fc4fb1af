"""Adam (Kingma and Ba 2015, algorithm 1) and AdamW (Loshchilov and Hutter 2019, algorithm 2)."""

from typing import Any

from minires.engine import Tensor
from minires.kernels import kernels_for
from minires.optim.optimizer import Optimizer, Params

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Step by the gradient's running mean over the root of its running square, both corrected for starting at zero.

        g = grad + weight_decay · w
        m = beta1 · m + (1 - beta1) · g
        s = beta2 · s + (1 - beta2) · g²
        w = w - lr · m / (1 - beta1^t) / (√(s / (1 - beta2^t)) + eps)

    t counts a parameter's own updates. ValueError for a negative option, and for a beta outside [0, 1).
    """

    decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        self.check_range(group, "eps")
        betas = group["betas"]
        if len(betas) != 2 or not (0 <= betas[0] < 1 and 0 <= betas[1] < 1):
            raise ValueError(f"{self.name}: betas must be two numbers, each at least 0 and below 1, got {betas}")

    def update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        by_count: dict[int, list[Tensor]] = {}  # one entry, unless some parameters had no gradient before
        for param in params:
            count = self.state.get(param, {}).get("step", 0) + 1
            by_count.setdefault(count, []).append(param)
        kernels = kernels_for(params[0].data)
        for count, same in by_count.items():
            kernels.adam_step(
                [param.data for param in same],
                [param.grad for param in same],
                [self.buffer(param, "exp_avg") for param in same],
                [self.buffer(param, "exp_avg_sq") for param in same],
                count,
                float(group["lr"]),  # float: a NumPy scalar would turn float32 into float64
                float(group["betas"][0]),
                float(group["betas"][1]),
                float(group["eps"]),
                float(group["weight_decay"]),
                self.decoupled,
            )
            for param in same:
                self.state[param]["step"] = count


class AdamW(Adam):
    """Adam with the weight decay kept out of the running averages: w = w - lr · weight_decay · w, then the step."""

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
