"""The figures of a comparison. Plain networks are orange, residual ones blue."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minires.plots.style import COLOURS, DASHES, save, tidy
from minires.runs import read

TOP_LOSS = 4.0  # what is above is no news: guessing has ln 10

PANELS = {
    "gradient_flow.png": (("grad_h", "initial"), ("grad_h", "trained"), ("loss", "trained")),
    "weight_gradients.png": (
        ("grad_w", "initial"),
        ("grad_w", "trained"),
        ("relative_grad_w", "initial"),
        ("relative_grad_w", "trained"),
    ),
}
TITLES = {
    "grad_h": "Gradient of the activations, ‖∂L/∂h‖",
    "grad_w": "Gradient of the weights, ‖∂L/∂W‖",
    "relative_grad_w": "Gradient over weight, ‖∂L/∂W‖ / ‖W‖",
    "loss": "Training loss",
}
LAYERS = {
    "grad_h": "block (0: the stem; the loss is on the right)",
    "grad_w": "layer (the loss is on the right)",
    "relative_grad_w": "layer (the loss is on the right)",
}


def gradient_flow(folder: str | Path) -> list[Path]:
    """Draw a comparison's report.json into gradient_flow.png, the activations' gradients beside the losses, and
    weight_gradients.png; return their paths, none where the run was stopped before anything was measured.

    One row for each choice of init and norm. Lines are geometric means over seeds, bands reach from the smallest to the
    largest. ValueError where the folder holds no such report.
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
    """Draw the panels, (quantity, moment) each, in one row for each choice of init and norm."""
    networks = [network for network in report["networks"] if network["runs"]]
    settings = [list(group) for _, group in groupby(networks, key=lambda network: (network["init"], network["norm"]))]
    figure = Figure(figsize=(max(6.4, 4.4 * len(panels)), 3.7 * len(settings) + 0.4), dpi=150, layout="constrained")
    rows = figure.subfigures(len(settings), 1, squeeze=False, hspace=0.04)[:, 0]
    for row, group in zip(rows, settings, strict=True):
        row.suptitle(f"Handwritten digits, init {group[0]['init']}, norm {group[0]['norm']}", fontweight="bold")
        for axes, (quantity, moment) in zip(row.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            tidy(axes)
            if quantity == "loss":
                draw_losses(axes, group)
            else:
                draw_gradients(axes, group, quantity, moment)
                when = "at initialization" if moment == "initial" else f"after {report['steps']} training steps"
                axes.set_title(f"{TITLES[quantity]}\n{when}", fontsize="medium")
    lines, labels = rows[0].axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=min(len(labels), 8), frameon=False, handlelength=3)
    return figure


def draw_gradients(axes: Axes, networks: Sequence[dict[str, Any]], quantity: str, moment: str) -> None:
    """Draw a quantity over the layers: a line for each network, and the band of its seeds."""
    for network in networks:
        measured = [norms_of(run, moment) for run in network["runs"]]
        logs = np.array([norms[f"log10_{quantity}"] for norms in measured if norms], float)  # None becomes nan
        if logs.size:
            layers = np.arange(logs.shape[1])
            axes.plot(layers, 10 ** logs.mean(axis=0), **line_of(network, networks))
            if len(logs) > 1:
                colour = line_of(network, networks)["color"]
                axes.fill_between(layers, 10 ** logs.min(axis=0), 10 ** logs.max(axis=0), color=colour, alpha=0.2, lw=0)
    axes.set_yscale("log")
    axes.set_xlabel(LAYERS[quantity])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def norms_of(run: dict[str, Any], moment: str) -> dict[str, Any] | None:
    """Return what a run measured at this moment; None where it did not get there."""
    return run["initial"] if moment == "initial" else run["trained"] and run["trained"]["gradients"]


def draw_losses(axes: Axes, networks: Sequence[dict[str, Any]]) -> None:
    """Draw each network's loss over the steps, the mean over its seeds; a diverged training ends in a cross."""
    for network in networks:
        trained = [run["trained"] for run in network["runs"] if run["trained"]]
        losses = [record["losses"] for record in trained]
        steps = min([len(curve) for curve in losses], default=0)
        if steps:
            curve = np.mean([curve[:steps] for curve in losses], axis=0)
            axes.plot(np.arange(1, steps + 1), curve, **line_of(network, networks))
            if any(record["diverged_at"] for record in trained):
                end = min(curve[-1], TOP_LOSS - 0.1)
                axes.plot(steps, end, "x", color=line_of(network, networks)["color"], markersize=8, markeredgewidth=2)
                axes.annotate("diverged", (steps, end), (6, -4), textcoords="offset points")
    axes.axhline(np.log(10), color="0.5", linewidth=0.8)
    axes.text(0.99, np.log(10) + 0.12, "guessing: ln 10", transform=axes.get_yaxis_transform(), ha="right", color="0.4")
    axes.set_title(f"{TITLES['loss']}\nbatch by batch", fontsize="medium")
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, TOP_LOSS)


def line_of(network: dict[str, Any], networks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a network's line: the colour says whether it has skips, the dashes how deep it is."""
    depths = sorted({other["depth"] for other in networks}, reverse=True)
    return {
        "label": network["name"],
        "color": COLOURS["residual" if network["skip"] else "plain"],
        "linestyle": DASHES[depths.index(network["depth"]) % len(DASHES)],
        "linewidth": 1.8,
    }
