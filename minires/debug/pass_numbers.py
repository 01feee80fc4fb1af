"""A backward pass as numbers for other programs: `minires debug --json`."""

from dataclasses import asdict
from typing import Any

from minires.engine import Tensor
from minires.nn import Module
from minires.observe.fork_meter import forks
from minires.observe.step import Statistics
from minires.observe.stepper import backward_steps

FORK_NUMBERS = ("skip_norm", "branch_norm", "x_norm", "skip_share", "branch_share", "cosine")


def numbers_of_pass(loss: Tensor, model: Module | None = None) -> dict[str, Any]:
    """Run the backward pass of `loss`, which fills the `.grad` of its leaves as ever, and return its numbers.

    {"loss", "ops": […], "forks": […]}, the ops in the order of the walk, from the loss back. Of each: "op", "module"
    and "site", which called it, the "shape" of what it made, "grad", the gradient that arrived, and "inputs", each with
    the "grad" that left for it: through this op alone, None where none is needed. A gradient is given by its
    statistics, those of `minires.observe.step.Statistics`. Of each residual add, in "forks", what came through skip and
    branch.
    Errors are those of `Tensor.backward`.
    """
    steps = backward_steps(loss, model=model)
    ops = []
    for step in steps:
        path, line, function = step.site
        inputs = [
            {
                "name": one.name,
                "parameter": one.parameter or None,
                "shape": one.tensor.shape,
                "grad": plain(one.statistics),
            }
            for one in step.inputs
        ]
        ops.append({
            "op": step.op_name,
            "module": step.module_path,
            "site": {"path": path, "line": line, "function": function},
            "shape": step.tensor.shape,
            "grad": plain(step.statistics),
            "inputs": inputs,
        })  # fmt: skip
    adds = [(fork, {name: getattr(fork, name) for name in FORK_NUMBERS}) for fork in forks(steps)]
    return {
        "loss": loss.item() if loss.size == 1 else None,
        "ops": ops,
        "forks": [{"module": fork.module_path, **numbers} for fork, numbers in adds],
    }


def plain(statistics: Statistics | None) -> dict[str, Any] | None:
    return None if statistics is None else asdict(statistics)
