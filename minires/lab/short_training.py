"""A short training that is looked at on its way: the loss of every step, and the gradients at chosen moments.

SGD with momentum 0.9 and weight decay 1e-4; the learning rate falls on a cosine over all steps.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

from minires import training
from minires.data import Loader
from minires.engine import Tensor, no_grad
from minires.kernels import Array
from minires.lab.gradient_norms import Find, measure
from minires.nn import Module
from minires.optim import SGD, CosineAnnealingLR, LinearWarmup, Schedule

Batch = tuple[Array, Array]
Record = dict[str, Any]

MOMENTS = (0, 1, 2, 5, 10, 20, 40, 80)  # steps done when the gradients are measured


def train(
    model: Module,
    batches: Loader,
    steps: int,
    lr: float,
    moments: Sequence[int] = (),
    batch: Batch | None = None,
    begin: int = 0,
    end: int | None = None,
    warmup: int = 0,
    max_norm: float = math.inf,
    log: Callable[[int], None] = lambda step: None,
    find: Find | None = None,
) -> Record:
    """Train a model, in place, from step `begin` of `steps` steps up to step `end`; return what was seen.

    moments: after how many steps the gradients of `batch` are measured, on a copy. warmup: over so many steps the
    learning rate rises from almost nothing. max_norm: all gradients together are clipped to it. log: is called after
    each step and its measurement. find: as for `measure`. The record: losses, of every step; moments, {"step", and what
    `measure` returns} of each; diverged_at, the step whose loss was no finite number, or None.
    """
    optimizer = SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)
    schedule: Schedule = CosineAnnealingLR(optimizer, steps)
    if warmup:
        schedule = LinearWarmup(optimizer, warmup, 1 / warmup, schedule)
    schedule.load_state_dict({"steps": begin})
    trainer = training.Trainer(model, batches, optimizer, schedule, max_norm=max_norm)
    trainer.step = begin
    record: Record = {"losses": [], "moments": [], "diverged_at": None}

    def after_step(entry: dict[str, Any]) -> None:
        record["losses"].append(entry["loss"])
        if batch is not None and entry["step"] in moments:
            record["moments"].append({"step": entry["step"], **measure(model, *batch, find)})
        log(entry["step"])

    try:
        trainer.train(steps if end is None else end, after_step)
    except FloatingPointError:
        record["diverged_at"] = begin + len(record["losses"]) + 1
    return record


def copied(model: Module) -> Module:
    """Return a copy that has no gradients yet."""
    copy_ = copy.deepcopy(model)
    copy_.zero_grad()
    return copy_


def accuracies(model: Module, test: Loader) -> tuple[float, float]:
    """Return the test accuracy with the norms' running statistics, and with those of each batch.

    They differ where the running means lag behind the weights, as after a short training.
    """
    _, running = training.evaluate(model, test)
    return running, accuracy_in_training_mode(copy.deepcopy(model), test)


def accuracy_in_training_mode(model: Module, test: Loader) -> float:
    """Return the accuracy where every batch norm takes the batch's own statistics; the model's running ones change."""
    model.train()
    correct = total = 0
    with no_grad():
        for images, labels in test.epoch(0):
            correct += int((model(Tensor(images)).data.argmax(axis=1) == labels).sum())
            total += len(labels)
    return correct / total
