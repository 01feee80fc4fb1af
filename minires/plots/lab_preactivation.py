"""The figure of `minires lab preactivation`: what passes the shortcuts, the ratios, and two trainings."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, guessing, sheet, values_of, where
from minires.plots.style import SERIES


def draw(report: dict[str, Any]) -> Figure:
    figure, (through, ratios, losses) = sheet(3, width=13.6, height=4.4)
    deepest = max(values_of(report["tables"]["gradients"], "depth"))
    rows = where(report["tables"]["gradients"], depth=deepest)
    names = values_of(rows, "order")
    colours = {name: SERIES[number % len(SERIES)] for number, name in enumerate(names)}

    def means(key: str) -> list[float | None]:
        columns = [[row[key] for row in where(rows, order=name)] for name in names]
        return [None if None in column else float(np.mean(column)) for column in columns]

    labels = [f"{name}\n{where(rows, order=name)[0]['published_error']:.2f} % in the paper" for name in names]
    bars(through, labels, means("through_shortcuts"), [colours[name] for name in names], ".2f")
    through.axvline(1, color="0.4", linewidth=0.8)
    through.set(
        title="Gradient that comes through\nthe last stage's shortcuts alone",
        xlabel=f"share of its norm, {deepest} layers",
    )
    bars(ratios, [""] * len(names), means("log10_gradient_ratio"), [colours[name] for name in names], ".1f")
    ratios.set(title="log10 of ‖dL/dh‖,\nstem over last block", xlabel=f"before any training, {deepest} layers")
    own = report["tables"]["losses"]
    for name in values_of(own, "order"):
        depth = where(own, order=name)[0]["depth"]
        draw_line(losses, where(own, order=name), "step", "loss", color=colours[name], label=f"{name}, {depth} layers")
    guessing(losses)
    losses.set(title="Training loss,\nbatch by batch", xlabel="step", ylabel="cross-entropy")
    losses.legend(frameon=False, fontsize=8)
    foot(figure, report)
    return figure
