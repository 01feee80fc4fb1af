"""What all figures share: their colours, bare axes, and how they are written."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from minires.runs import records

# Of Okabe and Ito: told apart with every kind of colour vision, and in grey.
COLOURS = {"plain": "#D55E00", "residual": "#0072B2"}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
DEPTH_DASHES = (*DASHES, (0, (6, 1, 1, 1, 1, 1)), (0, (2, 2)))
MARKERS = "osD^vP"
PALEST = 0.5  # how much white is in the colour of the shallowest network


def tidy(axes: Axes) -> None:
    """Leave of the frame what is read from, and a light grid behind the lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


def line_of(network: Mapping[str, Any], networks: Sequence[Mapping[str, Any]], every: int = 1) -> dict[str, Any]:
    """Return a network's line: the colour says whether it has skips; shade, dashes and marker say how deep it is.

    networks: all in the figure. every: how many points there are to a marker. Networks of no kind, whose skip is None,
    have a colour each.
    """
    if network["skip"] is None:
        names = [other["name"] for other in networks]
        place = names.index(network["name"])
        return {
            "label": network["name"],
            "color": SERIES[place % len(SERIES)],
            "linestyle": DEPTH_DASHES[place // len(SERIES) % len(DEPTH_DASHES)],
            "linewidth": 1.8,
            "marker": MARKERS[place % len(MARKERS)],
            "markersize": 4,
            "markevery": every,
        }
    depths = sorted({other["depth"] for other in networks}, reverse=True)
    place = depths.index(network["depth"])
    white = PALEST * place / max(1, len(depths) - 1)
    colour = np.array(to_rgb(COLOURS["residual" if network["skip"] else "plain"]))
    return {
        "label": network["name"],
        "color": to_hex(tuple(colour + white * (1 - colour))),
        "linestyle": DEPTH_DASHES[place % len(DEPTH_DASHES)],
        "linewidth": 1.8,
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4,
        "markevery": every,
    }


def steps_axis(axes: Axes, last: int) -> None:
    """Number the steps of a training so that the first few have as much room as the many after them."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    ticks = [step for step in (0, 1, 2, 5, 10, 20, 40, 80, 200, 500, 1000) if step < last or step <= 1]
    if last >= 5000:
        ticks = [0, 1, *[10**power for power in range(1, 9) if 10**power <= last]]
    axes.set_xticks(sorted({*[step for step in ticks if step <= 0.75 * last], last}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, place: f"{step:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0, last * 1.08)
    axes.set_xlabel("step")


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all."""
    image = io.BytesIO()
    FigureCanvasAgg(figure).print_png(image)
    records.write_bytes(path, image.getvalue())
    return path


def save_svg(figure: Figure, path: Path) -> Path:
    """Write the figure as SVG, whole or not at all; the same figure gives the same bytes."""
    image = io.BytesIO()
    with rc_context({"svg.hashsalt": "minires", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(image, metadata={"Date": None})
    records.write_bytes(path, image.getvalue())
    return path
