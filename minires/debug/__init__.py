"""Tools to walk through a backward pass, to stop in it, and to look at it.

for step in debug.backward_steps(loss): ...          one op at a time: what arrived, what left, and who did it
with debug.watch(norm_above=1e6): loss.backward()    stop at the first op that computes a NaN or runs away
debug.forks(steps)                                   what skip and branch bring back at every residual add
debug.explore(loss, model)                           the terminal debugger, as in `minires debug`
debug.set_trace()                                    pdb, without the frames of NumPy and Numba
debug.draw(loss, "graph.svg")                        the graph as a picture
"""

from minires.debug.drawing import draw
from minires.debug.terminal import explore
from minires.observe import (
    Finding,
    Fork,
    Input,
    Progress,
    Source,
    Statistics,
    Step,
    WatchError,
    backward_steps,
    forks,
    statistics,
    watch,
)
from minires.observe.pdb_prompt import set_trace

__all__ = [
    "Finding",
    "Fork",
    "Input",
    "Progress",
    "Source",
    "Statistics",
    "Step",
    "WatchError",
    "backward_steps",
    "draw",
    "explore",
    "forks",
    "set_trace",
    "statistics",
    "watch",
]
