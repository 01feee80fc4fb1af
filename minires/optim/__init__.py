"""Optimizers, learning-rate schedules and gradient clipping: from `.grad` arrays to new `.data` arrays.

Every file lists in `__all__` the names that it adds to `minires.optim`.
"""

# ruff: noqa: F403
from minires.optim.adam import *
from minires.optim.clipping import *
from minires.optim.optimizer import *
from minires.optim.schedules import *
from minires.optim.sgd import *
