"""Training: the loop, one step of it, evaluation, and the complete state that a checkpoint holds."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from minires.data import Loader
from minires.engine import Tensor, no_grad
from minires.kernels import Array, kernels_for
from minires.nn import Module
from minires.observe.watching import first_not_finite
from minires.ops import cross_entropy
from minires.optim import Optimizer, Schedule, clip_grad_norm

Record = dict[str, Any]


def nothing() -> None:
    """What is called where the caller wants nothing to happen."""


def advance(bar: Any, amount: int = 1, first: bool = False) -> None:
    """Move a progress bar on. A first step also compiles kernels: it is shown, but left out of the time remaining."""
    if first and bar.n + amount < bar.total:
        bar.n += amount
        bar.initial = bar.last_print_n = bar.n  # tqdm's rate is what came after these, since last_print_t
        bar.last_print_t = time.time()
        bar.refresh()
    else:
        bar.update(amount)


class Trainer:
    """Trains a model, and holds all that changes meanwhile.

        trainer = Trainer(model, Loader(images, labels, 128, seed=0), SGD(model.parameters(), 0.1, momentum=0.9))
        trainer.train(1000, log=print)

    schedule: steps once a batch. evaluation: (name, loader), evaluated each `evaluate_every` steps (an epoch) and at
    the end. label_smoothing: as in `ops.cross_entropy`. max_norm: clip the gradients to this norm, all together.
    accumulation: compute each batch in so many parts and add up their gradients: less memory, and the same step but
    for batch norm, which sees the parts. ema: its averages follow the weights and are what is evaluated.
    ValueError for numbers below 1.
    """

    def __init__(
        self,
        model: Module,
        loader: Loader,
        optimizer: Optimizer,
        schedule: Schedule | None = None,
        *,
        evaluation: tuple[str, Loader] | None = None,
        evaluate_every: int | None = None,
        label_smoothing: float = 0.0,
        max_norm: float = math.inf,
        accumulation: int = 1,
        ema: Any = None,
    ) -> None:
        self.evaluate_every = len(loader) if evaluate_every is None else evaluate_every
        for name, value in (("evaluate_every", self.evaluate_every), ("accumulation", accumulation)):
            if value < 1:
                raise ValueError(f"Trainer: {name} must be at least 1, got {value}")
        self.model, self.loader, self.optimizer, self.schedule = model, loader, optimizer, schedule
        self.evaluation = evaluation
        self.label_smoothing, self.max_norm, self.accumulation = label_smoothing, max_norm, accumulation
        self.ema = ema
        self.parameters = model.parameters()
        self.generators = random_generators(model)
        self.step = 0
        self.evaluated = 0  # the step of the last evaluation
        self.best: Record = {}  # the record of the evaluation with the highest accuracy

    def train(
        self,
        steps: int,
        log: Callable[[Record], None],
        save: Callable[[], None] = nothing,
        save_every: int = 0,
        check: Callable[[], None] = nothing,
    ) -> None:
        """Go on until `steps` steps are done, counted from the very first.

        `log` gets a record of each step: step, epoch, loss, accuracy (both of that batch, before its update), lr,
        grad_norm (before clipping), images_per_second; and one of each evaluation: step, epoch, NAME_loss,
        NAME_accuracy. `save` is called after each evaluation, each `save_every` steps (0: never), and at the end.
        `check` is called before each batch, where it may raise: what is left then is the state after a whole step.
        FloatingPointError, before that batch's update, for a loss or gradient that is no finite number.
        """
        with closing(self.loader.stream(self.step)) as batches, np.errstate(all="ignore"):  # train_step looks itself
            self.evaluate_when_due(steps, log, save, check)  # a training may have been stopped in its evaluation
            while self.step < steps:
                check()
                start = time.perf_counter()
                images, labels = next(batches)
                record = self.train_step(images, labels)
                record["images_per_second"] = len(labels) / (time.perf_counter() - start)
                log(record)
                if self.evaluate_when_due(steps, log, save, check):
                    continue
                if self.step == steps or (save_every and self.step % save_every == 0):
                    save()

    def train_step(self, images: Array, labels: Array) -> Record:
        """Update the parameters by one batch; return the record of it."""
        before = self.random_states()
        lr = self.optimizer.param_groups[0]["lr"]
        loss, accuracy = self.compute_gradients(images, labels)
        grad_norm = clip_grad_norm(self.parameters, self.max_norm)
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            self.set_random_states(before)
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
        epoch = self.step // len(self.loader)
        self.step += 1
        return {
            "step": self.step, "epoch": epoch, "loss": loss, "accuracy": accuracy, "lr": lr, "grad_norm": grad_norm,
        }  # fmt: skip

    def compute_gradients(self, images: Array, labels: Array) -> tuple[float, float]:
        """Forward and backward, part by part: leave the gradient of the batch's mean loss in `.grad`.

        Return that loss, and the accuracy.
        """
        self.model.train()
        self.optimizer.zero_grad()
        N = len(labels)
        size = math.ceil(N / self.accumulation)
        total_loss, total_correct = 0.0, 0
        for start in range(0, N, size):
            part = labels[start : start + size]
            share = len(part) / N
            logits = self.model(Tensor(images[start : start + size]))
            loss = cross_entropy(logits, part, self.label_smoothing)
            loss.backward(kernels_for(loss.data).xp.full_like(loss.data, share))
            total_loss += loss.item() * share
            total_correct += int((logits.data.argmax(axis=1) == part).sum())
        return total_loss, total_correct / N

    def evaluate_when_due(
        self, steps: int, log: Callable[[Record], None], save: Callable[[], None], check: Callable[[], None]
    ) -> bool:
        """Evaluate, log and save, if this step is one to evaluate after and it was not done yet; return whether."""
        due = self.step == steps or self.step % self.evaluate_every == 0
        if self.evaluation is None or not due or self.evaluated == self.step:
            return False
        name, loader = self.evaluation
        if self.ema is not None:
            self.ema.swap()
        try:
            loss, accuracy = evaluate(self.model, loader, check)
        finally:
            if self.ema is not None:
                self.ema.swap()
        epoch = (self.step - 1) // len(self.loader)
        record = {"step": self.step, "epoch": epoch, f"{name}_loss": loss, f"{name}_accuracy": accuracy}
        self.evaluated = self.step
        if not self.best or accuracy > self.best[f"{name}_accuracy"]:
            self.best = record
        log(record)
        save()
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes in a training, as copied arrays and plain values: what `checkpoint.save` takes."""
        optimizer = self.optimizer.state_dict()
        return {
            "step": self.step,
            "evaluated": self.evaluated,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimizer": {
                "param_groups": optimizer["param_groups"],
                "state": {str(number): kept for number, kept in optimizer["state"].items()},
            },
            "schedule": self.schedule.state_dict() if self.schedule is not None else {},
            "ema": self.ema.state_dict() if self.ema is not None else {},
            "generators": self.random_states(),
            "loader": self.loader_position(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, from a trainer made the same way.

        ValueError, and nothing changed, for another model (both shapes are listed), optimizer or data.
        """
        before = self.state_dict()
        try:
            self._load(state)
        except Exception:
            self._load(before)
            raise

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        optimizer = state["optimizer"]
        kept = {int(number): kept for number, kept in optimizer["state"].items()}
        self.optimizer.load_state_dict({"param_groups": optimizer["param_groups"], "state": kept})
        for name, owner in (("schedule", self.schedule), ("ema", self.ema)):
            if (owner is not None) != bool(state[name]):
                saved, own = ("with" if there else "without" for there in (state[name], owner is not None))
                raise ValueError(f"Trainer.load_state_dict: saved {saved} {name}, loaded {own}")
            if owner is not None:
                owner.load_state_dict(state[name])
        self.set_random_states(state["generators"])
        self.step, self.evaluated, self.best = state["step"], state["evaluated"], state["best"]
        if self.loader_position() != state["loader"]:
            raise ValueError(
                f"Trainer.load_state_dict: the place in the data was {state['loader']}, "
                f"with this loader it is {self.loader_position()}"
            )

    def loader_position(self) -> dict[str, int]:
        """Where in the data the next batch is taken from: a loader's order depends on nothing else."""
        epoch, batch = divmod(self.step, len(self.loader))
        images, seed = len(self.loader.images), self.loader.seed
        return {"epoch": epoch, "batch": batch, "batch_size": self.loader.batch_size, "images": images, "seed": seed}

    def random_states(self) -> dict[str, Any]:
        return {name: generator.bit_generator.state for name, generator in self.generators.items()}

    def set_random_states(self, states: dict[str, Any]) -> None:
        if set(states) != set(self.generators):
            raise ValueError(
                f"Trainer.load_state_dict: the saved random generators are {', '.join(states) or 'none'}, "
                f"the model's {', '.join(self.generators) or 'none'}"
            )
        for name, generator in self.generators.items():
            generator.bit_generator.state = states[name]


def predict(model: Module, loader: Loader, check: Callable[[], None] = nothing) -> tuple[Array, Array]:
    """Return the logits (N, classes) and labels (N,) of all images, with batch norm's running statistics.

    `check` is called before each batch and may raise. The model's mode stays as it was.
    """
    was_training = model.training
    model.eval()
    all_logits, all_labels = [], []
    try:
        with no_grad(), closing(loader.epoch(0)) as batches:
            for images, labels in batches:
                check()
                all_logits.append(model(Tensor(images)).data)
                all_labels.append(labels)
    finally:
        model.train(was_training)
    xp = kernels_for(all_logits[0]).xp
    return xp.concatenate(all_logits), xp.concatenate(all_labels)


def evaluate(model: Module, loader: Loader, check: Callable[[], None] = nothing) -> tuple[float, float]:
    """Return the mean loss and the accuracy over all images of a loader, made with shuffle=False; see `predict`."""
    logits, labels = predict(model, loader, check)
    return cross_entropy(Tensor(logits), labels).item(), float((logits.argmax(axis=1) == labels).mean())


def random_generators(model: Module) -> dict[str, np.random.Generator]:
    """Find the generators that layers draw from, such as dropout's, by name."""
    return {
        f"{path}.{name}" if path else name: value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    }
