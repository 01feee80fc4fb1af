"""Which pixels an answer hangs on: a picture, and beside it how strongly each pixel moves the score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minires.plots.predictions import picture_of
from minires.plots.style import save

MOST_PICTURES = 8  # in one figure


def saliency(
    pixels: np.ndarray, gradients: np.ndarray, names: Sequence[str], answers: Sequence[str], path: str | Path
) -> Path:
    """Draw pictures, and the size of the gradient at their pixels beside them, into a PNG file; return its path.

    pixels: uint8 (N, C, H, W), as the network sees them. gradients: ∂score/∂pixel of the same shape, see
    `lab.saliency`; of a pixel's channels the largest size is drawn (Simonyan et al. 2013), each picture on a scale of
    its own. names, answers: the titles; of more than MOST_PICTURES only the first are drawn.
    ValueError for gradients of another shape, and for none.
    """
    if pixels.shape != gradients.shape or not len(pixels):
        raise ValueError(f"saliency: pixels {pixels.shape} and gradients {gradients.shape} must be of the same images")
    shown = min(len(pixels), MOST_PICTURES)
    columns = min(shown, 2)
    rows = -(-shown // columns)
    figure = Figure(figsize=(6.8 * columns + 0.2, 3.3 * rows + 0.8), dpi=150, layout="constrained")
    figure.suptitle("Which pixels the answer hangs on")
    panels = figure.subplots(rows, 2 * columns, squeeze=False).reshape(-1, 2)
    for axes in panels.flat:
        axes.set_axis_off()
    for number in range(shown):
        left, right = panels[number]
        for axes, title in ((left, names[number]), (right, answers[number])):
            axes.set_title(title if len(title) <= 32 else f"{title[:15]}…{title[-16:]}", fontsize="medium")
        picture, limits = picture_of(pixels[number])
        left.imshow(picture, cmap="gray", interpolation="nearest", **limits)
        sizes = np.abs(gradients[number]).max(axis=0)
        image = right.imshow(sizes, cmap="inferno", vmin=0, interpolation="nearest")
        bar = figure.colorbar(image, ax=right, shrink=0.85, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize="small")
    more = f" {len(names) - shown} more pictures are not drawn." if len(names) > shown else ""
    figure.supxlabel(
        "Left: what the network sees. Right: |∂ score / ∂ pixel|, by how much the score of the class\n"
        f"changes for one grey level of that pixel (Simonyan et al. 2013).{more}",
        fontsize="small",
    )
    return save(figure, Path(path))
