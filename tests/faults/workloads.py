"""What a process does again and again while its memory is looked at: steps, models, comparisons, sessions of steps.

Each function makes what it needs and returns a function that does one piece of work, and answers with what must be the
same every time, where there is such a thing.
"""

import io
from contextlib import redirect_stderr, redirect_stdout

import numpy as np

from minires import Tensor, debug, kernels, lab, models, ops
from minires.cli.main import main
from minires.data import Loader, load_digits
from minires.optim import SGD
from minires.training import Trainer

IMAGES, LABELS, _, _ = load_digits()


def network(seed=0, fused=False, width=2):
    return models.cifar_resnet(8, in_channels=1, width=width, seed=seed, fused=fused)


def steps(fused=False):
    """A training step of a tiny network."""
    model = network(fused=fused)
    loader = Loader(IMAGES[:64], LABELS[:64], 16, seed=0)
    trainer = Trainer(model, loader, SGD(model.parameters(), 0.01, momentum=0.9))

    def work(number):
        trainer.train(trainer.step + 1, lambda record: None)

    return work


def whole_models():
    """A model built, used forward and backward, and dropped with its graph."""

    def work(number):
        model = network(seed=number, fused=bool(number % 2))
        ops.cross_entropy(model(Tensor(IMAGES[:8])), LABELS[:8]).backward()
        model(Tensor(IMAGES[:8]))  # a graph that nobody goes back through

    return work


def comparisons():
    """A comparison of a plain and a residual network, with a step of training."""

    def work(number):
        report = lab.compare([8], seeds=1, steps=1, batch_size=4, kernels="numba" if number % 2 else "numpy")
        return report["summary"]

    return work


def sessions():
    """A session of the stepper, forth and back, under a watch."""
    model = network()

    def work(number):
        with debug.watch(changes=True, action="raise"):
            loss = ops.cross_entropy(model(Tensor(IMAGES[:4])), LABELS[:4])
            walk = debug.backward_steps(loss, model=model)
            step = walk.until("layer2.0.conv1")
            walk.back(2)
            last = walk.run_to_end()
        return repr(step), repr(last)

    return work


def command(arguments):
    """Run `minires ARGUMENTS` in this process; return its exit code and what it printed."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = main([str(argument) for argument in arguments])
    return code, output.getvalue()


def inference():
    """A forward pass without a graph, with other kernels each time."""
    model = network().eval()

    def work(number):
        with kernels.use(("numpy", "numba")[number % 2]):
            return np.argmax(model(Tensor(IMAGES[:16])).data, axis=1).tolist()

    return work


WORKLOADS = {
    "steps": (steps, 10_000),
    "models": (whole_models, 1000),
    "comparisons": (comparisons, 1000),
    "sessions": (sessions, 1000),
    "inference": (inference, 10_000),
}
