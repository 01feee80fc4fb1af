"""The loss around a trained network, on a slice through weight space: with skips, and without.

Two random directions, each filter of them scaled to the norm of the trained filter in its place: else a network with
large weights would look flat and one with small weights steep, though batch norm makes both the same function. Biases
and the scales and shifts of norms stay. The loss is that of training images, in evaluation mode.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from minires import training
from minires.data import Loader
from minires.kernels import Array
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, settle, some, train
from minires.models import cifar_resnet
from minires.nn import Module

KNOWS = 1.0  # a loss below which a network of ten classes still knows a good deal: guessing has 2.30


def direction(model: Module, seed: int) -> dict[str, Array]:
    """Draw a direction: normal numbers, each filter or row of a matrix scaled to its weights' norm; the rest 0."""
    generator = np.random.default_rng(seed)
    drawn = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        step = generator.standard_normal(parameter.shape)
        axes = tuple(range(1, parameter.ndim))
        scale = np.sqrt((parameter.data**2).sum(axis=axes, keepdims=True) / (step**2).sum(axis=axes, keepdims=True))
        drawn[name] = (step * scale).astype(np.float32)
    return drawn


def losses_on_slice(
    model: Module,
    images: Array,
    labels: Array,
    first: dict[str, Array],
    second: dict[str, Array],
    places: Sequence[float],
) -> Iterator[tuple[float, float, float]]:
    """Yield (a, b, loss) at weights + a·first + b·second for all places; the model is as before at the end."""
    parameters = dict(model.named_parameters())
    trained = {name: parameters[name].data.copy() for name in first}
    loader = Loader(images, labels, 256, shuffle=False)
    try:
        for a in places:
            for b in places:
                for name, weight in trained.items():
                    parameters[name].data[...] = weight + np.float32(a) * first[name] + np.float32(b) * second[name]
                with np.errstate(all="ignore"):  # far out it may overflow
                    yield a, b, training.evaluate(model, loader)[0]
    finally:
        for name, weight in trained.items():
            parameters[name].data[...] = weight


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    depth, count = settings["depth"], settings["points"]
    places = np.linspace(-settings["reach"], settings["reach"], count).tolist()
    pictures = some(images, "train", settings["images"])
    progress.start(2 * settings["seeds"] * (2 * settings["steps"] + count * count))
    for seed in seeds_of(settings):
        for skip in (False, True):
            name = f"{'residual' if skip else 'plain'}-{depth}"
            progress.doing(f"train {name}, seed {seed}")
            model = cifar_resnet(depth, in_channels=images.channels, width=settings["width"], skip=skip, seed=seed)
            train(model, images, settings["steps"], settings["lr"], seed, progress=progress, units=2)
            settle(model, images)
            progress.doing(f"slice {name}, seed {seed}")
            first, second = direction(model, 1000 + seed), direction(model, 2000 + seed)
            for a, b, loss in losses_on_slice(model, *pictures, first, second, places):
                yield "slice", {"network": name, "skip": skip, "seed": seed, "a": a, "b": b, "loss": loss}
                progress.advance()


def grid(rows: Sequence[Row]) -> Array:
    """Return the losses (points, points) of one network's slice; NaN where they are no finite numbers."""
    count = round(len(rows) ** 0.5)
    return np.array([row["loss"] for row in rows], float).reshape(count, count)


def share_below(losses: Array, limit: float) -> float:
    return float((np.nan_to_num(losses, nan=np.inf) < limit).mean())


def share_not_convex(losses: Array) -> float:
    """Return the share of inner points where the slice, log of the loss, curves downwards in some direction."""
    z = np.log(np.nan_to_num(losses, nan=1e30, posinf=1e30))
    aa = z[2:, 1:-1] - 2 * z[1:-1, 1:-1] + z[:-2, 1:-1]
    bb = z[1:-1, 2:] - 2 * z[1:-1, 1:-1] + z[1:-1, :-2]
    ab = (z[2:, 2:] - z[2:, :-2] - z[:-2, 2:] + z[:-2, :-2]) / 4
    smallest = (aa + bb) / 2 - np.sqrt(((aa - bb) / 2) ** 2 + ab**2)
    return float((smallest < 0).mean())


def judge(tables: Tables, settings: Settings) -> Verdict:
    found: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for seed in seeds_of(settings):
        for skip in found:
            losses = grid([row for row in tables["slice"] if row["skip"] == skip and row["seed"] == seed])
            found[skip].append((share_below(losses, KNOWS), float(np.nanmin(losses)), share_not_convex(losses)))
    plain, plain_low, plain_bent = np.mean(found[False], axis=0).tolist()
    wide, low, bent = np.mean(found[True], axis=0).tolist()
    ratios = [pair[1][0] / pair[0][0] if pair[0][0] else None for pair in zip(found[False], found[True], strict=True)]
    least = min([ratio for ratio in ratios if ratio is not None], default=None)
    findings = [
        Finding("lowest loss on the residual network's slice", low, high=0.5),
        Finding("lowest loss on the plain network's slice", plain_low, high=KNOWS),
        Finding(f"share of the residual slice with a loss below {KNOWS:.0f}", wide, low=0.02),
        Finding("that share over the plain network's, mean over seeds", wide / plain if plain else None, low=1.3),
        Finding("… in the seed where it is least", least, low=1.0),
        Finding("share of points where log(loss) curves downwards, residual", bent),
        Finding("… plain", plain_bent),
    ]
    words = (
        f"Within {settings['reach']:g} filter norms of the trained weights the loss stays below {KNOWS:.0f} on "
        f"{wide:.0%} of the residual network's slice and on {plain:.0%} of the plain one's."
    )
    if plain_low > 2 * low:
        words += f" Part of that: the plain network has learned less, {plain_low:.2f} at its lowest against {low:.2f}."
    if plain_low > KNOWS:
        why = f"the plain network did not learn (loss {plain_low:.2f}), so there is no basin to compare"
        return Verdict(TOO_SMALL, f"{words} But {why}.", findings)
    if not all([finding.inside for finding in findings]):
        why = "a plain network of this depth still trains; the paper's chaos begins at 56 layers"
        return Verdict(TOO_SMALL, f"{words} That is not clearly wider: {why}.", findings)
    still = "Whether a wide basin is why a network generalizes: a slice is two of many directions."
    return Verdict("right", words, findings, open=still)


EXPERIMENT = Experiment(
    name="landscape",
    claim="The minimum that a residual network finds lies in a wider basin than a plain network's.",
    source="Li et al. 2018, “Visualizing the loss landscape of neural nets”, figure 5",
    expected="a wider region of low loss with skips",
    would_change="directions that are not scaled filter by filter; other directions, of which two are drawn",
    settings={"depth": 26, "width": 8, "steps": 120, "lr": 0.05, "points": 13, "reach": 0.6, "images": 256, "seeds": 2},
    full={"depth": 56, "width": 16, "steps": 64_000, "lr": 0.1, "points": 51, "images": 10_000},
    data=DATA,
    seconds=25,
    run=run,
    judge=judge,
)
