"""Train a small network on the digits, with the engine as it is or with the reader's functions in it."""

import numpy as np

from minires import kernels
from minires.data import Loader, load_digits
from minires.models import family
from minires.optim import SGD
from minires.training import Trainer

STEPS = 40


def losses(steps: int) -> list[float]:
    """Return the loss of each step of a training of an eight-layer residual network, on the NumPy kernels."""
    images, labels, _, _ = load_digits()
    model = family.cifar_resnet(8, in_channels=1, seed=0)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
    trainer = Trainer(model, Loader(images, labels, 32, seed=0, prefetch=0), optimizer)
    values: list[float] = []
    with kernels.use("numpy"):
        trainer.train(steps, log=lambda record: values.append(record["loss"]))
    return values


def compare(mine: list[float], own: list[float]) -> str:
    """Say how the two trainings went."""
    difference = float(np.abs(np.subtract(mine, own)).max())
    return (
        f"loss {mine[0]:.3f} at the first step, {np.mean(mine[-5:]):.3f} over the last five "
        f"(the engine's own: {own[0]:.3f}, {np.mean(own[-5:]):.3f}; largest difference {difference:.1e})"
    )
