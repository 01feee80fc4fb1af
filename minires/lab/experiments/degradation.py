"""Degradation: the deeper plain network is the worse one, on the images that it is trained with."""

from collections.abc import Iterator

from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.gradient_norms import log10_ratio, measure
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, first_batch, mean, train
from minires.models import cifar_resnet


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    depths, seeds = settings["depths"], seeds_of(settings)
    progress.start(2 * sum(depths) * len(seeds) * settings["steps"])
    for seed in seeds:
        for depth in depths:
            for skip in (False, True):
                name = f"{'residual' if skip else 'plain'}-{depth}"
                progress.doing(f"train {name}, seed {seed}")
                model = cifar_resnet(depth, in_channels=images.channels, width=settings["width"], skip=skip, seed=seed)
                initial = log10_ratio(measure(model, *first_batch(images, settings["batch_size"], seed)))
                done = train(
                    model,
                    images,
                    settings["steps"],
                    settings["lr"],
                    seed,
                    settings["batch_size"],
                    progress=progress,
                    units=depth,
                )
                for step, loss in enumerate(done.losses, start=1):
                    yield (
                        "losses",
                        {"network": name, "skip": skip, "depth": depth, "seed": seed, "step": step, "loss": loss},
                    )
                yield "networks", {
                    "network": name, "skip": skip, "depth": depth, "seed": seed, "loss": done.loss,
                    "diverged_at": done.diverged_at, "log10_ratio_initial": initial,
                }  # fmt: skip


def judge(tables: Tables, settings: Settings) -> Verdict:
    low, high = min(settings["depths"]), max(settings["depths"])
    losses: dict[tuple[bool, int], list[float | None]] = {}
    for row in tables["networks"]:
        losses.setdefault((row["skip"], row["depth"]), []).append(row["loss"])
    means = {key: loss for key, values in losses.items() if (loss := mean(values)) is not None}
    if len(means) < len(losses) or low == high:
        return Verdict(TOO_SMALL, "It takes two depths, and trainings that do not diverge.", [])
    gap = {skip: means[skip, high] - means[skip, low] for skip in (False, True)}
    ratios = [row["log10_ratio_initial"] for row in tables["networks"] if not row["skip"] and row["depth"] == high]
    findings = [
        Finding(f"training loss of plain-{high} over plain-{low}", gap[False], low=0.2),
        Finding(f"training loss of residual-{high} over residual-{low}", gap[True], high=0.2),
        Finding(f"log10 of the gradient's ratio in plain-{high} at the start", mean(ratios), low=0),
    ]
    said = (
        f"After {settings['steps']} steps plain-{high} has a training loss of {means[False, high]:.2f}, plain-{low} "
        f"of {means[False, low]:.2f}; residual-{high} {means[True, high]:.2f}, residual-{low} "
        f"{means[True, low]:.2f}."
    )
    if gap[False] <= 0.2 or gap[True] > gap[False]:
        return Verdict(TOO_SMALL, f"{said} In so few steps depth does not tell the two apart.", findings)
    words = (
        f"{said} It is the loss of the images trained with, so it is no overfitting; and the gradient of "
        f"plain-{high} does not vanish at the start: it is 10^{mean(ratios):.1f} times as large at the stem."
    )
    return Verdict(
        "right", words, findings, open="What becomes of plain networks that are trained a hundred times as long."
    )


EXPERIMENT = Experiment(
    name="degradation",
    claim="Of two plain networks the deeper has the higher training loss; of two residual ones it has not.",
    source="He et al. 2015, figures 1 and 6",
    expected="plain-56 at least 0.2 above plain-20, residual-56 not; no vanishing gradient at the start",
    would_change="a learning rate ten times smaller or a training many times longer, from which plain-56 profits",
    settings={"depths": (20, 56), "width": 8, "steps": 80, "lr": 0.05, "batch_size": 64, "seeds": 1},
    full={"depths": (20, 32, 44, 56, 110), "width": 16, "steps": 64_000, "lr": 0.1, "batch_size": 128},
    data=DATA,
    seconds=10,
    run=run,
    judge=judge,
)
