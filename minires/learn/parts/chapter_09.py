"""Chapter 9, init.py: He's variance."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from minires.learn.examiner import Wrong, refuse_nothing
from minires.learn.parts.tools import part

SHAPE = (24, 40, 3, 3)
MISTAKES = {
    "2 / C: the filter's K·K pixels are forgotten, and fan-out counts F": (2 / 40) ** 0.5,
    "2 / (C·K·K): that is fan-in; here the ways back are counted, F·K·K": (2 / (40 * 9)) ** 0.5,
    "2 / F: the filter's K·K pixels are forgotten": (2 / 24) ** 0.5,
    "1 / (F·K·K): the 2 is missing, for the half that relu takes": (1 / (24 * 9)) ** 0.5,
    "the standard deviation is the variance: take the root": 2 / (24 * 9),
}


def drawn(module: ModuleType, seed: int) -> Any:
    """Where the reader's code runs: filters of `SHAPE`."""
    return module.he_weight(SHAPE, np.random.default_rng(seed))


def check_weight(mine: Any, seed: int) -> Iterator[str]:
    head = "he_weight"
    weight = mine.drawn(seed)
    refuse_nothing(head, weight)
    if np.shape(weight) != SHAPE:
        raise Wrong(f"{head}: the shape is {np.shape(weight)}, and should be {SHAPE}")
    if weight.dtype != np.float32:
        raise Wrong(f"{head}: holds {weight.dtype}, and should be float32: rng draws float64; .astype")
    std, wanted = float(weight.std()), (2 / (24 * 9)) ** 0.5
    if abs(std / wanted - 1) > 0.05:
        for sentence, other in MISTAKES.items():
            if abs(std / other - 1) < 0.05:
                raise Wrong(f"{head}: the variance is {sentence}")
        raise Wrong(f"{head}: for {SHAPE} the standard deviation is {std:.4f}, and should be {wanted:.4f}")
    if abs(float(weight.mean())) > 0.1 * wanted:
        raise Wrong(f"{head}: the mean is {weight.mean():.3f}, and should be 0")
    if float(np.mean(np.abs(weight) < wanted)) > 0.72 or float(np.abs(weight).max()) < 2 * wanted:
        raise Wrong(f"{head}: the numbers are not normally distributed: rng.standard_normal")
    if np.array_equal(weight, mine.drawn(seed + 1)):
        raise Wrong(f"{head}: another generator gives the same filters: draw with `rng`")
    yield f"{head}: standard deviation {std:.4f} of {weight.size} numbers"


PARTS = [part(9, "init.py", {"he_weight": check_weight}, {"drawn": drawn})]
