"""The figure of `minires lab layer-responses`: the response of every layer, in order and sorted."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from minires.plots.lab_common import foot, network_style, over_seeds, sheet, values_of, where


def draw(report: dict[str, Any]) -> Figure:
    figure, (ordered, ranked) = sheet(2, width=11, sharey=True)
    rows = report["tables"]["responses"]
    for number, depth in enumerate(sorted(values_of(rows, "depth"), reverse=True)):
        for skip in (False, True):
            own = where(rows, depth=depth, skip=skip)
            layers, mean, _, _ = over_seeds(own, "layer", "std")
            style = network_style(skip, number)
            ordered.plot(layers, mean, label=own[0]["network"], **style)
            ranked.plot(layers, np.sort(mean)[::-1], **style)
            starts = [row["layer"] for row in own if row["norm"].endswith(".0.bn1") and row["stage"] > 1]
            for start in starts:
                ordered.axvline(start, color=style["color"], linestyle=style["linestyle"], alpha=0.25, linewidth=1)
    for axes in (ordered, ranked):
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.axhline(1, color="0.5", linewidth=0.8)
    ordered.set(title="In order (faint: where a stage begins)", xlabel="3×3 convolution in the blocks",
                ylabel="standard deviation after its norm")  # fmt: skip
    ranked.set(title="The same, sorted by size", xlabel="rank")
    foot(figure, report, ordered)
    return figure
