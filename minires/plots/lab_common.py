"""What the lab's figures share: the line of a network, a legend that is never cut, what seeds a picture is of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minires.plots.style import COLOURS, DASHES, tidy

Rows = Sequence[Mapping[str, Any]]


def sheet(columns: int, width: float = 9.6, height: float = 4.2, **options: Any) -> tuple[Figure, list[Axes]]:
    """Make a figure with so many panels side by side, tidied."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    panels = list(figure.subplots(1, columns, squeeze=False, **options)[0])
    for axes in panels:
        tidy(axes)
    return figure, panels


def values_of(rows: Rows, key: str) -> list[Any]:
    """List the values of a column, each once, in their order."""
    return list(dict.fromkeys([row[key] for row in rows]))


def where(rows: Rows, **columns: Any) -> Rows:
    """List the rows that have these values."""
    return [row for row in rows if all([row[key] == value for key, value in columns.items()])]


def over_seeds(rows: Rows, x: str, y: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the places x, and there mean, least and largest of y over all rows; None is left out."""
    places = sorted({row[x] for row in rows if row[y] is not None})
    groups = [[row[y] for row in rows if row[x] == place and row[y] is not None] for place in places]
    mean, low, high = (np.array([function(group) for group in groups]) for function in (np.mean, min, max))
    return np.array(places), mean, low, high


def draw_line(axes: Axes, rows: Rows, x: str, y: str, **style: Any) -> None:
    """Draw the mean over seeds, and the band from the least to the largest."""
    places, mean, low, high = over_seeds(rows, x, y)
    (line,) = axes.plot(places, mean, **style)
    if (high > low).any():
        axes.fill_between(places, low, high, color=line.get_color(), alpha=0.18, linewidth=0)


def network_style(skip: bool, number: int) -> dict[str, Any]:
    """Return the colour of a plain or residual network, and dashes by its number among the depths."""
    colour = COLOURS["residual" if skip else "plain"]
    return {"color": colour, "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.8}


def guessing(axes: Axes, classes: int = 10) -> None:
    """Draw the loss of guessing as a grey line, and let the axis begin at 0."""
    axes.axhline(np.log(classes), color="0.5", linewidth=0.8)
    axes.annotate(f"guessing: ln {classes}", (0.99, np.log(classes)), (0, 3), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", color="0.4", fontsize=8)  # fmt: skip
    axes.set_ylim(bottom=0)


def foot(
    figure: Figure, report: Mapping[str, Any], axes: Axes | None = None, words: str = "", columns: int = 4
) -> None:
    """Put below the panels what they show, of which images and seeds, and the legend of `axes`, as wide as the figure.

    words: in place of those about the seeds.
    """
    settings = report["settings"]
    seeds = settings.get("seeds", 1)
    said = words or ("one seed" if seeds == 1 else f"mean over {seeds} seeds; bands: from the least to the largest")
    images = {"digits": "handwritten digits", "cifar10": "CIFAR-10"}.get(settings.get("data", ""), "")
    text = "; ".join([part for part in (images, said) if part])
    if axes is None:
        figure.supxlabel(text, fontsize=8, color="0.4")
        return
    handles, labels = axes.get_legend_handles_labels()
    made = figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), frameon=False,
                         handlelength=3, title=text, title_fontsize=8)  # fmt: skip
    made.get_title().set_color("0.4")


def bars(axes: Axes, names: Iterable[str], values: Sequence[float | None], colours: Sequence[str], spec: str) -> None:
    """Draw horizontal bars with their values, the first on top; None is said, and has none."""
    names = list(names)
    places = np.arange(len(names))
    axes.barh(places, [value or 0 for value in values], color=list(colours), height=0.62)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="0.9")
    for place, value in zip(places, values, strict=True):
        text = "none" if value is None else format(value, spec)
        left = value is not None and value < 0
        axes.annotate(text, (value or 0, place), (-4 if left else 4, 0), textcoords="offset points", va="center",
                      ha="right" if left else "left", fontsize=8)  # fmt: skip
    axes.margins(x=0.18)
