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
    rows = min(len(pixels), MOST_PICTURES)
    figure = Figure(figsize=(7.4, 3.4 * rows + 0.75), dpi=150, layout="constrained")
    figure.suptitle("Which pixels the answer hangs on")
    panels = figure.subplots(rows, 2, squeeze=False)
    for row in range(rows):
        sizes = np.abs(gradients[row]).max(axis=0)
        for axes, title in zip(panels[row], (names[row], answers[row]), strict=True):
            axes.set_axis_off()
            axes.set_title(title if len(title) <= 40 else f"{title[:19]}…{title[-20:]}", fontsize="medium")
        picture, limits = picture_of(pixels[row])
        panels[row][0].imshow(picture, cmap="gray", interpolation="nearest", **limits)
        shown = panels[row][1].imshow(sizes, cmap="inferno", vmin=0, interpolation="nearest")
        bar = figure.colorbar(shown, ax=panels[row][1], shrink=0.85, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize="small")
        bar.set_label("|∂ score / ∂ pixel|, per grey level", fontsize="small")
    more = f"; {len(names) - rows} more pictures are not drawn" if len(names) > rows else ""
    figure.supxlabel(f"left: what the network sees. right: the gradient of its score (Simonyan et al. 2013){more}",
                     fontsize="small")  # fmt: skip
    return save(figure, Path(path))
