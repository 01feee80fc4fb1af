"""The figure of `minires lab gradient-flow`: the gradient's ratio above, the loss below, over the same steps."""

from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from minires.plots.gradients import SETTING, draw_band, share_y
from minires.plots.style import line_of, steps_axis, tidy


def draw(report: dict[str, Any]) -> Figure:
    networks = report["tables"]["summary"]
    settings = [list(group) for _, group in groupby(networks, key=lambda network: [network[key] for key in SETTING])]
    figure = Figure(figsize=(max(6.4, 4.6 * len(settings)), 7.6), dpi=150, layout="constrained")
    above, below = figure.subplots(2, len(settings), squeeze=False, height_ratios=(1.25, 1))
    steps = report["settings"]["steps"]
    for group, ratio, loss in zip(settings, above, below, strict=True):
        tidy(ratio)
        tidy(loss)
        ratio.axhspan(0.01, 100, color="0.94", zorder=0)
        ratio.axhline(1, color="0.6", linewidth=0.8)
        for network in group:
            style = line_of(network, networks)
            moments, logs = curves_of(report["tables"]["moments"], network, "log10_ratio")
            draw_band(ratio, moments, logs, style)
            passed, losses = curves_of(report["tables"].get("losses", []), network, "loss")
            if losses.size:
                loss.plot(passed, losses.mean(axis=0), **{**style, "markevery": max(1, len(passed) // 6)})
                if len(losses) > 1:
                    low, high = losses.min(axis=0), losses.max(axis=0)
                    loss.fill_between(passed, low, high, color=style["color"], alpha=0.2, lw=0)
        guessing = group[0]["guessing"]
        loss.axhline(guessing, color="0.5", linewidth=0.8)
        loss.text(0.01, guessing, "guessing", transform=loss.get_yaxis_transform(), va="bottom", fontsize=7)
        for axes in (ratio, loss):
            axes.set_yscale("log")
            steps_axis(axes, max(1, steps))
        switches = [f"{key} {group[0][key]}" for key in SETTING if key != "activation"]
        ratio.set_title(", ".join(switches), fontsize="medium")
        ratio.set_ylabel("‖∂L/∂h‖ at the stem / at the last block\n(grey: within a factor of 100)")
        loss.set_ylabel("training loss of each batch")
    share_y(above)
    share_y(below)
    seeds = networks[0]["seeds"]
    words = f"lines: means of {seeds} seeds; bands: smallest to largest"
    if seeds == 1:
        words = "one seed alone: another one ends elsewhere"
    figure.suptitle(f"{report['settings']['data']}, {words}", fontsize="small", color="0.35")
    lines = {str(line.get_label()): line for axes in above for line in axes.lines}
    names = [name for name in dict.fromkeys([network["name"] for network in networks]) if name in lines]
    columns = max(1, min(len({network["depth"] for network in networks}), int(figure.get_figwidth() / 1.75)))
    figure.legend([lines[name] for name in names], names, loc="outside lower center", ncols=columns, frameon=False,
                  handlelength=3.5)  # fmt: skip
    return figure


def curves_of(rows: list[dict[str, Any]], network: dict[str, Any], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps that all seeds of a network have, and a row of values for each seed."""
    switches = ("depth", "skip", *SETTING)
    own = [row for row in rows if all(row[name] == network[name] for name in switches)]
    seeds = dict.fromkeys([row["seed"] for row in own])
    by_seed = [{row["step"]: row[key] for row in own if row["seed"] == seed} for seed in seeds]
    steps = [step for step in (by_seed[0] if by_seed else {}) if all(step in values for values in by_seed)]
    return np.array(steps), np.array([[values[step] for step in steps] for values in by_seed], float)
