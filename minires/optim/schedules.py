"""Learning-rate schedules: the learning rate by how often `step()` was called, once an epoch or once a batch."""

import math
import operator
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from minires.optim.optimizer import Optimizer

__all__ = ["ConstantWarmup", "CosineAnnealingLR", "LinearWarmup", "MultiStepLR", "OneCycleLR", "Schedule"]


class Schedule:
    """Writes `lr` into the optimizer's parameter groups: `lr_at(0, …)` when made, `lr_at(n, …)` after n steps.

    Each group starts from its own learning rate, kept in the group as `initial_lr`, which an optimizer's state has, so
    that a training can go on. A second schedule for an optimizer starts from where the first has led it; one that is
    made anew before the first has stepped, from where that one started.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.steps = 0
        if optimizer.scheduled_steps > 0:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
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
        self.optimizer.scheduled_steps = self.steps
        for group in self.optimizer.param_groups:
            initial_lr = group.setdefault("initial_lr", group["lr"])
            group["lr"] = self.lr_at(self.steps, initial_lr)


def whole_steps(schedule: Schedule, name: str, value: Any) -> int:
    """Return a number of steps as an int; TypeError for what is none, before anything is changed."""
    try:
        return operator.index(value)
    except TypeError:
        given = f"{type(schedule).__name__}: {name}"
        raise TypeError(f"{given} must be whole numbers of steps, got {value!r}") from None


class MultiStepLR(Schedule):
    """Multiply the learning rate by gamma at each milestone. ValueError for milestones that do not rise."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = [whole_steps(self, "milestones", milestone) for milestone in milestones]
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
        self.T_max = whole_steps(self, "T_max", T_max)
        if self.T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1, got {T_max}")
        self.eta_min = eta_min
        super().__init__(optimizer)

    def lr_at(self, step: int, initial_lr: float) -> float:
        share = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return self.eta_min + (initial_lr - self.eta_min) * share


class OneCycleLR(Schedule):
    """Up, then down: half a cosine from max_lr / div_factor to max_lr in the first pct_start of total_steps, and half a
    cosine from there to max_lr / div_factor / final_div_factor at the end, where it stays.

    max_lr: None is each group's own learning rate. Smith and Topin, "Super-convergence", 2018; the shape and its
    numbers are PyTorch's, whose momentum goes down and up; here it stays.
    ValueError for total_steps below 2, a pct_start outside 0 to 1, factors below 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | None = None,
        total_steps: int = 0,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.total_steps = whole_steps(self, "total_steps", total_steps)
        if self.total_steps < 2:
            raise ValueError(f"OneCycleLR: total_steps must be at least 2, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be from 0 to 1, got {pct_start}")
        if not (div_factor >= 1 and final_div_factor >= 1):
            raise ValueError(f"OneCycleLR: the factors must be at least 1, got {div_factor} and {final_div_factor}")
        self.max_lr, self.pct_start = max_lr, pct_start
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        super().__init__(optimizer)

    def lr_at(self, step: int, initial_lr: float) -> float:
        high = initial_lr if self.max_lr is None else self.max_lr
        low = high / self.div_factor
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if step <= top:
            return half_cosine(low, high, step / top if top else 1.0)
        share = min(1.0, (step - top) / (last - top)) if last > top else 1.0
        return half_cosine(high, low / self.final_div_factor, share)


def half_cosine(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine, of which a share from 0 to 1 is over."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


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
        if whole_steps(self, "total_iters", total_iters) < 1:
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
