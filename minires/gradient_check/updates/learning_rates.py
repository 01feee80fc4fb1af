"""Schedules: the learning rate after every step, by another form of the same definition."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minires import optim
from minires.engine import Tensor
from minires.gradient_check.updates.update import Update


def schedules(seed: int) -> Iterator[Update]:
    cosine, steps = optim.CosineAnnealingLR, optim.MultiStepLR
    made: dict[str, tuple[Callable[[Any], Any], Callable[[int, float], float]]] = {
        "MultiStepLR": (lambda o: steps(o, [3, 5, 9], 0.2), lambda n, lr: lr * 0.2 ** ((n >= 3) + (n >= 5) + (n >= 9))),
        "MultiStepLR, gamma by default": (lambda o: steps(o, [2]), lambda n, lr: lr * (0.1 if n >= 2 else 1)),
        "CosineAnnealingLR": (lambda o: cosine(o, 10), lambda n, lr: lr * math.cos(math.pi * n / 20) ** 2),
        "CosineAnnealingLR, eta_min": (
            lambda o: cosine(o, 7, 0.01),
            lambda n, lr: 0.01 + (lr - 0.01) * math.cos(math.pi * n / 14) ** 2,
        ),
        "LinearWarmup": (lambda o: optim.LinearWarmup(o, 4), lambda n, lr: lr * (1 if n >= 4 else (4 + 2 * n) / 12)),
        "LinearWarmup on a cosine": (
            lambda o: optim.LinearWarmup(o, 5, 0.2, cosine(o, 12)),
            lambda n, lr: lr * min(1.0, 0.2 + 0.16 * n) * math.cos(math.pi * n / 24) ** 2,
        ),
        "ConstantWarmup": (lambda o: optim.ConstantWarmup(o, 3, 0.1), lambda n, lr: lr * (0.1 if n < 3 else 1)),
        "ConstantWarmup on steps": (
            lambda o: optim.ConstantWarmup(o, 3, 0.1, steps(o, [2, 6])),
            lambda n, lr: lr * (0.1 if n < 3 else 1) * 0.1 ** ((n >= 2) + (n >= 6)),
        ),
        "OneCycleLR": (lambda o: optim.OneCycleLR(o, 0.7, 12), partial(one_cycle, 0.7, 12, 0.3, 25.0, 1e4)),
        "OneCycleLR, the groups' own rates": (
            lambda o: optim.OneCycleLR(o, None, 11, 0.4, 10.0, 100.0),
            partial(one_cycle, None, 11, 0.4, 10.0, 100.0),
        ),
        "OneCycleLR, down alone": (
            lambda o: optim.OneCycleLR(o, 0.5, 8, 0.0, 4.0),
            partial(one_cycle, 0.5, 8, 0.0, 4.0, 1e4),
        ),
        "OneCycleLR, down from the first step": (
            lambda o: optim.OneCycleLR(o, 0.5, 10, 0.1, 4.0),
            partial(one_cycle, 0.5, 10, 0.1, 4.0, 1e4),
        ),
        "OneCycleLR, up alone": (
            lambda o: optim.OneCycleLR(o, 0.5, 9, 1.0, 4.0),
            partial(one_cycle, 0.5, 9, 1.0, 4.0, 1e4),
        ),
        "MultiStepLR, after three steps of another": (
            lambda o: after(steps(o, [2], 0.5), 3, lambda: steps(o, [4])),
            lambda n, lr: 0.5 * lr * (0.1 if n >= 4 else 1),
        ),
        "MultiStepLR, after one step of another": (
            lambda o: after(steps(o, [1], 0.5), 1, lambda: steps(o, [4])),
            lambda n, lr: 0.5 * lr * (0.1 if n >= 4 else 1),
        ),
        "MultiStepLR, made anew before another has stepped": (
            lambda o: after(optim.ConstantWarmup(o, 3, 0.1), 0, lambda: steps(o, [4])),
            lambda n, lr: lr * (0.1 if n >= 4 else 1),
        ),
    }
    for name, (make, follow) in made.items():
        yield Update(name, partial(check_schedule, make, follow))


def one_cycle(
    max_lr: float | None, total: int, pct_start: float, div: float, final_div: float, n: int, lr: float
) -> float:
    """torch.optim.lr_scheduler.OneCycleLR's cosines, as squared sines; after the last step it stays."""
    high = lr if max_lr is None else max_lr
    top, last = pct_start * total - 1, total - 1
    if n == top:
        return high
    if n >= last:
        return high / div / final_div
    if n < top:
        return high / div + (high - high / div) * math.sin(math.pi * n / top / 2) ** 2
    return high + (high / div / final_div - high) * math.sin(math.pi * (n - top) / (last - top) / 2) ** 2


def after(first: Any, number: int, then: Callable[[], Any]) -> Any:
    """Take so many steps with a first schedule, and make another."""
    for _ in range(number):
        first.step()
    return then()


def check_schedule(make: Callable[[Any], Any], follow: Callable[[int, float], float]) -> tuple[str, str]:
    one, other = [Tensor(np.zeros(2, np.float32), requires_grad=True) for _ in range(2)]
    groups: list[dict[str, Any]] = [{"params": [one]}, {"params": [other], "lr": 0.3}]
    optimizer = optim.SGD(groups, lr=0.1)
    schedule, worst = make(optimizer), 0.0
    for step in range(14):
        for group, start in zip(optimizer.param_groups, (0.1, 0.3), strict=True):
            right = follow(step, start)
            error = abs(group["lr"] - right) / start
            worst = max(worst, error)
            if not error <= 1e-12:
                return f"after {step} steps the rate that began at {start} is {group['lr']:.9g}, not {right:.9g}", "-"
        schedule.step()
    return "", f"{worst:.1e}"
