"""The figure of `minires lab no-norm`: the trainings, and how the signal grows before them."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, guessing, sheet, values_of, where
from minires.plots.style import SERIES

TOP = 6.0


def draw(report: dict[str, Any]) -> Figure:
    figure, (losses, growth) = sheet(2, width=11.4, width_ratios=(1.5, 1))
    rows = report["tables"]["networks"]
    names = values_of(rows, "start")
    colours = dict(zip(names, SERIES, strict=False))
    highest = 0.0
    for name in names:
        own = where(report["tables"]["losses"], start=name)
        style = {"color": colours[name], "linestyle": "--" if name.startswith("batch norm") else "-"}
        label = name + " (diverged)" * any([row["diverged_at"] is not None for row in where(rows, start=name)])
        if own:
            draw_line(losses, own, "step", "loss", label=label, linewidth=1.6, **style)
            highest = max(highest, max([row["loss"] for row in own]))
        else:
            losses.plot([], [], label=label, **style)
        if own and label != name:
            last = max([row["step"] for row in own])
            height = min(TOP, np.mean([row["loss"] for row in where(own, step=last)]))
            losses.plot(last, height, marker="x", markersize=9, markeredgewidth=2, color=colours[name], clip_on=False)
    guessing(losses)
    if highest > TOP:
        losses.set_ylim(0, TOP)
        losses.annotate(f"cut at {TOP:.0f}: the highest is {highest:.2g}", (0.99, 0.98), xycoords="axes fraction",
                        ha="right", va="top", fontsize=8, color="0.4")  # fmt: skip
    losses.set(title="Training loss, batch by batch", xlabel="step", ylabel="cross-entropy")
    means = [float(np.mean([row["log10_variance_growth"] for row in where(rows, start=name)])) for name in names]
    bars(growth, names, means, [colours[name] for name in names], ".1f")
    growth.axvline(0, color="0.4", linewidth=0.8)
    growth.set(title="Before: log10 of the signal's variance,\nlast block over stem")
    foot(figure, report, losses, columns=3)
    return figure
