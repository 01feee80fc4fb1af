"""The numbers of an array in a few words and a histogram; of a large array, of numbers drawn from all over it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.displays import elements
from minires.kernels import Array

MOST = 16_384  # numbers that are looked at
BARS, WIDTH, HEIGHT = 40, 320, 56


@dataclass
class Numbers:
    """What is known of an array. scale: the largest size of a finite number; scaled: the finite ones over it."""

    looked_at: int
    size: int
    nan: int
    infinite: int
    scale: float
    scaled: Any

    @property
    def words(self) -> str:
        """`-0.31 … 0.29, mean 0.0012`, and what is no finite number."""
        parts = []
        if self.scaled.size:
            low, mean, high = [self.scale * float(value) for value in self.three]
            parts.append(f"{low:.4g} … {high:.4g}, mean {mean:.4g}")
        parts += [f"{count:,} {name}" for count, name in ((self.nan, "NaN"), (self.infinite, "infinite")) if count]
        if self.looked_at < self.size:
            parts.append(f"of {self.looked_at:,} drawn from all {self.size:,} numbers")
        return ", ".join(parts)

    @property
    def three(self) -> tuple[Any, Any, Any]:
        return self.scaled.min(), self.scaled.mean(), self.scaled.max()


def look_at(array: Array) -> Numbers:
    """Look at an array of NumPy's. Nothing of a large array's own size is made."""
    size = array.size
    if size > MOST:
        rng = np.random.default_rng(0)  # not every so many: that may be one column
        places = [rng.integers(0, side, MOST) for side in array.shape]
        array = array[tuple(places)]
    values = np.asarray(array, np.float64).ravel()
    finite = values[np.isfinite(values)]
    scale = float(np.abs(finite).max()) if finite.size else 1.0
    scale = scale or 1.0
    nan = int(np.isnan(values).sum())
    return Numbers(values.size, size, nan, values.size - finite.size - nan, scale, finite / scale)


def histogram(numbers: Numbers, label: str) -> str:
    """Draw how often which numbers occur, as bars; "" where there is nothing to draw."""
    if not numbers.scaled.size:
        return ""
    low, _, high = numbers.three
    if high > low:
        places = ((numbers.scaled - low) / (high - low) * BARS).astype(int).clip(0, BARS - 1)
    else:
        places = np.full(numbers.scaled.size, BARS // 2)
    counts = np.bincount(places, minlength=BARS)
    step = WIDTH / BARS
    bars = []
    for place, count in enumerate(counts.tolist()):
        if count:
            tall = max(1.0, HEIGHT * count / counts.max())  # one number alone is seen too
            bars.append(f'<rect x="{place * step:.1f}" y="{HEIGHT - tall:.1f}" width="{step - 1:.1f}" '
                        f'height="{tall:.1f}" opacity=".6"/>')  # fmt: skip
    foot = HEIGHT + 14
    bars.append(f'<line x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}" stroke="currentColor" opacity=".6"/>')
    bars.append(elements.words_at(0, foot, f"{numbers.scale * float(low):.3g}"))
    bars.append(elements.words_at(WIDTH, foot, f"{numbers.scale * float(high):.3g}", "end"))
    if low < 0 < high:
        zero = WIDTH * float(-low / (high - low))
        bars.append(f'<line x1="{zero:.1f}" y1="0" x2="{zero:.1f}" y2="{HEIGHT + 3}" stroke="currentColor" '
                    'stroke-dasharray="2 2"/>')  # fmt: skip
        if WIDTH * 0.2 < zero < WIDTH * 0.8:
            bars.append(elements.words_at(zero, foot, "0", "middle"))
    return elements.svg(WIDTH, foot + 4, label, bars)
