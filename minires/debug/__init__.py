"""Tools to walk through a backward pass, to stop in it, and to look at it.

for step in debug.backward_steps(loss): ...      one op at a time
"""

from minires.debug.step import Input, Source, Statistics, Step, Totals, statistics
from minires.debug.stepper import backward_steps

__all__ = ["Input", "Source", "Statistics", "Step", "Totals", "backward_steps", "statistics"]
