"""The figure of `minires lab shattered-gradients`: dy/dx over x, and how alike neighbours are."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import values_of, where
from minires.plots.style import SERIES, tidy

SHOWN = ("one layer", "plain-24, batch norm", "residual-50, batch norm, branches × 0.1")


def draw(report: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(10.4, 6.4), dpi=150, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25), squeeze=False)[:, 0]
    names = values_of(report["tables"]["autocorrelation"], "network")
    colours = {name: SERIES[number % len(SERIES)] for number, name in enumerate(names)}
    panels = above.subplots(1, len(SHOWN))
    for axes, name in zip(panels, SHOWN, strict=True):
        tidy(axes)
        own = where(report["tables"]["gradients"], network=name)
        values = np.array([row["gradient"] for row in own], float)
        axes.plot([row["x"] for row in own], values / np.abs(values).max(), color=colours[name], linewidth=1)
        axes.set(title=name, xlabel="x")
        axes.title.set_fontsize(10)
    panels[0].set_ylabel("dy/dx, scaled to 1")
    axes = below.subplots()
    tidy(axes)
    axes.axhline(0, color="0.6", linewidth=0.8)
    for number, name in enumerate(names):
        own = where(report["tables"]["autocorrelation"], network=name)
        lags, mean, error = means_of(own)
        axes.errorbar(lags * (1 + 0.012 * (number - 3)), mean, error, color=colours[name], capsize=2, label=name,
                      marker="osD^vPX"[number % 7], linestyle="--" if name.startswith("plain") else "-")  # fmt: skip
    ticks = values_of(report["tables"]["autocorrelation"], "lag")
    axes.set(xscale="log", xlabel="lag (points of the grid)", ylabel="autocorrelation of dy/dx")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    below.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=9)
    seeds = report["settings"]["seeds"]
    below.supxlabel(f"above: one seed; below: mean over {seeds} seeds, bars: its standard error", fontsize=8,
                    color="0.4")  # fmt: skip
    return figure


def means_of(rows: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the lags, and at each the mean over seeds and its standard error."""
    lags = values_of(rows, "lag")
    values = np.array([[row["value"] for row in where(rows, lag=lag)] for lag in lags])
    return np.array(lags), values.mean(axis=1), values.std(axis=1) / np.sqrt(values.shape[1])
