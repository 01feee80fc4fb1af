"""The filters of a network's first layer, the only ones that can be looked at as pictures."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minires.plots.style import save

PIXELS, GAP = 8, 6  # of a weight, and between two filters


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
    pictures = pictures.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)
    aspect = pictures.shape[2] / pictures.shape[1]
    columns = min(F, max(1, round(math.sqrt(2 * F / aspect))))
    sheet = montage(pictures, columns)
    width = min(11.0, max(4.0, 0.8 * columns * aspect))
    figure = Figure(figsize=(width + 0.9, width * len(sheet) / sheet.shape[1] + 0.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(title or f"{F} filters of {C} × {KH} × {KW}")
    limit = float(np.abs(weight).max()) or 1.0
    shown = axes.imshow(sheet, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    if C != 3:
        figure.colorbar(shown, ax=axes, shrink=0.9, pad=0.02)
    return save(figure, Path(path))


def montage(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Lay pictures (F, H, W) or (F, H, W, 3) out in rows of so many, with white between them."""
    F, H, W = pictures.shape[:3]
    rows = -(-F // columns)
    white = 1.0 if pictures.ndim == 4 else np.nan
    sheet = np.full((rows * (H + GAP) - GAP, columns * (W + GAP) - GAP, *pictures.shape[3:]), white)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (H + GAP), number % columns * (W + GAP)
        sheet[top : top + H, left : left + W] = picture
    return sheet
