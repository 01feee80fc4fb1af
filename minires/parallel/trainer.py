"""A trainer whose every batch is shared by several processes; all hold the same weights at every step.

    process 0   images 0 … 31   → gradients ┐                          ┌ step
    process 1   images 32 … 63  → gradients ┤ average, weighted by     ├ step
    process 2   images 64 … 95  → gradients ┤ the number of images     ├ step
    process 3   images 96 … 127 → gradients ┘ (one Allreduce)          └ step

The loss is a mean over images, so its gradient is the mean of the shares' gradients, weighted by their sizes. All that
is averaged goes in one flat array: gradients, the changes of running statistics, loss and accuracy. Batch norm takes
mean and variance of its own share, as PyTorch's DistributedDataParallel does, so with it a step is not quite that of
one process; without it, it is, to rounding. Goyal et al., "Accurate, large minibatch SGD", 2017.
"""

import copy
import signal
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from minires.data import Loader
from minires.data.loader import Plan
from minires.kernels import Array, kernels_for
from minires.kernels.devices import to_device
from minires.nn import Module
from minires.parallel.processes import Processes
from minires.runs.signals import SignalHandler, StopRequested
from minires.training import Trainer, evaluate


class ShareLoader(Loader):
    """A process's share of each batch of another loader: the same order, augmented and normalized the same."""

    def __init__(self, loader: Loader, processes: Processes) -> None:
        vars(self).update(vars(loader))
        self.processes = processes

    def _plans(self, epoch: int, start: int) -> Iterator[Plan]:
        for indices, draws, step in super()._plans(epoch, start):
            share = self.processes.share(len(indices))
            yield indices[share], draws[share], step


@dataclass(eq=False, repr=False)
class ParallelTrainer(Trainer):
    """One process's trainer; make it with `in_parallel`. Its records are those of the whole batch."""

    processes: Processes = field(kw_only=True)
    signals: SignalHandler | None = field(default=None, kw_only=True)  #: that this process hears
    stop: bool = field(default=False, init=False)  #: a process has heard one: no further step
    images: int = field(default=0, init=False)  #: in the last batch, of all processes
    own: Array = field(default_factory=lambda: np.zeros(0), init=False)  #: what this process gave: loss, gradients

    def train_step(self, images: Array, labels: Array) -> dict[str, Any]:
        if self.stop:
            raise StopRequested(self.signals.received if self.signals and self.signals.received else signal.SIGTERM)
        try:
            return super().train_step(images, labels)
        except FloatingPointError as error:
            guilty = self.processes.told_to_all(not np.isfinite(to_device(self.own, "cpu")).all())
            rank = guilty.index(1) if 1 in guilty else 0  # else it is the sum alone that is too large
            raise FloatingPointError(self.processes.text_of(rank, str(error))) from error

    def compute_gradients(self, images: Array, labels: Array) -> tuple[float, float]:
        """Leave the gradient of the whole batch's mean loss in `.grad`; return its loss and accuracy."""
        N = len(labels)
        before = [buffer.copy() for _, buffer in self.model.named_buffers()]
        loss = accuracy = 0.0
        if N > 0:
            loss, accuracy = super().compute_gradients(images, labels)
        else:  # the last batch of an epoch can have fewer images than there are processes
            self.optimizer.zero_grad()
        stop = float(self.signals is not None and self.signals.received != 0)
        present = [float(parameter.grad is not None) for parameter in self.trained()]
        numbers = [N * loss, N * accuracy, float(N), stop, *present]
        xp = kernels_for(self.model.parameters()[0].data).xp
        flat = [N * part.reshape(-1) for part in (*self.gradients(), *self.changes(before))]
        total = xp.concatenate([xp.asarray(numbers, self.dtype()), *flat])
        self.own = total[: len(numbers) + sum([parameter.size for parameter in self.trained()])].copy()
        self.processes.sum(total)
        return self.take_over(total, len(numbers), before)

    def take_over(self, total: Array, start: int, before: list[Array]) -> tuple[float, float]:
        """Divide the sums by the number of images, and put what stands from `start` on where it came from."""
        loss, accuracy, N, stop, *present = to_device(total[:start], "cpu").tolist()
        self.stop, self.images = stop > 0, int(N)
        averages = total / total.dtype.type(N)
        for parameter, somewhere in zip(self.trained(), present, strict=True):
            if somewhere:
                parameter.grad = averages[start : start + parameter.size].reshape(parameter.shape)
            start += parameter.size
        for (_, buffer), old in zip(self.model.named_buffers(), before, strict=True):
            buffer[...] = old + averages[start : start + buffer.size].reshape(buffer.shape)
            start += buffer.size
        return loss / N, accuracy / N

    def trained(self) -> list[Any]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def gradients(self) -> list[Array]:
        """List the gradients, zeros where a process has none."""
        return [
            kernels_for(parameter.data).xp.zeros_like(parameter.data) if parameter.grad is None else parameter.grad
            for parameter in self.trained()
        ]

    def changes(self, before: list[Array]) -> list[Array]:
        """List what a step has added to the running statistics: of those that stand still exactly nothing."""
        return [buffer - old for (_, buffer), old in zip(self.model.named_buffers(), before, strict=True)]

    def dtype(self) -> Any:
        return self.model.parameters()[0].dtype

    def evaluation_step(self, name: str, loader: Loader) -> dict[str, Any]:
        """Evaluate together, each process its share of the images; return the record of all of them."""
        self.check_equal()
        share = self.processes.share(len(loader.images))
        own = copy.copy(loader)
        own.images, own.labels = loader.images[share], loader.labels[share]
        totals = np.zeros(3)
        if len(own.images) > 0:
            loss, accuracy = evaluate(self.model if self.ema is None else self.ema.model, own)
            totals[:] = np.array([loss, accuracy, 1]) * len(own.images)
        self.processes.sum(totals)
        loss, accuracy, N = totals.tolist()
        self.evaluated = self.step
        epoch = (self.step - 1) // len(self.loader)
        return {"step": self.step, "epoch": epoch, f"{name}_loss": loss / N, f"{name}_accuracy": accuracy / N}

    def check_equal(self) -> None:
        """RuntimeError where the processes are not at one step with the same weights."""
        checksum = 0
        for array in self.model.state_dict().values():
            checksum = zlib.crc32(array.tobytes(), checksum)
        for what, own in (("steps", self.step), ("weights", checksum)):
            values = self.processes.told_to_all(own)
            if len(set(values)) > 1:
                raise RuntimeError(
                    f"the processes have different {what}: {', '.join(map(str, values))}; they must read one run's "
                    "folder and one data set, so both must lie where all of them can see them"
                )


def in_parallel(trainer: Trainer, processes: Processes) -> ParallelTrainer:
    """Return the trainer of this process: the same model, optimizer and options, and a share of each batch.

    ValueError for a batch with fewer images than there are processes, for parameters of two dtypes, and for weights of
    classes, by which a share's mean cannot be averaged.
    """
    if trainer.class_weights is not None:
        raise ValueError("class_weights do not go with several processes: leave them out, or train in one")
    if trainer.loader.batch_size < processes.size:
        raise ValueError(
            f"a batch of {trainer.loader.batch_size} images has none for some of {processes.size} processes; "
            "use fewer processes, or set a larger batch_size"
        )
    dtypes = {str(array.dtype) for array in trainer.model.state_dict().values()}
    if len(dtypes) > 1:
        raise ValueError(f"the processes average one array of one dtype, but the model has {', '.join(sorted(dtypes))}")
    options = {one.name: getattr(trainer, one.name) for one in fields(trainer) if one.init}
    options["loader"] = ShareLoader(trainer.loader, processes)
    return ParallelTrainer(**options, processes=processes)


def draw_apart(model: Module, rank: int) -> None:
    """Move the layers' generators so far on that no two processes draw the same numbers; process 0's stay."""
    for _, generator in model.named_generators():
        if rank > 0:
            bits: Any = generator.bit_generator  # PCG64, as `default_rng` makes them: its jumps do not meet
            bits.state = bits.jumped(rank).state
