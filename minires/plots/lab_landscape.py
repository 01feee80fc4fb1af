"""The figure of `minires lab landscape`: contours and surface of the loss, plain above residual, on one scale."""

from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from minires.plots.lab_common import foot, values_of, where

FAR = 30.0  # losses are cut here, and the cut is drawn as such


def draw(report: dict[str, Any]) -> Figure:
    rows = where(report["tables"]["slice"], seed=report["settings"]["seed"])
    names = values_of(rows, "network")
    slices = {name: grid_of(where(rows, network=name)) for name in names}
    least = min([np.nanmin(losses) for _, _, losses in slices.values()])
    low = max(float(least), 1e-3)
    scale = LogNorm(low, FAR)
    levels = np.geomspace(low, FAR, 17)
    figure = Figure(figsize=(10.4, 4.3 * len(names)), dpi=150, layout="constrained")
    for number, (name, (a, b, losses)) in enumerate(slices.items()):
        shown = np.clip(np.nan_to_num(losses, nan=FAR, posinf=FAR), low, FAR)
        flat = figure.add_subplot(len(names), 2, 2 * number + 1)
        flat.contourf(a, b, shown.T, levels=levels, norm=scale, cmap="viridis")
        lines = flat.contour(
            a, b, shown.T, levels=(0.1, 0.3, 1, np.log(10), 10), norm=scale, colors="white", linewidths=0.9
        )
        flat.clabel(lines, fmt=lambda level: f"{level:.1f}", fontsize=7)
        flat.plot(0, 0, "x", color="white", markersize=7)
        flat.set_xticks(np.linspace(a[0], a[-1], 5))
        flat.set_yticks(np.linspace(b[0], b[-1], 5))
        flat.set(
            title=f"{name}: loss", xlabel="first direction (filter norms)", ylabel="second direction", aspect="equal"
        )
        hills = figure.add_subplot(len(names), 2, 2 * number + 2, projection="3d")
        grid_a, grid_b = np.meshgrid(a, b, indexing="ij")
        hills.plot_surface(grid_a, grid_b, np.log10(shown), cmap="viridis", rstride=1, cstride=1, edgecolor="white",
                           vmin=np.log10(low), vmax=np.log10(FAR), linewidth=0.2)  # fmt: skip
        hills.set_zlim(np.log10(low), np.log10(FAR))
        hills.set(title=f"{name}: log10 of the loss", xticks=(a[0], 0, a[-1]), yticks=(b[0], 0, b[-1]))
        hills.view_init(elev=32, azim=-60)
    bar = figure.colorbar(ScalarMappable(scale, "viridis"), ax=figure.axes, shrink=0.6, pad=0.03)
    bar.set_label(f"loss (cut at {FAR:.0f})")
    ticks = [tick for tick in (0.001, 0.01, 0.1, 1, 10) if tick >= low]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    seeds = report["settings"]["seeds"]
    which = "one seed" if seeds == 1 else f"the first of {seeds} seeds"
    foot(figure, report, words=f"{which}; cross: the trained weights")
    return figure


def grid_of(rows: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places along both directions, and the losses (a, b)."""
    a, b = (np.array(sorted(values_of(rows, key))) for key in ("a", "b"))
    return a, b, np.array([row["loss"] for row in rows], float).reshape(len(a), len(b))
