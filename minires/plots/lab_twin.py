"""The figure of `minires lab twin`: the gradient's ratio over depth, a line for each kind of block."""

from typing import Any

from matplotlib.figure import Figure

from minires.plots.style import SERIES, tidy

MARKERS = "osD^vPX<>*h"


def draw(report: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9.6, 5.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    rows = report["tables"]["ratios"]
    axes.axhspan(-2, 2, color="0.93", zorder=0)
    axes.axhline(0, color="0.6", linewidth=0.8)
    for number, name in enumerate(dict.fromkeys(row["row"] for row in rows)):
        own = [row for row in rows if row["row"] == name]
        depths, logs = [row["layers"] for row in own], [row["log10_gradient_ratio"] for row in own]
        axes.plot(depths, logs, marker=MARKERS[number % len(MARKERS)], color=SERIES[number % len(SERIES)],
                  label=own[0]["label"], linestyle="--" if name.startswith("plain") else "-")  # fmt: skip
    axes.set_yscale("symlog", linthresh=2, linscale=1.2)
    axes.set(xlabel="linear layers", ylabel="log10 of ‖dL/dx‖ / ‖dL/dh_last‖ (grey: within a factor of 100)",
             title="The gradient that arrives at the input, before any training")  # fmt: skip
    ticks = (-40, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    seeds = rows[0]["seeds"]
    figure.supxlabel(f"geometric mean of {seeds} seeds" if seeds > 1 else "one seed", fontsize=8, color="0.4")
    return figure
