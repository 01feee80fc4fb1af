"""The training loop, on one page.

    each batch:      forward, loss, backward  →  clip  →  optimizer, schedule, average  →  a record
    every so often:  evaluation  →  a record

Nothing here knows of files: `minires.runs` keeps a training in a folder, stops it after any step, and goes on with it.
"""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

import numpy as np

from minires import models
from minires.data import Loader
from minires.data.loader import parts_of
from minires.engine import Tensor, no_grad
from minires.kernels import Array, kernels_for
from minires.nn import Module
from minires.observe.watching import first_not_finite
from minires.ops import cross_entropy
from minires.ops.loss import mass_of
from minires.optim import Optimizer, Schedule, clip_grad_norm


class Average(Protocol):
    """A model whose weights follow the trained one's, such as `minires.runs.ema.EMA`."""

    model: Module

    def update(self) -> None: ...


@dataclass(eq=False, repr=False)
class Trainer:
    """Trains a model on the batches of a loader. ValueError for numbers below 1.

        trainer = Trainer(model, Loader(images, labels, 128, seed=0), SGD(model.parameters(), 0.1, momentum=0.9))
        trainer.train(1000, log=print)
    """

    model: Module
    loader: Loader
    optimizer: Optimizer
    schedule: Schedule | None = None  #: steps once a batch
    _: KW_ONLY
    evaluation: tuple[str, Loader] | None = None  #: a name, such as "test", and images to evaluate with
    evaluate_every: int | None = None  #: steps, and at the end; None: an epoch
    label_smoothing: float = 0.0
    class_weights: Array | None = None  #: how much each class counts in the loss
    max_norm: float = math.inf  #: the gradients are clipped to this norm, all together
    accumulation: int = 1  #: parts that a batch is computed in: less memory, and the same step but for batch norm
    ema: Average | None = None  #: is evaluated in the model's place
    step: int = field(default=0, init=False)  #: how many are done
    evaluated: int = field(default=0, init=False)  #: the step of the last evaluation

    def __post_init__(self) -> None:
        for name, value in (("evaluate_every", self.evaluate_every), ("accumulation", self.accumulation)):
            if value is not None and value < 1:
                raise ValueError(f"Trainer: {name} must be at least 1, got {value}")

    def train(self, steps: int, log: Callable[[dict[str, Any]], None]) -> None:
        """Go on until `steps` steps are done, counted from the very first; `log` each step's and evaluation's record.

        FloatingPointError, before that batch's update, for a loss or gradient that is no finite number.
        """
        with closing(self.loader.stream(self.step)) as batches, np.errstate(all="ignore"):  # train_step looks itself
            while True:
                if self.evaluation and self.evaluation_is_due(steps):  # first of all, if the training was stopped in it
                    log(self.evaluation_step(*self.evaluation))
                if self.step >= steps:
                    break
                start = time.perf_counter()
                images, labels = next(batches)
                record = self.train_step(images, labels)
                seconds = time.perf_counter() - start
                record["images_per_second"] = len(labels) / seconds if seconds > 0 else None  # a clock may stand still
                log(record)

    def train_step(self, images: Array, labels: Array) -> dict[str, Any]:
        """Update the parameters by one batch; return the record of it."""
        epoch, lr = self.step // len(self.loader), self.optimizer.param_groups[0]["lr"]
        random_states = self.model.random_states()
        loss, accuracy = self.compute_gradients(images, labels)
        grad_norm = clip_grad_norm(self.model.parameters(), self.max_norm)
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            self.model.set_random_states(random_states)  # so that dropout does the same once more
            culprit = first_not_finite(self.model, lambda: self.compute_gradients(images, labels))
            remedy = "look for it in the data" if culprit.origin == "input" else "try a smaller learning rate"
            raise FloatingPointError(
                f"the training has diverged in step {self.step + 1}: the loss is {loss:.3g}, the norm of its gradient "
                f"{grad_norm:.3g}, since {culprit}; {remedy}"
            )
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.ema is not None:
            self.ema.update()
        self.step += 1
        return {"step": self.step, "epoch": epoch, "loss": loss, "accuracy": accuracy, "lr": lr, "grad_norm": grad_norm}

    def compute_gradients(self, images: Array, labels: Array) -> tuple[float, float]:
        """Leave the gradient of the batch's mean loss in `.grad`; return that loss and the accuracy."""
        self.model.train()
        self.optimizer.zero_grad()
        N = len(labels)
        mean_loss, correct = 0.0, 0
        for start, end in parts_of(N, self.accumulation):
            part = labels[start:end]
            logits = self.model(Tensor(images[start:end]))
            loss = cross_entropy(logits, part, self.label_smoothing, weight=self.class_weights)
            loss = loss * (mass_of(part, self.class_weights) / mass_of(labels, self.class_weights))
            loss.backward()
            mean_loss += loss.item()
            true = part if part.ndim == 1 else part.argmax(axis=1)
            correct += int((logits.data.argmax(axis=1) == true).sum())
        return mean_loss, correct / N

    def evaluation_is_due(self, steps: int) -> bool:
        """Whether this step is one to evaluate after, and that was not done yet."""
        due = self.step == steps or self.step % (self.evaluate_every or len(self.loader)) == 0
        return due and self.evaluated != self.step

    def evaluation_step(self, name: str, loader: Loader) -> dict[str, Any]:
        """Evaluate the model, or its average; return the record of it."""
        loss, accuracy = evaluate(self.model if self.ema is None else self.ema.model, loader)
        self.evaluated = self.step
        epoch = (self.step - 1) // len(self.loader)
        return {"step": self.step, "epoch": epoch, f"{name}_loss": loss, f"{name}_accuracy": accuracy}


def predict(model: Module, loader: Loader) -> tuple[Array, Array]:
    """Return the logits (N, classes) and labels (N,) of all images, in evaluation mode; the mode stays as it was.

    The networks of `minires.models` are folded first, once for all images: the same logits to rounding, sooner.
    """
    was_training = model.training
    model.eval()
    all_logits, all_labels = [], []
    try:
        network = models.folded(model) if models.is_foldable(model) else model
        with no_grad(), closing(loader.epoch(0)) as batches:
            for images, labels in batches:
                all_logits.append(network(Tensor(images)).data)
                all_labels.append(labels)
    finally:
        model.train(was_training)
    xp = kernels_for(all_logits[0]).xp
    return xp.concatenate(all_logits), xp.concatenate(all_labels)


def evaluate(model: Module, loader: Loader) -> tuple[float, float]:
    """Return the mean loss and the accuracy over all images of a loader, made with shuffle=False; see `predict`."""
    logits, labels = predict(model, loader)
    return cross_entropy(Tensor(logits), labels).item(), float((logits.argmax(axis=1) == labels).mean())
