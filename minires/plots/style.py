"""What all figures share: their colours, bare axes, and how they are written."""

import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from minires.runs import records

# Of Okabe and Ito: told apart with every kind of colour vision, and in grey.
COLOURS = {"plain": "#D55E00", "residual": "#0072B2"}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))


def tidy(axes: Axes) -> None:
    """Leave of the frame what is read from, and a light grid behind the lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


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
