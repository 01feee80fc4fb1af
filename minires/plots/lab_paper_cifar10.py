"""The figure of `minires lab paper-cifar10`: test errors over depth, the published beside the measured."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.lab_common import draw_line, foot, sheet, values_of, where
from minires.plots.style import COLOURS


def draw(report: dict[str, Any]) -> Figure:
    figure, (errors, losses) = sheet(2, width=10)
    rows = report["tables"]["networks"]
    for skip in (True, False):
        own = where(rows, skip=skip)
        if own:
            style = {
                "color": COLOURS["residual" if skip else "plain"],
                "marker": "os"[skip],
                "label": "residual" if skip else "plain",
            }
            draw_line(errors, own, "depth", "test_error", **style)
            draw_line(losses, own, "depth", "train_loss", **style)
    published = {row["depth"]: row["published_error"] for row in rows if row["published_error"] is not None}
    if published:
        errors.plot(
            list(published),
            list(published.values()),
            linestyle="",
            marker="x",
            color="0.2",
            label="residual, in the paper",
        )
    depths = values_of(rows, "depth")
    for axes in (errors, losses):
        axes.set_xticks(depths, [str(depth) for depth in depths])
        axes.set_xlabel("layers")
        axes.set_ylim(bottom=0)
    errors.set(title=f"Test error after {report['settings']['steps']:,} steps", ylabel="%")
    losses.set(title="Training loss, last 100 steps", ylabel="cross-entropy")
    if np.size(depths) == 1:
        errors.set_xlim(depths[0] - 5, depths[0] + 5)
        losses.set_xlim(depths[0] - 5, depths[0] + 5)
    foot(figure, report, errors)
    return figure
