"""How trainings went: loss, accuracy and learning rate of one run or several, over the steps, from metrics.jsonl."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from minires.plots.style import DASHES, SERIES, save, tidy
from minires.runs import read
from minires.runs.folder import flattened

POINTS = 150  # of a line: more could not be told apart
SILENT = (  # what no run is known by, since it follows from the rest or changes nothing
    "dataset.", "data.dir", "keep_checkpoints", "checkpoint_every", "evaluate_every", "steps",
    "model.in_channels", "model.stem", "finetune.source", "finetune.mean", "finetune.std",
)  # fmt: skip
PARTS = ("test", "validation")


def training_curves(folders: Sequence[str | Path], path: str | Path) -> Path:
    """Draw the curves of these runs, together, into a PNG file; return its path.

    Thin lines are the training batches, means over as many steps as the legend says; thick ones with points the
    evaluations. ValueError for a folder that is no training's, or one without a single step.
    """
    runs = [read_run(Path(folder)) for folder in folders]
    if not runs:
        raise ValueError("training_curves: there are no runs to draw")
    figure = Figure(figsize=(13.5, 4.4), dpi=150, layout="constrained")
    loss, accuracy, lr = figure.subplots(1, 3)
    for axes, title in ((loss, "Loss"), (accuracy, "Accuracy"), (lr, "Learning rate")):
        tidy(axes)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    lines = []
    labels = labels_of(runs)
    window = max(1, max([len(run["steps"]) for run in runs]) // POINTS)
    for number, run in enumerate(runs):
        dashes = DASHES[number // len(SERIES) % len(DASHES)]
        style: dict[str, Any] = {"color": SERIES[number % len(SERIES)], "linestyle": dashes}
        draw_quantity(loss, run, "loss", window, style)
        draw_quantity(accuracy, run, "accuracy", window, style)
        lr.plot(*column(run["steps"], "lr"), linewidth=1.8, **style)
        lines.append(Line2D([], [], linewidth=1.8, marker="o", markersize=4, label=labels[number], **style))
    loss.set_ylim(bottom=0)
    accuracy.set_ylim(top=1)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    lr.set_ylim(bottom=0)
    window *= max([row.get("batches", 1) for run in runs for row in run["steps"]])  # of records that were thinned
    batches = "each batch" if window == 1 else f"mean over {window} batches"
    lines.append(Line2D([], [], color="0.4", linewidth=0.9, label=f"thin: training, {batches}"))
    thick = sorted({f"{run['part']} images" for run in runs if run["evaluations"]})
    if thick:
        lines.append(Line2D([], [], color="0.4", linewidth=1.8, marker="o", markersize=4, label=" and ".join(thick)))
    figure.legend(handles=lines, loc="outside lower center", ncols=min(len(lines), 4), frameon=False)
    return save(figure, Path(path))


def draw_quantity(axes: Axes, run: Mapping[str, Any], name: str, window: int, style: Mapping[str, Any]) -> None:
    """Draw a quantity of the training batches, and of the evaluations."""
    steps, values = column(run["steps"], name)
    whole = len(values) // window * window  # the last steps, where they fill no window, are left out
    if whole:
        steps = steps[:whole].reshape(-1, window).mean(axis=1)
        values = values[:whole].reshape(-1, window).mean(axis=1)
    axes.plot(steps, values, linewidth=0.9, alpha=0.6, **style)
    steps, values = column(run["evaluations"], f"{run['part']}_{name}")
    marker = "o" if len(steps) <= 40 else ""
    axes.plot(steps, values, linewidth=1.8, marker=marker, markersize=4, **style)


def column(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of these records and the values of one column; None becomes nan."""
    return np.array([row["step"] for row in rows], float), np.array([row[name] for row in rows], float)


def read_run(folder: Path) -> dict[str, Any]:
    """Read a training's records: name, configuration, steps, evaluations, and what its evaluation part is called."""
    arguments = read(folder, "config.json")["arguments"]
    rows = read(folder, "metrics.jsonl") if (folder / "metrics.jsonl").exists() else []
    steps = [row for row in rows if "loss" in row]
    if not steps:
        path = folder / "metrics.jsonl"
        raise ValueError(f"{path} holds no training step: it is no training's run, or one that did not get that far")
    part = next((part for part in PARTS if any(f"{part}_loss" in row for row in rows)), "test")
    evaluations = [row for row in rows if f"{part}_loss" in row]
    return {"name": folder.name, "configuration": arguments, "steps": steps, "evaluations": evaluations, "part": part}


def labels_of(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each run by what in its configuration is not the same in all of them, else by its folder."""
    flat = [{"begin": beginning(run["configuration"]), **flattened(run["configuration"])} for run in runs]
    tuned = all("finetune" in run["configuration"] for run in runs)
    silent = SILENT if tuned else (*SILENT, "finetune.")
    names = list(dict.fromkeys([name for values in flat for name in values if not name.startswith(silent)]))
    different = [name for name in names if any(values.get(name) != flat[0].get(name) for values in flat)]
    labels = [", ".join([described(name, values[name]) for name in different if name in values]) for values in flat]
    if len(set(labels)) == len(runs) and all(0 < len(label) <= 60 for label in labels):
        return labels
    return [run["name"] for run in runs]


def described(name: str, value: Any) -> str:
    """Say a setting: "resnet20" for the model's name, else "lr 0.1"."""
    section, _, key = name.rpartition(".")
    return (
        str(value) if key in ("name", "begin") else f"{section} {key} {value}" if key == "steps" else f"{key} {value}"
    )


def beginning(configuration: Mapping[str, Any]) -> str:
    return f"from {Path(configuration['finetune']['source']).name}" if "finetune" in configuration else "from scratch"
