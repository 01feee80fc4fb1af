"""A picture of one step: its gradient as an image and as a histogram, and the norms of the walk up to it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minires.kernels import Array
from minires.kernels.devices import to_device
from minires.observe.step import Step


def plot(step: Step, walked: Sequence[Step], path: str | Path) -> Path:
    """Draw the gradient that arrived at a step, and the norms of all steps walked, into a .png file; return its path.

    ValueError for another kind of file.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"plot: {path.name} must end in .png")
    from matplotlib.colors import TwoSlopeNorm  # loaded with the first picture, since it takes its time
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplot_mosaic([["image", "histogram"], ["walk", "walk"]], height_ratios=(3, 2))
    module = f", {step.module_path}" if step.module_path else ""
    figure.suptitle(f"Step {step.index + 1} of {step.count}: {step.op_name}{module}")

    grad_y = to_device(step.grad_y, "cpu")
    finite = grad_y[np.isfinite(grad_y)]
    limit = float(np.abs(finite).max()) if finite.any() else 1.0
    image = axes["image"].imshow(
        tiles(grad_y), cmap="RdBu_r", norm=TwoSlopeNorm(0, -limit, limit), interpolation="nearest", aspect="equal"
    )
    figure.colorbar(image, ax=axes["image"], format="%.1e")
    title = f"grad_y {step.grad_y.shape}" + (": the first image, channel by channel" if grad_y.ndim == 4 else "")
    axes["image"].set(title=title, xticks=[], yticks=[])

    axes["histogram"].hist(finite[finite != 0], bins=40, color="#0072b2")
    axes["histogram"].ticklabel_format(axis="x", scilimits=(-2, 2))
    axes["histogram"].set(title=f"its numbers, without {step.statistics.zeros:.0%} zeros", ylabel="how many")

    norms = [one.statistics.norm if one.statistics.norm > 0 else math.nan for one in walked]
    axes["walk"].semilogy([one.index + 1 for one in walked], norms, ".-", color="#0072b2")
    axes["walk"].plot(step.index + 1, norms[-1], "o", color="#d55e00", markersize=9)
    axes["walk"].set(title="norm of the gradient that arrived, from the loss back", xlabel="step", ylabel="‖grad_y‖")
    axes["walk"].set_xlim(0.5, step.count + 0.5)
    axes["walk"].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes["walk"].grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    return path


def tiles(array: Array) -> Array:
    """Lay an array out as one image: of images (N, C, H, W) the first one's channels, of others rows and columns."""
    if array.ndim != 4:
        return array.reshape(array.shape[0] if array.ndim > 1 else 1, -1)
    channels = array[0]
    C, H, W = channels.shape
    across = math.ceil(math.sqrt(C))
    down = math.ceil(C / across)
    sheet = np.full((down * (H + 1) - 1, across * (W + 1) - 1), np.nan, array.dtype)  # a blank line between channels
    for c in range(C):
        row, column = divmod(c, across)
        sheet[row * (H + 1) : row * (H + 1) + H, column * (W + 1) : column * (W + 1) + W] = channels[c]
    return sheet
