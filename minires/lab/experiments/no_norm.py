"""Deep residual networks without batch norm: nothing in its place, and what was invented to stand there."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minires.engine import Tensor, backward_order
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, first_batch, mean, train
from minires.models import cifar_resnet
from minires.nn import Module
from minires.ops.shortcut import ResidualAdd


class Start(NamedTuple):
    norm: str
    init: str


STARTS = {
    "nothing": Start("none", "he"),
    "SkipInit, 0": Start("none", "skipinit"),
    "SkipInit, 1/√blocks": Start("none", "skipinit_sqrt"),
    "Fixup": Start("none", "fixup"),
    "batch norm": Start("batch", "he"),
    "batch norm, γ = 0": Start("batch", "zero_gamma"),
}
SCALED = ("SkipInit, 0", "SkipInit, 1/√blocks", "Fixup")


def variance_growth(model: Module, images: np.ndarray) -> float:
    """Return log10 of var(h) after the last block over var(h) before the first, in float64."""
    logits = model.to("float64").train()(Tensor(images))
    adds = [tensor for tensor in backward_order(logits) if isinstance(tensor.op, ResidualAdd)]
    assert adds[-1].op is not None
    first = adds[-1].op.inputs[0]
    return float(np.log10(adds[0].data.var() / first.data.var()))


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    depth, steps = settings["depth"], settings["steps"]
    progress.start(len(STARTS) * settings["seeds"] * steps)
    for seed in seeds_of(settings):
        for name, (norm, init) in STARTS.items():
            progress.doing(f"train {name}, seed {seed}")
            options = {
                "in_channels": images.channels,
                "width": settings["width"],
                "norm": norm,
                "init": init,
                "seed": seed,
            }
            batch, _ = first_batch(images, settings["batch_size"], seed)
            growth = variance_growth(cifar_resnet(depth, **options), batch)
            done = train(
                cifar_resnet(depth, **options),
                images,
                steps,
                settings["lr"],
                seed,
                settings["batch_size"],
                progress=progress,
            )
            for step, loss in enumerate(done.losses, start=1):
                yield "losses", {"start": name, "seed": seed, "step": step, "loss": loss}
            yield "networks", {"start": name, "seed": seed, "loss": done.loss, "diverged_at": done.diverged_at,
                               "log10_variance_growth": growth}  # fmt: skip


def judge(tables: Tables, settings: Settings) -> Verdict:
    rows = tables["networks"]
    losses = {name: mean([row["loss"] for row in rows if row["start"] == name]) for name in STARTS}
    growth = {name: mean([row["log10_variance_growth"] for row in rows if row["start"] == name]) for name in STARTS}
    steps = settings["steps"]
    nothing = losses["nothing"]
    findings = [Finding("log10 of the signal's variance, last block over first, nothing", growth["nothing"], low=3)]
    findings += [Finding(f"… {name}", growth[name], -1.5, 1.5) for name in SCALED]
    findings += [
        Finding(f"loss after {steps} steps, {name}", losses[name], high=2.0) for name in (*SCALED, "batch norm")
    ]
    findings.append(Finding(f"loss after {steps} steps, nothing (none: diverged)", nothing))
    fate = "diverges" if nothing is None else f"has a loss of {nothing:.2f} after {steps} steps"
    reached = {name: loss for name in SCALED if (loss := losses[name]) is not None}
    words = (
        f"Without norm the signal's variance grows 10^{growth['nothing']:.1f} times over "
        f"{(settings['depth'] - 2) // 2} blocks, and the training {fate}."
    )
    if not reached:
        return Verdict(TOO_SMALL, f"{words} But so do the others, at this learning rate.", findings)
    best = min(reached, key=lambda name: reached[name])
    normed = "diverges" if losses["batch norm"] is None else f"{losses['batch norm']:.2f}"
    words += f" {best}, one number a block, keeps it and reaches {reached[best]:.2f}; batch norm {normed}."
    if nothing is not None and nothing < 2.0:
        return Verdict(TOO_SMALL, f"{words} At this size a network with nothing there trains as well.", findings)
    waiting = [name for name in SCALED if reached.get(name, 9.0) >= 2.0]
    if waiting:
        have = "has" if len(waiting) == 1 else "have"
        words += f" {' and '.join(waiting)} {have} not begun to learn within {steps} steps."
    still = "How far they stay behind batch norm in the end: the papers say tenths of a percent."
    if len(waiting) == len(SCALED) or not findings[0].inside:
        return Verdict(TOO_SMALL, words, findings, open=still)
    return Verdict("half right" if waiting else "right", words, findings, open=still)


EXPERIMENT = Experiment(
    name="no-norm",
    claim="A deep residual network without batch norm trains if its branches start quiet.",
    source="De and Smith 2020 (SkipInit); Zhang et al. 2019 (Fixup); Goyal et al. 2017 (γ = 0)",
    expected="with nothing in place of norms it diverges or does not learn, SkipInit and Fixup learn",
    would_change="a learning rate so small that even the exploding network moves without diverging",
    settings={"depth": 44, "width": 8, "steps": 120, "lr": 0.05, "batch_size": 64, "seeds": 1},
    full={"depth": 110, "width": 16, "steps": 64_000, "lr": 0.1, "batch_size": 128},
    data=DATA,
    seconds=20,
    run=run,
    judge=judge,
)
