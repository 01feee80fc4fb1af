"""The training loop: a model, batches, an optimizer and its schedule in; updated parameters and records out."""

import math
import time
from collections.abc import Callable
from typing import Any

from minires.data import Loader
from minires.engine import Tensor, no_grad
from minires.kernels import Array, kernels_for
from minires.nn import Module
from minires.ops import cross_entropy
from minires.optim import Optimizer, Schedule

Record = dict[str, Any]


def train(
    model: Module,
    batches: Loader,
    optimizer: Optimizer,
    schedule: Schedule,
    steps: int,
    log: Callable[[Record], None],
    test: tuple[Array, Array] | None = None,
) -> None:
    """Update the model `steps` times, through the training images as often as that takes.

    The schedule steps once a batch. `log` gets a record after each step: step, epoch, loss, accuracy (both of that
    batch, before its update), lr, images_per_second. With test = (images, labels), the last record of each epoch and of
    the training also holds test_loss and test_accuracy.
    FloatingPointError, before that batch's update, when the loss is no finite number.
    """
    step = epoch = 0
    while step < steps:
        for images, labels in batches.epoch(epoch):
            start = time.perf_counter()
            lr = optimizer.param_groups[0]["lr"]
            loss, accuracy = train_step(model, optimizer, images, labels)
            schedule.step()
            step += 1
            record = {"step": step, "epoch": epoch, "loss": loss, "accuracy": accuracy, "lr": lr,
                      "images_per_second": len(images) / (time.perf_counter() - start)}
            if test is not None and (step == steps or step % len(batches) == 0):
                record["test_loss"], record["test_accuracy"] = evaluate(model, *test)
            log(record)
            if step == steps:
                break
        epoch += 1


def train_step(model: Module, optimizer: Optimizer, images: Array, labels: Array) -> tuple[float, float]:
    """Update the parameters by one batch; return its loss and accuracy before the update."""
    model.train()
    optimizer.zero_grad()
    logits = model(Tensor(images))
    loss = cross_entropy(logits, labels)
    if not math.isfinite(loss.item()):
        raise FloatingPointError(f"the loss is {loss.item()}: the training has diverged; try a smaller learning rate")
    loss.backward()
    optimizer.step()
    return loss.item(), correct(logits, labels) / len(labels)


def evaluate(model: Module, images: Array, labels: Array, batch_size: int = 256) -> tuple[float, float]:
    """Return the mean loss and the accuracy, with batch norm's running statistics. The model's mode stays as it was."""
    was_training = model.training
    model.eval()
    total_loss, total_correct = 0.0, 0
    with no_grad():
        for batch_images, batch_labels in Loader(images, labels, batch_size, shuffle=False).epoch(0):
            logits = model(Tensor(batch_images))
            total_loss += cross_entropy(logits, batch_labels).item() * len(batch_labels)
            total_correct += correct(logits, batch_labels)
    model.train(was_training)
    return total_loss / len(labels), total_correct / len(labels)


def correct(logits: Tensor, labels: Array) -> int:
    """Count the images whose largest logit is their label's."""
    xp = kernels_for(logits.data).xp
    return int(xp.sum(logits.data.argmax(axis=1) == labels))
