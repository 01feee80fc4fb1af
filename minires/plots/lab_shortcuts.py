"""The figure of `minires lab shortcuts`: the gradient at every block, and the ratio beside the published error."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, sheet, values_of, where
from minires.plots.style import COLOURS, SERIES


def draw(report: dict[str, Any]) -> Figure:
    figure, (layers, ratios) = sheet(2, width=12.6, height=5.4, width_ratios=(1.25, 1))
    rows = report["tables"]["networks"]
    names = values_of(rows, "shortcut")
    for number, name in enumerate(names):
        style = {"color": SERIES[number % len(SERIES)], "linestyle": ("solid", "dashed")[number // len(SERIES)]}
        own = [row for row in where(report["tables"]["layers"], shortcut=name) if row["log10_grad_h"] is not None]
        if own:
            draw_line(layers, own, "block", "log10_grad_h", label=name, linewidth=1.5, **style)
    layers.set(title="Gradient of the activations", xlabel="block (0: the stem; the loss is on the right)",
               ylabel="log10 of ‖∂L/∂h‖")  # fmt: skip
    layers.legend(frameon=False, fontsize=8, loc="best")
    means, labels, colours = [], [], []
    for name in names:
        found = where(rows, shortcut=name)
        known = [row["log10_gradient_ratio"] for row in found if row["log10_gradient_ratio"] is not None]
        means.append(float(np.mean(known)) if known else None)
        error = found[0]["published_error"]
        said = f"\n{error:.2f} % in the paper" if error else "\nfails in the paper" if name == "dropout" else ""
        labels.append(name + said)
        colours.append(COLOURS["plain"] if name.startswith("none") else COLOURS["residual"] if error else "0.6")
    bars(ratios, labels, means, colours, ".1f")
    ratios.axvline(0, color="0.4", linewidth=0.8)
    ratios.tick_params(axis="y", labelsize=8)
    ratios.set(title="log10 of the ratio, stem over last block", xlabel="before any training")
    foot(figure, report)
    return figure
