"""The experiments: each builds networks, measures, judges a claim, and gives back a report.

    lab.compare(depths=(20, 56))          plain and residual twins, layer by layer
    lab.compare_models({"a": a}, batch)   your own networks, the same way
    lab.twin(model)                       the plain twin of your own network
    lab.degradation(seeds=3)              any experiment of `minires lab list`: see `experiment.py`

A report is plain data, ready for JSON.
"""

from typing import Any

from minires.lab.comparison import compare
from minires.lab.experiments import NAMES, find
from minires.lab.hessian import hvp, top_eigenvalue
from minires.lab.own_models import compare_models
from minires.lab.shortcuts_left_out import plain_twin
from minires.nn import Module

__all__ = ["NAMES", "compare", "compare_models", "find", "hvp", "plain_twin", "top_eigenvalue", "twin"]


def twin(model: Module | None = None, **options: Any) -> Any:
    """Return the plain twin of a network: see `plain_twin`. Without one, carry out `minires lab twin`."""
    if model is not None:
        return plain_twin(model)
    return find("twin")(**options)


def __getattr__(name: str) -> Any:
    """Return an experiment, which is a function too: lab.shattered_gradients(seeds=3)."""
    try:
        return find(name)
    except ValueError as error:
        raise AttributeError(f"minires.lab has no {name!r}; {error}") from None
