"""The figure of `minires lab lesion`: accuracy after every deletion and swap, and after several deletions."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minires.plots.lab_common import draw_line, foot, network_style, sheet, values_of, where


def draw(report: dict[str, Any]) -> Figure:
    figure, (single, swapped, several) = sheet(3, width=12.4, sharey=True)
    rows = report["tables"]["lesions"]
    for skip in (False, True):
        own = where(rows, skip=skip)
        name, style = own[0]["network"], {**network_style(skip, 0), "marker": "os"[skip], "markersize": 4}
        whole = sum([row["accuracy"] for row in where(own, kind="whole")]) / len(where(own, kind="whole"))
        for axes in (single, swapped):
            axes.axhline(whole, color=style["color"], linewidth=0.9, linestyle=":")
        draw_line(single, where(own, kind="deleted"), "block", "accuracy", label=name, **style)
        if where(own, kind="swapped"):
            draw_line(swapped, where(own, kind="swapped"), "block", "accuracy", **{**style, "linestyle": ""})
        draw_line(
            several, [row for row in own if row["kind"] in ("whole", "several deleted")], "count", "accuracy", **style
        )
    for axes in (single, swapped, several):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(0.1, color="0.5", linewidth=0.8)
    single.set(title="One block deleted", xlabel="block", ylabel="test accuracy (dotted: whole)", ylim=(0, 1.02))
    swapped.set(title="A block and the next swapped", xlabel="block")
    several.set(title="Several blocks deleted", xlabel="blocks")
    several.set_xticks(sorted(values_of([row for row in rows if row["kind"] in ("whole", "several deleted")], "count")))
    single.annotate("guessing", (0.99, 0.1), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                    ha="right", color="0.4", fontsize=8)  # fmt: skip
    draws = report["settings"]["draws"]
    seeds = report["settings"]["seeds"]
    foot(
        figure,
        report,
        single,
        f"{'one seed' if seeds == 1 else f'{seeds} seeds'}; at the right {draws} draws of blocks each, bands from "
        "the least to the largest",
    )
    return figure
