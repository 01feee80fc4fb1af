"""What several experiments share: their images, and trainings of a few seconds."""

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np

from minires import training
from minires.data import Loader
from minires.data.loader import normalize
from minires.engine import Tensor, no_grad
from minires.kernels import Array
from minires.lab import short_training
from minires.lab.experiment import Settings
from minires.lab.networks import Images
from minires.lab.progress import Progress
from minires.models import cifar_resnet
from minires.nn import Module

DATA = ("digits", "cifar10")
TESTED = 2000  # test images, at most, that the accuracy of a small network is measured with


def first_batch(images: Images, batch_size: int, seed: int, dtype: str = "float64") -> tuple[Array, Array]:
    """Return the batch that a training with this seed begins with."""
    pixels, labels = next(images.batches(batch_size, seed).epoch(0))
    return pixels.astype(dtype), labels


def some(images: Images, part: str, count: int = TESTED) -> tuple[Array, Array]:
    """Return the first so many images of a part, "train" or "test", normalized, and their labels."""
    pixels, labels = getattr(images, part)
    if images.normalization:
        pixels = normalize(pixels[:count], **images.normalization)
    return pixels[:count], labels[:count]


def check(settings: Settings) -> None:
    """Refuse numbers that no training can be made with, before the first. ValueError that names the setting."""
    least = {
        "steps": 1, "width": 1, "images": 1, "samples": 1, "draws": 1, "batch_size": 2, "batch_sizes": 2, "points": 3,
    }  # fmt: skip
    for name, value in settings.items():
        for number in value if isinstance(value, tuple) else (value,):
            if name in least and number < least[name]:
                raise ValueError(f"lab: {name} must be at least {least[name]}, got {number}")
            if name in ("depth", "depths", "trained_depth"):
                cifar_resnet(number, width=1, init=None)  # says which depths there are


class Training(NamedTuple):
    """How a training went: the loss of every step, and the step in which it diverged, if it did."""

    losses: list[float]
    diverged_at: int | None

    @property
    def loss(self) -> float | None:
        """The mean loss of the last ten steps; None where the training diverged."""
        return None if self.diverged_at else float(np.mean(self.losses[-10:]))


def train(
    model: Module,
    images: Images,
    steps: int,
    lr: float,
    seed: int,
    batch_size: int = 64,
    progress: Progress | None = None,
    units: float = 1,
) -> Training:
    """Train as `short_training` does; each step is `units` of the progress, also those after a divergence."""
    progress = progress or Progress()
    batches = images.batches(batch_size, seed)
    record = short_training.train(model, batches, steps, lr, log=lambda step: progress.advance(units, timed=step > 1))
    progress.advance(units * (steps - len(record["losses"])), timed=False)
    return Training(record["losses"], record["diverged_at"])


def settle(model: Module, images: Images, batches: int = 20, batch_size: int = 64) -> None:
    """Let the running statistics of batch norm arrive at those of the weights as they are now.

    A short training ends before they do: they remember the weights of some ten steps ago. Gradients are not computed.
    """
    model.train()
    with no_grad(), closing(images.batches(batch_size, seed=0).stream()) as stream:
        for batch, _ in islice(stream, batches):
            model(Tensor(batch))


def accuracy(model: Module, images: Array, labels: Array) -> float:
    """Return the accuracy in evaluation mode."""
    return training.evaluate(model, Loader(images, labels, 256, shuffle=False))[1]


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of those that are there; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
