"""The figures of a comparison. Plain networks are orange, residual ones blue; shade, dashes and marker say how deep.

All panels of one quantity have one axis, also from row to row, and nothing is cut off.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from minires.plots.style import line_of, save, steps_axis, tidy
from minires.runs import read

SETTING = ("init", "norm", "activation", "lr")  # what the networks of one row of panels have in common
PANELS = {
    "gradient_flow.png": (("grad_h", "initial"), ("grad_h", "trained"), ("ratio", "moments"), ("loss", "trained")),
    "weight_gradients.png": (
        ("grad_w", "initial"),
        ("grad_w", "trained"),
        ("relative_grad_w", "initial"),
        ("relative_grad_w", "trained"),
    ),
}
TITLES = {
    "grad_h": "Gradient of the activations",
    "grad_w": "Gradient of the weights",
    "relative_grad_w": "Gradient over weight",
    "ratio": "Gradient, stem over last block",
    "loss": "Training loss",
}
AXIS = {
    "grad_h": "‖∂L/∂h‖",
    "grad_w": "‖∂L/∂W‖",
    "relative_grad_w": "‖∂L/∂W‖ / ‖W‖",
    "ratio": "‖∂L/∂h‖ at the stem / at the last block",
    "loss": "loss of each batch",
}
LAYERS = {
    "grad_h": "block (0: the stem; the loss is on the right)",
    "grad_w": "layer (the loss is on the right)",
    "relative_grad_w": "layer (the loss is on the right)",
}
WIDTH, HEIGHT, NAME = 4.4, 3.9, 1.75  # inches: a panel's, and a name's in the legend


def gradient_flow(folder: str | Path) -> list[Path]:
    """Draw a comparison's report.json into gradient_flow.png, the activations' gradients beside the losses, and
    weight_gradients.png; return their paths, none where the run was stopped before anything was measured.

    One row for each choice of init, norm, activation and learning rate. Lines are geometric means over seeds, bands
    reach from the smallest to the largest. ValueError where the folder holds no such report.
    """
    report = read(folder, "report.json")
    if "networks" not in report:
        raise ValueError(f"{folder} is not the run of a comparison: its report.json holds no networks")
    runs = [run for network in report["networks"] for run in network["runs"]]
    paths = []
    if runs:
        for name, panels in PANELS.items():
            shown = [panel for panel in panels if panel[1] == "initial" or any(run["trained"] for run in runs)]
            paths.append(save(comparison(report, shown), Path(folder) / name))
    return paths


def comparison(report: dict[str, Any], panels: Sequence[tuple[str, str]]) -> Figure:
    """Draw the panels, (quantity, moment) each, in one row for each setting."""
    networks = [network for network in report["networks"] if network["runs"]]
    settings = [list(group) for _, group in groupby(networks, key=lambda network: [network[key] for key in SETTING])]
    width = max(6.4, WIDTH * len(panels))
    figure = Figure(figsize=(width, HEIGHT * len(settings) + 0.9), dpi=150, layout="constrained")
    rows = figure.subfigures(len(settings), 1, squeeze=False, hspace=0.04)[:, 0]
    alike: dict[str, list[Axes]] = {}  # the panels of each quantity
    for row, group in zip(rows, settings, strict=True):
        row.suptitle(fill(title_of(report, group[0]), int(8.5 * width)), fontweight="bold")
        for axes, (quantity, moment) in zip(row.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            tidy(axes)
            alike.setdefault(quantity, []).append(axes)
            if quantity == "loss":
                draw_losses(axes, group, networks)
            elif quantity == "ratio":
                draw_ratios(axes, group, networks)
            else:
                draw_layers(axes, group, networks, quantity, moment)
            axes.set_title(f"{TITLES[quantity]}\n{when(quantity, moment, report)}", fontsize="medium")
            axes.set_ylabel(AXIS[quantity])
            axes.set_yscale("log")
    for axes_of_one in alike.values():
        share_y(axes_of_one)
    lines = {line.get_label(): line for row in rows for axes in row.axes for line in axes.lines}
    names = list(dict.fromkeys([network["name"] for network in networks]))
    depths = len({network["depth"] for network in networks}) if networks[0]["skip"] is not None else len(names)
    widest = max(NAME, 0.09 * max([len(name) for name in names]) + 0.7)
    columns = max(1, min(depths, int(width / widest)))
    figure.legend([lines[name] for name in names if name in lines], [name for name in names if name in lines],
                  loc="outside lower center", ncols=columns, frameon=False, handlelength=3.5)  # fmt: skip
    figure.suptitle(legend_of_seeds(report), fontsize="small", color="0.35")
    return figure


def title_of(report: dict[str, Any], network: dict[str, Any]) -> str:
    """Say what a row of panels has in common."""
    pictures = {"digits": "Handwritten digits"}.get(report["data"], report["data"].capitalize())
    known = [key for key in SETTING if network[key] is not None]
    words = [f"{key} {network[key]}" for key in known if key != "activation" or network[key] != "relu"]
    return ", ".join([pictures, *words, f"{report['batch_size']} images a batch"])


def legend_of_seeds(report: dict[str, Any]) -> str:
    """Say what lines and bands are: how many seeds there are, and which."""
    measured, trained = len(report["seeds"]), len(report["trained_seeds"])
    words = "one seed" if measured == 1 else f"line: geometric mean of {measured} seeds, band: smallest to largest"
    if not trained:
        return f"Before training: {words}."
    after = "one seed alone: another one ends elsewhere" if trained == 1 else f"the same, of {trained} seeds"
    return f"Before training: {words}. In training: {after}."


def when(quantity: str, moment: str, report: dict[str, Any]) -> str:
    if quantity == "loss":
        return "batch by batch"
    if quantity == "ratio":
        return "through training"
    return "before training" if moment == "initial" else f"after {report['steps']} training steps"


def draw_layers(axes: Axes, group: Sequence[Any], networks: Sequence[Any], quantity: str, moment: str) -> None:
    """Draw a quantity over the layers: a line for each network, and the band of its seeds."""
    for network in group:
        measured = [norms_of(run, moment) for run in network["runs"]]
        logs = np.array([norms[f"log10_{quantity}"] for norms in measured if norms], float)  # None becomes nan
        if logs.size:
            layers = np.arange(logs.shape[1])
            draw_band(axes, layers, logs, line_of(network, networks, every=max(1, len(layers) // 9)))
    axes.set_xlabel(LAYERS[quantity])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_band(axes: Axes, x: np.ndarray, logs: np.ndarray, style: dict[str, Any]) -> None:
    """Draw the geometric mean of rows of logarithms, and, of several, the band from the smallest to the largest."""
    axes.plot(x, 10 ** logs.mean(axis=0), **style)
    if len(logs) > 1:
        axes.fill_between(x, 10 ** logs.min(axis=0), 10 ** logs.max(axis=0), color=style["color"], alpha=0.2, lw=0)


def norms_of(run: dict[str, Any], moment: str) -> dict[str, Any] | None:
    """Return what a run measured at this moment; None where it did not get there."""
    return run["initial"] if moment == "initial" else run["trained"] and run["trained"]["gradients"]


def draw_ratios(axes: Axes, group: Sequence[Any], networks: Sequence[Any]) -> None:
    """Draw the ratio of the first output's gradient to the last one's, at every moment of the trainings."""
    axes.axhspan(0.01, 100, color="0.94", zorder=0)
    axes.axhline(1, color="0.6", linewidth=0.8)
    last = 1
    for network in group:
        runs = [[run["initial"], *run["trained"]["moments"]] for run in network["runs"] if run["trained"]]
        shared = min([len(run) for run in runs], default=0)  # where one diverged, the others are drawn as far
        if shared:
            steps = np.array([0, *[norms["step"] for norms in runs[0][1:shared]]])
            logs = np.array([[first_over_last(norms) for norms in run[:shared]] for run in runs], float)
            draw_band(axes, steps, logs, line_of(network, networks))
            last = max(last, int(steps[-1]))
    steps_axis(axes, last)
    axes.text(0.99, 0.01, "grey: within a factor of 100", transform=axes.transAxes, ha="right", color="0.4", fontsize=7)


def first_over_last(norms: dict[str, Any]) -> float | None:
    first, last = norms["log10_grad_h"][0], norms["log10_grad_h"][-1]
    return None if first is None or last is None else first - last


def draw_losses(axes: Axes, group: Sequence[Any], networks: Sequence[Any]) -> None:
    """Draw each network's loss over the steps, the mean over its seeds; a diverged training ends in a cross."""
    last = 1
    for network in group:
        trained = [run["trained"] for run in network["runs"] if run["trained"]]
        losses = [record["losses"] for record in trained]
        steps = min([len(curve) for curve in losses], default=0)
        if steps:
            style = line_of(network, networks, every=max(1, steps // 6))
            curves = np.array([curve[:steps] for curve in losses], float)
            curve = curves.mean(axis=0)
            axes.plot(np.arange(1, steps + 1), curve, **style)
            if len(curves) > 1:
                low, high = curves.min(axis=0), curves.max(axis=0)
                axes.fill_between(np.arange(1, steps + 1), low, high, color=style["color"], alpha=0.2, lw=0)
            if any(record["diverged_at"] for record in trained):
                axes.plot(steps, curve[-1], "x", color=style["color"], markersize=8, markeredgewidth=2)
                axes.annotate("diverged", (steps, curve[-1]), (6, -4), textcoords="offset points")
            last = max(last, steps)
    guessing = np.log(group[0]["classes"])
    axes.axhline(guessing, color="0.5", linewidth=0.8)
    axes.text(0.01, guessing, f"guessing: ln {group[0]['classes']}", transform=axes.get_yaxis_transform(),
              va="bottom", color="0.4", fontsize=7)  # fmt: skip
    steps_axis(axes, last)


def share_y(axes: Sequence[Axes]) -> None:
    """Give panels of one quantity one logarithmic axis, with a tick at least at every few powers of ten."""
    limits = [limit for one in axes for limit in one.get_ylim()]
    low, high = min(limits), max(limits)
    if high / low < 100:  # at least two powers of ten, for ticks
        low, high = low / 3, high * 3
    for one in axes:
        one.set_ylim(low, high)
        one.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,), numticks=12))
        if high / low < 1000:
            one.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        one.yaxis.set_minor_formatter(NullFormatter())
