"""The figure of `minires lab degradation`: the training losses, and the gradient's ratio before the training."""

from typing import Any

from matplotlib.figure import Figure

from minires.plots.lab_common import bars, draw_line, foot, guessing, network_style, sheet, values_of, where
from minires.plots.style import COLOURS


def draw(report: dict[str, Any]) -> Figure:
    figure, (losses, ratios) = sheet(2, width=11, width_ratios=(1.7, 1))
    rows = report["tables"]["losses"]
    depths = sorted(values_of(rows, "depth"), reverse=True)
    for skip in (False, True):
        for number, depth in enumerate(depths):
            name = f"{'residual' if skip else 'plain'}-{depth}"
            draw_line(losses, where(rows, network=name), "step", "loss", label=name, **network_style(skip, number))
    guessing(losses)
    losses.set(title="Training loss, batch by batch", xlabel="step", ylabel="cross-entropy")
    networks = report["tables"]["networks"]
    names = values_of(networks, "network")
    initial = [[row["log10_ratio_initial"] for row in where(networks, network=name)] for name in names]
    means = [None if None in values else sum(values) / len(values) for values in initial]
    colours = [COLOURS["residual" if where(networks, network=name)[0]["skip"] else "plain"] for name in names]
    bars(ratios, names, means, colours, ".1f")
    ratios.set(title="Before: log10 of ‖dL/dh‖,\nstem over last block", xlabel="0: as large; above: it explodes")
    ratios.axvline(0, color="0.4", linewidth=0.8)
    foot(figure, report, losses)
    return figure
