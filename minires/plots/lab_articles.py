"""The figure of `minires lab articles`: every claim, what was measured, and the verdict, as a table."""

import textwrap
from typing import Any

from matplotlib.figure import Figure

# Of Okabe and Ito; each verdict is also written out.
COLOURS = {"right": "#009E73", "half right": "#E69F00", "wrong": "#D55E00", "missing": "#CC79A7", "no claim": "0.6"}
COLUMNS = (("", 3, 0.0), ("claim", 55, 0.025), ("measured", 78, 0.275), ("verdict", 12, 0.625), ("instead", 64, 0.705))
LINE = 0.155  # inches


def draw(report: dict[str, Any]) -> Figure:
    rows = report["tables"]["claims"]
    cells = [[str(row["number"]), f"{row['claim']} [{row['articles']}]", row["measured"], row["verdict"],
              row["why"] + (f" ({row['explained_in']})" if row["explained_in"] else "")] for row in rows]  # fmt: skip
    wrapped = [
        [textwrap.wrap(cell, width) for cell, (_, width, _) in zip(line, COLUMNS, strict=True)] for line in cells
    ]
    heights = [max([len(cell) for cell in line]) + 0.7 for line in wrapped]
    height = LINE * (sum(heights) + 2)
    figure = Figure(figsize=(14.5, height + 0.3), dpi=130)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(sum(heights) + 2, 0)
    for name, _, left in COLUMNS:
        axes.text(left, 0.8, name, fontweight="bold", fontsize=9, va="center")
    top = 1.6
    for row, line, lines in zip(rows, wrapped, heights, strict=True):
        axes.axhline(top, color="0.85", linewidth=0.6)
        for number, (cell, (name, _, left)) in enumerate(zip(line, COLUMNS, strict=True)):
            colour = (
                COLOURS[row["verdict"]]
                if name == "verdict"
                else "0.35"
                if row["holds"] is None and number == 2
                else "black"
            )
            axes.text(left, top + 0.35, "\n".join(cell), fontsize=8, va="top", color=colour, linespacing=1.15,
                      fontweight="bold" if name == "verdict" else "normal")  # fmt: skip
        if row["holds"] is False:
            axes.text(0.625, top + 1.5, "not borne out\nat this size", fontsize=7, va="top", color="0.3")
        top += lines
    return figure
