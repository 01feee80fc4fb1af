"""The figure of `minires lab paths`: how many paths of each length there are, and how much gradient each brings."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minires.plots.lab_common import foot, sheet, values_of, where
from minires.plots.style import SERIES


def draw(report: dict[str, Any]) -> Figure:
    figure, (counts, single, weighed) = sheet(3, width=12.4)
    blocks = values_of(report["tables"]["counts"], "blocks")
    for number, count in enumerate(blocks):
        own = where(report["tables"]["counts"], blocks=count)
        counts.plot([row["length"] for row in own], [row["share"] for row in own], color=("0.3", "0.65")[number % 2],
                    marker=".", label=f"{count} blocks")  # fmt: skip
    counts.set(title="Paths of each length", xlabel="branches on the path", ylabel="share of the 2ⁿ paths", ylim=0)
    counts.legend(frameon=False, fontsize=8)
    rows = report["tables"]["lengths"]
    for number, moment in enumerate(values_of(rows, "moment")):
        own = where(rows, moment=moment)
        lengths = np.array(values_of(own, "length"))
        means = np.array([np.mean([row["mean_norm"] for row in where(own, length=length)]) for length in lengths])
        paths = np.array([where(own, length=length)[0]["paths"] for length in lengths], float)
        sums = np.array([np.mean([row["norm_of_sum"] for row in where(own, length=length)]) for length in lengths])
        style: dict[str, Any] = {"color": SERIES[number], "marker": "os"[number % 2], "markersize": 4}
        present = means > 0
        single.plot(lengths[present], means[present] / means[0], label=moment, **style)
        weights = paths * means
        weighed.plot(lengths, weights / weights.sum(), label=moment, **style)
        weighed.plot(lengths, sums / sums.sum(), color=SERIES[number], linestyle=":", linewidth=1.5)
    for axes in (counts, single, weighed):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    single.set(
        yscale="log",
        title="Gradient of one path",
        xlabel="branches on the path",
        ylabel="‖gradient‖ over that without a branch",
    )
    weighed.set(title="All paths of a length together", xlabel="branches on the path", ylabel="share", ylim=0)
    foot(
        figure,
        report,
        single,
        "solid: number of paths times mean norm; dotted: norm of their sum, in which they cancel",
    )
    return figure
