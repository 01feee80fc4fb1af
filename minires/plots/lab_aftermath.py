"""The figure of `minires lab aftermath`: the gradient's ratio after each intervention, and the loss at the end."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.style import SERIES, tidy

MARKERS = "osD^vPX<>*"


def draw(report: dict[str, Any]) -> Figure:
    rows = report["tables"]["interventions"]
    places = list(dict.fromkeys([(row["depth"], row["lr"]) for row in rows]))
    names = list(dict.fromkeys([row["intervention"] for row in rows]))
    seeds = list(dict.fromkeys([row["seed"] for row in rows]))
    height = 1.5 + 0.42 * len(names)
    figure = Figure(figsize=(10.5, height * len(places) + 0.7), dpi=150, layout="constrained")
    grid = figure.subplots(len(places), 2, squeeze=False, sharex="col", sharey=True)
    settings = report["settings"]
    for (depth, lr), (ratio, loss) in zip(places, grid, strict=True):
        own = [row for row in rows if (row["depth"], row["lr"]) == (depth, lr)]
        ratio.axvspan(-2, 2, color="0.94", zorder=0)
        ratio.axvline(0, color="0.6", linewidth=0.8)
        start = [row["log10_ratio_start"] for row in own if row["log10_ratio_start"] is not None]
        if start:
            ratio.axvline(float(np.mean(start)), color="0.3", linestyle="--", linewidth=1, label="before training")
        loss.axvline(own[0]["guessing"], color="0.3", linestyle=":", linewidth=1.2, label="guessing")
        for row in own:
            number = seeds.index(row["seed"])
            style = {"marker": MARKERS[number % len(MARKERS)], "color": SERIES[number % len(SERIES)], "linestyle": "",
                     "markersize": 6, "alpha": 0.85, "label": f"seed {row['seed']}"}  # fmt: skip
            shift = 0.0 if len(seeds) == 1 else 0.5 * number / (len(seeds) - 1) - 0.25
            y = names.index(row["intervention"]) + shift
            if row["log10_ratio_at"] is not None:
                ratio.plot(row["log10_ratio_at"], y, **style)
            if row["loss_end"] is not None:
                loss.plot(row["loss_end"], y, **style)
            else:
                loss.annotate("diverged", (own[0]["guessing"], y), fontsize=7, va="center")
        for axes in (ratio, loss):
            tidy(axes)
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
        ratio.set_title(f"plain-{depth}, lr {lr}: the gradient after it", fontsize="medium")
        loss.set_title("and what is learned from there on", fontsize="medium")
        ratio.set_ylabel(f"put back at step {settings['at']}")
        ratio.set_xlabel("log10 of ‖dL/dh‖, stem over last block (grey: within 100)")
        loss.set_xlabel(f"loss over the last of {settings['steps']} steps")
    lines = {str(line.get_label()): line for axes in grid.flat for line in axes.lines}
    names = [name for name in lines if not name.startswith("_")]
    figure.legend([lines[name] for name in names], names, loc="outside lower center", ncols=min(6, len(names)),
                  frameon=False, fontsize=8)  # fmt: skip
    return figure
