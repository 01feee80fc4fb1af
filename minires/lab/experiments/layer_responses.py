"""Layer responses: how loud each 3×3 convolution is, after its norm and before ReLU or addition, in trained networks.

Batch norm divides by a channel's deviation and multiplies by a learned scale: at the start every response is 1. What is
seen here is what training made of the scales.
"""

from collections.abc import Iterator

import numpy as np

from minires.engine import Tensor, backward_order
from minires.kernels import Array
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, first_batch, train
from minires.models import cifar_resnet
from minires.nn import Module
from minires.ops.normalization import BatchNorm


def responses(model: Module, images: Array) -> dict[str, float]:
    """Return the standard deviation of every norm's output inside the blocks, in training mode, from the input on."""
    logits = model.train()(Tensor(images))
    found = {}
    for tensor in backward_order(logits):
        assert tensor.op is not None
        if isinstance(tensor.op, BatchNorm) and tensor.op.module_path.startswith("layer"):
            found[tensor.op.module_path] = float(tensor.data.std())
    return dict(reversed(found.items()))


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    progress.start(2 * sum(settings["depths"]) * settings["seeds"] * settings["steps"])
    for seed in seeds_of(settings):
        for depth in settings["depths"]:
            for skip in (False, True):
                name = f"{'residual' if skip else 'plain'}-{depth}"
                progress.doing(f"train {name}, seed {seed}")
                model = cifar_resnet(depth, in_channels=images.channels, width=settings["width"], skip=skip, seed=seed)
                done = train(model, images, settings["steps"], settings["lr"], seed, progress=progress, units=depth)
                batch, _ = first_batch(images, 64, seed, "float32")
                for layer, (path, std) in enumerate(responses(model, batch).items(), start=1):
                    yield "responses", {"network": name, "skip": skip, "depth": depth, "seed": seed, "layer": layer,
                                        "norm": path, "stage": int(path[5]), "std": std, "loss": done.loss}  # fmt: skip


def later(tables: Tables, skip: bool, depth: int) -> list[float]:
    """List the responses from the second stage on."""
    rows = tables["responses"]
    return [row["std"] for row in rows if row["skip"] == skip and row["depth"] == depth and row["stage"] > 1]


def judge(tables: Tables, settings: Settings) -> Verdict:
    low, high = min(settings["depths"]), max(settings["depths"])
    means = {
        (skip, depth): float(np.mean(later(tables, skip, depth))) for skip in (False, True) for depth in (low, high)
    }
    findings = [
        Finding(f"mean response of residual-{depth} over that of plain-{depth}, from stage 2 on",
                means[True, depth] / means[False, depth], high=0.98)
        for depth in dict.fromkeys((low, high))
    ]  # fmt: skip
    deeper = Finding(
        f"mean response of residual-{high} over that of residual-{low}", means[True, high] / means[True, low], high=0.98
    )
    said = ", ".join(
        [f"{'residual' if skip else 'plain'}-{depth} {value:.2f}" for (skip, depth), value in means.items()]
    )
    words = f"Mean responses from the second stage on, all 1 at the start: {said}."
    stuck = {row["network"] for row in tables["responses"] if row["loss"] is None or row["loss"] > 1.5}
    if stuck:
        words += f" ({' and '.join(sorted(stuck))} did not learn, and is loud all the same.)"
    steps = settings["steps"]
    if not all([finding.inside for finding in findings]):
        why = f"In {steps} steps the scales have hardly left 1, the value they start with; the paper's had 64 000."
        return Verdict(TOO_SMALL, f"{words} {why}", [*findings, deeper])
    if not deeper.inside:
        tail = f"That the deeper residual network is quieter per layer does not show within {steps} steps."
        return Verdict("half right", f"{words} {tail}", [*findings, deeper])
    return Verdict("right", words, [*findings, deeper])


EXPERIMENT = Experiment(
    name="layer-responses",
    claim="Residual functions respond less than plain layers, and the less, the deeper the network.",
    source="He et al. 2015, figure 7",
    expected="residual below plain from the second stage on; the deeper residual one below the other",
    would_change="a longer training, since every response starts at 1; more weight decay on the scales",
    settings={"depths": (20, 44), "width": 8, "steps": 160, "lr": 0.1, "seeds": 1},
    full={"depths": (20, 56, 110), "width": 16, "steps": 64_000},
    data=DATA,
    seconds=15,
    run=run,
    judge=judge,
)
