"""The paths through a residual network: how many there are of each length, and how much of the gradient each brings."""

from collections.abc import Iterator
from math import comb

import numpy as np

from minires.kernels.norms import norm
from minires.lab import path_gradients
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, first_batch, train
from minires.models import cifar_resnet
from minires.nn import Module

PAPER_BLOCKS = 54  # of ResNet-110


def share(blocks: int, low: int, high: int) -> float:
    """Return which share of the 2ⁿ paths through n blocks has between low and high branches, both included."""
    return sum([comb(blocks, length) for length in range(low, high + 1)]) / 2**blocks


def measure(model: Module, images: np.ndarray, labels: np.ndarray, samples: int, seed: int) -> list[Row]:
    """Return a row for each length: paths, ‖sum of their gradients‖, and the mean ‖gradient‖ of a few, at the stem."""
    loss, adds = path_gradients.forward(model, images, labels)
    assert adds[0].op is not None
    stem = adds[0].op.inputs[0]
    parts = path_gradients.by_length(loss, stem)
    loss.backward(keep_grads=True, keep_graph=True)
    assert stem.grad is not None
    whole, grad = sum(parts.values()), stem.grad
    error = norm(whole - grad) / norm(grad)
    generator = np.random.default_rng(seed)
    rows = []
    for length in range(len(adds) + 1):
        norms = []
        for _ in range(min(samples, comb(len(adds), length))):
            chosen = generator.choice(len(adds), length, replace=False)
            single = path_gradients.along(loss, stem, {adds[number] for number in chosen})
            norms.append(0.0 if single is None else norm(single))
        rows.append({
            "length": length, "paths": comb(len(adds), length), "norm_of_sum": norm(parts[length]),
            "mean_norm": float(np.mean(norms)), "whole": norm(grad), "error_of_sum": error,
        })  # fmt: skip
    return rows


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    for blocks in (PAPER_BLOCKS, (settings["depth"] - 2) // 2):
        for length in range(blocks + 1):
            yield "counts", {"blocks": blocks, "length": length, "paths": comb(blocks, length),
                             "share": share(blocks, length, length)}  # fmt: skip
    images = load_images(settings["data"])
    measuring = 42  # steps
    progress.start((settings["steps"] + 2 * measuring) * settings["seeds"])
    for seed in seeds_of(settings):
        model = cifar_resnet(settings["depth"], in_channels=images.channels, width=settings["width"], seed=seed)
        batch = first_batch(images, settings["batch_size"], seed)
        for moment in ("at the start", f"after {settings['steps']} steps"):
            if moment != "at the start":
                progress.doing(f"train, seed {seed}")
                train(model, images, settings["steps"], settings["lr"], seed, progress=progress)
            progress.doing(f"paths {moment}, seed {seed}")
            for row in measure(model, *batch, settings["samples"], seed):
                yield "lengths", {"seed": seed, "moment": moment, **row}
            progress.advance(measuring)


def judge(tables: Tables, settings: Settings) -> Verdict:
    rows = tables["lengths"]
    blocks = (settings["depth"] - 2) // 2
    findings = [
        Finding("share of ResNet-110's paths with 19 to 35 branches", share(PAPER_BLOCKS, 19, 35), 0.98, 0.981, ".4f"),
        Finding(
            "share of them with 5 to 17, the effective ones of the paper",
            share(PAPER_BLOCKS, 5, 17),
            0.0045,
            0.0046,
            ".5f",
        ),
        Finding(
            "the paths' sum against the gradient, relative error",
            max([row["error_of_sum"] for row in rows]),
            high=1e-9,
            spec=".0e",
        ),
    ]
    found = {}
    for moment in dict.fromkeys([row["moment"] for row in rows]):
        here = [row for row in rows if row["moment"] == moment]
        found[moment] = factor_per_branch(here), middle(here)
        findings += [
            Finding(f"factor of a path's gradient for each branch on it, {moment}", found[moment][0], high=0.95),
            Finding(
                f"length that half of the paths' gradient stays below, {moment}",
                found[moment][1],
                high=blocks / 2,
                spec=".0f",
            ),
        ]
    (start, (factor, half)), (end, (later, later_half)) = found.items()
    words = (
        f"Half of the 2^{blocks} paths have {blocks // 2} branches or fewer. Each branch multiplies a path's "
        f"gradient by {factor:.2f} {start} and by {later:.2f} {end}; weighed by their gradients, the middle path "
        f"has {half:.0f} and {later_half:.0f} branches. The long paths are many and nearly silent."
    )
    if later_half >= 0.45 * blocks:
        words = (
            f"Each branch multiplies a path's gradient by {later:.2f} {end}: at this size branches are as loud as "
            f"shortcuts, and the middle path, weighed, has {later_half:.0f} of {blocks} branches."
        )
        return Verdict(TOO_SMALL, words, findings)
    return Verdict(
        "right", words, findings, open="Whether short paths alone would learn as well: the paper trained them so."
    )


def factor_per_branch(rows: list[Row]) -> float:
    """Fit log(mean norm) to the length by a line; return what one more branch multiplies by."""
    known = [row for row in rows if row["mean_norm"] > 0]
    slope, _ = np.polyfit([row["length"] for row in known], np.log([row["mean_norm"] for row in known]), 1)
    return float(np.exp(slope))


def middle(rows: list[Row]) -> float:
    """Return the median length where each path weighs as much as its gradient's norm."""
    lengths = np.array([row["length"] for row in rows])
    weights = np.array([row["paths"] * row["mean_norm"] for row in rows], float)
    order = np.argsort(lengths, kind="stable")
    heaped = np.cumsum(weights[order])
    return float(lengths[order][np.searchsorted(heaped, heaped[-1] / 2)])


EXPERIMENT = Experiment(
    name="paths",
    claim="The gradient of a residual network comes on short paths.",
    source="Veit et al. 2016, “Residual networks behave like ensembles of relatively shallow networks”, figure 6",
    expected="98.0 % of the paths of ResNet-110 have 19 to 35 branches; a path's gradient falls exponentially with "
    "each",
    would_change="branches that are louder than the shortcut, such as without any norm",
    settings={"depth": 32, "width": 8, "steps": 80, "lr": 0.05, "batch_size": 32, "samples": 12, "seeds": 1},
    full={"depth": 110, "width": 16, "steps": 2000, "samples": 20},
    data=DATA,
    seconds=8,
    run=run,
    judge=judge,
)
