"""The experiments, one a file: `find("twin")` gives the object that `minires.lab.experiment` explains.

The order is that of `minires lab all`.
"""

import importlib

from minires.lab.experiment import Experiment

NAMES = (
    "gradient-flow",
    "aftermath",
    "twin",
    "degradation",
    "layer-responses",
    "shattered-gradients",
    "lesion",
    "paths",
    "landscape",
    "shortcuts",
    "preactivation",
    "no-norm",
    "batch-norm",
    "width",
    "stem",
    "optimizers",
    "activations",
    "articles",
)  # fmt: skip
APART: tuple[str, ...] = ("paper-cifar10",)  # too long for `minires lab all`


def find(name: str) -> Experiment:
    """Return an experiment by its name, "gradient-flow" or "gradient_flow". ValueError for an unknown one."""
    dashed = name.replace("_", "-")
    if dashed not in (*NAMES, *APART):
        raise ValueError(f"lab: unknown experiment {name!r}; known: {', '.join((*NAMES, *APART))}")
    module = importlib.import_module(f"minires.lab.experiments.{dashed.replace('-', '_')}")
    experiment: Experiment = module.EXPERIMENT
    return experiment


def all_of() -> list[Experiment]:
    """List the experiments of `minires lab all`."""
    return [find(name) for name in NAMES]
