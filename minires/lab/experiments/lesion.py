"""Lesions: blocks of a trained network deleted, several deleted, two swapped, and how much accuracy is left.

Nothing is trained after the cut. Deleting a residual block leaves its shortcut. A plain block has none: it is replaced
by what the shortcut would be, the identity or option A, so that both networks are cut in the same way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minires import nn
from minires.engine import Tensor
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, accuracy, check, settle, some, train
from minires.models import cifar_resnet
from minires.models.parts import shortcut_layer

MISSED = 0.15  # accuracy lost by a deletion that is felt


class Cut(nn.Module):
    """What is left of a basic block without its branch."""

    def __init__(self, block: Any) -> None:
        weight = block.conv1.weight
        channels, in_channels = weight.shape[:2]
        self.shortcut = shortcut_layer("A", in_channels, channels, block.conv1.stride, "batch")
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x))


def places(model: Any) -> list[tuple[nn.Sequential, int]]:
    """List (stage, position) of all blocks."""
    return [(stage, number) for stage in (model.layer1, model.layer2, model.layer3) for number in range(len(stage))]


@contextmanager
def changed(model: Any, blocks: dict[int, nn.Module]) -> Iterator[None]:
    """Put other modules in the place of these blocks, counted from 0, while the `with` block runs."""
    before = [stage.layers for stage in (model.layer1, model.layer2, model.layer3)]
    try:
        for number, module in blocks.items():
            stage, place = places(model)[number]
            stage.layers = (*stage.layers[:place], module, *stage.layers[place + 1 :])
        yield
    finally:
        for stage, layers in zip((model.layer1, model.layer2, model.layer3), before, strict=True):
            stage.layers = layers


def without(model: Any, numbers: Sequence[int]) -> Any:
    """Return the context in which these blocks are deleted."""
    blocks = [stage[place] for stage, place in places(model)]
    return changed(model, {int(number): Cut(blocks[number]) for number in numbers})


def swapped(model: Any, first: int, second: int) -> Any:
    """Return the context in which two blocks have changed places."""
    blocks = [stage[place] for stage, place in places(model)]
    return changed(model, {first: blocks[second], second: blocks[first]})


def swappable(model: Any) -> list[tuple[int, int]]:
    """List the neighbours that have the same shape: all but a stage's first block."""
    found = places(model)
    return [(i, i + 1) for i in range(len(found) - 1) if found[i][0] is found[i + 1][0] and found[i][1] > 0]


def lesions(model: Any, test: tuple[Any, Any], settings: Settings, seed: int) -> Iterator[tuple[str, int, int, float]]:
    """Yield (kind, first block, number of blocks, accuracy) of the whole network and of every lesion."""
    yield "whole", -1, 0, accuracy(model, *test)
    blocks = len(places(model))
    for number in range(blocks):
        with without(model, [number]):
            yield "deleted", number, 1, accuracy(model, *test)
    for first, second in swappable(model):
        with swapped(model, first, second):
            yield "swapped", first, 2, accuracy(model, *test)
    generator = np.random.default_rng(seed)
    for count in [count for count in settings["deleted"] if count <= blocks]:
        for _ in range(settings["draws"]):
            with without(model, sorted(generator.choice(blocks, count, replace=False))):
                yield "several deleted", -1, count, accuracy(model, *test)


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    depth = settings["depth"]
    test = some(images, "test", settings["images"])
    progress.start(2 * settings["seeds"] * (settings["steps"] + (depth - 2) // 2))
    for seed in seeds_of(settings):
        for skip in (False, True):
            name = f"{'residual' if skip else 'plain'}-{depth}"
            progress.doing(f"train {name}, seed {seed}")
            model = cifar_resnet(depth, in_channels=images.channels, width=settings["width"], skip=skip, seed=seed)
            train(model, images, settings["steps"], settings["lr"], seed, progress=progress)
            settle(model, images)
            progress.doing(f"cut {name}, seed {seed}")
            for kind, first, count, value in lesions(model, test, settings, seed):
                yield "lesions", {
                    "network": name, "skip": skip, "seed": seed, "kind": kind, "block": first, "count": count,
                    "accuracy": value,
                }  # fmt: skip
                progress.advance(kind == "deleted")


def accuracies(tables: Tables, skip: bool, kind: str) -> list[float]:
    return [row["accuracy"] for row in tables["lesions"] if row["skip"] == skip and row["kind"] == kind]


def judge(tables: Tables, settings: Settings) -> Verdict:
    whole = {skip: float(np.median(accuracies(tables, skip, "whole"))) for skip in (False, True)}
    losses = {skip: whole[skip] - np.array(accuracies(tables, skip, "deleted")) for skip in (False, True)}
    lost = {skip: float(np.median(values)) for skip, values in losses.items()}
    missed = float((losses[True] > MISSED).mean())
    findings = [
        Finding("accuracy of the whole residual network", whole[True], low=0.8),
        Finding("accuracy of the whole plain network", whole[False], low=0.5),
        Finding("median loss by deleting a residual block", lost[True], high=MISSED),
        Finding("median loss by deleting a plain block", lost[False], low=0.3),
        Finding(f"share of residual blocks whose deletion costs more than {MISSED:.0%}", missed, high=0.34),
    ]
    swaps = ""
    if accuracies(tables, True, "swapped"):
        cost = {skip: whole[skip] - float(np.median(accuracies(tables, skip, "swapped"))) for skip in (False, True)}
        findings += [
            Finding("median loss by swapping two residual blocks", cost[True], high=MISSED),
            Finding("median loss by swapping two plain blocks", cost[False], low=0.3),
        ]
        swaps = f" Two neighbours swapped: {cost[True]:.1%} and {cost[False]:.1%}."
    if whole[False] < 0.5 or whole[True] < 0.8:
        words = (
            f"After {settings['steps']} steps the plain network has {whole[False]:.0%} and the residual one "
            f"{whole[True]:.0%}: one that has not learned has nothing to lose."
        )
        return Verdict(TOO_SMALL, words, findings)
    words = (
        f"Half of all single deletions cost the residual network less than {lost[True]:.1%} of accuracy, of "
        f"{whole[True]:.0%}, and the plain one more than {lost[False]:.1%}, of {whole[False]:.0%}.{swaps} It is not "
        f"every block that can be spared: the worst deletion costs the residual network {losses[True].max():.0%}."
    )
    if lost[True] > 0.5 * lost[False]:
        return Verdict(TOO_SMALL, words, findings)
    still = "Whether that makes it an ensemble, as the paper says, is a manner of speaking."
    return Verdict("right" if missed <= 0.34 else "half right", words, findings, open=still)


EXPERIMENT = Experiment(
    name="lesion",
    claim="A trained residual network hardly misses a block; a plain one does not survive it.",
    source="Veit et al. 2016, figures 3 to 5",
    expected="deleting a block costs the residual network a few points, the plain one its accuracy down to chance",
    would_change="fewer blocks, each of which then does more; the first block of a stage is missed most",
    settings={
        "depth": 26,
        "width": 8,
        "steps": 150,
        "lr": 0.05,
        "images": 360,
        "deleted": (2, 4, 6),
        "draws": 6,
        "seeds": 1,
    },
    full={
        "depth": 110,
        "width": 16,
        "steps": 64_000,
        "lr": 0.1,
        "images": 10_000,
        "deleted": (2, 5, 10, 20),
        "draws": 10,
    },
    data=DATA,
    seconds=9,
    run=run,
    judge=judge,
)
