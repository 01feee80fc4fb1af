"""The experiments: each builds networks, measures, judges a claim, and gives back plain data.

    lab.compare(depths=(20, 56))          plain and residual twins, layer by layer
    lab.degradation(seeds=3)              any experiment of `minires lab list`: see `experiment.py`
"""

from typing import Any

from minires.lab.comparison import compare
from minires.lab.experiments import NAMES, find
from minires.lab.hessian import hvp, top_eigenvalue

__all__ = ["NAMES", "compare", "find", "hvp", "top_eigenvalue"]


def __getattr__(name: str) -> Any:
    """Return an experiment, which is a function too: lab.shattered_gradients(seeds=3)."""
    try:
        return find(name)
    except ValueError as error:
        raise AttributeError(f"minires.lab has no {name!r}; {error}") from None
