"""An update, and how arrays are compared with what they should be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minires.kernels import Array

ROUNDINGS = 40  # of the dtype, that an updated array may be off after all its steps
DTYPES = ("float32", "float64")


@dataclass
class Update:
    """check() returns what is wrong, "" if nothing is, and the worst error in words."""

    name: str
    check: Callable[[], tuple[str, str]]


def roundings_off(pairs: list[tuple[str, Array, Array]], dtype: Any) -> tuple[str, str]:
    """Compare arrays with what they should be, by the largest number that each should have."""
    worst, problem = 0.0, ""
    for what, array, right in pairs:
        unit = float(np.finfo(dtype).eps) * max(float(np.abs(right).max(initial=0.0)), 1e-30)
        off = float(np.abs(array.astype(np.float64) - right).max(initial=0.0)) / unit
        if not problem and (array.dtype != dtype or not off <= ROUNDINGS):
            numbers = f"{array.ravel()[:4]}, not {right.ravel()[:4]}"
            problem = f"{what} is {array.dtype} and {off:.3g} roundings off: {numbers}"
        worst = max(worst, off)
    return problem, f"{worst:.1f} roundings"
