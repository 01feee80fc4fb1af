"""The stem: what ImageNet's 7×7 convolution and max pool leave of a small image."""

from collections.abc import Iterator
from typing import Any

from minires import nn
from minires.lab.experiment import TOO_SMALL, Experiment, Finding, Row, Settings, Tables, Verdict, seeds_of
from minires.lab.networks import load_images
from minires.lab.progress import Progress
from minires.lab.trials import DATA, accuracy, check, mean, settle, some, train
from minires.models import BasicBlock, ResNet, resnet18
from minires.observe.counting import layer_costs

STEMS = ("cifar", "imagenet")
LAYERS = ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")


def sizes(model: Any, shape: tuple[int, ...]) -> list[Row]:
    """Return the height of the map after stem, pool and stages, for an image of this shape."""
    costs = layer_costs(model, shape)
    found = []
    for layer in LAYERS:
        own = [cost for cost in costs if cost.name == layer or cost.name.startswith(f"{layer}.")]
        if own and len(own[-1].output_shape) == 3:
            found.append({"layer": layer, "height": own[-1].output_shape[1]})
    return found


def small_resnet18(stem: str, channels: int, width: int, seed: int) -> ResNet:
    """ResNet-18 with `width` channels in its first stage, where the paper has 64."""
    return ResNet(
        BasicBlock, (2, 2, 2, 2), (width, 2 * width, 4 * width, 8 * width), in_channels=channels, stem=stem, seed=seed
    )


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    check(settings)
    images = load_images(settings["data"])
    progress.start(len(STEMS) * settings["seeds"] * settings["steps"])
    for stem in STEMS:
        model = resnet18(num_classes=10, stem=stem, init=None)
        parameters, multiply_adds = nn.totals(model, (3, 32, 32))
        yield "costs", {"stem": stem, "parameters": parameters, "multiply_adds": multiply_adds}
        yield from [("sizes", {"stem": stem, **row}) for row in sizes(model, (3, 32, 32))]
        for seed in seeds_of(settings):
            progress.doing(f"train with the {stem} stem, seed {seed}")
            small = small_resnet18(stem, images.channels, settings["width"], seed)
            done = train(small, images, settings["steps"], settings["lr"], seed, progress=progress)
            settle(small, images)
            yield "trainings", {"stem": stem, "seed": seed, "loss": done.loss,
                                "test_accuracy": accuracy(small, *some(images, "test"))}  # fmt: skip
            for step, loss in enumerate(done.losses, start=1):
                yield "losses", {"stem": stem, "seed": seed, "step": step, "loss": loss}


def judge(tables: Tables, settings: Settings) -> Verdict:
    cost = {row["stem"]: row["multiply_adds"] for row in tables["costs"]}
    last = {row["stem"]: row["height"] for row in tables["sizes"] if row["layer"] == "layer4"}
    right = {
        stem: mean([row["test_accuracy"] for row in tables["trainings"] if row["stem"] == stem]) or 0.0
        for stem in STEMS
    }
    gap = right["cifar"] - right["imagenet"]
    findings = [
        Finding(
            "multiply-adds of ResNet-18 on 32×32 with the 3×3 stem, millions", cost["cifar"] / 1e6, 555.3, 555.5, ".1f"
        ),
        Finding("… with ImageNet's", cost["imagenet"] / 1e6, 36.9, 37.1, ".1f"),
        Finding("height of the last stage's maps, 3×3 stem", last["cifar"], 4, 4, ".0f"),
        Finding("… ImageNet's", last["imagenet"], 1, 1, ".0f"),
        Finding("test accuracy with the 3×3 stem over ImageNet's", gap, low=0.02),
    ]
    words = (
        f"On 32×32 ImageNet's stem leaves maps of {last['imagenet']}×{last['imagenet']} in the last stage instead "
        f"of {last['cifar']}×{last['cifar']}, and a fifteenth of the work. After {settings['steps']} steps on "
        f"{settings['data']} the small ResNet-18 has {right['cifar']:.1%} with the 3×3 stem and "
        f"{right['imagenet']:.1%} with ImageNet's."
    )  # fmt: skip
    if right["cifar"] < 0.5:
        return Verdict(TOO_SMALL, f"{words} Neither has learned enough to be compared.", findings)
    if gap < 0.02:
        return Verdict(TOO_SMALL, f"{words} On these images the loss of detail does not cost accuracy yet.", findings)
    return Verdict("wrong", words, findings)


EXPERIMENT = Experiment(
    name="stem",
    claim="ResNet-18 can be used on small images as it is.",
    source="He et al. 2015, sections 3.3 and 4.2: another stem for each data set",
    expected="32 → 16 → 8 and a last map of 1×1, 37.0 M multiply-adds against 555.4 M; a lower accuracy",
    would_change="enlarging the images to 224 pixels first, at fifty times the work",
    settings={"width": 8, "steps": 150, "lr": 0.05, "seeds": 1},
    full={"width": 64, "steps": 20_000, "lr": 0.1},
    data=DATA,
    seconds=6,
    run=run,
    judge=judge,
)
