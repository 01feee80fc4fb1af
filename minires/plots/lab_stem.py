"""The figure of `minires lab stem`: what the two stems leave of an image, what they cost, how they train."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, guessing, sheet, where
from minires.plots.style import SERIES

LAYERS = ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")
NAMES = {"cifar": "3×3", "imagenet": "7×7 and pool"}


def draw(report: dict[str, Any]) -> Figure:
    figure, (sizes, costs, losses) = sheet(3, width=12.6, height=4)
    rows = report["tables"]["sizes"]
    layers = [layer for layer in LAYERS if where(rows, layer=layer)]
    for number, (stem, name) in enumerate(NAMES.items()):
        own = where(rows, stem=stem)
        places = [layers.index(row["layer"]) for row in own]
        heights = [row["height"] for row in own]
        sizes.plot(places, heights, color=SERIES[number], marker="os"[number], label=name)
        for place, height in zip(places, heights, strict=True):
            sizes.annotate(
                str(height), (place, height), (0, (6, -13)[number]), textcoords="offset points", ha="center", fontsize=8
            )
    sizes.set_yscale("log", base=2)
    ticks = (1, 2, 4, 8, 16, 32)
    sizes.set_yticks(ticks, [str(tick) for tick in ticks])
    sizes.set_xticks(range(len(layers)), layers)
    sizes.set(title="ResNet-18 on 32×32", ylabel="height of the map", ylim=(0.6, 56))
    sizes.legend(frameon=False, fontsize=8)
    work = [where(report["tables"]["costs"], stem=stem)[0]["multiply_adds"] / 1e6 for stem in NAMES]
    right = [
        float(np.mean([row["test_accuracy"] for row in where(report["tables"]["trainings"], stem=stem)]))
        for stem in NAMES
    ]
    labels = [f"{name}\n{accuracy:.1%} right" for name, accuracy in zip(NAMES.values(), right, strict=True)]
    bars(costs, labels, work, [SERIES[0], SERIES[1]], ".1f")
    costs.set(title="Work, and what a small one\nlearns in the same steps", xlabel="million multiply-adds an image")
    for number, (stem, name) in enumerate(NAMES.items()):
        draw_line(
            losses, where(report["tables"]["losses"], stem=stem), "step", "loss", color=SERIES[number], label=name
        )
    guessing(losses)
    losses.set(title="Training loss of the small one", xlabel="step", ylabel="cross-entropy")
    foot(figure, report)
    return figure
