"""What batch norm promises and what it does: its exact identities, and its two modes, which are two networks."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from minires import nn, ops
from minires.engine import Tensor, backward_order, no_grad
from minires.kernels import Array
from minires.lab.experiment import Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import Images, load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, accuracy, check, mean, settle, some, train
from minires.models import cifar_resnet
from minires.ops.normalization import BatchNorm, BatchNormInference

EPS = 1e-12  # an eps of the usual size breaks the identities in the fifth digit


def identities(seed: int) -> dict[str, tuple[float, float]]:
    """Measure what must hold exactly, in float64: name → value, and what it should be."""
    generator = np.random.default_rng(seed)
    x = Tensor(generator.standard_normal((16, 3, 6, 5)), requires_grad=True)
    W = Tensor(generator.standard_normal((8, 3, 3, 3)), requires_grad=True)
    gamma, beta = Tensor(generator.uniform(0.5, 1.5, 8)), Tensor(generator.standard_normal(8))

    def normalized(weight: Tensor) -> Tensor:
        return ops.batch_norm(ops.conv2d(x, weight, padding=1), gamma, beta, eps=EPS)[0]

    y = normalized(W)
    y.backward(np.ones(y.shape))
    assert x.grad is not None and W.grad is not None
    of_sum = float(np.linalg.norm(x.grad))
    x.grad = W.grad = None
    y = normalized(W)
    grad_y = generator.standard_normal(y.shape)
    y.backward(grad_y)
    assert x.grad is not None and W.grad is not None
    cosine = float((W.data * W.grad).sum() / (np.linalg.norm(W.data) * np.linalg.norm(W.grad)))
    larger = Tensor(10 * W.data, requires_grad=True)
    same = normalized(larger)
    same.backward(grad_y)
    assert larger.grad is not None
    layer = nn.BatchNorm2d(8).to("float64").train()
    layer.running_mean[...] = 1.0
    with no_grad():
        for _ in range(44):
            layer(y.detach())
    left = (layer.running_mean - y.data.mean(axis=(0, 2, 3))) / (1 - y.data.mean(axis=(0, 2, 3)))
    return {
        "gradient of the sum of the outputs, over that of a random one": (of_sum / float(np.linalg.norm(x.grad)), 0),
        "cosine between dL/dW and W": (cosine, 0),
        "change of the output where W is ten times as large": (float(np.abs(same.data - y.data).max()), 0),
        "‖dL/dW‖ there, times ten, over ‖dL/dW‖": (10 * float(np.linalg.norm(larger.grad) / np.linalg.norm(W.grad)), 1),
        "what is left of the first running mean after 44 batches": (float(left.mean()), 0.9**44),
    }


def channel_moments(model: Any, images: Array) -> tuple[float, float]:
    """Return the mean |mean| and mean |std - 1| over the channels of all norms' outputs, in the model's mode."""
    outputs = [tensor.data for tensor in backward_order(model(Tensor(images)))
               if isinstance(tensor.op, BatchNorm | BatchNormInference)]  # fmt: skip
    means = np.concatenate([np.abs(y.mean(axis=(0, 2, 3))) for y in outputs])
    stds = np.concatenate([np.abs(y.std(axis=(0, 2, 3)) - 1) for y in outputs])
    return float(means.mean()), float(stds.mean())


def predictions(model: Any, images: Array, batch_size: int, training: bool) -> Array:
    """Return the classes (N,) that the model gives in one mode, batch by batch; its running statistics stay."""
    model = copy.deepcopy(model).train(training)
    with no_grad():
        parts = [model(Tensor(images[i : i + batch_size])).data.argmax(axis=1)
                 for i in range(0, len(images) - batch_size + 1, batch_size)]  # fmt: skip
    return np.concatenate(parts)


def fine_tuned(model: Any, images: Images, frozen: bool, steps: int, lr: float, seed: int) -> float:
    """Train a copy further on few mirrored images, in batches of two; return the accuracy on mirrored test images."""
    model = copy.deepcopy(model)
    if frozen:
        for _, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.freeze()
    (train_pixels, train_labels), (test_pixels, test_labels) = images.train, images.test
    mirrored = replace(
        images,
        train=(train_pixels[:100, :, :, ::-1].copy(), train_labels[:100]),
        test=(test_pixels[:, :, :, ::-1].copy(), test_labels),
    )
    train(model, mirrored, steps, lr, seed, batch_size=2)
    return accuracy(model, *some(mirrored, "test"))


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    test, all_labels = some(images, "test", 360)
    steps = settings["steps"]
    progress.start(settings["seeds"] * steps * (len(settings["batch_sizes"]) + 2))
    for seed in seeds_of(settings):
        for name, (value, expected) in identities(seed).items():
            yield "identities", {"seed": seed, "identity": name, "value": value, "expected": expected}
        for size in settings["batch_sizes"]:
            progress.doing(f"train with batches of {size}, seed {seed}")
            model = cifar_resnet(settings["depth"], in_channels=images.channels, width=settings["width"], seed=seed)
            if size == max(settings["batch_sizes"]):
                moments = channel_moments(model.train(), some(images, "train", size)[0])
                yield (
                    "moments",
                    {"seed": seed, "moment": "at the start, training", "mean": moments[0], "std": moments[1]},
                )
            train(model, images, steps, settings["lr"] * min(1.0, size / 16), seed, size, progress=progress)
            in_training, in_evaluation = (predictions(model, test, size, mode) for mode in (True, False))
            labels = all_labels[: len(in_training)]
            yield "batch_sizes", {
                "seed": seed, "batch_size": size, "accuracy_training": float((in_training == labels).mean()),
                "accuracy_evaluation": float((in_evaluation == labels).mean()),
                "differ": float((in_training != in_evaluation).mean()),
            }  # fmt: skip
        moments = channel_moments(model.eval(), test)
        yield (
            "moments",
            {"seed": seed, "moment": f"after {steps} steps, evaluation", "mean": moments[0], "std": moments[1]},
        )
        settle(model, images)
        for frozen in (True, False):
            progress.doing(f"fine-tune, {'frozen' if frozen else 'batch'} statistics, seed {seed}")
            value = fine_tuned(model, images, frozen, steps, settings["lr"] / 5, seed)
            yield "fine_tuning", {"seed": seed, "frozen": frozen, "accuracy": value}
            progress.advance(steps)


def judge(tables: Tables, settings: Settings) -> Verdict:
    findings = [
        Finding(row["identity"], row["value"], row["expected"] - 1e-6, row["expected"] + 1e-6, ".2g")
        for row in tables["identities"] if row["seed"] == settings["seed"]
    ]  # fmt: skip
    sizes = sorted(settings["batch_sizes"])
    differ = {
        size: mean([row["differ"] for row in tables["batch_sizes"] if row["batch_size"] == size]) or 0.0
        for size in sizes
    }
    findings += [
        Finding(f"share of images that training and evaluation mode class differently, batches of {sizes[0]}",
                differ[sizes[0]], low=0.1),
        Finding(f"… batches of {sizes[-1]}", differ[sizes[-1]], high=0.1),
    ]  # fmt: skip
    start, end = (
        [row for row in tables["moments"] if row["moment"].startswith(word)] for word in ("at the start", "after")
    )
    findings += [
        Finding(
            "mean |mean| of a channel at the start, in training",
            mean([row["mean"] for row in start]),
            high=1e-3,
            spec=".1g",
        ),
        Finding("… once trained, in evaluation", mean([row["mean"] for row in end]), low=0.02, spec=".2g"),
    ]
    tuned = {
        frozen: mean([row["accuracy"] for row in tables["fine_tuning"] if row["frozen"] == frozen]) or 0.0
        for frozen in (True, False)
    }
    findings.append(
        Finding(
            "accuracy of fine-tuning in batches of 2, frozen over batch statistics", tuned[True] - tuned[False], low=0.0
        )
    )
    words = (
        "Mean 0 and variance 1 hold in training mode, over a batch, and before scale and shift have learned: once "
        f"trained, a channel's mean is {findings[-2].value:.2g} off. The two modes are two networks: with batches "
        f"of {sizes[0]} they disagree about {differ[sizes[0]]:.0%} of the images, with {sizes[-1]} about "
        f"{differ[sizes[-1]]:.0%}. Exact are the identities: a sum has no gradient, and the scale of a filter "
        "before a norm does nothing but set its learning rate."
    )
    both = f"{tuned[True]:.0%} with frozen statistics, {tuned[False]:.0%} with the batch's"
    if tuned[True] >= tuned[False]:
        words += f" Fine-tuned in batches of two: {both}."
    else:
        words += f" Freezing them, which is advised for batches of two, does not help on these mirrored images: {both}."
    return Verdict("half right", words, findings, open="Why batch norm helps: “internal covariate shift” is disputed.")


EXPERIMENT = Experiment(
    name="batch-norm",
    claim="Batch norm gives every layer inputs of mean 0 and variance 1, in training and after.",
    source="Ioffe and Szegedy 2015; van Laarhoven 2017 (scale invariance)",
    expected="the identities to 1e-6; the modes agree with batches of 64, not with 2; frozen statistics help where "
    "batches are tiny",
    would_change="larger batches, more steps for the running statistics, other norms",
    settings={"depth": 8, "width": 8, "steps": 200, "lr": 0.05, "batch_sizes": (2, 8, 64), "seeds": 1},
    full={"depth": 20, "width": 16, "steps": 2000, "batch_sizes": (2, 4, 8, 16, 64, 128), "seeds": 5},
    data=DATA,
    seconds=6,
    run=run,
    judge=judge,
)
