"""Learning-rate schedules: the learning rate by how often `step()` was called, once an epoch or once a batch."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from minires.optim.optimizer import Optimizer

__all__ = ["ConstantWarmup", "CosineAnnealingLR", "LinearWarmup", "MultiStepLR", "Schedule"]


class Schedule:
    """Writes `lr` into the optimizer's parameter groups: `lr_at(0, …)` when made, `lr_at(n, …)` after n steps.

    Each group starts from its own learning rate, kept in the group as `initial_lr`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.steps = 0
        self._write()

    def lr_at(self, step: int, initial_lr: float) -> float:
        """Return the learning rate after `step` steps of a group that started with `initial_lr`."""
        raise NotImplementedError(f"{type(self).__name__} has no lr_at")

    def step(self) -> None:
        """Go on by one epoch (or batch): set every group's learning rate."""
        self.steps += 1
        self._write()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        steps = state_dict.get("steps")
        if not isinstance(steps, int) or steps < 0:
            raise ValueError(f'{type(self).__name__}.load_state_dict: "steps" must be a number of steps, got {steps!r}')
        self.steps = steps
        self._write()

    def _write(self) -> None:
        for group in self.optimizer.param_groups:
            initial_lr = group.setdefault("initial_lr", group["lr"])
            group["lr"] = self.lr_at(self.steps, initial_lr)


class MultiStepLR(Schedule):
    """Multiply the learning rate by gamma at each milestone. ValueError for milestones that do not rise."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = list(milestones)
        self.gamma = gamma
        if self.milestones != sorted(set(self.milestones)) or (self.milestones and self.milestones[0] < 1):
            raise ValueError(f"MultiStepLR: milestones must be rising step numbers from 1 on, got {self.milestones}")
        super().__init__(optimizer)

    def lr_at(self, step: int, initial_lr: float) -> float:
        passed = bisect_right(self.milestones, step)
        return initial_lr * self.gamma**passed


class CosineAnnealingLR(Schedule):
    """Half a cosine from the initial learning rate down to eta_min in T_max steps (Loshchilov and Hutter 2017, eq. 5).

    Beyond T_max it rises again, as PyTorch's does. ValueError for T_max below 1.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def lr_at(self, step: int, initial_lr: float) -> float:
        share = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return self.eta_min + (initial_lr - self.eta_min) * share


class LinearWarmup(Schedule):
    """Start low: a factor rises from start_factor to 1 in total_iters steps, alone or on top of another schedule.

        schedule = LinearWarmup(optimizer, total_iters=5, schedule=CosineAnnealingLR(optimizer, T_max=100))

    The two factors are multiplied and the other schedule's steps count from the beginning; call `step()` on the warm-up
    alone. ValueError for a start_factor outside (0, 1] and for total_iters below 1.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int, start_factor: float = 1 / 3, schedule: Schedule | None = None
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"{type(self).__name__}: start_factor must be above 0 and at most 1, got {start_factor}")
        if total_iters < 1:
            raise ValueError(f"{type(self).__name__}: total_iters must be at least 1, got {total_iters}")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError(f"{type(self).__name__}: the schedule it is put on belongs to another optimizer")
        self.total_iters = total_iters
        self.start_factor = start_factor
        self.schedule = schedule
        super().__init__(optimizer)

    def lr_at(self, step: int, initial_lr: float) -> float:
        lr = initial_lr if self.schedule is None else self.schedule.lr_at(step, initial_lr)
        return lr * self.factor(step)

    def factor(self, step: int) -> float:
        return self.start_factor + (1 - self.start_factor) * min(1.0, step / self.total_iters)


class ConstantWarmup(LinearWarmup):
    """Start low: the learning rate times start_factor for total_iters steps, then all of it at once.

    Otherwise as `LinearWarmup`. He et al. (2015), section 4.2, start ResNet-110 at a tenth.
    """

    def factor(self, step: int) -> float:
        return self.start_factor if step < self.total_iters else 1.0
