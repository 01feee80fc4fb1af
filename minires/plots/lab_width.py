"""The figure of `minires lab width`: the variance of log E over β, and the range of nine draws of ten."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import foot, sheet, values_of, where
from minires.plots.style import SERIES


def draw(report: dict[str, Any]) -> Figure:
    figure, (variance, ranges) = sheet(2, width=10.4)
    rows = [row for row in report["tables"]["draws"] if row["var_log"] is not None]
    top = 1.15 * max([row["beta"] for row in rows])
    variance.plot([0, top], [0, 5 * top], color="0.6", linewidth=1, label="5 β")
    for number, depth in enumerate(values_of(rows, "depth")):
        own = where(rows, depth=depth)
        style: dict[str, Any] = {"color": SERIES[number], "marker": "os^D"[number % 4], "label": f"{depth} layers"}
        variance.plot([row["beta"] for row in own], [row["var_log"] for row in own], linestyle="", **style)
        widths = np.array([row["width"] for row in own])
        lows, middles, highs = (np.exp([row[key] / 2 for row in own]) for key in ("low_log", "mean_log", "high_log"))
        ranges.errorbar(widths * (1 + 0.04 * number), middles, [middles - lows, highs - middles], linestyle="",
                        capsize=3, color=SERIES[number], marker="os^D"[number % 4])  # fmt: skip
    variance.set(xlabel="β = Σ 1/width over the layers", ylabel="variance of log ‖dL/dx‖²", xlim=0, ylim=0,
                 title="One start from the next")  # fmt: skip
    ranges.set(xscale="log", yscale="log", xlabel="width", ylabel="‖dL/dx‖ for ‖dL/dh‖ = 1", title="Nine draws of ten")
    ticks = sorted({row["width"] for row in rows})
    ranges.set_xticks(ticks, [str(tick) for tick in ticks])
    ranges.minorticks_off()
    ranges.axhline(1, color="0.6", linewidth=0.8)
    foot(figure, report, variance, f"{rows[0]['draws']} draws of the weights each; points: geometric means")
    return figure
