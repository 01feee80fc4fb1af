"""The order of norm, ReLU and addition in a block: what is left on the path from block to block, and how it trains."""

from collections.abc import Iterator
from typing import Any

from minires.kernels.norms import norm
from minires.lab import path_gradients
from minires.lab.blocks import NormAfterAdd, ReluBeforeAdd, ReluOnlyPreactivation
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.gradient_norms import log10_ratio, measure
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, check, first_batch, mean, train
from minires.models import BasicBlock, PreActBlock, cifar_resnet
from minires.nn import Module

# block, and the test error of ResNet-110 on CIFAR-10 in He et al. 2016, table 2 (%)
ORDERS: dict[str, tuple[Any, float]] = {
    "original": (BasicBlock, 6.61),
    "norm after the addition": (NormAfterAdd, 8.17),
    "ReLU before the addition": (ReluBeforeAdd, 7.84),
    "ReLU-only pre-activation": (ReluOnlyPreactivation, 6.71),
    "full pre-activation": (PreActBlock, 6.37),
}
TRAINED = ("original", "full pre-activation")


def arriving(model: Module, images: Any, labels: Any) -> float:
    """Return the norm of the gradient that comes through the shortcuts of the last stage alone, over what entered.

    From the last add's output to the input of the stage's second block, so that every shortcut is the identity.
    """
    loss, adds = path_gradients.forward(model, images, labels)
    loss.backward(keep_grads=True, keep_graph=True)
    last = len(adds) - len(adds) // 3 + 1
    top, bottom = adds[-1], adds[last]
    assert bottom.op is not None and top.grad is not None
    passed = path_gradients.along(top, bottom.op.inputs[0], (), start=top.grad)
    return 0.0 if passed is None else norm(passed) / norm(top.grad)


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    depths, steps = settings["depths"], settings["steps"]
    trained = settings["trained_depth"]
    measuring = 4  # steps
    progress.start(settings["seeds"] * (len(ORDERS) * sum(depths) * measuring + len(TRAINED) * trained * steps))
    for seed in seeds_of(settings):
        batch = first_batch(images, settings["batch_size"], seed)
        for order, (block, error) in ORDERS.items():
            for depth in depths:
                progress.doing(f"{order}, {depth} layers")
                model = cifar_resnet(
                    depth, block=block, in_channels=images.channels, width=settings["width"], seed=seed
                )
                yield "gradients", {
                    "order": order, "depth": depth, "seed": seed,
                    "log10_gradient_ratio": log10_ratio(measure(model, *batch)),
                    "through_shortcuts": arriving(model, *batch), "published_error": error,
                }  # fmt: skip
                progress.advance(depth * measuring, timed=False)
        for order in TRAINED:
            progress.doing(f"train {order}, seed {seed}")
            model = cifar_resnet(
                trained, block=ORDERS[order][0], in_channels=images.channels, width=settings["width"], seed=seed
            )
            done = train(model, images, steps, settings["lr"], seed, progress=progress, units=trained)
            for step, loss in enumerate(done.losses, start=1):
                yield "losses", {"order": order, "depth": trained, "seed": seed, "step": step, "loss": loss}


def judge(tables: Tables, settings: Settings) -> Verdict:
    deepest = max(settings["depths"])
    rows = [row for row in tables["gradients"] if row["depth"] == deepest]

    def over_seeds(order: str, key: str) -> float | None:
        return mean([row[key] for row in rows if row["order"] == order])

    through = {order: over_seeds(order, "through_shortcuts") for order in ORDERS}
    logs = {order: over_seeds(order, "log10_gradient_ratio") for order in ORDERS}
    losses = {order: last_loss(tables, order, settings["steps"]) for order in TRAINED}
    findings = [
        Finding(f"gradient left on the shortcuts of the last stage, full pre-activation, {deepest} layers",
                through["full pre-activation"], 1 - 1e-9, 1 + 1e-9, ".6f"),
        Finding("… original", through["original"], high=0.9),
        Finding("log10 of the gradient's ratio, full pre-activation", logs["full pre-activation"], -1, 2.5),
        Finding("… original", logs["original"], -1, 2.8),
        Finding("training loss, full pre-activation", losses["full pre-activation"], high=1.5),
        Finding("training loss, original", losses["original"], high=1.5),
    ]  # fmt: skip
    words = (
        "Through the identity shortcuts of the last stage a pre-activation network hands the gradient on unchanged "
        f"({through['full pre-activation']:.3f}); with ReLU after every addition {through['original']:.2f} of its "
        f"norm is left. The ratio from stem to last block is 10^{logs['full pre-activation']:.1f} against "
        f"10^{logs['original']:.1f}."
    )  # fmt: skip
    if losses["original"] is not None and losses["full pre-activation"] is not None:
        words += (
            f" After {settings['steps']} steps of {settings['trained_depth']} layers the losses are "
            f"{losses['full pre-activation']:.2f} and {losses['original']:.2f}."
        )
    straight = [order for order, value in through.items() if value is not None and abs(value - 1) < 1e-9]
    if not findings[0].inside or not findings[1].inside:
        return Verdict(TOO_SMALL, words, findings)
    still = "The published errors differ by tenths of a percent at 110 layers and by 2.7 points at 1001."
    if len(straight) > 1:
        words += f" But so do all orders with nothing after the addition: {', '.join(straight)}."
        return Verdict("half right", words, findings, open=still)
    return Verdict("right", words, findings, open=still)


def last_loss(tables: Tables, order: str, steps: int) -> float | None:
    """Return the mean loss of the last ten steps, over seeds; None where no training got there."""
    values = [row["loss"] for row in tables.get("losses", []) if row["order"] == order and row["step"] > steps - 10]
    return mean(values)


EXPERIMENT = Experiment(
    name="preactivation",
    claim="Only with norm and ReLU before the convolutions does the signal run straight through the network.",
    source="He et al. 2016, figure 4 and table 2",
    expected="through the shortcuts alone: pre-activation exactly 1, the original block clearly less",
    would_change="measuring across a stage's first block, where every order has something on the shortcut",
    settings={
        "depths": (20, 56),
        "trained_depth": 44,
        "width": 8,
        "steps": 60,
        "lr": 0.05,
        "batch_size": 32,
        "seeds": 1,
    },
    full={"depths": (20, 56, 110), "trained_depth": 110, "width": 16, "steps": 64_000, "seeds": 5},
    data=DATA,
    seconds=6,
    run=run,
    judge=judge,
)
