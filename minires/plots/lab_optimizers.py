"""The figure of `minires lab optimizers`: the trainings, how sparse the weights are, and accuracy beside accuracy."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, guessing, sheet, values_of, where
from minires.plots.style import DASHES, SERIES


def draw(report: dict[str, Any]) -> Figure:
    figure, (losses, sparse, right) = sheet(3, width=13.6, height=4.6)
    rows = report["tables"]["ways"]
    names = values_of(rows, "way")
    for number, name in enumerate(names):
        own = smoothed(where(report["tables"]["losses"], way=name))
        draw_line(losses, own, "step", "loss", color=SERIES[number % len(SERIES)], label=name, linewidth=1.8,
                  linestyle=DASHES[number % 4])  # fmt: skip
    guessing(losses)
    losses.set(title="Training loss, means over 5 steps", xlabel="step", ylabel="cross-entropy")

    def means(key: str) -> list[float]:
        return [float(np.mean([row[key] for row in where(rows, way=name)])) for name in names]

    colours = [SERIES[number % len(SERIES)] for number in range(len(names))]
    bars(sparse, names, means("share_small"), colours, ".1%")
    sparse.set(title="Weights below 0.001", xlabel="share of all filters' and matrices' weights")
    sparse.tick_params(axis="y", labelsize=8)
    places = np.arange(len(names))
    for key, marker, label in (("train_accuracy", "o", "trained with"), ("test_accuracy", "D", "test")):
        right.scatter(means(key), places, c=colours, marker=marker, s=46)
        right.scatter([], [], color="0.4", marker=marker, label=label)
    right.set_yticks(places, [""] * len(names))
    right.invert_yaxis()
    right.grid(axis="x", color="0.9")
    right.set(title="Accuracy (rows as at the left)", xlabel="share of images")
    right.legend(frameon=False, fontsize=8)
    foot(figure, report, losses, columns=3)
    return figure


def smoothed(rows: Any, window: int = 5) -> list[dict[str, Any]]:
    """Replace every `window` steps by their mean."""
    made = []
    for seed in values_of(rows, "seed"):
        own = where(rows, seed=seed)
        for start in range(0, len(own) - window + 1, window):
            part = own[start : start + window]
            made.append(
                {
                    "step": float(np.mean([row["step"] for row in part])),
                    "loss": float(np.mean([row["loss"] for row in part])),
                }
            )
    return made
