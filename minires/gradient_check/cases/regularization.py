"""Dropout, with the generator made anew at every call, so that the mask is the same."""

from typing import Any

import numpy as np

from minires import ops
from minires.gradient_check.cases.space import Case, Space, away_from_zero


def dropout(rng: np.random.Generator, p: float, shape: Any) -> Case:
    def formula(x: Any) -> Any:
        return np.where(np.random.default_rng(5).random(x.shape) < p, 0, x / (1 - p))

    x = away_from_zero(rng, *shape)
    return Case("", "", lambda x: ops.dropout(x, p, np.random.default_rng(5)), {"x": x}, formula)


def named(rng: np.random.Generator) -> list[Case]:
    x = away_from_zero(rng, 3, 4)
    return [Case("dropout", "p 0.4", lambda x: ops.dropout(x, 0.4, np.random.default_rng(1)), {"x": x})]


SPACES = [Space("dropout", {"p": (0.4, 0.0, 0.1, 0.8), "shape": ((3, 4), (2, 3, 4, 5), (9,))}, dropout)]
