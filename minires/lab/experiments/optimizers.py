"""Optimizers and penalties: the same network, images and steps, six ways to move the weights."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from minires import training
from minires.kernels.norms import norm
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import Images, load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, accuracy, check, mean, settle, some
from minires.models import cifar_resnet
from minires.nn import Module
from minires.optim import SGD, Adam, MultiStepLR, Optimizer

SMALL = 1e-3  # a weight below it counts as switched off


class Way(NamedTuple):
    """kind: "sgd" or "adam". l1, l2: what the loss is added, l1·Σ|w| and l2/2·Σw², of filters and matrices."""

    kind: str
    lr: float
    momentum: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    steps_down: bool = False

    def make(self, params: Any) -> Optimizer:
        return Adam(params, self.lr) if self.kind == "adam" else SGD(params, self.lr, self.momentum)


WAYS = {
    "SGD 0.01, alone": Way("sgd", 0.01),
    "SGD 0.05, momentum": Way("sgd", 0.05, 0.9),
    "SGD, momentum, L2, steps down": Way("sgd", 0.05, 0.9, l2=1e-4, steps_down=True),
    "Adam 0.001": Way("adam", 1e-3),
    "SGD, momentum, strong L1": Way("sgd", 0.05, 0.9, l1=1e-3, steps_down=True),
    "SGD, momentum, strong L2": Way("sgd", 0.05, 0.9, l2=1e-2, steps_down=True),
}


def weights_of(model: Module) -> list[Any]:
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2]


def train(model: Module, images: Images, way: Way, steps: int, batch_size: int, seed: int, done: Any) -> list[float]:
    """Train; return the losses, of the cross-entropy alone."""
    optimizer = way.make(model.parameters())
    schedule = MultiStepLR(optimizer, (1 + steps // 2, 2 + steps * 3 // 4)) if way.steps_down else None
    trainer = training.Trainer(model, images.batches(batch_size, seed), optimizer)
    losses: list[float] = []
    with closing(trainer.loader.stream()) as batches:
        while len(losses) < steps:
            losses.append(trainer.compute_gradients(*next(batches))[0])
            for weight in weights_of(model):
                weight.grad = weight.grad + way.l1 * np.sign(weight.data) + way.l2 * weight.data
            optimizer.step()
            if schedule is not None:
                schedule.step()
            done(timed=len(losses) > 1)
    return losses


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    steps, size = settings["steps"], settings["batch_size"]
    progress.start(len(WAYS) * settings["seeds"] * steps)
    for seed in seeds_of(settings):
        for name, way in WAYS.items():
            progress.doing(f"{name}, seed {seed}")
            model = cifar_resnet(settings["depth"], in_channels=images.channels, width=settings["width"], seed=seed)
            losses = train(model, images, way, steps, size, seed, lambda timed: progress.advance(timed=timed))
            weights = weights_of(model)
            gradient = norm(np.concatenate([weight.grad.ravel() for weight in weights]))
            values = np.concatenate([weight.data.ravel() for weight in weights])
            settle(model, images)
            yield "ways", {
                "way": name, "seed": seed, "loss": float(np.mean(losses[-10:])),
                "gradient_over_weight": gradient / norm(values),
                "norm_of_weights": norm(values), "share_small": float((np.abs(values) < SMALL).mean()),
                "train_accuracy": accuracy(model, *some(images, "train")),
                "test_accuracy": accuracy(model, *some(images, "test")),
            }  # fmt: skip
            for step, loss in enumerate(losses, start=1):
                yield "losses", {"way": name, "seed": seed, "step": step, "loss": loss}


def judge(tables: Tables, settings: Settings) -> Verdict:
    def over_seeds(name: str, key: str) -> float:
        return mean([row[key] for row in tables["ways"] if row["way"] == name]) or 0.0

    loss = {name: over_seeds(name, "loss") for name in WAYS}
    small = {name: over_seeds(name, "share_small") for name in WAYS}
    gap = {name: over_seeds(name, "train_accuracy") - over_seeds(name, "test_accuracy") for name in WAYS}
    alone, momentum, paper, adam, l1, l2 = WAYS
    findings = [
        Finding(f"training loss, {alone}", loss[alone]),
        Finding(f"training loss, {momentum}", loss[momentum], high=0.5),
        Finding(f"training loss, {adam}", loss[adam], high=0.5),
        Finding(f"training loss of {alone} over {momentum}", loss[alone] - loss[momentum], low=0.1),
        Finding(f"share of weights below {SMALL:g}, {l1}", small[l1], low=0.2),
        Finding(f"… {l2}", small[l2], high=small[l1]),
        Finding(f"… {momentum}", small[momentum], high=0.1),
    ]
    words = (
        f"After {settings['steps']} steps: SGD at 0.01 alone {loss[alone]:.3f}, with momentum {loss[momentum]:.3f}, "
        f"Adam {loss[adam]:.3f}. Strong L1 switches {small[l1]:.0%} of the weights off, strong L2 {small[l2]:.0%}, "
        f"neither {small[momentum]:.1%}. Between images trained with and test images lie {gap[momentum]:.1%} "
        f"without a penalty, {gap[paper]:.1%} with the paper's L2, {gap[l1]:.1%} with strong L1, {gap[l2]:.1%} with "
        "strong L2"
    )
    same = [gap[name] for name in (momentum, paper, l1, l2)]
    words += ": here no penalty changes that." if max(same) - min(same) < 0.02 else "."
    sparse = small[l1] >= 0.2 and small[l1] > small[l2]
    still = "Which of them ends lowest: each has its own best learning rate, and none was looked for."
    return Verdict("half right" if sparse and loss[adam] < 0.5 else TOO_SMALL, words, findings, open=still)


EXPERIMENT = Experiment(
    name="optimizers",
    claim="Adam or plain SGD trains a residual network just as well; L1 and L2 keep it from overfitting.",
    source="the articles' trainings (SGD 0.01; Adam), He et al. 2015, section 4.2 (SGD, momentum, L2)",
    expected="SGD 0.01 alone lags behind, momentum and Adam do not; L1 makes weights sparse, L2 small",
    would_change="more steps, in which plain SGD catches up; another learning rate for any of them",
    settings={"depth": 8, "width": 8, "steps": 200, "batch_size": 64, "seeds": 1},
    full={"depth": 20, "width": 16, "steps": 64_000, "batch_size": 128},
    data=DATA,
    seconds=8,
    run=run,
    judge=judge,
)
