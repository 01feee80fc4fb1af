"""The filters of a network's first layer, the only ones that can be looked at as pictures."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minires.plots.drawing import save


def first_layer(weight: np.ndarray, path: str | Path, title: str = "") -> Path:
    """Draw filters (F, C, KH, KW) into a PNG file; return its path.

    Filters of 3 channels are drawn in colour, each stretched so that grey is 0; of others the channels are drawn side
    by side, red above 0 and blue below. ValueError for an array that is no filters.
    """
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError(f"first_layer: filters must be of shape (F, C, KH, KW), got {weight.shape}")
    F, C, KH, KW = weight.shape
    weight = weight.astype(np.float64)
    if C == 3:
        pictures = 0.5 + 0.5 * weight / np.maximum(np.abs(weight).max(axis=(1, 2, 3), keepdims=True), 1e-12)
        pictures = pictures.transpose(0, 2, 3, 1)
    else:
        pictures = weight.transpose(0, 2, 1, 3).reshape(F, KH, C * KW)
    shape = pictures.shape[2] / KH  # of one picture
    columns = min(F, max(1, round(math.sqrt(2 * F / shape))))
    rows = -(-F // columns)
    width = max(4.5, min(12.0, 0.75 * columns * shape))
    figure = Figure(figsize=(width, width * rows / columns / shape + 0.7), dpi=150, layout="constrained")
    limit = float(np.abs(weight).max()) or 1.0
    shown = None
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if number < F:
            shown = axes.imshow(pictures[number], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    if C != 3 and shown is not None:
        figure.colorbar(shown, ax=figure.axes, shrink=0.8, aspect=30)
    figure.suptitle(title or f"{F} filters of {C} × {KH} × {KW}")
    return save(figure, Path(path))
