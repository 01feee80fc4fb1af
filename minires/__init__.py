"""MiniRes: residual networks from scratch, to read, to step through, and to measure.

    from minires import Tensor, models, no_grad, ops, optim

Importing it costs NumPy and nothing else. The rooms beside these names are imported by their own: `minires.training`
(the loop), `minires.lab` (the experiments), `minires.runs.records` (what a run leaves on disk).
"""

import minires.program  # noqa: F401  first, for its effect: Ctrl-C and the terminal of the command or a chapter
from minires import data, kernels, models, nn, ops, optim
from minires.engine import Op, Tensor, backward_order, no_grad
from minires.gradient_check import check_model, gradcheck

__version__ = "0.1.0"

__all__ = [
    "Op",
    "Tensor",
    "backward_order",
    "check_model",
    "data",
    "gradcheck",
    "kernels",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
]
