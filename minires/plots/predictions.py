"""What a network got right and wrong: its confusion matrix and the images it is most surely wrong about."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from minires.plots.style import save

WRITTEN = 20  # classes, up to which the counts are written into the matrix


def confusion_matrix(rows: Sequence[Mapping[str, Any]], classes: Sequence[str], path: str | Path) -> Path:
    """Draw how often each class (row) was taken for each (column), into a PNG file; return its path.

    rows: predictions with "label" and "prediction", names of `classes`. Blue is right, orange wrong, and
    the darker, the larger the share of the row; on a scale of square roots, so that single errors are seen too.
    """
    counts = count(rows, classes)
    K = len(classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    side = min(10.0, 3.2 + 0.42 * K)
    figure = Figure(figsize=(side, side), dpi=150, layout="constrained")
    axes = figure.subplots()
    right = np.eye(K, dtype=bool)
    for cells, colours in ((right, "Blues"), (~right, "Oranges")):
        shown = np.ma.masked_where(~cells | (counts == 0), shares)
        axes.imshow(shown, cmap=colours, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    correct = int(np.trace(counts))
    axes.set_title(f"{correct} of {counts.sum()} right: accuracy {correct / max(1, counts.sum()):.2%}")
    axes.set_xlabel("prediction")
    axes.set_ylabel("label")
    small = "medium" if K <= WRITTEN else "x-small" if K <= 50 else 5
    longest = max([len(name) for name in classes])
    axes.set_xticks(range(K), classes, fontsize=small, rotation=90 if longest > 3 or K > 30 else 0)
    axes.set_yticks(range(K), classes, fontsize=small)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if K <= WRITTEN:
        for i, j in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[i, j] > 0.4 else "black"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize="small")
    return save(figure, Path(path))


def count(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> np.ndarray:
    """Return the confusion matrix, integers (label, prediction). ValueError for a name that is no class."""
    number = {name: k for k, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), int)
    for row in rows:
        for column in ("label", "prediction"):
            if row[column] not in number:
                raise ValueError(f"confusion_matrix: {column} {row[column]!r} is none of the {len(classes)} classes")
        counts[number[row["label"]], number[row["prediction"]]] += 1
    return counts


def misclassified(
    rows: Sequence[Mapping[str, Any]], images: np.ndarray, path: str | Path, columns: int = 8, most: int = 40
) -> Path | None:
    """Draw the images a network is wrong about, the surest first, into a PNG file; return its path.

    rows: predictions with "image", the index into images (N, C, H, W), "label", "prediction" and "probability". None,
    and no file, where every prediction is right. ValueError for images that are not those of the predictions.
    """
    if len(rows) != len(images):
        raise ValueError(f"misclassified: {len(rows)} predictions are not of these {len(images)} images")
    wrong = [row for row in rows if row["label"] != row["prediction"]]
    if not wrong:
        return None
    wrong.sort(key=lambda row: float(row["probability"]), reverse=True)
    shown = wrong[:most]
    height = -(-len(shown) // columns)
    figure = Figure(figsize=(1.55 * columns, 1.8 * height + 0.45), dpi=150, layout="constrained")
    figure.suptitle(
        f"{len(wrong)} of {len(rows)} wrong" + (f", the {most} surest of them" if len(wrong) > most else "")
        + ": label → prediction, and how sure"
    )  # fmt: skip
    for number, axes in enumerate(figure.subplots(height, columns, squeeze=False).flat):
        axes.set_axis_off()
        if number < len(shown):
            row = shown[number]
            picture, limits = picture_of(images[int(row["image"])])
            axes.imshow(picture, cmap="gray", interpolation="nearest", **limits)
            said = f"{row['label']} → {row['prediction']}, {float(row['probability']):.0%}"
            axes.set_title(said if len(said) <= 20 else said.replace(" → ", "\n→ "), fontsize=8, pad=3)
    return save(figure, Path(path))


def picture_of(image: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Return an image (C, H, W) as Matplotlib draws it, and its limits of grey: uint8 as it is, floats stretched."""
    shown = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0)
    if image.dtype == np.uint8:
        return (shown, {}) if len(image) == 3 else (shown, {"vmin": 0, "vmax": 255})
    lowest, highest = float(image.min()), float(image.max())
    return (shown - lowest) / max(highest - lowest, 1e-12), {"vmin": 0, "vmax": 1}
