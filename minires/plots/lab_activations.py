"""The figure of `minires lab activations`: the gradient's ratio over depth, a panel for each kind of network."""

from typing import Any

from matplotlib.figure import Figure

from minires.plots.lab_common import foot, sheet, values_of, where
from minires.plots.style import SERIES


def draw(report: dict[str, Any]) -> Figure:
    rows = report["tables"]["ratios"]
    kinds = values_of(rows, "network")
    figure, panels = sheet(len(kinds), width=12, sharey=True)
    for axes, kind in zip(panels, kinds, strict=True):
        axes.axhspan(-2, 2, color="0.93", zorder=0)
        for number, name in enumerate(values_of(rows, "activation")):
            own = where(rows, network=kind, activation=name)
            depths, colour = [row["layers"] for row in own], SERIES[number]
            axes.plot(depths, [row["log10_gradient_ratio"] for row in own], marker="osD^"[number % 4], color=colour,
                      label=own[0]["label"])  # fmt: skip
            axes.fill_between(
                depths, [row["low"] for row in own], [row["high"] for row in own], color=colour, alpha=0.18, lw=0
            )
        axes.set(title=kind, xlabel="linear layers")
    panels[0].set_ylabel("log10 of ‖dL/dx‖ / ‖dL/dh_last‖")
    seeds = report["settings"]["seeds"]
    foot(
        figure,
        report,
        panels[0],
        f"geometric mean of {seeds} seeds, bands from the least to the largest; grey: within a factor of 100",
    )
    return figure
