"""The figure of `minires lab batch-norm`: the two modes over the batch size, the moments, fine-tuning."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, sheet, values_of, where
from minires.plots.style import SERIES


def draw(report: dict[str, Any]) -> Figure:
    figure, (modes, moments, tuning) = sheet(3, width=13, height=4)
    rows = report["tables"]["batch_sizes"]
    for number, (key, label) in enumerate((("accuracy_training", "accuracy, batch statistics"),
                                           ("accuracy_evaluation", "accuracy, running statistics"),
                                           ("differ", "images classed differently"))):  # fmt: skip
        draw_line(modes, rows, "batch_size", key, label=label, color=SERIES[number], marker="os^"[number],
                  linestyle=("-", "-", "--")[number])  # fmt: skip
    sizes = values_of(rows, "batch_size")
    modes.set(xscale="log", xlabel="batch size, in training and in training mode", ylabel="share of test images",
              title="One network, two modes", ylim=(0, 1.02))  # fmt: skip
    modes.set_xticks(sizes, [str(size) for size in sizes])
    modes.minorticks_off()
    modes.legend(frameon=False, fontsize=8)
    rows = report["tables"]["moments"]
    names = values_of(rows, "moment")
    labels = [f"{what},\n{name.replace(', ', ',' + chr(10))}" for name in names for what in ("|mean|", "|std − 1|")]
    values = [
        float(np.mean([row[key] for row in where(rows, moment=name)])) for name in names for key in ("mean", "std")
    ]
    bars(moments, labels, values, [SERIES[0], SERIES[0], SERIES[1], SERIES[1]], ".2g")
    moments.set(title="A channel's distance\nfrom mean 0, deviation 1")
    moments.tick_params(axis="y", labelsize=8)
    rows = report["tables"]["fine_tuning"]
    frozen = [float(np.mean([row["accuracy"] for row in where(rows, frozen=value)])) for value in (True, False)]
    bars(tuning, ["frozen", "of the batch"], frozen, [SERIES[0], SERIES[1]], ".0%")
    tuning.set(title="Fine-tuned in batches of 2:\nstatistics", xlabel="accuracy on mirrored test images")
    foot(figure, report)
    return figure
