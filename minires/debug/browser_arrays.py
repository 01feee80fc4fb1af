"""Arrays as the browser view shows them: statistics, a histogram and a small picture, each array once.

A picture has at most about 48 × 48 cells of one byte, so that a network of hundreds of operations stays a small file.
"""

import base64
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from minires.kernels import Array
from minires.kernels.devices import to_device
from minires.observe.step import statistics

BINS = 41
SIDE = 48  # cells of a picture, across and down
CHANNELS = 16  # of an activation, and filters of a weight, that a picture shows
MISSING = -128  # the byte that stands for NaN


class ArrayTable:
    """The descriptions of arrays, `entries`; `add` gives the number of an array's entry, one number for equal ones."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.known: dict[str, int] = {}
        self.seen: dict[tuple[int, bool], tuple[int, Array]] = {}  # by id; holding the array keeps its id its own

    def add(self, array: Array, is_parameter: bool = False) -> int:
        """Return the entry's number; is_parameter: a 4-D array is filters (F, C, KH, KW), not images (N, C, H, W)."""
        identity = (id(array), is_parameter)
        if identity not in self.seen:
            entry = describe(to_device(array, "cpu"), is_parameter)
            index = self.known.setdefault(json.dumps(entry), len(self.entries))
            if index == len(self.entries):
                self.entries.append(entry)
            self.seen[identity] = index, array
        return self.seen[identity][0]


def describe(array: Array, is_parameter: bool = False) -> dict[str, Any]:
    """Return shape, dtype, statistics, histogram and picture of a NumPy array.

    Statistics are those of `step.statistics`. Where they are not finite they are text, "nan", "inf": JSON has neither.
    """
    measured = {name: number(value) for name, value in asdict(statistics(array)).items()}
    values = array[np.isfinite(array)].astype(np.float64)
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        **measured,
        "histogram": histogram(values),
        "picture": picture(array, is_parameter),
    }


def number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def histogram(values: Array) -> dict[str, Any] | None:
    """Count values in BINS equal bins from the smallest to the largest; None where there are no such bins."""
    if values.size < 2:
        return None
    low, high = float(values.min()), float(values.max())
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low, high, BINS + 1)
    if not (edges[:-1] < edges[1:]).all():  # constant, or so close or far apart that floats cannot tell the edges
        return None
    return {"low": low, "high": high, "counts": np.histogram(values, edges)[0].tolist()}


def picture(array: Array, is_parameter: bool = False) -> dict[str, Any] | None:
    """Return tiles of quantized numbers; None for an array of one number or none.

    Images (N, C, H, W): the first image, a tile per channel. Filters (F, C, KH, KW): a tile per filter and channel, a
    filter a row. Otherwise one tile. `grid` is how many tiles, `tile` how many cells in one, each down and across;
    `data` holds base64 of one byte a cell, tile after tile: round(127 · √(|x|/limit)) with the sign of x, -128 for NaN.
    A cell that stands for several numbers shows the largest in size, which a mean would hide.
    """
    if array.size < 2:
        return None
    if array.ndim == 4 and is_parameter:
        tiles = array[:CHANNELS, :CHANNELS]
        grid = tiles.shape[:2]
        tiles = tiles.reshape(-1, *array.shape[2:])
    elif array.ndim == 4:
        tiles = array[0, :CHANNELS]
        across = math.ceil(math.sqrt(len(tiles)))
        grid = (math.ceil(len(tiles) / across), across)
    else:
        tiles = array.reshape(1, math.prod(array.shape[:-1]), array.shape[-1])
        grid = (1, 1)
    side = SIDE // max(grid)
    tiles = np.asarray(tiles, np.float64)
    if tiles.shape[1] > side:
        tiles = largest_of_groups(tiles, 1, side)
    if tiles.shape[2] > side * (1 if len(tiles) > 1 or tiles.shape[1] > 1 else 2):
        tiles = largest_of_groups(tiles, 2, side)
    sizes = np.abs(tiles[np.isfinite(tiles)])
    limit = float(sizes.max(initial=0.0))
    with np.errstate(invalid="ignore"):
        cells = np.sign(tiles) * np.round(127 * np.sqrt(np.minimum(np.abs(tiles) / (limit or 1.0), 1.0)))
    data = np.where(np.isnan(tiles), MISSING, np.nan_to_num(cells)).astype(np.int8)
    return {
        "grid": list(grid),
        "tile": list(tiles.shape[1:]),
        "of": list(array.shape),
        "filters": array.ndim == 4 and is_parameter,
        "limit": limit,
        "data": base64.b64encode(data.tobytes()).decode(),
    }


def largest_of_groups(tiles: Array, axis: int, groups: int) -> Array:
    """Shorten an axis to `groups` cells: of the numbers in each, the one largest in size, NaN where one is NaN."""
    parts = []
    for part in np.array_split(tiles, groups, axis):
        sizes = np.where(np.isnan(part), np.inf, np.abs(part))
        parts.append(np.take_along_axis(part, sizes.argmax(axis, keepdims=True), axis))
    return np.concatenate(parts, axis)
